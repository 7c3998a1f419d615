"""Score a very large folder on many machines with Ray Data: the table of `layerfusion score`.

On two workers of this machine, or on a cluster that `ray start` or a service made::

    pip install "ray[data]"
    python benchmarks/ray/score.py FOLDER --out scores.csv --parts parts --workers 2

Images and parts lie where all workers see them. Each worker holds one detector. It is given whole
batches, those that `layerfusion score` makes, so that every score has the same bits, and lays the
table of each batch into the folder of parts before it takes the next. A batch whose worker died is
given to another one; called again, the script asks for the parts that are missing, and no more.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import ray

from layerfusion.files import in_place_of
from layerfusion.model.detector import Detector
from layerfusion.scoring.detectors import detector_folder
from layerfusion.scoring.files import score_images, write_scores
from layerfusion.scoring.inputs import find_images
from layerfusion.settings import LoaderSettings

PATIENCE = 20  # how often a worker may die before Ray gives up


class Scorer:
    """A worker: one detector, which scores a batch at a time."""

    def __init__(self, detector: Path, parts: Path, device: str) -> None:
        self.detector, self.parts, self.device = Detector.load(detector), parts, device

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score the images of a row and keep their table; return how many there were."""
        images = {name: Path(path) for name, path in zip(row["ids"], row["files"], strict=True)}
        loader = LoaderSettings(workers=0)
        table = score_images(self.detector, images, loader=loader, device=self.device)
        with in_place_of(self.parts / row["part"], shared=True) as partial:
            table.to_parquet(partial)
        return {"part": row["part"], "images": len(table)}


def batches(images: dict[str, Path], detector: Path, size: int) -> list[dict[str, Any]]:
    """Return a row a batch; a part is named by all that its scores depend on."""
    tensors = b"".join(path.read_bytes() for path in sorted(detector.glob("*.safetensors")))
    known, names, rows = hashlib.sha256(tensors).hexdigest(), list(images), []
    for first in range(0, len(names), size):
        ids = names[first : first + size]
        files = [str(images[name].resolve()) for name in ids]
        key = hashlib.sha256("\0".join([known, *ids, *files]).encode("utf-8", "surrogateescape"))
        part = f"{first // size:08d}-{key.hexdigest()[:16]}.parquet"
        rows.append({"part": part, "ids": ids, "files": files})
    return rows


def score(folder: Path, parts: Path, detector: Path, workers: int, device: str) -> pd.DataFrame:
    """Return the scores of all images below a folder, as `layerfusion.score` does."""
    images, _ = find_images([folder])
    rows = batches(images, detector, LoaderSettings().evaluation_batch_size)
    parts.mkdir(parents=True, exist_ok=True)
    due = [row for row in rows if not (parts / row["part"]).is_file()]
    print(f"{len(images)} images in {len(rows)} batches, {len(due)} of them to be scored")
    if due:
        ray.data.from_items(due, override_num_blocks=len(due)).map(
            Scorer,
            fn_constructor_args=(detector.resolve(), parts.resolve(), device),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=1 if device == "cuda" else 0,
            max_restarts=PATIENCE,
            max_task_retries=PATIENCE,
        ).materialize()
    table = pd.concat([pd.read_parquet(parts / row["part"]) for row in rows], ignore_index=True)
    if table["image_id"].tolist() != list(images):
        raise SystemExit(f"{parts} holds parts of other images; choose an empty folder")
    return table


def main() -> None:
    """Read the command line, score, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="table to write")
    parser.add_argument("--parts", type=Path, required=True, help="folder for finished batches")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of each worker")
    parser.add_argument("--detector", help="folder of a detector [default: the package's]")
    asked = parser.parse_args()
    detector = detector_folder(asked.detector)
    table = score(asked.folder, asked.parts, detector, asked.workers, asked.device)
    write_scores(table, asked.out)
    print(f"{table['error'].isna().sum()} of {len(table)} images scored: {asked.out}")


if __name__ == "__main__":
    main()
