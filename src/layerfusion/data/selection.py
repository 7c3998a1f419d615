"""Which training images a run uses: all, or as many of each source as the paper's runs.

The paper names the numbers (section 3: 75,000 COCO and 75,000 Corvi images, and for the open run
60,000 real and 60,000 synthetic images of TrueFake) and not the images. A quota is one such number:
so many images of a source and a class, or of each platform and generator of them.

``all``
    No choosing; quotas are not looked at.
``shared``
    Every run uses the same images of a source, so that the open run contains exactly those of the
    constrained run and the two differ in what was added alone. They are those of the author's
    constrained run.
``author``
    The draws that the author's code makes. Its constrained run takes pandas'
    ``sample(n, random_state=1337)`` of each set's index, its open run draws the same sets again
    by ``random.Random(1337).sample`` over sorted paths: two runs that share only some of their
    images.

What is known of the author's code does not settle everything. Assumed here, for both ways of
drawing:

- an index is in ascending order of the paths relative to the data root, compared as strings;
- every quota begins with a new generator of the same seed;
- a quota for each platform and generator goes through these combinations in ascending order (of the
  columns as the quota lists them) with one generator, and draws from one after the other;
- where there are no more images than asked for, all are taken, by a draw like any other.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from layerfusion.files import in_place_of
from layerfusion.metrics.classes import CLASSES
from layerfusion.settings import QuotaSettings, SelectionSettings

SELECTION = "selection.txt"

# The run whose images the author's code draws with pandas.
CONSTRAINED = "constrained"

# Combinations of a quota that a warning names; the others are counted.
NAMED = 3

_LABELS = {name: label for label, name in CLASSES.items()}


@dataclass(frozen=True, eq=False)
class Selection:
    """The training images that were chosen, and where there were too few to choose from.

    `rows` are rows of a manifest, in its order; `shortfalls` has a sentence for each quota that
    could not be filled.
    """

    name: str
    rows: pd.DataFrame
    shortfalls: list[str]

    def text(self) -> str:
        """Return the paths as a list, one a line, in ascending order."""
        return "".join(f"{path}\n" for path in sorted(self.rows["path"]))

    def sha256(self) -> str:
        """Return the sha256 of `text` in UTF-8, which is that of the file, as 64 hex digits."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the list; `path` is complete or what it was before."""
        with in_place_of(path, shared=True) as partial:
            partial.write_bytes(self.text().encode())


def select_training(rows: pd.DataFrame, settings: SelectionSettings, run: str) -> Selection:
    """Choose the images that a run trains on: a function of paths and what is said of them alone.

    Parameters
    ----------
    rows
        A manifest's rows of the split ``train`` and of the run's sources, in any order.
    settings
        The selection's name, seed and quotas. A source with a quota gives only what its quotas
        choose; one without gives all.
    run
        Name of the run; ``author`` draws those of ``constrained`` in another way than others.
    """
    if settings.name == "all":
        return Selection(settings.name, rows.reset_index(drop=True), [])
    sources = set(rows["source"])
    quotas = [quota for quota in settings.quotas if quota.source in sources]
    chosen = ~rows["source"].isin([quota.source for quota in quotas]).to_numpy()
    shortfalls = []
    for quota in quotas:
        draw = _draws(settings, run)
        groups = list(_groups(rows, quota))
        for group in groups:
            chosen[draw(group.positions, min(quota.images, len(group.positions)))] = True
        shortfalls += _shortfall(quota, groups)
    return Selection(settings.name, rows[chosen].reset_index(drop=True), shortfalls)


def _draws(settings: SelectionSettings, run: str) -> Callable[[list[int], int], list[int]]:
    """Return the function that draws so many different members of a population, one after another.

    Smaller draws of pandas' `sample` are part of larger ones.
    """
    if settings.name == "author" and run != CONSTRAINED:
        return random.Random(settings.seed).sample  # noqa: S311, the author's draws are no secret
    state = np.random.RandomState(settings.seed)
    return lambda population, count: (
        pd.Series(population, dtype="int64").sample(count, random_state=state).tolist()
    )


class _Group(NamedTuple):
    """Images that one number of a quota is about: their rows, in ascending order of the paths."""

    name: str
    positions: list[int]


def _groups(rows: pd.DataFrame, quota: QuotaSettings) -> Iterator[_Group]:
    """Yield the combinations that a quota is for, those without an image too, in their order."""
    wanted = (rows["source"] == quota.source) & (rows["label"] == _LABELS[quota.label])
    named = {"platform": quota.platforms, "generator": quota.generators}
    for column, values in named.items():
        if values is not None:
            wanted &= rows[column].isin(values)
    candidates = rows[["path", *named]].assign(position=np.arange(len(rows)))
    candidates = candidates[wanted.fillna(False).to_numpy(dtype=bool)].sort_values("path")
    if not quota.each:
        yield _Group("", candidates["position"].tolist())
        return
    sides = [
        sorted(named[column] or candidates[column].dropna().unique().tolist())
        for column in quota.each
    ]
    found = candidates.groupby(list(quota.each))["position"].agg(list).to_dict()
    for combination in product(*sides):
        # Grouped by one column, pandas names a group by its value, not by a tuple of one.
        key = combination if len(combination) > 1 else combination[0]
        yield _Group(" ".join(combination), found.get(key, []))


def _shortfall(quota: QuotaSettings, groups: list[_Group]) -> list[str]:
    """Say, in one sentence or none, what a quota asks for and the source does not have."""
    lacking = [group for group in groups if len(group.positions) < quota.images]
    if not lacking and groups:
        return []
    taken = sum(min(quota.images, len(group.positions)) for group in groups)
    asked = quota.images * max(1, len(groups))
    details = [f"{group.name} {len(group.positions):,}" for group in lacking if group.name]
    more = f" and {len(details) - NAMED} others" if len(details) > NAMED else ""
    where = f" (of {quota.images:,} each: {', '.join(details[:NAMED])}{more})" if details else ""
    return [
        f"source '{quota.source}' has {taken:,} of the {asked:,} {quota.label} images that the "
        f"selection asks for{where}"
    ]
