"""Tables of a data card, and the card of the photographs that is committed."""

import hashlib
import json

import pandas as pd
import pytest

from layerfusion.data.card import CROISSANT, IMAGE_DTYPES, IMAGES, SOURCES
from layerfusion.errors import UserError
from layerfusion.figures.data_card import counts_table, sources_table
from layerfusion.paths import PACKAGE

COMMITTED = PACKAGE.parents[1] / "runs" / "reference" / "photographs"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / SOURCES).write_text(
        "source,what,generators,styles,platforms,train,val,licence,origin\n"
        "a,generated,SDXL,art,,5,0,MIT,a/a@1\n"
        "b,real,,photo,,1,1,none,b/b@1\n"
        "c,both,None,photo,,9,9,MIT,c/c@1\n"
        "d,real,,photo,,0,7,MIT,\n"
    )
    rows = [
        ("1", "0", 0, "train", "b", "photo", "", "", 1, 1),
        ("2", "0", 1, "train", "a", "art", "", "", 1, 1),
        ("3", "0", 1, "train", "a", "art", "", "", 1, 1),
        ("4", "0", 1, "val", "a", "", "", "", 1, 1),
    ]
    images = pd.DataFrame(rows, columns=list(IMAGE_DTYPES)).astype(IMAGE_DTYPES)
    images.to_parquet(tmp_path / IMAGES, index=False)
    return tmp_path


def test_sources_are_sorted_by_class_and_then_by_their_images(folder):
    table = sources_table(folder)
    assert list(table) == ["source", "class", "generators", "train", "val", "licence"]
    assert table["source"].tolist() == ["d", "b", "a", "c"]
    assert table["class"].tolist() == ["real", "real", "generated", "both"]
    assert table["generators"].tolist() == ["", "", "SDXL", "None"]
    assert table["licence"].tolist() == ["MIT", "none", "MIT", "MIT"]


def test_counts_are_by_split_class_and_style(folder):
    table = counts_table(folder)
    assert list(table) == ["art", "photo", "unknown", "all"]
    assert table.loc[("train", "real")].tolist() == [0, 1, 0, 1]
    assert table.loc[("train", "synthetic")].tolist() == [2, 0, 0, 2]
    assert table.loc[("val", "synthetic")].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("table", [sources_table, counts_table])
def test_a_folder_without_a_card_is_said_to_have_none(table, tmp_path):
    with pytest.raises(UserError, match="there is no data card in"):
        table(tmp_path)


def test_the_committed_card_is_whole_and_its_tables_agree():
    said = json.loads((COMMITTED / CROISSANT).read_text(encoding="utf-8"))
    for file in said["distribution"]:
        content = (COMMITTED / file["contentUrl"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    sources, counts = sources_table(COMMITTED), counts_table(COMMITTED)
    for split in ("train", "val"):
        assert sources[split].sum() == counts.loc[split, "all"].sum()
    assert pd.read_parquet(COMMITTED / IMAGES)["sha256"].is_unique
