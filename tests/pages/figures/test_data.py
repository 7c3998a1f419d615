"""Tables and figures of the data: the paper's are the paper's, counts are what is in the folder."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from conftest import manifest_rows, open_tiny
from layerfusion.analysis.shortcuts import radial_spectra
from layerfusion.data.card import CROISSANT, IMAGE_DTYPES, IMAGES, SOURCES
from layerfusion.data.duplicates import find_duplicates
from layerfusion.data.manifest import Manifest
from layerfusion.data.metadata import file_properties, metadata_by_class
from layerfusion.data.opening import open_data
from layerfusion.errors import UserError
from layerfusion.images.reading import read_image
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.metrics.classes import class_names
from layerfusion.pages.figures import data as data_figures
from layerfusion.pages.figures.data import counts_table, sources_table
from layerfusion.pages.figures.style import COLOURS
from layerfusion.paper import numbers as paper
from layerfusion.paths import reference_folder
from layerfusion.runs.experiment import Experiment
from layerfusion.settings import load_profile

COMMITTED = reference_folder("photographs")


def images(*rows):
    """A manifest of rows (split, source, label, width, height, format, bytes)."""
    names = ["split", "source", "label", "width", "height", "format", "bytes"]
    rows = [dict(zip(names, row, strict=True)) for row in rows]
    return Manifest("nowhere", manifest_rows(*rows), pd.DataFrame(columns=["path", "reason"]))


@pytest.fixture
def paperlike():
    """Photographs as JPEG of two sizes, synthetic images as PNG of one; the test has no labels."""
    return images(
        ("train", "coco", 0, 640, 480, "JPEG", 640 * 480),
        ("train", "coco", 0, 640, 480, "JPEG", 640 * 480),
        ("train", "coco", 0, 400, 600, "JPEG", 400 * 600 * 2),
        ("train", "corvi", 1, 256, 256, "PNG", 256 * 256 * 3),
        ("train", "other", 1, 10, 10, "PNG", 10),
        ("val", "itw", 1, 100, 50, "WEBP", 2500),
        ("test", "hidden", None, 30, 20, "JPEG", 600),
        ("test", "hidden", None, 20, 30, "PNG", 600),
    )


def test_every_fact_has_a_value_and_somebody_who_says_it():
    facts = data_figures.public_data_sets()
    assert (facts[["value", "source"]].map(len) > 0).all(axis=None)
    assert facts["data_set"].nunique() == len(data_figures.PUBLISHED)
    assert not facts.duplicated(["data_set", "fact"]).any()
    assert len(facts) == facts["data_set"].nunique() * facts["fact"].nunique()


def test_the_styled_facts_name_every_source_and_escape_what_is_no_markup():
    facts = data_figures.public_data_sets()
    facts.loc[0, "value"] = "a < b"
    page = data_figures.styled_data_sets(facts).to_html()
    assert "a &lt; b" in page and "a < b" not in page
    caption = page.split("<caption>")[1].split("</caption>")[0]
    assert all(source in caption for source in facts["source"])
    assert "measured" in caption
    # A number in the table leads to its source in the caption.
    number = page.split("a &lt; b&nbsp;<sup>")[1].split("<")[0]
    assert f"{number} {facts['source'][0]}" in caption


def opened(manifest, profile, **settings):
    return Experiment(load_profile(profile, settings), "open", 1, manifest)


def test_the_papers_counts_add_up_to_its_own(paperlike):
    table = data_figures.mirrored_counts(opened(paperlike, "paper")).reset_index()
    theirs = table[table["of"] == "the paper"].groupby("part")[["real", "synthetic"]].sum()
    each = paper.TRAINING_IMAGES
    assert theirs.loc[data_figures.CONSTRAINED].tolist() == [each["constrained"]] * 2
    both = theirs.loc[data_figures.CONSTRAINED] + theirs.loc[data_figures.ADDED]
    assert both.tolist() == [each["open"]] * 2
    assert theirs.loc[data_figures.LOCAL].tolist() == list(paper.IMAGES["local"])
    assert theirs.loc[data_figures.OFFICIAL].tolist() == list(paper.IMAGES["official"])


@pytest.mark.parametrize("profile", ["paper", "folder"])
def test_images_are_counted_by_what_they_are_for(paperlike, profile):
    quota = {"data.selection.quotas": [{"source": "coco", "label": "real", "images": 2}]}
    further = images(("heldout", "synthbuster", 1, 9, 9, "PNG", 9)).rows.assign(path="further")
    manifest = replace(paperlike, rows=pd.concat([paperlike.rows, further], ignore_index=True))
    chosen = quota if profile == "paper" else {}
    table = data_figures.mirrored_counts(opened(manifest, profile, **chosen)).reset_index()
    assert set(table["of"]) == {"the paper", f"{profile} profile"}  # none is taken for the paper's
    ours = table[table["of"] == f"{profile} profile"].drop(columns="of")
    if profile == "paper":
        assert [tuple(row) for row in ours.to_numpy()] == [
            (data_figures.CONSTRAINED, "coco", 2, 0, 0),
            (data_figures.CONSTRAINED, "corvi", 0, 1, 0),
            (data_figures.ADDED, "none", 0, 0, 0),
            (data_figures.LOCAL, "itw", 0, 1, 0),
            (data_figures.OFFICIAL, "hidden", 0, 0, 2),
            (data_figures.HELD_OUT, "synthbuster", 0, 1, 0),
            (data_figures.UNUSED, "coco", 1, 0, 0),
            (data_figures.UNUSED, "other", 0, 1, 0),
        ]
        assert metadata_by_class(manifest.rows).loc[("heldout", "synthetic"), "images"] == 1


def test_a_label_becomes_a_class_also_where_it_is_missing():
    label = pd.Series([1, None, 0], dtype="Int8")
    assert class_names(label).tolist() == ["synthetic", "unlabelled", "real"]


def test_giveaways_are_shares_and_medians(paperlike):
    table = metadata_by_class(paperlike.rows)
    real, synthetic = table.loc[("train", "real")], table.loc[("train", "synthetic")]
    assert (real["JPEG"], real["PNG"], synthetic["PNG"]) == (1.0, 0.0, 1.0)
    assert (real["width"], real["height"], real["shorter_side"]) == (640, 480, 480)
    assert real["bytes_per_pixel"] == 1.0
    assert real["commonest_size"] == "640 x 480"
    assert real["share_of_it"] == pytest.approx(2 / 3)
    assert table.loc[("test", "unlabelled"), "images"] == 2
    assert table.index.get_level_values("split").unique().tolist() == ["train", "val", "test"]
    mixed = paperlike.rows.iloc[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(metadata_by_class(mixed), table)
    files = file_properties(paperlike.rows)
    np.testing.assert_array_equal(files["shorter_side"], [480, 480, 400, 256, 10, 50, 20, 20])
    assert files["bytes_per_pixel"].tolist()[2:4] == [2.0, 3.0]


def test_both_runs_are_audited_where_their_images_are(photos):
    table = data_figures.audit_runs(open_tiny(photos))
    assert set(table["name"]) == set(data_figures.FEATURES)
    assert table["run"].unique().tolist() == ["constrained", "open"]
    assert (table["name"] == "radial spectrum").sum() == 2
    # All photos are PNG: the format tells nothing, in either run.
    assert (table.loc[table["name"] == "format alone", "roc_auc"] == 0.5).all()
    # Bright and dark photos take different numbers of bytes; the open run has enough to learn it.
    told = table.set_index(["run", "name"])["roc_auc"]
    assert told["open", "bytes alone"] > 0.9 > told["constrained", "bytes alone"]


def test_a_run_without_images_is_left_out_of_the_audit(photos):
    sources = {"open": ["social"], "constrained": ["absent"]}
    chosen = {f"runs.{run}.train_sources": own for run, own in sources.items()}
    experiment = open_tiny(photos, overrides=chosen)
    assert data_figures.audit_runs(experiment)["run"].unique().tolist() == ["open"]
    empty = replace(experiment, manifest=experiment.manifest.select(split="val"))
    with pytest.raises(UserError, match="neither run"):
        data_figures.audit_runs(empty)


def test_duplicates_are_counted_by_split_and_by_disagreement():
    same = "0" * 64
    manifest = images(
        ("train", "a", 0, 9, 9, "PNG", 9),
        ("val", "a", 1, 9, 9, "PNG", 9),
        ("val", "a", 0, 9, 9, "PNG", 9),
        ("test", "a", None, 9, 9, "PNG", 9),
    )
    pairs = find_duplicates(manifest.rows.assign(sha256=same))
    table = data_figures.duplicate_counts(pairs).set_index(["split_a", "split_b"])
    assert table.loc[("train", "val"), ["pairs", "of_other_class"]].tolist() == [2, 1]
    assert table.loc[("train", "test"), ["pairs", "of_other_class"]].tolist() == [1, 0]
    assert set(table["kind"]) == {"exact"}
    none = data_figures.duplicate_counts(find_duplicates(images().rows))
    assert len(none) == 0 and "pairs" in none.columns


@pytest.fixture
def manifest(photos, tiny_profile, tmp_path):
    return open_data(tiny_profile.data, data_root=photos, cache=tmp_path)


def test_leakage_has_a_row_of_panels_a_split(manifest):
    figure = data_figures.metadata_leakage(manifest)
    assert len(figure.axes) == 9
    formats, sides, _ = figure.axes[:3]
    assert [label.get_text() for label in formats.get_yticklabels()] == ["PNG", "JPEG"]
    # Real and synthetic training images are all PNG.
    assert [bar.get_width() for bar in formats.patches] == [1, 0, 1, 0]
    assert [line.get_color() for line in sides.lines] == list(COLOURS.values())
    # All photos are of one size: all are at or below it, none below.
    assert set(sides.lines[0].get_xdata()) == {-np.inf, 70}
    assert sides.lines[0].get_ydata()[[0, -1]].tolist() == [0, 1]
    named = [text.get_text() for text in figure.legends[0].texts]
    assert named == ["real", "synthetic", "unlabelled"]


def test_file_properties_are_shown_as_texts(paperlike):
    table = metadata_by_class(paperlike.rows)
    cells = data_figures.metadata_cells(table)
    assert cells.index.equals(table.index)
    assert cells.loc[("train", "real")].tolist() == [
        "3", "100% JPEG", "640.0", "480.0", "1.000", "640 x 480 (66.7%)"
    ]  # fmt: skip
    assert cells.loc[("test", "unlabelled"), "formats"] == "50% JPEG, 50% PNG"


def test_a_typical_image_of_each_class_stands_beside_the_spectra(photos):
    experiment = open_tiny(photos)
    validation, settings = experiment.validation, experiment.profile.images
    spectra = radial_spectra(validation, settings, experiment.profile.loader)
    spectra[3] = np.median(spectra[validation.rows["label"] == validation.rows["label"][3]], axis=0)
    figure = data_figures.spectra_beside_images(validation, spectra, settings)
    *squares, axes = figure.axes
    assert [square.get_title() for square in squares] == list(COLOURS)
    crops = [EvaluationTransform(settings)(read_image(file)) for file in validation.files]
    shown = squares[int(validation.rows["label"][3])].images[0].get_array()
    np.testing.assert_array_equal(shown, np.moveaxis(crops[3].numpy(), 0, -1))
    for line, label in zip(axes.lines, (0, 1), strict=True):
        own = spectra[validation.rows["label"] == label]
        np.testing.assert_allclose(line.get_ydata(), np.median(own, axis=0))
        assert line.get_color() == list(COLOURS.values())[label]


def test_the_audit_is_drawn_with_its_intervals():
    audit = pd.DataFrame(
        {
            "run": ["constrained", "constrained", "open", "open"],
            "name": ["metadata", "format alone"] * 2,
            "roc_auc": [0.9, 0.5, 0.6, 0.4],
            "roc_auc_low": [0.8, 0.45, 0.5, 0.3],
            "roc_auc_high": [0.95, 0.55, 0.7, 0.5],
            "average_precision": 0.5,
            "f1": 0.6666,
        }
    )
    cells = data_figures.shortcut_cells(audit)
    assert cells.loc[("constrained", "all metadata together")].tolist() == [
        "0.900 [0.800, 0.950]", "0.500", "0.667"
    ]  # fmt: skip
    assert cells.index.get_level_values("feature")[1] == "file format"
    figure = data_figures.shortcut_audit(audit)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "all metadata together", "file format"
    ]  # fmt: skip
    drawn = [sorted(c.lines[0].get_xdata()) for c in axis.containers]
    assert drawn == [[0.5, 0.9], [0.4, 0.6]]
    (ends,) = axis.containers[0].lines[2]
    assert ends.get_segments()[0][:, 0] == pytest.approx([0.8, 0.95])


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


def test_a_card_is_shown_by_source_and_by_split_class_and_style(folder):
    table = sources_table(folder)
    assert list(table) == ["source", "class", "generators", "train", "val", "licence"]
    assert table["source"].tolist() == ["d", "b", "a", "c"]
    assert table["class"].tolist() == ["real", "real", "generated", "both"]
    assert table["generators"].tolist() == ["", "", "SDXL", "None"]
    assert table["licence"].tolist() == ["MIT", "none", "MIT", "MIT"]
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
