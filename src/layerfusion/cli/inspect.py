"""The command line's `layerfusion inspect`: one picture, and what can be said of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.cli.options import JsonOption, ReportOption

if TYPE_CHECKING:
    from layerfusion.evidence.inspection import Inspection


def inspect(
    photos: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    report: ReportOption = None,
    as_json: JsonOption = False,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder of a detector. [default: the package's, of photographs]"
        ),
    ] = None,
    no_map: Annotated[
        bool,
        typer.Option("--no-map", help="Leave out the map of the picture, which is fifty scores."),
    ] = False,
) -> None:
    """Say in words what a detector makes of pictures, how firm that is, and what the files say.

    *Words*: strong, moderate or weak evidence of a generated image, unsure, or no evidence; each
    with the share of validation photographs and of generated images that have such a score.
    *Firm*: the score again after re-encoding, resizing and other crops; where these contradict, the
    picture is unsure. *Where from*: the encoder's blocks, and a map of the picture. *Beside it*:
    EXIF, IPTC, generators' texts and Content Credentials, none of which counts for the verdict.

    It is never proof. No evidence of a generated image is no evidence of a photograph.

    Example: `layerfusion inspect holiday.jpg --report holiday.html`
    """
    from layerfusion.scoring.inputs import check_paths, find_images

    check_paths(photos)  # before seconds go by in loading torch

    from layerfusion.evidence.inspection import Inspector, as_values
    from layerfusion.evidence.report import report_html, write_report
    from layerfusion.evidence.words import Scale
    from layerfusion.model.detector import Detector
    from layerfusion.parallel.processes import open_fabric
    from layerfusion.progress import Reporter
    from layerfusion.scoring.reference import read_reference
    from layerfusion.scoring.shipped import detector_folder

    folder, reporter = detector_folder(detector), Reporter()
    scale = Scale(read_reference(folder))
    images, _ = find_images(photos)
    loaded = Detector.load(folder)
    inspector = Inspector(loaded.to(open_fabric("fp32").device), scale)
    about, found = inspector.about(), []
    with reporter.bar("inspecting", len(images)) as bar:
        for name, path in images.items():
            mapped = report is not None and not no_map
            found.append(inspector.inspect(path, name=name, places=mapped))
            bar(len(found), len(images))
    if as_json:
        print(json.dumps({"about": about, "pictures": [as_values(one) for one in found]}, indent=2))
    else:
        print("\n\n".join(_in_lines(one) for one in found))
        if about["notice"]:
            reporter.warn(about["notice"])
    if report is not None:
        write_report(report_html(found, about), report)
        reporter.say(f"open {report}")


def _in_lines(found: "Inspection") -> str:
    """Return an inspection as a terminal shows it."""
    if found.word is None or found.meaning is None:
        return f"{found.name}: could not be read: {found.error}"
    photographs, generated = found.meaning
    lines = [
        f"{found.name}: {found.word.text}",
        f"  so called: {photographs.estimate:.0%} of validation photographs "
        f"[{photographs.low:.0%}, {photographs.high:.0%}], {generated.estimate:.0%} of generated "
        f"images [{generated.low:.0%}, {generated.high:.0%}]",
    ]
    if found.why:
        lines.append(f"  does not stand: {found.why}")
    lines += [f"  the file says: {mark.what}: {mark.says}" for mark in found.marks]
    return "\n".join(lines)
