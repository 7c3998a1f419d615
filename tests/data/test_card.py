"""A data card says what a described set is made of, and `mlcroissant` reads what it says."""

import hashlib
import json
from datetime import date

import mlcroissant
import pandas as pd
import pytest

from layerfusion.data import card as cards
from layerfusion.data.card import CROISSANT, IMAGES, SOURCES, make_card, write_card
from layerfusion.errors import UserError


def image(root, path, source, generator="", style="photo", origin="ada/photos@0123", **said):
    """Write a file that is an image by its name, and return its row of the description."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(path.encode())
    row = {
        "path": path,
        "label": int("real" not in path),
        "split": path.split("/")[0],
        "source": source,
        "generator": generator,
        "platform": "",
        "style": style,
        "width": 300,
        "height": 200,
        "sha256": hashlib.sha256(path.encode()).hexdigest(),
        "origin": origin,
        "licence": "MIT; images CC BY 2.0",
    }
    return row | said


@pytest.fixture
def rows(tmp_path):
    """The description of a tree with three sources and, besides, two test images."""
    root = tmp_path / "set"
    for name in ("a.jpg", "b.jpg"):
        image(root, f"test/{name}", "")
    return [
        image(root, "val/real/1.jpg", "photos", platform="twitter"),
        image(root, "train/own/real/2.jpg", "photos", platform="Facebook"),
        image(root, "train/own/real/3.jpg", "mixture", style=""),
        image(root, "train/own/fake/4.jpg", "mixture", "SDXL, 2023 (a; b)", "art"),
        image(root, "train/own/fake/5.jpg", "mixture", "Glide", "art", origin="C:\\pictures"),
        image(root, "train/own/fake/6.jpg", "drawn", "Flux", "art", origin="/some/where"),
    ]


@pytest.fixture
def root(tmp_path, rows):
    describe(tmp_path / "set", rows)
    return tmp_path / "set"


def describe(root, rows):
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)


def test_a_card_counts_sources_and_keeps_no_path_of_a_machine(root):
    card = make_card(root)
    sources = card.sources.set_index("source")
    assert list(sources.index) == ["drawn", "mixture", "photos"]
    assert sources["what"].tolist() == ["generated", "both", "real"]
    assert sources["generators"].tolist() == ["Flux", "Glide | SDXL, 2023 (a; b)", ""]
    assert sources["platforms"].tolist() == ["", "", "Facebook | Twitter"]
    assert sources[["train", "val"]].to_numpy().tolist() == [[1, 0], [3, 0], [1, 1]]
    assert sources["origin"].tolist() == ["", "ada/photos@0123", "ada/photos@0123"]
    assert card.unlabelled == 2
    assert "test" not in set(card.images["split"])


def test_the_images_of_a_card_are_the_described_ones_by_path(root, rows):
    images = make_card(root).images
    assert images["path"].tolist() == sorted(row["path"] for row in rows)
    assert images["label"].tolist() == [1, 1, 1, 0, 0, 0]
    assert dict(images.dtypes.astype(str)) == cards.IMAGE_DTYPES


def test_described_test_images_are_counted_like_the_others(root, rows):
    described = image(root, "test/a.jpg", "photos", label=0)
    describe(root, [*rows, described])
    card = make_card(root)
    assert card.unlabelled == 1
    assert card.sources.set_index("source")["test"].tolist() == [0, 0, 1]


def written(root, folder, **said):
    card = make_card(root)
    write_card(card, folder, name="tiny", published=date(2026, 11, 25), **said)
    return card


def cell(value):
    """A value as a CSV or Parquet reader of text gives it: nothing where it is empty."""
    if isinstance(value, bytes):
        return value.decode()
    return "" if pd.isna(value) else value


def test_mlcroissant_reads_the_same_rows(root, tmp_path):
    card = written(root, tmp_path / "card", creator="Ada")
    read = mlcroissant.Dataset(tmp_path / "card" / CROISSANT)
    assert not read.metadata.ctx.issues.errors
    (warning,) = read.metadata.ctx.issues.warnings
    assert "citeAs" in warning  # nobody has published this set
    for name, table in (("sources", card.sources), ("images", card.images)):
        found = [
            {key.removeprefix(f"{name}/"): cell(value) for key, value in record.items()}
            for record in read.records(name)
        ]
        assert found == table.to_dict("records")


def test_the_description_conforms_to_1_1_and_says_that_no_image_is_in_it(root, tmp_path):
    written(root, tmp_path / "card", creator="Ada")
    said = json.loads((tmp_path / "card" / CROISSANT).read_text(encoding="utf-8"))
    assert said["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    asked = {"name", "description", "license", "url", "creator", "datePublished"}
    assert asked <= said.keys()
    assert "3 public sources with licences of their own" in said["description"]
    assert "images are not redistributed" in said["description"]
    assert "2 test images of the set are unlabelled" in said["description"]
    for file in said["distribution"]:
        content = (tmp_path / "card" / file["contentUrl"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert file["contentSize"] == f"{len(content)} B"
        assert str(tmp_path).encode() not in content
    assert {path.name for path in (tmp_path / "card").iterdir()} == {SOURCES, IMAGES, CROISSANT}


def test_mlcroissant_refuses_a_table_that_was_changed(root, tmp_path):
    written(root, tmp_path / "card")
    with (tmp_path / "card" / SOURCES).open("a") as file:
        file.write("x,real,,,,1,0,MIT,\n")
    read = mlcroissant.Dataset(tmp_path / "card" / CROISSANT)
    with pytest.raises(mlcroissant.GenerationError) as refused:
        list(read.records("sources"))
    assert "not identical" in str(refused.value.__cause__)


def test_a_card_is_the_same_when_written_again(root, tmp_path):
    for name in ("one", "two"):
        written(root, tmp_path / name)
    for file in (SOURCES, IMAGES, CROISSANT):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_tree_without_description_has_no_card(root):
    (root / "manifest.csv").unlink()
    with pytest.raises(UserError, match=r"there is no .*manifest\.csv with a path an image"):
        make_card(root)


def test_columns_that_are_lacking_are_named(root, rows):
    describe(
        root, [{key: row[key] for key in row if key not in ("style", "sha256")} for row in rows]
    )
    with pytest.raises(UserError, match="lacks style, sha256; a data card needs"):
        make_card(root)


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("label", "2", "val/real/1.jpg is not described by a label"),
        ("split", "later", "is not described by a split"),
        ("licence", "", "is not described by a licence"),
        ("width", "-3", "is not described by a width"),
        ("sha256", "0" * 63, "is not described by a sha256"),
        ("label", "1", "1.jpg lies in a folder of another label or split"),
        ("split", "train", "1.jpg lies in a folder of another label or split"),
        ("path", "val/real/0.jpg", "val/real/0.jpg is described, but no such image"),
        ("sha256", "0" * 64, "1.jpg is not the image with this sha256"),
    ],
)
def test_what_is_not_as_described_is_refused(root, rows, column, value, complaint):
    describe(root, [rows[0] | {column: value}, *rows[1:]])
    with pytest.raises(UserError, match=complaint):
        make_card(root)


def test_a_card_that_cannot_be_written_leaves_the_old_one(root, tmp_path, monkeypatch):
    written(root, tmp_path / "card")
    before = {path: path.read_bytes() for path in (tmp_path / "card").iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(UserError, match=r"cannot be written into .*: No space left on device"):
        written(root, tmp_path / "card", creator="Ada")
    assert {path: path.read_bytes() for path in (tmp_path / "card").iterdir()} == before
