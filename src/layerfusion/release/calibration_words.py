"""A calibration in words: for a terminal, for the model card, for the detector's notice."""

from collections import Counter
from typing import Any

import pandas as pd

from layerfusion.metrics.groups import correct_by_class, worst_folder
from layerfusion.metrics.threshold_choice import balanced_accuracy, without
from layerfusion.metrics.uncertainty import Interval
from layerfusion.release.calibration import Calibration
from layerfusion.release.seen_images import CHOSEN_ON, TRAINED_ON

# From which lower end of its interval on a shortcut is said to tell classes apart so. Not from 0.5
# on: of five that are tried one is above it by chance more often than the interval says.
CLEARLY, SOMEWHAT = 0.75, 0.6
# Of fewer photographs 1 % is not one: `layerfusion inspect` calls strong what none of them reaches.
ENOUGH_FOR_STRONG = 100


def sentences(made: Calibration) -> list[str]:
    """Return what a person must know, a line each: shortcuts first, then the rest."""
    return [
        *_counted(made),
        *_shortcuts(made),
        _seen(made),
        _told_apart(made),
        *_threshold(made),
        _rates(made),
        *_folders(made),
    ]


def notice(made: Calibration, before: str | None) -> str:
    """Return the detector's notice, which goes with every score, and what to add to it."""
    what = "chosen" if made.choice.changed else "kept after a trial"
    told = f"its threshold was {what} on {_count(made)} of its user's own, {made.date}"
    if (level := _level(made.shortcuts.iloc[0])) is not None:
        told += f", whose classes {made.shortcuts['name'].iloc[0]} alone would {level} tell apart"
    if seen := sum(filter(None, made.seen.values())):
        told += f"; {seen} of these it had seen before"
    return told if before is None else f"{before.rstrip('.')}; {told}"


def card_section(made: Calibration) -> str:
    """Return the section for the model card, in Markdown, with a heading of the second level."""
    lines = "\n".join(f"- {sentence}" for sentence in sentences(made))
    return "\n\n".join(
        [
            f"## On its user's own images, {made.date}",
            "What is said of a threshold elsewhere in this card is of the detector before. The "
            "head is the same, byte for byte; `validation.csv` holds the scores of these images, "
            "and `calibration.json` all numbers.",
            lines,
            "### Shortcuts",
            "Each image is scored by what was learnt on the others. About 0.5, or below: nothing.",
            _table(*shortcut_cells(made)),
            "### By folder",
            "ROC AUC of a folder of one class is against all images of the other.",
            _table(*folder_cells(made)),
            f"List of the images: sha256 {made.images_sha256}.",
        ]
    )


def shortcut_cells(made: Calibration) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of shortcuts, every cell as it is shown."""
    rows = made.shortcuts.to_dict("records")
    cells = [[str(row["name"]), _number(_interval(row, "roc_auc"))] for row in rows]
    return ["looked at", "ROC AUC"], cells


def folder_cells(made: Calibration) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of folders, every cell as it is shown."""
    head = ["folder", "real", "synthetic", "ROC AUC", "right", "recall", "false alarms"]
    return head, [_folder_row(row) for row in made.folders.to_dict("records")]


def as_values(made: Calibration) -> dict[str, Any]:
    """Return a calibration as plain values, as JSON holds them; NaN is None."""
    choice = made.choice
    right, real, synthetic = _right(made)
    return {
        "date": made.date,
        "images": {
            **made.images.counts,
            "sha256": made.images_sha256,
            "unreadable": made.images.unreadable.to_dict("records"),
            "copies": made.images.copies,
            "unlabelled": made.images.unlabelled,
            "seen_before": made.seen,
        },
        "shortcuts": _records(made.shortcuts),
        "roc_auc": _values(made.roc_auc),
        "threshold": {
            "taken": choice.threshold,
            "changed": choice.changed,
            "old": choice.old,
            "new": _values(choice.new),
            "gain_in_balanced_accuracy": _values(choice.gain),
            "gain_on_folders_left_out": choice.elsewhere,
        },
        "balanced_accuracy": _values(right),
        "false_alarms": _values(real.complement),
        "misses": _values(synthetic.complement),
        "subtracted_for_having_been_chosen": made.flattery._asdict(),
        "folders": _records(made.folders),
        "in_words": sentences(made),
    }


def _counted(made: Calibration) -> list[str]:
    folders = made.folders["folder"].nunique()
    said = [f"{_count(made)} in {folders} folder{'s' * (folders != 1)}."]
    unread = Counter(made.images.unreadable["class"])
    left = [f"{number} {name} that cannot be read" for name, number in sorted(unread.items())]
    left += [f"{made.images.copies} with the bytes of another"] if made.images.copies else []
    left += [f"{made.images.unlabelled} without a class"] if made.images.unlabelled else []
    if left:
        said.append(f"Left out: {', '.join(left)}.")
    return said


def _shortcuts(made: Calibration) -> list[str]:
    best = made.shortcuts.iloc[0]
    level = _level(best)
    alone = f"ROC AUC {_number(_interval(best, 'roc_auc'))}"
    if level is None:
        return [
            "Shortcuts: none that is sure. Format, sizes and fine detail were tried without a look "
            f"at the picture; the best of them is {best['name']}, {alone}."
        ]
    return [
        f"Shortcuts: without a look at the picture your classes are {level} told apart by "
        f"{best['name']} alone: {alone}.",
        "What follows may measure that, and holds for files like these; save both classes alike "
        "(format, size, quality) and calibrate again to know more.",
    ]


def _level(shortcut: pd.Series) -> str | None:
    low = shortcut["roc_auc_low"]
    return "clearly" if low >= CLEARLY else "somewhat" if low >= SOMEWHAT else None


def _seen(made: Calibration) -> str:
    trained, chosen = (made.seen[use] for use in (TRAINED_ON, CHOSEN_ON))
    unknown = " Which images it was trained on it does not say." if trained is None else ""
    kinds = {"trained on": trained, "chosen on": chosen}
    known = [f"{number} that it was {kind}" for kind, number in kinds.items() if number]
    if known:
        said = f"the detector knows {' and '.join(known)} among these. What follows flatters; leave"
        return f"Seen before: {said} them out and calibrate again.{unknown}"
    anew = "" if unknown else " One that was saved anew would not be found."
    return f"Seen before: none of these images that is known.{anew}{unknown}"


def _told_apart(made: Calibration) -> str:
    found = f"ROC AUC {_number(made.roc_auc)}"
    if made.roc_auc.high < 0.5:
        return (
            f"Detector: it ranks your classes the wrong way round, {found}; are the folders' names "
            "swapped? If not, it is of no use here."
        )
    if made.roc_auc.low <= 0.5:
        return f"Detector: it cannot be said to tell your classes apart, at any threshold: {found}."
    return f"Detector: it tells your classes apart with {found}."


def _threshold(made: Calibration) -> list[str]:
    choice = made.choice
    gain = f"{choice.gain.estimate:+.1%} [{choice.gain.low:+.1%}, {choice.gain.high:+.1%}]"
    reach = f"[{choice.new.low:.3g}, {choice.new.high:.3g}]"
    if choice.changed:
        said = f"Threshold: new, {choice.new.estimate:.4g} {reach}; it was {choice.old:.4g}."
        expected = choice.gain.estimate - made.flattery.gain
        why = (
            f"On images that did not choose it, balanced accuracy gains {gain}; a new threshold is "
            f"taken only where it comes out well, so expect {expected:+.1%} of further ones."
        )
    else:
        said = f"Threshold: kept, {choice.old:.4g}; these images ask for {choice.new.estimate:.4g}"
        said += f" {reach}."
        sure = "which is worse" if choice.gain.high < 0 else "which may be nothing"
        why = f"Why kept: that would change balanced accuracy by {gain}, {sure}."
    if choice.elsewhere is not None:
        why += f" Chosen without an image's whole folder: {choice.elsewhere:+.1%}."
    return [said, why]


def _rates(made: Calibration) -> str:
    right, real, synthetic = _right(made)
    less = (made.flattery.real + made.flattery.synthetic) / 2
    return (
        f"At it {_share(right)} are right, both classes weighing the same; "
        f"{_share(real.complement)} of real images are called synthetic, "
        f"{_share(synthetic.complement)} of synthetic ones are missed. Counted were "
        f"{right.estimate + less:.1%}; the rest is what a choice on these images flatters."
    )


def _right(made: Calibration) -> tuple[Interval, Interval, Interval]:
    """Return the share called rightly, both classes weighing the same, of real, of synthetic."""
    label, calls, flattery = made.scored["label"], made.choice.predicted, made.flattery
    real, synthetic = correct_by_class(label, calls)
    return (
        without(balanced_accuracy(label, calls), (flattery.real + flattery.synthetic) / 2),
        without(real, flattery.real),
        without(synthetic, flattery.synthetic),
    )


def _folders(made: Calibration) -> list[str]:
    table, worst = made.folders, worst_folder(made.folders)
    said = []
    if len(table) > 1 and worst is not None:
        rate = _share(_interval(worst, "accuracy"))
        said.append(
            f"Folders: {table['accuracy'].mean():.0%} right on average; the worst, "
            f"{worst['folder']}, {rate} ({worst['real']} real, {worst['synthetic']} synthetic)."
        )
    elif len(table) > 1:
        said.append("Folders: all too small to compare, fewer than ten images each.")
    if made.images.counts["real"] < ENOUGH_FOR_STRONG:
        said.append(
            f"Fewer than {ENOUGH_FOR_STRONG} photographs: `layerfusion inspect` will call strong "
            "what none of them reaches, which may still be one photograph in "
            f"{made.images.counts['real'] // 3}."
        )
    return said


def _count(made: Calibration) -> str:
    counts = made.images.counts
    return f"{sum(counts.values())} images ({counts['real']} real, {counts['synthetic']} synthetic)"


def _folder_row(row: dict[Any, Any]) -> list[str]:
    auc = _number(_interval(row, "roc_auc"))
    rates = [_share(_interval(row, name)) for name in ("accuracy", "recall", "fpr")]
    return [row["folder"], str(row["real"]), str(row["synthetic"]), auc, *rates]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _interval(row: Any, name: str) -> Interval:
    return Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _number(value: Interval) -> str:
    if value.estimate != value.estimate:
        return "none"
    return f"{value.estimate:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _share(value: Interval) -> str:
    if value.estimate != value.estimate:
        return "none"
    return f"{value.estimate:.0%} [{value.low:.0%}, {value.high:.0%}]"


def _values(interval: Interval) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in vars(interval).items()}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.to_dict("records")
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in rows
    ]
