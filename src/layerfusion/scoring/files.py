"""Scoring anybody's images with a calibrated detector: paths in, one table out."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import torch

from layerfusion.errors import UserError
from layerfusion.images.reading import IMAGE_SUFFIXES
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import Processes
from layerfusion.scoring.predictions import Progress, score_files
from layerfusion.scoring.shipped import detector_folder
from layerfusion.settings import LoaderSettings


def score(
    paths: str | Path | Iterable[str | Path],
    detector: Detector | str | Path | None = None,
    *,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Score image files, or all images below folders: what ``layerfusion score`` does.

    Parameters
    ----------
    paths
        Files and folders, one or several.
    detector
        A calibrated detector, or the folder of one, such as ``detector`` of a finished run. None
        is the package's detector of photographs, which needs CLIP's weights (``layerfusion weights
        get clip-vit-b-16-int8``); ``"demo"`` is its toy, which needs nothing, and whose scores mean
        nothing for real photographs.
    device
        Where the detector computes; it is left there.

    Returns
    -------
    DataFrame
        As `score_images`.

    Raises
    ------
    UserError
        If the detector's weights are not on this machine, a path does not exist, no image is found,
        or the detector cannot be read or was not calibrated.
    """
    chosen = detector if isinstance(detector, Detector) else detector_folder(detector)
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    images, _ = find_images([Path(path) for path in given])
    loaded = chosen if isinstance(chosen, Detector) else Detector.load(chosen)
    return score_images(loaded, images, device=device)


def find_images(paths: Sequence[Path]) -> tuple[dict[str, Path], int]:
    """Find the image files that paths name.

    A file stands for itself, whatever its name ends in; a folder for every file below it whose
    name ends as images do, links that lead nowhere too, for these are images that are missing.
    Hidden files and archive leftovers (``__MACOSX``) are passed over.

    Returns
    -------
    images
        By image id, sorted: a file's name; for a file below a folder its path from there. Where
        two would get the same id, the path as it was given.
    passed_over
        Number of other files in the folders.

    Raises
    ------
    UserError
        If a path does not exist or no image is found at all.
    """
    found: list[tuple[str, Path]] = []
    passed_over = 0
    for path in paths:
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file() or _dangles(file)]
            images = [file for file in inside if _looks_like_image(file.relative_to(path))]
            passed_over += len(inside) - len(images)
            found += [(file.relative_to(path).as_posix(), file) for file in images]
        elif path.exists():
            found.append((path.name, path))
        else:
            raise UserError(f"there is no file or folder {path}")
    if not found:
        raise UserError(
            f"no image files in {', '.join(map(str, paths))}; looked for names that end in "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    names = pd.Series([name for name, _ in found])
    ambiguous = names.duplicated(keep=False)
    ids = {(str(file) if twice else name): file
           for (name, file), twice in zip(found, ambiguous, strict=True)}  # fmt: skip
    return dict(sorted(ids.items())), passed_over


def score_images(
    detector: Detector,
    images: dict[str, Path],
    *,
    loader: LoaderSettings | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> pd.DataFrame:
    """Score image files with a calibrated detector; an unreadable one is a row with its reason.

    Parameters
    ----------
    images
        Files by image id.
    processes
        As in `layerfusion.scoring.predictions.score_files`.

    Returns
    -------
    DataFrame
        A row an image, in the given order: ``image_id``; ``prob`` (float64 in [0, 1], NaN where
        unreadable); ``label`` (nullable integer, 1 where ``prob >= threshold``); ``threshold``;
        ``error`` (the reason, or None); and, if the detector has a notice, ``warning``.

    Raises
    ------
    UserError
        If the detector has no threshold.
    """
    if detector.threshold is None:
        raise UserError("this detector has no threshold yet; it must be calibrated first")
    scored = score_files(
        detector.to(device),
        list(images.values()),
        detector.image_settings,
        loader or LoaderSettings(),
        device=device,
        progress=progress,
        processes=processes,
    )
    called = (scored["probability"] >= detector.threshold).astype("Int8")
    table = pd.DataFrame(
        {
            "image_id": list(images),
            "prob": scored["probability"],
            "label": called.mask(scored["error"].notna()),
            "threshold": detector.threshold,
            "error": scored["error"],
        }
    )
    return table if detector.notice is None else table.assign(warning=detector.notice)


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write a score table as CSV, floats in full; `path` is complete or what it was before.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        table.to_csv(partial, index=False, lineterminator="\n")  # not the system's: same bytes
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"the scores cannot be written to {path}: {error.strerror}") from None


def _dangles(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _looks_like_image(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES
