"""Probes find what a block holds and nothing where there is nothing; figures draw their tables."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from conftest import tiny_detector
from layerfusion.analysis.probes import class_tokens, linear_probe, probe_blocks
from layerfusion.analysis.shortcuts import report_shortcut
from layerfusion.data.loading import EvaluationImages
from layerfusion.data.opening import open_data
from layerfusion.errors import UserError
from layerfusion.images.reading import ImageError
from layerfusion.pages.figures.probes import (
    probes_over_depth,
    radial_spectra,
    shortcut_cells,
    shortcuts_beside,
)

WIDTH = 6


def fabricated(classes, signals, *, images=400, seed=0):
    """Tokens in which block l tells its class by `signals[l]` standard deviations, and its class.

    The first two features of a block turn with the class; all else is noise, of a scale and place
    of its own, as the residual stream's features have them.
    """
    rng = np.random.default_rng(seed)
    target = np.arange(images) % classes
    angle = 2 * np.pi * target / classes
    tokens = rng.normal(size=(images, len(signals), WIDTH))
    for block, signal in enumerate(signals):
        tokens[:, block, 0] += signal * np.cos(angle)
        tokens[:, block, 1] += signal * np.sin(angle)
    scale = np.random.default_rng(1).uniform(0.1, 10, WIDTH)
    return (tokens * scale + 5 * scale).astype(np.float32), target


@pytest.fixture
def photographs(photos, tiny_profile, tmp_path):
    return open_data(tiny_profile.data, data_root=photos, cache=tmp_path).select(split="val")


@pytest.fixture
def detector():
    return tiny_detector()


def test_tokens_are_the_encoders(detector, photographs, tiny_profile):
    tokens = class_tokens(detector, photographs, tiny_profile.images, tiny_profile.loader)
    files = [photographs.root / path for path in photographs.rows["path"]]
    crops = EvaluationImages(files, tiny_profile.images)
    pixels = torch.stack([crops[index][1] for index in range(len(crops))]) / 255
    with torch.no_grad():
        expected = detector.encoder((pixels - detector.mean) / detector.std)
    assert tokens.shape == (24, 4, 32) and tokens.dtype == np.float32
    np.testing.assert_allclose(tokens, expected.numpy(), atol=1e-5)


def test_batches_and_training_mode_change_no_token(detector, photographs, tiny_profile):
    small = tiny_profile.loader.model_copy(update={"evaluation_batch_size": 7})
    done, images = [], tiny_profile.images
    note = {"progress": lambda *counts: done.append(counts)}
    tokens = class_tokens(detector.train(), photographs, images, small, **note)
    expected = class_tokens(detector, photographs, tiny_profile.images, tiny_profile.loader)
    np.testing.assert_allclose(tokens, expected, atol=1e-5)
    assert done == [(7, 24), (14, 24), (21, 24), (24, 24)]


def test_an_unreadable_file_ends_it(detector, photographs, tiny_profile):
    photographs.rows.loc[3, "path"] = "val/gone.png"
    with pytest.raises(ImageError, match=r"gone\.png"):
        class_tokens(detector, photographs, tiny_profile.images, tiny_profile.loader)
    with pytest.raises(UserError, match="no images"):
        class_tokens(detector, photographs.select("test"), tiny_profile.images, tiny_profile.loader)


def test_a_probe_finds_the_one_block_that_knows():
    signals = [0] * 5 + [1.5] + [0] * 14
    table = probe_blocks(*fabricated(2, signals), *fabricated(2, signals, seed=2))
    assert list(table["tokens"]) == [*(f"block {number}" for number in range(1, 21)), "all blocks"]
    assert list(table["block"])[:20] == list(range(1, 21)) and table["block"].isna().iloc[20]
    assert set(table["measure"]) == {"ROC AUC"} and set(table["chance"]) == {0.5}
    # Two Gaussians 2 x 1.5 standard deviations apart: AUC = Phi(3 / sqrt 2).
    assert table["score"][5] == pytest.approx(0.983, abs=0.02)
    assert table["low"][20] > 0.9
    others = table.drop([5, 20])
    np.testing.assert_allclose(others["score"], 0.5, atol=0.12)
    # Chance lies in about 95 of 100 intervals.
    assert others["chance"].between(others["low"], others["high"]).sum() >= 16


def test_gain_is_over_the_last_block_and_paired():
    signals = [1.5, 0.5, 0.5]
    table = probe_blocks(*fabricated(2, signals), *fabricated(2, signals, seed=2))
    np.testing.assert_allclose(table["gain"], table["score"] - table["score"].iloc[2])
    assert table["gain_low"].iloc[0] > 0
    assert table["gain_low"].iloc[1] < 0 < table["gain_high"].iloc[1]
    assert (table.loc[2, ["gain", "gain_low", "gain_high"]] == 0).all()


def test_more_than_two_kinds_are_scored_by_accuracy_beside_the_commonest_ones_share():
    signals = [0, 4]
    tokens, target = fabricated(5, signals)
    other_tokens, other = fabricated(5, signals, seed=2)
    kept = (other != 0) | (np.arange(len(other)) < 200)  # of class 0 half, of the others all
    names = np.array(["beach", "city", "forest", "room", "street"])
    table = probe_blocks(tokens, names[target], other_tokens[kept], names[other[kept]])
    assert set(table["measure"]) == {"accuracy"}
    assert table["chance"].iloc[0] == pytest.approx(80 / 360)
    assert table["score"].iloc[0] < 0.3
    assert table["score"].iloc[1] > 0.9
    assert (table["low"] <= table["score"]).all() and (table["score"] <= table["high"]).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_are_scikit_learns(classes):
    (train, known), (test, asked) = (fabricated(classes, [1, 0.3], seed=seed) for seed in (0, 1))
    table = probe_blocks(train, known, test, asked)
    for block, score in enumerate(table["score"]):
        parts = (h[:, block] if block < 2 else h.reshape(len(h), -1) for h in (train, test))
        x, y = (part.astype(np.float64) for part in parts)
        scaler = StandardScaler().fit(x)
        reference = LogisticRegression(C=10 / x.shape[1], max_iter=1000, tol=1e-8)
        reference.fit(scaler.transform(x), known)
        if classes == 2:
            expected = roc_auc_score(asked, reference.decision_function(scaler.transform(y)))
        else:
            expected = accuracy_score(asked, reference.predict(scaler.transform(y)))
        assert score == pytest.approx(expected, abs=1 / 400)


def test_a_probe_converges_where_more_features_than_images_separate_everything():
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(60, 1000)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear_probe(1000).fit(tokens, np.arange(60) % 2)


def test_targets_may_come_from_a_manifest():
    tokens, target = fabricated(2, [1.0])
    plain = probe_blocks(tokens, target, tokens, target)
    label = pd.Series(target, dtype="Int8")
    pd.testing.assert_frame_equal(probe_blocks(tokens, label, tokens, label), plain)
    names = label.map({0: "indoors", 1: "outdoors"}).astype("category")
    pd.testing.assert_frame_equal(probe_blocks(tokens, names, tokens, names), plain)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h, y: (h, y, h[:, :1], y), "same blocks and width"),
        (lambda h, y: (h, y[1:], h, y), "one value an image"),
        (lambda h, y: (h[:0], y[:0], h, y), "not empty"),
        (lambda h, y: (h, np.zeros_like(y), h, y), "at least two values"),
        (lambda h, y: (h, y, h, np.ones_like(y)), "at least two values"),
        (lambda h, y: (h, y, h, pd.Series(y, dtype="Int8").replace(1, pd.NA)), "no value"),
    ],
)
def test_bad_input_is_one_sentence(change, words):
    with pytest.raises(UserError, match=words) as caught:
        probe_blocks(*change(*fabricated(2, [0, 0], images=20)))
    assert "\n" not in str(caught.value)


def test_a_panel_for_each_probe_shows_its_scores():
    forensic = probe_blocks(*fabricated(2, [1, 0, 2]), *fabricated(2, [1, 0, 2], seed=1))
    content = probe_blocks(*fabricated(3, [1, 2, 0]), *fabricated(3, [1, 2, 0], seed=1))
    left, right = probes_over_depth(content, forensic).axes
    for axes, table in ((left, content), (right, forensic)):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        np.testing.assert_allclose(lines["one block"], table["score"][:3])
        assert lines["last block"][0] == table["score"][2]
        assert lines["all blocks"][0] == table["score"][3]
        assert lines["chance"][0] == table["chance"][0]
    (only,) = probes_over_depth(None, forensic).axes
    assert only.get_ylabel() == "ROC AUC of a linear probe"


def test_shortcuts_stand_beside_the_detector_without_code_names():
    label = np.array([0, 0, 1, 1])
    found = {"bytes_per_pixel alone": [0, 2, 1, 3], "open run": [0, 1, 2, 3]}
    rows = [report_shortcut(name, "bytes_per_pixel", label, score) for name, score in found.items()]
    table = pd.DataFrame(rows)
    (axes,) = shortcuts_beside(table).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["bytes per pixel alone", "open run"]
    assert axes.containers[0].lines[0].get_xdata().tolist() == [0.75, 1.0]
    cells = shortcut_cells(table)
    assert cells.index.tolist() == names and cells["ROC AUC"].iloc[0].startswith("0.750 [")


def test_spectra_are_drawn_by_class_and_by_common_generators(photographs):
    photographs.rows["generator"] = None
    photographs.rows.loc[photographs.rows["label"] == 1, "generator"] = ["one"] * 11 + ["two"]
    spectra = np.random.default_rng(0).normal(size=(24, 5))
    spectra[photographs.rows["label"] == 1] += 1
    left, right = radial_spectra(photographs, spectra).axes
    assert [line.get_label() for line in left.lines] == ["real (12)", "synthetic (12)", "one (11)"]
    np.testing.assert_allclose(right.lines[0].get_ydata(), 0, atol=1e-12)
    synthetic, real = (spectra[photographs.rows["label"] == value].mean(0) for value in (1, 0))
    np.testing.assert_allclose(right.lines[1].get_ydata(), synthetic - real)
    photographs.rows["generator"] = "the only one"
    assert len(radial_spectra(photographs, spectra).axes[0].lines) == 2
    photographs.rows["label"] = pd.Series([1] * 24, dtype="Int8")
    with pytest.raises(UserError, match="one is missing"):
        radial_spectra(photographs, spectra)
