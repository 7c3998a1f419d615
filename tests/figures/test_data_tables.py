"""Tables of the data: the paper's counts are the paper's, and counts are what is in the folder."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from layerfusion.data.duplicates import find_duplicates
from layerfusion.data.manifest import FILE_DTYPES, SCANNED_DTYPES, Manifest
from layerfusion.data.metadata import file_properties, metadata_by_class
from layerfusion.errors import UserError
from layerfusion.figures import data_tables
from layerfusion.metrics.classes import class_names
from layerfusion.paper import numbers as paper
from layerfusion.runs.experiment import Experiment
from layerfusion.settings import load_profile


def images(*rows):
    """A manifest of rows (split, source, label, width, height, format, bytes)."""
    names = ["split", "source", "label", "width", "height", "format", "bytes"]
    table = pd.DataFrame(list(rows), columns=names).assign(
        path=[f"{number:03d}" for number in range(len(rows))],
        generator=None,
        platform=None,
        sha256=None,
        phash=None,
    )
    table = table.astype(FILE_DTYPES | SCANNED_DTYPES)
    return Manifest("nowhere", table, pd.DataFrame(columns=["path", "reason"]))


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
    facts = data_tables.public_data_sets()
    assert (facts[["value", "source"]].map(len) > 0).all(axis=None)
    assert facts["data_set"].nunique() == len(data_tables.DATA_SETS)
    assert not facts.duplicated(["data_set", "fact"]).any()
    assert len(facts) == facts["data_set"].nunique() * facts["fact"].nunique()


def test_the_styled_facts_name_every_source_and_escape_what_is_no_markup():
    facts = data_tables.public_data_sets()
    facts.loc[0, "value"] = "a < b"
    page = data_tables.styled_data_sets(facts).to_html()
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
    table = data_tables.mirrored_counts(opened(paperlike, "paper")).reset_index()
    theirs = table[table["of"] == "the paper"].groupby("part")[["real", "synthetic"]].sum()
    each = paper.TRAINING_IMAGES
    assert theirs.loc[data_tables.CONSTRAINED].tolist() == [each["constrained"]] * 2
    both = theirs.loc[data_tables.CONSTRAINED] + theirs.loc[data_tables.ADDED]
    assert both.tolist() == [each["open"]] * 2
    assert theirs.loc[data_tables.LOCAL].tolist() == list(paper.IMAGES["local"])
    assert theirs.loc[data_tables.OFFICIAL].tolist() == list(paper.IMAGES["official"])


def test_images_are_counted_by_what_they_are_for(paperlike):
    table = data_tables.mirrored_counts(opened(paperlike, "paper")).reset_index()
    ours = table[table["of"] == "paper profile"].drop(columns="of")
    assert [tuple(row) for row in ours.to_numpy()] == [
        (data_tables.CONSTRAINED, "coco", 3, 0, 0),
        (data_tables.CONSTRAINED, "corvi", 0, 1, 0),
        (data_tables.ADDED, "none", 0, 0, 0),
        (data_tables.LOCAL, "itw", 0, 1, 0),
        (data_tables.OFFICIAL, "hidden", 0, 0, 2),
        (data_tables.UNUSED, "other", 0, 1, 0),
    ]


def test_held_out_images_are_counted_apart_and_not_as_tests(paperlike):
    further = images(("heldout", "synthbuster", 1, 9, 9, "PNG", 9)).rows.assign(path="further")
    rows = pd.concat([paperlike.rows, further], ignore_index=True)
    manifest = replace(paperlike, rows=rows)
    table = data_tables.mirrored_counts(opened(manifest, "paper")).reset_index()
    ours = table[table["of"] == "paper profile"].set_index("part")
    assert ours.loc[data_tables.HELD_OUT, ["source", "synthetic"]].tolist() == ["synthbuster", 1]
    assert ours.loc[data_tables.OFFICIAL, "unlabelled"] == 2
    assert metadata_by_class(manifest.rows).loc[("heldout", "synthetic"), "images"] == 1


def test_images_beyond_the_quota_are_in_neither_run(paperlike):
    quota = {"data.selection.quotas": [{"source": "coco", "label": "real", "images": 2}]}
    table = data_tables.mirrored_counts(opened(paperlike, "paper", **quota)).reset_index()
    coco = table[table["source"] == "coco"].set_index("part")["real"]
    assert coco.to_dict() == {data_tables.CONSTRAINED: 2, data_tables.UNUSED: 1}


def test_no_row_can_be_taken_for_the_papers(paperlike):
    table = data_tables.mirrored_counts(opened(paperlike, "folder"))
    assert set(table.index.get_level_values("of")) == {"the paper", "folder profile"}


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


def test_giveaways_do_not_depend_on_the_order_of_the_files(paperlike):
    mixed = replace(paperlike, rows=paperlike.rows.iloc[::-1].reset_index(drop=True))
    pd.testing.assert_frame_equal(metadata_by_class(mixed.rows), metadata_by_class(paperlike.rows))


def test_both_runs_are_audited_where_their_images_are(photos, tiny_settings):
    experiment = Experiment.open("open", data_root=photos, overrides=tiny_settings)
    table = data_tables.audit_runs(experiment)
    assert table["run"].unique().tolist() == ["constrained", "open"]
    assert (table["name"] == "radial spectrum").sum() == 2
    # All photos are PNG: the format tells nothing, in either run.
    assert (table.loc[table["name"] == "format alone", "roc_auc"] == 0.5).all()
    # Bright and dark photos take different numbers of bytes; the open run has enough to learn it.
    told = table.set_index(["run", "name"])["roc_auc"]
    assert told["open", "bytes alone"] > 0.9 > told["constrained", "bytes alone"]


def test_a_run_without_images_is_left_out_of_the_audit(photos, tiny_settings):
    chosen = tiny_settings | {
        "runs.open.train_sources": ["social"],
        "runs.constrained.train_sources": ["absent"],
    }
    experiment = Experiment.open("open", data_root=photos, overrides=chosen)
    assert data_tables.audit_runs(experiment)["run"].unique().tolist() == ["open"]


def test_an_audit_of_no_run_says_so(photos, tiny_settings):
    experiment = Experiment.open("open", data_root=photos, overrides=tiny_settings)
    empty = replace(experiment, manifest=experiment.manifest.select(split="val"))
    with pytest.raises(UserError, match="neither run"):
        data_tables.audit_runs(empty)


def test_duplicates_are_counted_by_split_and_by_disagreement():
    same = "0" * 64
    manifest = images(
        ("train", "a", 0, 9, 9, "PNG", 9),
        ("val", "a", 1, 9, 9, "PNG", 9),
        ("val", "a", 0, 9, 9, "PNG", 9),
        ("test", "a", None, 9, 9, "PNG", 9),
    )
    pairs = find_duplicates(manifest.rows.assign(sha256=same))
    table = data_tables.duplicate_counts(pairs).set_index(["split_a", "split_b"])
    assert table.loc[("train", "val"), ["pairs", "of_other_class"]].tolist() == [2, 1]
    assert table.loc[("train", "test"), ["pairs", "of_other_class"]].tolist() == [1, 0]
    assert set(table["kind"]) == {"exact"}


def test_no_duplicates_are_an_empty_table():
    none = data_tables.duplicate_counts(find_duplicates(images().rows))
    assert len(none) == 0 and "pairs" in none.columns


def test_file_properties_are_the_files_own(paperlike):
    table = file_properties(paperlike.rows)
    np.testing.assert_array_equal(table["shorter_side"], [480, 480, 400, 256, 10, 50, 20, 20])
    assert table["bytes_per_pixel"].tolist()[2:4] == [2.0, 3.0]
