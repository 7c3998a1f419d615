"""Whether the same training gives the same numbers twice, on whatever device this machine has.

Trains a run twice from its first step and compares every trained tensor, every logit of the
validation images and the history, bit by bit. Writes `results/repeat-<device>.json` beside this
file, or adds to it.

    python benchmarks/repeat.py -p photographs -d DIR --set training.max_steps=60
"""

import argparse
import json
from typing import Any

import torch
from keeping import RESULTS, circumstances, of_device

from layerfusion.model.folder import read_trained_tensors
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.progress import Reporter
from layerfusion.provenance import provenance
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import Run
from layerfusion.settings import parse_override

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    """Train twice, compare, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-p", "--profile", default="demo")
    parser.add_argument("-d", "--data-root")
    parser.add_argument("--run", default="constrained")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    experiment = Experiment.open(
        given.run,
        profile=given.profile,
        data_root=given.data_root,
        overrides=dict(parse_override(text) for text in given.settings),
        reporter=Reporter(),
    )
    seen = [numbers(experiment.obtain(fresh=True, reporter=Reporter())) for _ in range(2)]
    entry = {
        "date": circumstances()["date"],
        "profile": given.profile,
        "run": given.run,
        "settings": given.settings,
        "model": experiment.profile.encoder.model,
        "precision": experiment.profile.training.precision,
        "steps": sum(epoch["steps"] for epoch in seen[0]["history"]),
        "training_seconds": [run.pop("training_seconds") for run in seen],
        "equal": {name: seen[0][name] == seen[1][name] for name in seen[0]},
        "provenance": provenance(),
    }
    print(entry["equal"])
    path = RESULTS / f"{of_device('repeat', DEVICE)}.json"
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    path.write_text(json.dumps([*entries, entry], indent=2) + "\n", encoding="utf-8")


def numbers(run: Run) -> dict[str, Any]:
    """Return what must be the same: every bit of it."""
    predictions = run.predictions().sort_values("image_id")
    return {
        "tensors": tensors_sha256(read_trained_tensors(run.directory / "detector")),
        "logits": predictions["logit"].tolist(),
        "history": run.record.history,
        "threshold": run.record.threshold,
        "training_seconds": run.record.provenance["training_seconds"],
    }


if __name__ == "__main__":
    main()
