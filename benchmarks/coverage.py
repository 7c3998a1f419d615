"""Measure how often intervals over sources and seeds hold the truth, where it is known.

Scores are drawn: every source, seed and pair of both moves its images by an amount of its own, and
every image has its own. What a number would be over all sources and seeds follows from the normal
distributions. The library's interval (`layerfusion.metrics.measured`) must hold it in 95 of 100
cases, whatever the numbers of sources and seeds and however unequal sources are::

    python benchmarks/coverage.py --trials 1000

It also counts how often the interval over images does, which a reader might take for it.
"""

import argparse
import json
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from layerfusion.metrics.measured import Measured
from layerfusion.metrics.probability import probability
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import resample_images

RESULTS = Path(__file__).parent / "results"
SOURCES, SEEDS = (8, 15, 30), (3, 10)
IMAGES, RESAMPLES = 28, 100  # of a source in the median; of the images
# Standard deviations, in units of that between images of a source: of sources, of the images' own
# ones between two detectors, of seeds, of pairs of source and seed. As far apart as photographs'
# sources are (ROC AUC about .9, its standard error over 12 sources .026), and less.
WORLDS = {"photographs": (0.7, 0.4, 0.1, 0.15), "alike": (0.3, 0.3, 0.3, 0.1)}
UNEQUAL = {"equal": 0.0, "unequal": 0.8}  # of the logarithm of a source's number of images
APART, GAIN = 2.2, 0.3  # of the classes for the weaker detector, and what the other has more


def truths(world: tuple[float, float, float, float]) -> dict[str, float]:
    """Return the numbers over all sources and seeds."""
    between, other, seeds, pairs = world
    one = np.sqrt(1 + between**2 + other**2 + pairs**2)
    # Seeds move the classes apart, so that the mean over seeds is over their distribution.
    aucs = [
        stats.norm.cdf(apart / np.sqrt(2 * one**2 + seeds**2)) for apart in (APART, APART + GAIN)
    ]
    spread = np.sqrt(one**2 + (seeds / 2) ** 2)
    return {
        "roc_auc": float(aucs[1]),
        "difference": float(aucs[1] - aucs[0]),
        "fpr": float(stats.norm.sf((APART + GAIN) / 2 / spread)),
    }


def draw(
    world: tuple[float, float, float, float],
    sources: int,
    seeds: int,
    unequal: float,
    rng: np.random.Generator,
) -> list[ScoredImages]:
    """Return the images of a trial as both detectors score them, the threshold at 0."""
    between, other, seed_sd, pairs = world
    sizes = np.maximum(4, IMAGES * np.exp(rng.normal(0, unequal, 2 * sources))).astype(int)
    of = np.repeat(np.arange(2 * sources), sizes)
    label = (of >= sources).astype(int)
    images = pd.DataFrame({"label": label, "source": of.astype(str)})
    shared = rng.normal(0, between, 2 * sources)[of] + rng.normal(0, 1, len(of))
    counts = resample_images(label, resamples=RESAMPLES, seed=int(rng.integers(2**31)))
    found = []
    for apart in (APART, APART + GAIN):
        own = shared + rng.normal(0, other, 2 * sources)[of]
        separation = apart + rng.normal(0, seed_sd, seeds)
        both = rng.normal(0, pairs, (seeds, 2 * sources))[:, of]
        logits = own + both + separation[:, None] * (label - 0.5)
        found.append(ScoredImages(images, logits, counts, np.full(seeds, float(probability(0.0)))))
    return found


def covered(measured: Measured, truth: float) -> tuple[bool, bool]:
    """Say whether the interval, and the one over images, hold the truth."""
    found = measured.interval()
    return found.low <= truth <= found.high, found.images.low <= truth <= found.images.high


def trial(weaker: ScoredImages, better: ScoredImages, truth: dict[str, float]) -> list[bool]:
    """Return `covered` of each number, below each other."""
    auc = better.measured("roc_auc")
    numbers = {
        "roc_auc": auc,
        "difference": auc - weaker.measured("roc_auc"),
        "fpr": better.measured("fpr"),
    }
    return [held for name, value in truth.items() for held in covered(numbers[name], value)]


def main() -> None:
    """Run all trials, print a table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    trials, rows = parser.parse_args().trials, []
    cases = product(WORLDS, UNEQUAL, SOURCES, SEEDS)
    for number, (world, sizes, sources, seeds) in enumerate(cases):
        rng, truth = np.random.default_rng([2026, number]), truths(WORLDS[world])
        held = np.mean(
            [
                trial(*draw(WORLDS[world], sources, seeds, UNEQUAL[sizes], rng), truth)
                for _ in range(trials)
            ],
            axis=0,
        )
        row = {"world": world, "sizes": sizes, "sources": sources, "seeds": seeds}
        names = [f"{name}{over}" for name in truth for over in ("", "_images")]
        rows.append(row | dict(zip(names, held.round(4).tolist(), strict=True)))
        print(rows[-1], flush=True)
    made = {"date": datetime.now(UTC).date().isoformat(), "trials": trials, "rows": rows}
    (RESULTS / "coverage.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
