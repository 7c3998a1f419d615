"""The command line's `layerfusion calibrate`: a detector, on its user's own labelled images."""

import json
from pathlib import Path
from typing import Annotated

import typer

from layerfusion.cli.options import DetectorOption, JsonOption, NewFolderOption, ReportOption
from layerfusion.cli.outputs import print_lines, write_report
from layerfusion.progress import Reporter


def calibrate(
    images: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with real and synthetic below it.")
    ],
    out: NewFolderOption,
    detector: DetectorOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a detector on your own labelled images, 50 or more, and fit its threshold to them.

    DIR holds `real` and `synthetic` (or `0_real` and `1_fake`), each with a folder a source if you
    like. First comes what a *shortcut* alone would do: format, sizes, fine detail. Then whether a
    new threshold is better on images that did not choose it; only where that is sure is it taken.
    Then every folder, for one number over all hides the worst.

    The folder that it makes has the same head, that threshold, the scores of your images, which
    `layerfusion inspect` then reads scores against, and a section in the model card.

    Example: `layerfusion calibrate mine --out my_detector --report mine.html`
    then `layerfusion score PHOTOS --detector my_detector`
    """
    from layerfusion.apps.release.calibrated import (
        as_values,
        calibration_html,
        sentences,
        write_calibrated,
    )
    from layerfusion.apps.release.calibration import calibrate as calibrate_on
    from layerfusion.apps.release.own_images import find_own_images
    from layerfusion.apps.release.seen_images import read_seen
    from layerfusion.model.detector import Detector
    from layerfusion.parallel.processes import open_fabric
    from layerfusion.scoring.shipped import detector_folder

    reporter, folder = Reporter(), detector_folder(detector)
    loaded, seen = Detector.load(folder), read_seen(folder)
    own = find_own_images(images)
    if loaded.notice:
        reporter.warn(loaded.notice)
    for file in own.unreadable.to_dict("records"):
        reporter.say(f"left out: {file['path']} ({file['class']}): {file['reason']}")
    device = open_fabric("fp32").device
    made = calibrate_on(loaded, own, seen=seen, device=device, reporter=reporter)
    write_calibrated(made, folder, out)
    if as_json:
        print(json.dumps(as_values(made) | {"folder": str(out)}, indent=2, allow_nan=False))
    else:
        print_lines(
            "\n".join([*sentences(made), f"Use it: layerfusion score IMAGES --detector {out}"])
        )
    if report is not None:
        write_report(calibration_html(made, loaded.notice), report, reporter)
