"""The command line's `layerfusion score`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.cli.options import DetectorOption
from layerfusion.cli.outputs import output_option, print_lines
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

    from layerfusion.data.csv_tables import csv_text
    from layerfusion.model.detector import Detector
    from layerfusion.model.prefix_cache import open_prefix_cache
    from layerfusion.parallel.processes import join_processes, open_fabric
    from layerfusion.scoring.files import score_images, write_scores
    from layerfusion.scoring.shipped import detector_folder
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
