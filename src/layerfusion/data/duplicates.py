"""Images that occur in two splits: what is learnt from one must not be tested on the other."""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.manifest import SPLITS

# Bounds on memory: pairs compared at a time, and partners listed of an image. Thousands of flat
# pictures share one hash; the pairs among them would fill any memory and tell nobody anything.
COMPARED = 1 << 20
PARTNERS = 20

_HASH_BITS = 64


def find_duplicates(rows: pd.DataFrame, max_distance: int = 4) -> pd.DataFrame:
    """Return pairs of equal or nearly equal images in different splits.

    *Exact* are files with the same sha256, *near* are other images with perceptual hashes at most
    `max_distance` bits apart. Missing hashes are like no other. An image is listed with at most
    `PARTNERS` images of each earlier split (in the order of `SPLITS`), the nearest, then the
    first by path; ``attrs["left_out"]`` of the table is the number of pairs beyond that.

    Parameters
    ----------
    rows
        A manifest's rows.
    max_distance
        Largest Hamming distance of two 64-bit perceptual hashes, in [0, 63].

    Returns
    -------
    DataFrame
        Columns kind ("exact" or "near"), path_a, split_a, label_a, path_b, split_b, label_b and
        distance (bits; 0 where exact); a's split comes before b's. Exact pairs come first.
    """
    if not 0 <= max_distance < _HASH_BITS:
        raise ValueError(f"max_distance must be from 0 to 63, not {max_distance}")
    rows = rows.sort_values("path", ignore_index=True)
    files = _Files(rows)
    tables, left_out = [], 0
    for kind, search in (("exact", files.exact), ("near", files.near)):
        for split_a, split_b in combinations(SPLITS, 2):
            a, b = (np.flatnonzero(rows["split"] == split) for split in (split_a, split_b))
            pairs, beyond = _nearest_partners(search(a, b, max_distance))
            left_out += beyond
            tables.append(_named(kind, rows, pairs))
    table = pd.concat(tables, ignore_index=True)
    table.attrs["left_out"] = left_out
    return table


# Pairs are int64 arrays of shape (pairs, 3): row of a, row of b, distance.
_Pairs = NDArray[np.int64]


class _Files:
    """Hashes as numbers, so that they can be sorted, joined and compared.

    `content` numbers the distinct sha256, -1 where missing; `looks` holds the perceptual hashes,
    to be used only where `has_look`. All have the shape (rows,).
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        self.content = pd.factorize(rows["sha256"])[0].astype(np.int64)
        self.has_look = rows["phash"].notna().to_numpy()
        looks = [int(text, 16) for text in rows["phash"].fillna("0")]
        self.looks = np.array(looks, dtype=np.uint64)

    def exact(self, a: _Pairs, b: _Pairs, max_distance: int) -> Iterator[_Pairs]:
        """Yield pairs of rows of `a` and of `b` with the same content."""
        a, b = a[self.content[a] >= 0], b[self.content[b] >= 0]
        for i, j in _equal(self.content[a], self.content[b]):
            yield np.stack([a[i], b[j], np.zeros_like(i)], axis=1)

    def near(self, a: _Pairs, b: _Pairs, max_distance: int) -> Iterator[_Pairs]:
        """Yield pairs of rows of `a` and of `b` that look alike but differ in content, each once.

        Of `max_distance` + 1 bands of bits, at most `max_distance` can differ: two hashes near each
        other agree in some band, so that only hashes with an equal band need be compared.
        """
        a, b = a[self.has_look[a]], b[self.has_look[b]]
        bands = _bands(max_distance + 1)
        for number, band in enumerate(bands):
            for i, j in _equal(self.looks[a] & band, self.looks[b] & band):
                rows_a, rows_b = a[i], b[j]
                difference = self.looks[rows_a] ^ self.looks[rows_b]
                distance = np.bitwise_count(difference).astype(np.int64)
                content_a, content_b = self.content[rows_a], self.content[rows_b]
                wanted = (distance <= max_distance) & ((content_a != content_b) | (content_a < 0))
                for earlier in bands[:number]:  # a pair belongs to the first band it agrees in
                    wanted &= (difference & earlier) != 0
                yield np.stack([rows_a, rows_b, distance], axis=1)[wanted]


def _bands(count: int) -> list[np.uint64]:
    """Cut 64 bits into `count` masks of nearly equal width."""
    edges = [_HASH_BITS * number // count for number in range(count + 1)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in pairwise(edges)]


def _equal(
    a: NDArray[np.generic], b: NDArray[np.generic]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
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
