"""What a file that a user names for a result must not be; said before anything is computed."""

from pathlib import Path

from layerfusion.errors import UserError


def check_output(path: Path | None, option: str, *, makes_folder: bool = False) -> None:
    """Refuse a file that cannot be written, or whose loss would hurt; None is no file.

    A result is laid in the place of what is there. In that of a device, as root, it would take it
    from every program of the machine; in that of an image, what was to be scored would be gone.

    Parameters
    ----------
    option
        The option that names it, such as ``--out``, for messages.
    makes_folder
        Whether its folder will be made where there is none.

    Raises
    ------
    UserError
        If its folder does not exist and is not made, or it is a folder, a pipe, a socket, a device
        or an image.
    """
    if path is None:
        return
    if not (makes_folder or path.absolute().parent.is_dir()):
        raise UserError(f"the folder of {option} {path} does not exist; make it first")
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; name a file in it")
    if not path.exists():
        return
    from layerfusion.images.reading import begins_as_image, is_special

    if is_special(path):
        raise UserError(f"{option} {path} is a pipe, socket or device; name a file")
    if begins_as_image(path):
        raise UserError(f"{option} {path} is an image, which would be lost; name another file")
