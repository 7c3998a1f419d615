"""Inspections as one page of HTML that needs no other file and no network."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from layerfusion.errors import UserError
from layerfusion.evidence.inspection import Inspection
from layerfusion.evidence.pictures import picture_address
from layerfusion.evidence.words import GENERATED, PHOTOGRAPHS, Word
from layerfusion.files import in_place_of
from layerfusion.metrics.uncertainty import Interval

OVERLAY = (200, 30, 90), (30, 90, 200)  # where covering lowers the score, and where it raises it


def report_html(
    inspections: Sequence[Inspection], about: dict[str, str], *, again: str | None = None
) -> str:
    """Return the page: an index where there are several pictures, then a section a picture.

    Parameters
    ----------
    about
        As `layerfusion.evidence.inspection.Inspector.about` returns it.
    again
        Address of a page on which more pictures can be chosen, if there is one.
    """
    return render(
        "report.html.j2",
        script="report.js" if len(inspections) > 1 else None,
        inspections=inspections,
        about=about,
        again=again,
        Word=Word,
        words=sorted(Word, reverse=True),
        rules={"photographs": PHOTOGRAPHS, "generated": GENERATED},
    )


def render(template: str, *, script: str | None, **values: object) -> str:
    """Return a page of `templates`, with its style, its script and a policy that allows no others.

    Parameters
    ----------
    script
        Name of a file of `templates`; None where the page has none.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"share": _share, "picture": picture_address, "covered": _covered}
    environment.filters |= {"bars": _bars, "signed": lambda value: f"{value:+.2f}"}
    style, code = _template("page.css"), "" if script is None else _template(script)
    return environment.from_string(_template(template)).render(
        style=style, script=code, policy=_policy(style, code), **values
    )


def _template(name: str) -> str:
    return (files("layerfusion") / "evidence" / "templates" / name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy: nothing but this style, this script and data addresses."""
    allowed = [
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") + "'"
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; style-src {allowed[0]}; script-src {allowed[1]}; "
        "img-src data:; form-action 'self'; base-uri 'none'"
    )


def write_report(html: str, path: Path) -> None:
    """Write a page; `path` is complete or what it was before.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    try:
        with in_place_of(path, shared=True) as partial:
            partial.write_text(html, encoding="utf-8")
    except OSError as error:
        raise UserError(f"the report cannot be written to {path}: {error.strerror}") from None


def _share(interval: Interval) -> str:
    return f"{interval.estimate:.0%} (95 % interval {interval.low:.0%} to {interval.high:.0%})"


def _covered(found: Inspection) -> str:
    """Return the crop with its occlusion map over it: the stronger, the more the score moves."""
    assert found.crop is not None and found.places is not None
    strength = found.places / max(np.abs(found.places).max(), 1e-9)
    shape = found.crop.size
    opacity = Image.fromarray((np.abs(strength) * 180).astype(np.uint8)).resize(shape)
    rises = Image.fromarray((strength < 0).astype(np.uint8) * 255).resize(shape, 0)
    falls_in, rises_in = (Image.new("RGB", shape, colour) for colour in OVERLAY)
    colour = Image.composite(rises_in, falls_in, rises)
    return picture_address(Image.composite(colour, found.crop.convert("L").convert("RGB"), opacity))


def _bars(blocks: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return number, value and width in percent of the largest, of each block."""
    largest = max(float(np.abs(blocks).max()), 1e-9)
    return [
        {"number": number, "value": float(value), "width": round(100 * abs(value) / largest)}
        for number, value in enumerate(blocks, start=1)
    ]
