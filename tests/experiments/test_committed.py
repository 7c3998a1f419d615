"""What is committed of studies: one value for one experiment, on any page."""

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from layerfusion.data.manifest import Manifest
from layerfusion.errors import UserError
from layerfusion.experiments.catalogue import STUDIES, claims
from layerfusion.experiments.content import read_content
from layerfusion.experiments.errors import study_errors
from layerfusion.experiments.given import identity_of
from layerfusion.experiments.record import disagreement, published_studies, published_study
from layerfusion.experiments.sealing import read_seal
from layerfusion.experiments.shortcuts import read_shortcuts
from layerfusion.experiments.tables import describe_images
from layerfusion.files import file_sha256
from layerfusion.metrics.groups import source_table
from layerfusion.model.detector import Detector
from layerfusion.model.known_weights import KNOWN
from layerfusion.pages.figures.answers import detector_facts
from layerfusion.pages.figures.effects import (
    claims_of_worlds,
    claims_table,
    variants_table,
    worlds_cells,
)
from layerfusion.pages.figures.intervals import draw_by_source, source_names
from layerfusion.paths import project_root
from layerfusion.scoring.detectors import SHIPPED

WEIGHTS = KNOWN["clip-vit-b-16-int8"]
PHOTOGRAPHS, DEMO = (project_root() / "runs/reference" / name for name in ("photographs", "demo"))


@pytest.fixture(scope="module")
def studies():
    return {name: published_study(PHOTOGRAPHS, name) for name in (*STUDIES, "corruptions")}


def test_no_two_records_disagree_on_a_shared_cell(studies):
    for one, other in combinations(studies.values(), 2):
        assert disagreement(one, other) is None, (one.record.name, other.record.name)
    shared = [{cell.experiment for cell in own.record.cells} for own in studies.values()]
    # The paper's head in the open run stands in those that were recorded with it.
    (open_cell,) = (
        c for c in studies["claims"].record.cells if (c.variant, c.seed) == ("open", 1337)
    )
    assert sum(open_cell.experiment in own for own in shared) == 5


def test_the_shipped_detectors_are_those_that_were_sealed(studies):
    """What was scored before the labels were read is what is shipped: head and threshold."""
    study = published_study(PHOTOGRAPHS, "detectors")
    cells = {cell.variant: cell for cell in study.record.cells}
    for name in ("photographs", "photographs-paper", "photographs-2026-11"):
        described = json.loads((SHIPPED[name] / "detector.json").read_text())
        assert cells[name].threshold == described["threshold"]
        if WEIGHTS.path.is_file():
            assert cells[name].key == identity_of(Detector.load(SHIPPED[name]))
    assert studies["corruptions"].record.cells[0].threshold == cells["photographs"].threshold
    for own in (study, studies["claims"], studies["layers"]):
        seal = read_seal(own.directory)
        assert len(seal.openings) == 1 and seal.at < seal.openings[0].at
        for name, sha256 in seal.files.items():
            assert file_sha256(own.directory / name) == sha256, name


README_SENTENCE = (
    "On {real} photographs and {synthetic} generated images of {sources} sources that chose "
    "nothing about it, the default detector calls **{fpr}** of the photographs synthetic, where "
    "validation images promised {validation_fpr}, and finds **{recall}** of the generated images; "
    "its ROC AUC is **{roc_auc}**, that of size, bytes and format alone {metadata_roc_auc}."
)


def test_the_readme_says_how_good_the_default_detector_is():
    said = README_SENTENCE.format(**detector_facts(published_study(PHOTOGRAPHS, "detectors")))
    readme = (project_root() / "README.md").read_text(encoding="utf-8")
    assert said in " ".join(readme.split())


def test_a_disagreement_is_found(studies):
    one, other = studies["claims"], studies["weights"]
    cells = other.record.cells
    moved = cells[0].model_copy(update={"threshold": 0.5})
    record = other.record.model_copy(update={"cells": [moved, *cells[1:]]})
    assert disagreement(one, type(other)(other.directory, record)) == "constrained, seed 1337,"


def test_an_image_that_neither_could_read_is_no_disagreement(studies, monkeypatch):
    one = studies["claims"]
    logits = pd.Series([np.nan, 1.0], index=["unreadable", "read"])
    monkeypatch.setattr(type(one), "logits_of", lambda study, cell: logits)
    assert disagreement(one, one) is None


@pytest.mark.parametrize(("moved", "said"), [(1e-6, None), (1e-3, "constrained, seed 1337,")])
def test_another_kind_of_processor_may_move_a_threshold_a_little(studies, moved, said):
    one = studies["claims"]
    cell, *others = one.record.cells
    there = cell.model_copy(update={"threshold": cell.threshold + moved, "machine": "another"})
    record = one.record.model_copy(update={"cells": [there, *others]})
    assert disagreement(one, type(one)(one.directory, record)) == said


def test_effects_are_computed_from_the_committed_predictions(studies):
    for name in ("weights", "layers"):
        table = pd.read_csv(studies[name].directory / "effects.csv")
        found = studies[name].computed_effects()
        assert found["effect"].to_numpy() == pytest.approx(table["effect"].to_numpy(), abs=1e-12)
        assert found["verdict"].tolist() == table["verdict"].tolist()


def test_a_contrast_of_two_machines_says_so(studies):
    table = variants_table(studies["activation"])
    mixed = table["machines"].str.contains("; ", na=False)
    assert table.index[mixed].tolist() == ["constrained-gelu", "open-gelu"]
    assert not variants_table(studies["weights"])["machines"].str.contains("; ", na=False).any()


def test_the_heads_size_is_the_papers(studies):
    # W_p, b_p: 768 to 256; a weight a block; the classifier: 256 to 256 to 1 (paper, section 2).
    layers = 768 * 256 + 256 + 12 + (256 * 256 + 256) + (256 + 1)
    norms = 2 * 256  # of the author's classifier
    (trained,) = {c.parameters for c in studies["layers"].record.cells if c.variant == "open"}
    assert trained == layers + norms


def test_both_worlds_answer_the_same_claims(studies):
    demo = published_study(DEMO, "claims")
    table = claims_of_worlds(studies["claims"], demo)
    assert table["claim"].is_unique and table["claim"].tolist() == [c.text for c in claims()]
    official = table["claim"].str.contains("official")
    assert (table["photographs_verdict"] != "not measured").all()
    assert (table.loc[official, "demo_verdict"] != "not measured").any()
    assert (table.loc[table["claim"].str.contains("mean"), "demo_verdict"] == "not measured").all()
    by_claim = table.set_index("claim")
    own = claims_table(demo).set_index("claim")
    assert by_claim.loc[own.index, "demo"].equals(own["effect"].rename("demo"))
    cells = worlds_cells(table)
    assert "nan" not in cells.to_html() and (cells["photographs"] != "").all()
    assert cells["verdict"].str.contains("; corrected: ").sum() == 1
    assert (cells["demo"] == "").equals(table.set_index("claim")["demo"].isna())


def test_every_source_of_both_runs_is_drawn(studies):
    scored = studies["claims"].scored["local"]
    tables = {run: source_table(scored[run]) for run in ("constrained", "open")}
    table = pd.concat(tables, names=["run"]).droplevel(1)
    panels = draw_by_source(table, "estimate", "ROC AUC", line=0.5).axes
    drawn = {label.get_text() for axes in panels for label in axes.get_yticklabels()}
    assert drawn == set(source_names(tables["open"]["source"]))
    assert len(drawn) == tables["open"]["source"].nunique()


def test_errors_are_of_images_whose_content_is_known(studies):
    table = study_errors(studies["claims"], read_content(PHOTOGRAPHS))
    assert {"source", "content", "JPEG quality"} <= set(table["by"])


def test_demo_and_photographs_are_all_that_is_committed():
    assert list(published_studies(DEMO)) == ["claims"]
    assert read_shortcuts(PHOTOGRAPHS / "studies/claims")["run"].nunique() == 2


@pytest.mark.parametrize("text", [None, "", "name\nmetadata\n"])
def test_a_damaged_table_of_shortcut_features_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "shortcuts.csv").write_text(text)
    with pytest.raises(UserError, match=r"shortcut features|CSV"):
        read_shortcuts(tmp_path)


# --- descriptions ---------------------------------------------------------------------------------


def test_without_a_description_the_folders_speak(tmp_path):
    assert describe(tmp_path)["source"].tolist() == ["folder", "folder"]
    assert describe(tmp_path)["style"].isna().all()


def test_a_description_that_lacks_columns_says_what_it_can(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,style\na.png,photo\n")
    found = describe(tmp_path)
    assert found["style"].tolist()[0] == "photo" and pd.isna(found.loc["b.png", "style"])
    assert found["source"].tolist() == ["folder", "folder"]
    assert found["generator"].tolist()[1] == "from the folder"
    assert found["platform"].tolist()[0] == "a platform"


def describe(root):
    rows = pd.DataFrame(
        {
            "path": ["a.png", "b.png"],
            "source": "folder",
            "generator": np.array([None, "from the folder"], dtype=object),
            "platform": np.array(["a platform", None], dtype=object),
        }
    )
    return describe_images(Manifest(root, rows, pd.DataFrame(columns=["path", "reason"])))
