"""The command line's commands on a detector: score, inspect, serve, calibrate, export."""

import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.cli.options import (
    DetectorOption,
    JsonOption,
    NewFolderOption,
    ReferenceDetectorOption,
    ReportOption,
    RunChoice,
)
from layerfusion.cli.outputs import output_option, print_lines, print_values, write_report
from layerfusion.files import named_by_user
from layerfusion.parallel.launcher import launched
from layerfusion.progress import Reporter

if TYPE_CHECKING:
    import pandas as pd


def score(
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    detector: DetectorOption = None,
    out: Annotated[
        Path | None, output_option("CSV file to write. [default: standard output]")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Encoder weights, if not where training found them.")
    ] = None,
    prefix_cache: Annotated[
        bool, typer.Option("--prefix-cache", help="Cache frozen features for the next call.")
    ] = False,
) -> None:
    """Score images: CSV with image_id, logit, probability, predicted, threshold and error.

    *logit* is the detector's output and *probability* its sigmoid. It is not calibrated: compare it
    with *threshold*, never with 0.5. *predicted* is 1, synthetic, where probability >= threshold,
    else 0, real. A file that cannot be read is a row with its reason in *error*; the exit
    status is 1 if that is so of all of them.

    The default detector is the package's own, of photographs: a head on CLIP ViT-B/16, whose
    weights `layerfusion weights get clip-vit-b-16-int8` downloads once. `--detector demo` is a toy
    that needs no weights: it was trained on rendered pictures alone, and its scores mean nothing
    for real photographs. Any other detector is given by its folder, such as `detector` of a
    finished run.

    With `--prefix-cache` the encoder's frozen features are cached in `~/.cache/layerfusion`
    (`LAYERFUSION_CACHE`), in 20 GB at most (`LAYERFUSION_CACHE_GB`), and the same images are
    scored again in a fraction of the time.
    """
    from layerfusion.scoring.inputs import check_paths, find_images

    check_paths(paths)  # before seconds go by in loading torch

    from layerfusion.data.tables import csv_text
    from layerfusion.model.detector import Detector
    from layerfusion.model.prefix_cache import open_prefix_cache
    from layerfusion.parallel.processes import join_processes, open_fabric
    from layerfusion.scoring.detectors import detector_folder
    from layerfusion.scoring.files import score_images, write_scores
    from layerfusion.settings import LoaderSettings

    reporter, folder = Reporter(), detector_folder(detector, weights=weights)
    images, passed_over = find_images(paths)
    loaded, loader = (
        Detector.load(folder, weights=weights),
        LoaderSettings(prefix_cache=prefix_cache),
    )
    if loaded.notice:
        reporter.warn(loaded.notice)
    loaded.prefix_cache = open_prefix_cache(loader, reporter.say)
    device, processes = open_fabric("fp32").device, join_processes()
    with reporter.bar("scoring", len(images)) as bar:
        table = score_images(
            loaded, images, loader=loader, device=device, progress=bar, processes=processes
        )
    if launched().rank > 0:
        return
    if out is None:
        text = csv_text(table)
        if sys.stdout.isatty():
            print_lines(text[:-1])
        else:
            sys.stdout.write(text)
    else:
        write_scores(table, out)
    say_unscored(table, reporter)
    scored = int(table["error"].isna().sum())
    also = f"; {passed_over} other files passed over" if passed_over else ""
    reporter.say(f"{scored} of {len(table)} images scored{also}" + (f"; {out}" if out else ""))
    if not scored:
        raise typer.Exit(1)


def say_unscored(table: "pd.DataFrame", reporter: Reporter, consequence: str = "") -> None:
    """Say which images were not scored, why, and what follows from it."""
    for image_id, reason in table.loc[table["error"].notna(), ["image_id", "error"]].values:
        reporter.say(f"not scored: {image_id}: {reason}{consequence}")


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


def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any that is free.")
    ] = 8765,
    detector: ReferenceDetectorOption = None,
    max_files: Annotated[int, typer.Option(min=1, help="Most files of one request.")] = 50,
    max_mb: Annotated[
        int, typer.Option("--max-mb", min=1, help="Most megabytes of one request.")
    ] = 200,
) -> None:
    """Open a local page to drop pictures on; it answers with the report of `inspect`.

    Only this machine can reach it, and nothing that is dropped is kept. Ctrl-C ends it.

    Example: `layerfusion serve --port 9000`
    """
    from layerfusion.apps.evidence.inspection import Inspector
    from layerfusion.apps.evidence.serving import Limits, listen

    server = listen(Inspector.load(detector), Limits(max_files, max_mb), port=port)
    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    former = {one: signal.signal(one, signal.default_int_handler) for one in asked}
    try:
        with suppress(KeyboardInterrupt):
            Reporter().say(f"open {server.address} (Ctrl-C ends it)")
            server.run()
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)


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
    from layerfusion.apps.release.calibration import (
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
    from layerfusion.scoring.detectors import detector_folder

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


def export(
    choice: RunChoice,
    out: NewFolderOption,
    fpr: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=0.5,
            help="Most photographs of other sources predicted synthetic. [default: largest F1]",
        ),
    ] = None,
    official: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Opened study of this detector, for the card."),
    ] = None,
    predictions: Annotated[
        Path | None,
        output_option("Parquet file to write the scores of the validation images to."),
    ] = None,
) -> None:
    """Make a small detector to ship of a finished run whose encoder was frozen.

    The run is found by its settings, as `layerfusion train` finds it again; nothing is trained. The
    folder holds the head, rounded to 16 bits, its description, and a model card. The validation
    images are scored again with the rounded head, as they are and compressed, and its threshold is
    chosen again: by the largest F1, or with `--fpr` so that the false-positive rate, with the
    uncertainty over sources, stays below that rate.

    Example: `layerfusion export -p photographs -d photos --run open --out photographs_detector`
    """
    from layerfusion.apps.release.export import KEPT, check_shippable
    from layerfusion.apps.release.export import export as export_run
    from layerfusion.experiments.record import read_study

    reporter = Reporter()
    experiment = choice.open(reporter)
    check_shippable(experiment.profile)
    finished = choice.finished(experiment)
    further = [] if fpr is None else ["--fpr", f"{fpr:g}"]
    command = choice.command("export", "--out", "FOLDER", *further)
    facts = export_run(
        experiment,
        finished,
        out,
        command=command,
        fpr=fpr,
        official=None if official is None else read_study(official),
        reporter=reporter,
    )
    if predictions is not None:
        with named_by_user(predictions, "the scores") as partial:
            facts.local[KEPT].to_parquet(partial, index=False)
    auc = facts.rates(facts.local)["roc_auc"]
    former = finished.record.threshold
    print_values(
        {
            "AUC": f"{auc.estimate:.4f}",
            "threshold": f"{facts.threshold:.4g} (the run's: {former:.4g})",
            "bytes": f"{facts.head_bytes:,}",
            "detector": out,
        }
    )
