import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import manifest_rows
from layerfusion.data.manifest import Manifest
from layerfusion.data.metadata import manifest_warnings
from layerfusion.errors import UserError

NOTHING_SKIPPED = pd.DataFrame({"path": [], "reason": []}, dtype="str")
LEFT_OUT = pd.DataFrame(
    {"path": ["empty.jpg", "text.jpg"], "reason": ["empty file", "not an image"]}, dtype="str"
)


def make_manifest(*rows):
    return Manifest(Path("images"), manifest_rows(*rows), NOTHING_SKIPPED)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "path": TEXT.filter(lambda text: not set(text) & set("/\\:."))
            | st.sampled_from(["a..b/..c.jpg", "d/e...jpg"]),
            "label": st.sampled_from([0, 1, None]),
            "split": st.sampled_from(["train", "val", "test"]),
            "source": TEXT,
            "generator": st.none() | TEXT,
            "width": st.integers(1, 2**31 - 1),
            "bytes": st.integers(1, 2**60),
            "phash": st.none() | st.from_regex(r"\A[0-9a-f]{16}\Z"),
        }
    ),
    unique_by=lambda row: row["path"],
    max_size=6,
)


@settings(deadline=None, max_examples=30)
@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_round_trip_and_digest_of_any_rows(tmp_path_factory, rows, order):
    manifest = Manifest(Path("images"), manifest_rows(*rows), LEFT_OUT)
    file = tmp_path_factory.mktemp("manifest") / "runs" / "manifest.parquet"
    manifest.save(file)
    loaded = Manifest.load(file, Path("elsewhere"))
    pd.testing.assert_frame_equal(loaded.rows, manifest.rows)
    pd.testing.assert_frame_equal(loaded.skipped, manifest.skipped)
    assert loaded.root == Path("elsewhere") and list(file.parent.iterdir()) == [file]

    order.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = Manifest(Path("other"), manifest_rows(*rows), NOTHING_SKIPPED)
    assert shuffled.digest() == manifest.digest() == loaded.digest()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("path", "b.jpg"), ("label", 1), ("label", None), ("split", "val"), ("source", "x"),
        ("generator", ""), ("platform", "X"), ("width", 1), ("height", 1), ("format", "PNG"),
        ("bytes", 1), ("sha256", "0" * 64), ("phash", "0" * 16),
    ],
)  # fmt: skip
def test_digest_depends_on_every_column(column, value):
    assert make_manifest({column: value}).digest() != make_manifest({}).digest()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_digest_is_that_of_one_list_however_many_rows_are_made_text_at_a_time(monkeypatch, count):
    monkeypatch.setattr("layerfusion.data.manifest.ROWS", 2)
    manifest = make_manifest(*[{"width": 10 + number} for number in range(count)])
    text = json.dumps(
        [
            [f"{n:04d}.jpg", 0, "train", "coco", None, None, 10 + n, 480, "JPEG", 1000, None, None]
            for n in range(count)
        ],
        separators=(",", ":"),
    )
    assert manifest.digest() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{}, {"label": 7}], "column 'label', row 1: '7' is neither 0 nor 1"),
        ([{}, {"split": "dev"}], "column 'split', row 1: 'dev' is not train, val, test or heldout"),
        ([{"path": "/etc/a.jpg"}], "column 'path', row 0: '/etc/a.jpg' leaves the root"),
        ([{"path": "a/../../b.jpg"}], "row 0: 'a/../../b.jpg' leaves the root"),
        ([{"path": r"C:\a.jpg"}], "leaves the root"),
        ([{"path": ""}], "column 'path', row 0: '' is empty"),
        ([{"path": "a"}, {"path": "a"}], "column 'path', row 0: 'a' occurs more than once"),
        ([{}, {"source": None}], "column 'source', row 1: the value is missing"),
        ([{}, {"path": None}], "column 'path', row 1: the value is missing"),
        ([{"width": 0}], "column 'width', row 0: '0' is not positive"),
        ([{"sha256": "abc"}], "column 'sha256', row 0: 'abc' is not a sha256"),
        ([{"phash": "G" * 16}], "column 'phash', row 0: 'GGGGGGGGGGGGGGGG' is not a 64-bit hash"),
    ],
)
def test_bad_rows_are_neither_saved_nor_loaded(tmp_path, rows, complaint):
    file = tmp_path / "manifest.parquet"
    with pytest.raises(UserError) as saving:
        make_manifest(*rows).save(file)
    assert not any(tmp_path.iterdir())
    manifest_rows(*rows).to_parquet(file)
    with pytest.raises(UserError) as loading:
        Manifest.load(file, tmp_path)

    assert str(saving.value) == str(loading.value)
    assert str(saving.value).startswith(str(file))
    assert str(saving.value).endswith(complaint)


def test_load_refuses_what_is_no_manifest(tmp_path):
    file = tmp_path / "manifest.parquet"
    with pytest.raises(UserError, match="manifest not found: "):
        Manifest.load(file, tmp_path)
    file.write_text("path,label")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        Manifest.load(file, tmp_path)
    manifest_rows({}).drop(columns="format").to_parquet(file)
    with pytest.raises(UserError, match="lacks the column 'format'"):
        Manifest.load(file, tmp_path)
    manifest_rows({}).assign(style="photo").to_parquet(file)
    with pytest.raises(UserError, match="unknown column 'style'"):
        Manifest.load(file, tmp_path)
    manifest_rows({}).astype({"bytes": "float"}).to_parquet(file)
    with pytest.raises(UserError, match="column 'bytes' holds float64, not Int64"):
        Manifest.load(file, tmp_path)


def test_select_by_split_and_source():
    manifest = make_manifest(
        {"path": "a", "split": "train", "source": "coco"},
        {"path": "b", "split": "train", "source": "corvi"},
        {"path": "c", "split": "val", "source": "coco"},
    )
    assert manifest.select(split="train").rows["path"].tolist() == ["a", "b"]
    assert manifest.select(sources=["coco"]).rows["path"].tolist() == ["a", "c"]
    chosen = manifest.select(split="val", sources=["coco", "corvi"])
    assert chosen.rows["path"].tolist() == ["c"]
    assert chosen.rows.index.tolist() == [0]
    assert len(manifest.select().rows) == 3
    assert len(manifest.select(sources=[]).rows) == 0


def test_summary_counts_by_split_source_and_label():
    manifest = make_manifest(
        {"split": "test", "label": None},
        {"split": "train", "label": 1},
        {"split": "train", "label": 1},
        {"split": "train", "label": 0},
    )
    assert manifest.summary().to_dict("list") == {
        "split": ["train", "train", "test"],
        "source": ["coco"] * 3,
        "label": [0, 1, None],
        "images": [1, 2, 1],
    }


@pytest.mark.parametrize(
    "rows",
    [
        [{"label": 0}, {"label": 1}, {"label": None, "split": "test"}],
        [{"label": 0}, {"label": 1, "split": "val", "format": "PNG"}],
    ],
)
def test_neither_equal_files_nor_a_lone_class_raise_a_warning(rows):
    assert manifest_warnings(make_manifest(*rows)) == []


def test_warnings_name_format_size_and_bytes():
    manifest = make_manifest(
        {"label": 0, "bytes": 100_000},
        {"label": 1, "bytes": 100_000, "format": "PNG", "width": 256, "height": 256},
    )
    warnings = manifest_warnings(manifest)
    assert any("train: 0% of real and 100% of synthetic images are PNG" in w for w in warnings)
    assert any("median shorter side is 480 px for real and 256 px for syn" in w for w in warnings)
    assert any("0.326 bytes per pixel for real and 1.53" in w for w in warnings)


def test_warnings_are_about_shares_not_about_single_files():
    real = [{"label": 0}] * 299
    synthetic = [{"label": 1}] * 300
    assert manifest_warnings(make_manifest(*real, {"label": 0, "format": "WEBP"}, *synthetic)) == []
    lone = [{"label": 0, "format": "WEBP"}] * 4
    (warning,) = manifest_warnings(make_manifest(*real, *lone, *synthetic))
    assert "1% of real and 0% of synthetic images are WEBP" in warning


def test_warnings_begin_with_what_was_left_out():
    (warning,) = manifest_warnings(Manifest(Path("images"), manifest_rows({}), LEFT_OUT))
    assert warning.startswith("2 of the files found cannot be read and are left out")
    assert "empty.jpg: empty file" in warning
