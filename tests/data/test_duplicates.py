from itertools import combinations, product

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerfusion.data import duplicates
from layerfusion.data.duplicates import find_duplicates

SPLITS = ["train", "val", "test"]


def make_rows(*rows):
    """Rows from path, split, perceptual hash as a number, and one letter for the content."""
    return pd.DataFrame(
        [
            (path, split, 0, letter and letter * 64, None if look is None else f"{look:016x}")
            for path, split, look, letter in rows
        ],
        columns=["path", "split", "label", "sha256", "phash"],
    ).astype({"path": "str", "split": "str", "label": "Int8", "sha256": "str", "phash": "str"})


def found(table):
    return set(zip(table["kind"], table["path_a"], table["path_b"], table["distance"], strict=True))


def by_brute_force(rows, max_distance):
    pairs = set()
    records = rows.to_dict("records")
    for split_a, split_b in combinations(SPLITS, 2):
        for a, b in product(records, records):
            if (a["split"], b["split"]) != (split_a, split_b):
                continue
            if pd.notna(a["sha256"]) and a["sha256"] == b["sha256"]:
                pairs.add(("exact", a["path"], b["path"], 0))
            elif pd.notna(a["phash"]) and pd.notna(b["phash"]):
                distance = (int(a["phash"], 16) ^ int(b["phash"], 16)).bit_count()
                if distance <= max_distance:
                    pairs.add(("near", a["path"], b["path"], distance))
    return pairs


def flipped(look, bits):
    for bit in bits:
        look ^= 1 << bit
    return look


# Looks that lie around a few centres, so that near pairs are common.
LOOKS = st.builds(
    flipped,
    st.sampled_from([0, 2**64 - 1, 0x123456789ABCDEF0]),
    st.lists(st.integers(0, 63), max_size=5),
)


@settings(deadline=None)
@given(
    images=st.lists(
        st.tuples(
            st.sampled_from(SPLITS), st.none() | LOOKS, st.sampled_from(["a", "b", "c", None])
        ),
        max_size=18,
    ),
    max_distance=st.sampled_from([0, 1, 4, 7, 63]),
)
def test_finds_what_brute_force_finds(images, max_distance):
    rows = make_rows(*((f"{number:02d}", *image) for number, image in enumerate(images)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "MAX_DISTANCE", max_distance)
        table = find_duplicates(rows)

    assert found(table) == by_brute_force(rows, max_distance)
    assert len(table) == len(found(table))
    assert table.attrs["left_out"] == 0


@settings(deadline=None, max_examples=20)
@given(looks=st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=40))
def test_chunks_do_not_matter(looks):
    rows = make_rows(
        *((f"{n:02d}", SPLITS[n % 3], look & 0xF0F, None) for n, look in enumerate(looks))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "COMPARED", 3)
        chunked = find_duplicates(rows)
    pd.testing.assert_frame_equal(chunked, find_duplicates(rows))


def test_says_what_and_where_both_images_are():
    rows = make_rows(("b", "val", 7, "x"), ("a", "train", 7, "x"), ("c", "test", 3, "y"))
    pairs = find_duplicates(rows.assign(label=pd.array([1, 0, None], "Int8")))
    exact, *near = pairs.to_dict("records")
    assert tuple(exact.values()) == ("exact", "a", "train", 0, "b", "val", 1, 0)
    assert list(exact)[:4] == ["kind", "path_a", "split_a", "label_a"]
    assert [(pair["path_a"], pair["path_b"]) for pair in near] == [("a", "c"), ("b", "c")]
    assert all(pair["kind"] == "near" and pair["distance"] == 1 for pair in near)


def test_missing_hashes_are_like_no_other():
    table = find_duplicates(make_rows(("a", "train", None, None), ("b", "val", None, None)))
    assert len(table) == 0
    assert str(table["label_a"].dtype) == "Int8"


def test_flat_pictures_are_listed_with_a_few_partners_and_the_rest_is_counted():
    flat = 1 << 63
    count = 300
    train = [(f"train/{n:04d}", "train", flat, None) for n in range(count)]
    val = [(f"val/{n:04d}", "val", flat, None) for n in range(count)]
    table = find_duplicates(make_rows(*train, ("train/nearest", "train", flat | 1, None), *val))

    assert (table.groupby("path_b").size() == duplicates.PARTNERS).all()
    assert table["path_b"].nunique() == count
    assert (table["distance"] == 0).all()
    assert len(table) + table.attrs["left_out"] == count * (count + 1)
