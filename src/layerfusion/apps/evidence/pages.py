"""Text, cards and pages from templates: prose lies in `templates`, values come from the code."""

import base64
import hashlib
import math
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from PIL import Image

from layerfusion.files import named_by_user
from layerfusion.metrics.uncertainty import Interval

SHOWN = 320  # px, the longer side of the copy that a page shows
JPEG_QUALITY = 80
NOT_MEASURED = "not measured"


def render(template: str, **values: object) -> str:
    """Return a template filled in, such as ``apps/evidence/templates/report.html.j2``.

    Values of pages (``.html.j2``) are escaped. Filters: `number` (a format specification), `rows`
    (of a DataFrame), `of` (a row's `Interval`), `interval` (its text), `cell` (one line of a
    Markdown table), `picture` (a data address).
    """
    environment = Environment(
        loader=PackageLoader("layerfusion", ""),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "number": format,
        "interval": interval,
        "of": of,
        "rows": lambda table: table.to_dict("records"),
        "cell": lambda text: text.replace("|", "\\|").replace("\n", " "),
        "picture": picture_address,
    }
    return environment.get_template(template).render(values)


def interval(value: Interval, form: str, text: str = "{} [{}, {}]") -> str:
    """Return an estimate with its interval, each in `form`; in words what is not known of it."""
    if math.isnan(value.estimate):
        return NOT_MEASURED
    if math.isnan(value.low):
        return f"{value.estimate:{form}} (interval unknown)"
    return text.format(*(format(end, form) for end in (value.estimate, value.low, value.high)))


def of(row: Any, name: str) -> Interval:
    """Return the interval that a table's row holds as `name`, `name`_low and `name`_high."""
    return Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def page(template: str, *, script: str | None = None, **values: object) -> str:
    """Return a page that needs no other file and no network, and a policy that allows none.

    Parameters
    ----------
    template, script
        Names of files of `apps/evidence/templates`; no script where the page has none.
    """
    style, code = _asset("page.css"), "" if script is None else _asset(script)
    hashes = [hashlib.sha256(text.encode()).digest() for text in (style, code)]
    allowed = [f"'sha256-{base64.b64encode(one).decode('ascii')}'" for one in hashes]
    policy = (
        f"default-src 'none'; style-src {allowed[0]}; script-src {allowed[1]}; "
        "img-src data:; form-action 'self'; base-uri 'none'"
    )
    name = f"apps/evidence/templates/{template}"
    return render(name, style=style, script=code, policy=policy, **values)


def write_page(html: str, path: Path) -> None:
    """Write a page; `path` is complete or what it was before.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    with named_by_user(path, "the report") as partial:
        partial.write_text(html, encoding="utf-8")


def small_copy(image: Image.Image, longest: int = SHOWN) -> Image.Image:
    """Return a copy of at most `longest` px on its longer side."""
    small = image.copy()
    small.thumbnail((longest, longest))
    return small


def picture_address(image: Image.Image, longest: int = SHOWN) -> str:
    """Return a small copy as a data address, JPEG."""
    buffer = BytesIO()
    small_copy(image, longest).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text("utf-8")
