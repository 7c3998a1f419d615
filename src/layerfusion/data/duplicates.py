"""Images that occur in two splits: what is learnt from one must not be tested on the other."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.manifest import SPLITS

# Bounds on memory: pairs compared at a time, and partners listed of an image. Thousands of flat
# pictures share one hash; the pairs among them would fill any memory and tell nobody anything.
COMPARED = 1 << 20
PARTNERS = 20

MAX_DISTANCE = 4  # of two 64-bit perceptual hashes that are near, bits that differ


def find_duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of equal or nearly equal images in different splits.

    *Exact* are files with the same sha256, *near* are other images with perceptual hashes at most
    `MAX_DISTANCE` bits apart. Missing hashes are like no other. An image is listed with at most
    `PARTNERS` images of each earlier split (in the order of `SPLITS`), the nearest, then the
    first by path; ``attrs["left_out"]`` of the table is the number of pairs beyond that.

    Parameters
    ----------
    rows
        A manifest's rows.

    Returns
    -------
    DataFrame
        Columns kind ("exact" or "near"), path_a, split_a, label_a, path_b, split_b, label_b and
        distance (bits; 0 where exact); a's split comes before b's. Exact pairs come first.
    """
    rows = rows.sort_values("path", ignore_index=True)
    # Hashes as numbers, so that they can be sorted, joined and compared; a missing content is -1.
    content = pd.factorize(rows["sha256"])[0].astype(np.int64)
    looks = np.array([int(text, 16) for text in rows["phash"].fillna("0")], dtype=np.uint64)
    hashed, seen = content >= 0, rows["phash"].notna().to_numpy()
    tables, left_out = [], 0
    for kind, known in (("exact", hashed), ("near", seen)):
        for splits in combinations(SPLITS, 2):
            a, b = (np.flatnonzero((rows["split"] == split) & known) for split in splits)
            found = _exact(content, a, b) if kind == "exact" else _near(content, looks, a, b)
            pairs, beyond = _nearest_partners(found)
            left_out += beyond
            tables.append(_named(kind, rows, pairs))
    table = pd.concat(tables, ignore_index=True)
    table.attrs["left_out"] = left_out
    return table


# Pairs are int64 arrays of shape (pairs, 3): row of a, row of b, distance. Rows a and b are those
# of two splits whose hash is known; content and looks number the hashes of all rows.
_Ints = NDArray[np.int64]
_Pairs = NDArray[np.int64]


def _exact(content: _Ints, a: _Ints, b: _Ints) -> Iterator[_Pairs]:
    """Yield pairs of rows of `a` and of `b` with the same content."""
    for i, j in _equal(content[a], content[b]):
        yield np.stack([a[i], b[j], np.zeros_like(i)], axis=1)


def _near(content: _Ints, looks: NDArray[np.uint64], a: _Ints, b: _Ints) -> Iterator[_Pairs]:
    """Yield pairs of rows of `a` and of `b` that look alike but differ in content, each once.

    Of `MAX_DISTANCE` + 1 bands of bits, at most `MAX_DISTANCE` can differ: two hashes near each
    other agree in some band, so that only hashes with an equal band need be compared.
    """
    bands = _bands(MAX_DISTANCE + 1)
    for number, band in enumerate(bands):
        for i, j in _equal(looks[a] & band, looks[b] & band):
            rows_a, rows_b = a[i], b[j]
            difference = looks[rows_a] ^ looks[rows_b]
            distance = np.bitwise_count(difference).astype(np.int64)
            other = (content[rows_a] != content[rows_b]) | (content[rows_a] < 0)
            wanted = (distance <= MAX_DISTANCE) & other
            for earlier in bands[:number]:  # a pair belongs to the first band it agrees in
                wanted &= (difference & earlier) != 0
            yield np.stack([rows_a, rows_b, distance], axis=1)[wanted]


def _bands(count: int) -> list[np.uint64]:
    """Cut 64 bits into `count` masks of nearly equal width."""
    edges = [64 * number // count for number in range(count + 1)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in pairwise(edges)]


def _equal(a: NDArray[Any], b: NDArray[Any]) -> Iterator[tuple[_Ints, _Ints]]:
    """Yield index arrays (i, j) of all pairs with a[i] == b[j], about `COMPARED` pairs at a time.

    All pairs of one j come together.
    """
    order = np.argsort(a, kind="stable")
    ascending = a[order]
    first = np.searchsorted(ascending, b, side="left")
    count = np.searchsorted(ascending, b, side="right") - first
    part = np.cumsum(count) // COMPARED
    for number in np.unique(part[count > 0]):
        j = np.flatnonzero((part == number) & (count > 0))
        repeated = np.repeat(j, count[j])
        # 0, 1, 2, ... within the pairs of each j
        within = np.arange(len(repeated)) - np.repeat(np.cumsum(count[j]) - count[j], count[j])
        yield order[first[repeated] + within], repeated


def _nearest_partners(found: Iterator[_Pairs]) -> tuple[_Pairs, int]:
    """Keep the `PARTNERS` nearest pairs of each b; return them and how many others there were."""
    kept, total = np.empty((0, 3), dtype=np.int64), 0
    for pairs in found:
        total += len(pairs)
        kept = _nearest(np.concatenate([kept, pairs]))
    return kept, total - len(kept)


def _nearest(pairs: _Pairs) -> _Pairs:
    a, b, distance = pairs.T
    pairs = pairs[np.lexsort((a, distance, b))]
    starts = np.flatnonzero(np.diff(pairs[:, 1], prepend=-1))
    place = np.arange(len(pairs)) - np.repeat(starts, np.diff(starts, append=len(pairs)))
    return pairs[place < PARTNERS]


def _named(kind: str, rows: pd.DataFrame, pairs: _Pairs) -> pd.DataFrame:
    """Turn row numbers into paths, splits and labels, sorted by a's path, then b's."""
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    columns = {"kind": pd.Series([kind] * len(pairs), dtype="str")}
    for side, numbers in (("a", pairs[:, 0]), ("b", pairs[:, 1])):
        chosen = rows.loc[numbers, ["path", "split", "label"]].reset_index(drop=True)
        columns |= {f"{column}_{side}": chosen[column] for column in chosen}
    return pd.DataFrame(columns).assign(distance=pairs[:, 2])
