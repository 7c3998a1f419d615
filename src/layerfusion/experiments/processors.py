"""How far the demo's numbers move between processors: the same trainings, rounded differently.

A processor is simulated by what libraries and threads compute with; a change in the last bit of one
setting stands for whatever else may differ. Beside them stand trainings that are broken on purpose:
a tolerance that these measurements give must let all of the former pass and none of the latter.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.measures import RUNS
from layerfusion.analysis.recorded import LOSS, RANKING, SPREAD
from layerfusion.arithmetic import PORTABLE, arithmetic
from layerfusion.data.manifest import Manifest
from layerfusion.data.tables import read_parquet
from layerfusion.errors import UserError
from layerfusion.experiments.catalogue import AUGMENTATIONS
from layerfusion.experiments.tables import write_table
from layerfusion.paths import runs_root, shown
from layerfusion.progress import Reporter
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.experiment import Experiment

# The next float32 after 1: the norm that gradients are clipped to, moved by its last bit.
LAST_BIT = 1 + 2.0**-23
NO_AUGMENTATION = {f"images.augmentation.{name}_probability": 0.0 for name in AUGMENTATIONS}


@dataclass(frozen=True)
class Variant:
    """One way to train the demo: another processor, or a broken method.

    Attributes
    ----------
    about
        A few words for the table.
    environ
        Variables that stand for another processor, over those of the portable arithmetic.
    settings
        Settings to replace, by dotted name.
    broken
        Whether it must be found to differ.
    manifest
        What else happens to the images' table.
    """

    about: str
    environ: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    broken: bool = False
    manifest: Callable[[Manifest], Manifest] = lambda manifest: manifest


def swap_training_labels(manifest: Manifest) -> Manifest:
    """Call the real training images synthetic and the synthetic ones real."""
    rows = manifest.rows.copy()
    training = rows["split"] == "train"
    rows.loc[training, "label"] = 1 - rows.loc[training, "label"]
    return replace(manifest, rows=rows)


def _compute(instructions: str, threads: int) -> dict[str, Any]:
    return {"compute.instructions": instructions, "compute.threads": threads}


# Where the portable arithmetic is not the point, the processor's own is quicker.
NATIVE = _compute("native", 2)

VARIANTS: dict[str, Variant] = {
    "portable": Variant("the demo as it is: portable, one thread"),
    "threads-2": Variant("portable, two threads", settings=_compute("portable", 2)),
    "threads-4": Variant("portable, four threads", settings=_compute("portable", 4)),
    "mkl-avx2": Variant("AVX2, in MKL too", environ={"MKL_CBWR": "AVX2"}),
    "native-1": Variant("whatever this processor has, one thread", settings=_compute("native", 1)),
    "native-2": Variant("whatever this processor has, two threads", settings=NATIVE),
    "last-bit": Variant(
        "the same, one setting moved by its last bit",
        settings=NATIVE | {"training.clip_norm": LAST_BIT},
    ),
    "learned-nothing": Variant(
        "rates too small to learn",
        settings=NATIVE
        | {"training.head_learning_rate": 1e-9, "training.backbone_learning_rate": 1e-9},
        broken=True,
    ),
    "swapped-labels": Variant(
        "training labels swapped", settings=NATIVE, broken=True, manifest=swap_training_labels
    ),
    "no-augmentation": Variant(
        "training images not augmented", settings=NATIVE | NO_AUGMENTATION, broken=True
    ),
}


def find_variant(name: str) -> Variant:
    """Return a variant by its name.

    Raises
    ------
    UserError
        If there is none.
    """
    if name not in VARIANTS:
        raise UserError(f"there is no variant '{name}'; there are {', '.join(VARIANTS)}")
    return VARIANTS[name]


def measure_here(name: str, path: Path, reporter: Reporter) -> None:
    """Train both runs of a variant in this process, and write their rows of the table."""
    variant, rows = find_variant(name), []
    experiment = Experiment.open("open", overrides=dict(variant.settings), reporter=reporter)
    experiment = replace(experiment, manifest=variant.manifest(experiment.manifest))
    compared, computed = Comparison.obtain(experiment, reporter=reporter), arithmetic()
    for run in RUNS:
        record = compared.runs[run].record
        row: dict[str, Any] = {
            "variant": name,
            "about": variant.about,
            "broken": variant.broken,
            "instructions": computed["instructions"],
            "threads": computed["threads"],
            "run": run,
            "pictures": experiment.manifest.digest()[:8],
            LOSS: record.history[0]["training_loss"],
            "threshold": record.threshold,
            "f1": record.metrics["calibrated"]["f1"],
        }
        for on in CONDITIONS:
            row |= {f"{on} {metric}": float(compared(metric, run, on=on)[0]) for metric in RANKING}
        rows.append(row | {"seconds": record.provenance["training_seconds"]})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pd.DataFrame(rows), path)


def measure_processors(names: list[str], reporter: Reporter) -> pd.DataFrame:
    """Measure variants that are not measured yet, each in a process of its own.

    Raises
    ------
    UserError
        If a name is unknown, or one of the processes fails; what is measured stays.
    """
    paths = {name: runs_root() / "demo" / "processors" / f"{name}.parquet"
             for name in names or VARIANTS}  # fmt: skip
    for name, path in paths.items():
        if not path.is_file():
            reporter.say(f"{name}: {find_variant(name).about}")
            _measure_apart(name, path)
    return pd.concat([read_parquet(path) for path in paths.values()], ignore_index=True)


def write_processors(table: pd.DataFrame, folder: Path) -> Path:
    """Write a table as `measure_processors` returns it into a reference folder."""
    path = folder / SPREAD
    table.to_csv(path, index=False)
    return path


def read_processors(folder: Path) -> pd.DataFrame:
    """Read the table that is recorded in a reference folder."""
    return pd.read_csv(folder / SPREAD)


def shown_processors(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a page shows of the table: a row a variant and run, local numbers alone."""
    columns = {
        "about": "computed with", "run": "run", "pictures": "pictures",
        "first_training_loss": "loss, epoch 1", "local roc_auc": "ROC AUC",
        "local average_precision": "AP", "f1": "F1", "threshold": "threshold",
    }  # fmt: skip
    shown = table[[*columns]].rename(columns=columns).round(4)
    return shown.set_index(["computed with", "run"])


def _measure_apart(name: str, path: Path) -> None:
    """Measure in a new process, for libraries read their variables once; its runs stay apart."""
    environ = {key: value for key, value in os.environ.items() if key not in PORTABLE}
    environ |= {**find_variant(name).environ, "LAYERFUSION_RUNS": str(path.with_suffix(""))}
    command = [sys.executable, "-m", "layerfusion", "study", "processors", name, "--here"]
    if subprocess.run([*command, str(path)], env=environ, check=False).returncode:
        raise UserError(f"measuring {name} failed; its message is above ({shown(path)} is missing)")
