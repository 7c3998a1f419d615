"""The command line's `layerfusion inspect`: one picture, and what can be said of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from layerfusion.cli.options import JsonOption, ReferenceDetectorOption, ReportOption
from layerfusion.cli.outputs import print_lines, write_report
from layerfusion.progress import Reporter


def inspect(
    photos: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    report: ReportOption = None,
    as_json: JsonOption = False,
    detector: ReferenceDetectorOption = None,
    no_map: Annotated[
        bool,
        typer.Option("--no-map", help="Leave out the map of the picture, which is fifty scores."),
    ] = False,
) -> None:
    """Report the evidence that pictures are generated, how stable it is, and the files' metadata.

    *Evidence*: strong, moderate or weak evidence of a generated image, unsure, or no evidence; each
    with the share of validation photographs and of generated images that have such a score.
    *Stability*: the score after re-encoding, resizing and other crops; where these contradict, the
    picture is unsure. *Attribution*: the encoder's blocks, and a map of the picture. *Metadata*:
    EXIF, IPTC, generators' texts and Content Credentials, none of which counts for the verdict.

    It is never proof. No evidence of a generated image is no evidence of a photograph. The exit
    status is 1 if no picture can be read.

    Example: `layerfusion inspect holiday.jpg --report holiday.html`
    """
    from layerfusion.scoring.inputs import check_paths, find_images

    check_paths(photos)  # before seconds go by in loading torch

    from layerfusion.apps.evidence.inspection import Inspector, as_values, report_html

    reporter, inspector = Reporter(), Inspector.load(detector)
    images, _ = find_images(photos)
    about, found, mapped = inspector.about(), [], report is not None and not no_map
    with reporter.bar("inspecting", len(images)) as bar:
        for name, path in images.items():
            found.append(inspector.inspect(path, name=name, occlusion=mapped))
            bar(len(found), len(images))
    if as_json:
        print(json.dumps({"about": about, "pictures": [as_values(one) for one in found]}, indent=2))
    else:
        print_lines("\n\n".join(map(str, found)))
        if about["notice"]:
            reporter.warn(about["notice"])
    if report is not None:
        write_report(report_html(found, about), report, reporter)
    if all(one.error for one in found):
        raise typer.Exit(1)
