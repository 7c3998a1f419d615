"""A detector evaluated on a custom data set: shortcuts, threshold, folders."""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import layerfusion
from layerfusion.analysis.shortcuts import shortcut_baselines
from layerfusion.apps.evidence.pages import interval, of, page, render
from layerfusion.apps.release.export import CARD
from layerfusion.apps.release.own_images import OwnImages
from layerfusion.apps.release.seen_images import (
    CHOSEN_ON,
    TRAINED_ON,
    count_seen,
    read_seen,
    used_images,
    write_seen,
)
from layerfusion.errors import UserError
from layerfusion.files import new_folder, write_checksums
from layerfusion.images.finding import printable
from layerfusion.metrics.groups import auc_interval, correct_by_class, folder_table, worst_folder
from layerfusion.metrics.threshold_choice import (
    Optimism,
    ThresholdChoice,
    balanced_accuracy,
    choose,
    optimism,
    without,
)
from layerfusion.metrics.uncertainty import Interval
from layerfusion.model.detector import Detector
from layerfusion.model.folder import DESCRIPTION, TRAINED, read_description, tensors_file
from layerfusion.progress import Reporter
from layerfusion.provenance import code_sha256
from layerfusion.scoring.detectors import write_reference
from layerfusion.scoring.files import score_images, threshold_of
from layerfusion.settings import LoaderSettings


@dataclass(frozen=True, eq=False)
class Calibration:
    """All that was measured of a detector on labelled images.

    Attributes
    ----------
    images
        What was found.
    seen
        How many of them the detector was trained on and chosen on, as
        `layerfusion.apps.release.seen_images.count_seen` returns it.
    shortcuts
        As `layerfusion.analysis.shortcuts.shortcut_baselines` returns it, the largest ROC AUC
        first.
    scored
        A row an image: ``label``, ``logit``.
    roc_auc
        Of the detector, in [0, 1].
    choice
        The threshold, and how it does on images that did not choose it.
    optimism
        How far the rates of `choice` are optimistically biased: subtracted in all reports.
    folders
        As `layerfusion.metrics.groups.folder_table` returns it, of the decisions of `choice`.
    images_sha256
        Of the list of images: of a line "label sha256" each, sorted. 64 hex digits.
    date
        The day, as ISO 8601 has it, UTC.
    """

    images: OwnImages
    seen: dict[str, int | None]
    shortcuts: pd.DataFrame
    scored: pd.DataFrame
    roc_auc: Interval
    choice: ThresholdChoice
    optimism: Optimism
    folders: pd.DataFrame
    images_sha256: str
    date: str


def calibrate(
    detector: Detector,
    images: OwnImages,
    *,
    seen: pd.DataFrame | None = None,
    device: torch.device | str = "cpu",
    reporter: Reporter | None = None,
) -> Calibration:
    """Measure a detector on labelled images, and choose its threshold for them.

    Parameters
    ----------
    detector
        One that has a threshold. It is left as it is, on `device`.
    seen
        Which images it has seen, as `layerfusion.apps.release.seen_images.read_seen` returns it.

    Raises
    ------
    UserError
        If the detector has no threshold, or a score is not a number.
    ImageError
        If a file cannot be read any more.
    """
    threshold, reporter, rows = threshold_of(detector), reporter or Reporter(), images.manifest.rows
    with reporter.bar("looking for shortcuts", len(rows)) as bar:
        shortcuts = shortcut_baselines(
            images.manifest, detector.image_settings, LoaderSettings(), progress=bar
        )
    shortcuts = shortcuts.sort_values("roc_auc", ascending=False, kind="stable", ignore_index=True)
    with reporter.bar("scoring", len(rows)) as bar:
        named = dict(zip(rows["path"], images.manifest.files, strict=True))
        found = score_images(detector, named, device=device, progress=bar)
    for path, error in found.loc[found["error"].notna(), ["image_id", "error"]].values:
        raise UserError(f"{path} has no score: {error}")
    label, folder = rows["label"].to_numpy(dtype=np.int64), rows["source"].to_numpy(dtype=object)
    logit = found["logit"].to_numpy()
    choice = choose(label, logit, threshold, folder)
    return Calibration(
        images=images,
        seen=count_seen(seen, rows),
        shortcuts=shortcuts,
        scored=pd.DataFrame({"label": label, "logit": logit}),
        roc_auc=auc_interval(label, logit),
        choice=choice,
        optimism=optimism(label, logit, threshold, changed=choice.changed),
        folders=folder_table(folder, label, logit, choice.predicted),
        images_sha256=_list_sha256(rows),
        date=datetime.now(UTC).date().isoformat(),
    )


def _list_sha256(rows: pd.DataFrame) -> str:
    lines = sorted(f"{label} {sha256}\n" for label, sha256 in rows[["label", "sha256"]].values)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


RECORD = "calibration.json"
# From which lower end of its interval on a shortcut is said to separate the classes. Not from 0.5
# on: of five that are tried one is above it by chance more often than the interval says.
CLEARLY, SOMEWHAT = 0.75, 0.6
# Of fewer photographs 1 % is not one: the level strong is what none of them reaches.
ENOUGH_FOR_STRONG = 100


class Table(NamedTuple):
    """A table of the card and the page, every cell as it is shown; the first of a row names it."""

    title: str
    caption: str
    head: list[str]
    rows: list[list[str]]


def write_calibrated(made: Calibration, detector: Path, out: Path) -> None:
    """Write a calibrated detector to a new folder: complete, or not there at all.

    It holds the head of the detector as it is, byte for byte; ``detector.json`` with the threshold
    that was taken and a longer notice; ``validation.csv``, label and logit of the user's images;
    ``MODEL_CARD.md``, the detector's own with a section on these images before all others;
    ``calibration.json``, what was measured, with the hash of the list of images, versions and day;
    ``seen_images.csv``, the detector's own and these; and ``SHA256SUMS``.

    Parameters
    ----------
    detector
        The folder of the detector that `made` is of.

    Raises
    ------
    UserError
        If something is at `out` already, or the folder cannot be written.
    """
    with new_folder(out) as folder:
        shutil.copyfile(tensors_file(detector), folder / TRAINED)
        (folder / DESCRIPTION).write_text(_description(made, detector), encoding="utf-8")
        write_reference(made.scored, folder)
        (folder / CARD).write_text(_card(made, detector), encoding="utf-8")
        (folder / RECORD).write_text(_record(made), encoding="utf-8")
        chose = used_images(made.images.manifest.rows, CHOSEN_ON)
        write_seen(pd.concat([read_seen(detector), chose]), folder)
        write_checksums(folder)


def _description(made: Calibration, detector: Path) -> str:
    before = read_description(detector)
    now = {"threshold": made.choice.threshold, "notice": notice(made, before.notice)}
    return before.model_copy(update=now).model_dump_json(indent=2) + "\n"


def _card(made: Calibration, detector: Path) -> str:
    """Return the detector's card with the new section before its first one."""
    section, path = card_section(made), detector / CARD
    if not path.is_file():
        return f"# layerfusion: a calibrated detector\n\n{section}\n"
    top, heading, rest = path.read_text(encoding="utf-8").partition("\n## ")
    return f"{top}\n{section}\n{heading}{rest}" if heading else f"{top}\n{section}\n"


def _record(made: Calibration) -> str:
    code = {"layerfusion": layerfusion.__version__, "code_sha256": code_sha256()}
    return json.dumps(as_values(made) | code, indent=2, allow_nan=False) + "\n"


def summary(made: Calibration) -> dict[str, Any]:
    """Return the values that all reports are made of: numbers, intervals and tables, by name."""
    choice, bias = made.choice, made.optimism
    right = correct_by_class(made.scored["label"], choice.predicted)
    real, synthetic = (without(*pair) for pair in zip(right, bias[:2], strict=True))
    accuracy = balanced_accuracy(made.scored["label"], choice.predicted)
    return {
        "date": made.date,
        "images": {
            **made.images.counts,
            "sha256": made.images_sha256,
            "unreadable": made.images.unreadable,
            "copies": made.images.copies,
            "unlabelled": made.images.unlabelled,
            "seen_before": made.seen,
        },
        "shortcuts": made.shortcuts,
        "roc_auc": made.roc_auc,
        "threshold": {
            "taken": choice.threshold,
            "changed": choice.changed,
            "old": choice.old,
            "new": choice.new,
            "gain_in_balanced_accuracy": choice.gain,
            "gain_on_folders_left_out": choice.elsewhere,
        },
        "balanced_accuracy": without(accuracy, (bias.real + bias.synthetic) / 2),
        "false_positive_rate": real.complement,
        "false_negative_rate": synthetic.complement,
        "optimism": bias._asdict(),
        "folders": made.folders,
    }


def sentences(made: Calibration) -> list[str]:
    """Return what a person must know, a line each: shortcuts first, then the rest."""
    worst = worst_folder(made.folders) if len(made.folders) > 1 else None
    text = _rendered(
        "calibration.txt",
        made,
        folder_names=made.folders["folder"].unique(),
        left_out=_left_out(made),
        seen=[f"was {use} {number}" for use, number in _seen(made).items()],
        worst=None if worst is None else worst.to_dict(),
        mean_accuracy=made.folders["accuracy"].mean(),
        enough_for_strong=ENOUGH_FOR_STRONG,
    )
    return text.splitlines()


def notice(made: Calibration, before: str | None) -> str:
    """Return the detector's notice, which goes with every score, and what to add to it."""
    n_seen = sum(_seen(made).values())
    return _rendered("calibration_notice.txt", made, before=before, n_seen=n_seen)


def card_section(made: Calibration) -> str:
    """Return the section for the model card, in Markdown, with a heading of the second level."""
    return _rendered("calibration.md", made, text=sentences(made), tables=tables(made))


def calibration_html(made: Calibration, notice: str | None) -> str:
    """Return the page: what must be known as text, then shortcuts, folders, what was left out.

    Parameters
    ----------
    notice
        The detector's own, from before.
    """
    return page(
        "calibration.html.j2",
        notice=(notice or "").rstrip("."),
        sentences=[printable(sentence) for sentence in sentences(made)],
        tables=tables(made),
        unreadable=made.images.unreadable[["path", "reason"]].map(printable).to_dict("records"),
        version=layerfusion.__version__,
        date=made.date,
        images_sha256=made.images_sha256,
    )


def as_values(made: Calibration) -> dict[str, Any]:
    """Return a calibration as plain values, as JSON holds them; NaN is None."""
    return {name: _plain(value) for name, value in summary(made).items()} | {
        "text": sentences(made)
    }


def tables(made: Calibration) -> list[Table]:
    """Return the tables of shortcuts and folders."""
    shortcuts = [
        [row["name"], interval(of(row, "roc_auc"), ".2f")]
        for row in made.shortcuts.to_dict("records")
    ]
    folders = [
        [row["folder"], str(row["real"]), str(row["synthetic"])]
        + [interval(of(row, "roc_auc"), ".2f")]
        + [interval(of(row, name), ".0%") for name in ("accuracy", "recall", "fpr")]
        for row in made.folders.to_dict("records")
    ]
    head = ["folder", "real", "synthetic", "ROC AUC", "accuracy", "recall", "false positive rate"]
    how = "Each image is scored by what was learnt on the others; about 0.5, or below, is nothing"
    against = "ROC AUC of a folder of one class is against all images of the other"
    return [
        Table("Shortcuts", how, ["shortcut", "ROC AUC"], shortcuts),
        Table("By folder", against, head, folders),
    ]


def _rendered(template: str, made: Calibration, **further: object) -> str:
    best = made.shortcuts.iloc[0]
    low = best["roc_auc_low"]
    separates = "clearly" if low >= CLEARLY else "somewhat" if low >= SOMEWHAT else None
    shortcut = {"name": best["name"], "roc_auc": of(best, "roc_auc"), "separates": separates}
    values = summary(made) | {"shortcut": shortcut} | further
    return render(f"apps/release/templates/{template}.j2", **values)


def _left_out(made: Calibration) -> list[str]:
    unread = Counter(made.images.unreadable["class"])
    left = {f"{name} that cannot be read": number for name, number in sorted(unread.items())}
    left |= {"with the bytes of another": made.images.copies}
    left |= {"without a class": made.images.unlabelled}
    return [f"{number} {what}" for what, number in left.items() if number]


def _seen(made: Calibration) -> dict[str, int]:
    uses = {"trained on": made.seen[TRAINED_ON], "chosen on": made.seen[CHOSEN_ON]}
    return {use: number for use, number in uses.items() if number}


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict("records")]
    if isinstance(value, Interval):
        return _plain(vars(value))
    if isinstance(value, dict):
        return {str(name): _plain(own) for name, own in value.items()}
    return None if value != value else value
