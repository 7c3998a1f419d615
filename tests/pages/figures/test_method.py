"""Stages, sizes and figures of the method are those of the detector itself."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from conftest import TINY, draw_image, tiny_detector
from layerfusion.analysis import architecture
from layerfusion.analysis.probes import class_tokens
from layerfusion.data.manifest import Manifest
from layerfusion.data.scanning import scan
from layerfusion.data.sources.folder import find_folder_images
from layerfusion.errors import UserError
from layerfusion.images.transforms import TrainingTransform, image_rng
from layerfusion.model.detector import Detector
from layerfusion.pages.figures import method as method_figures
from layerfusion.pages.figures.sheets import GAP
from layerfusion.settings import HeadSettings, load_profile


@pytest.fixture(scope="module")
def built():
    """Build a tiny detector once: nothing here changes one."""
    return load_profile("demo", TINY), tiny_detector()


@pytest.fixture(scope="module")
def validation(photos):
    files = find_folder_images(photos)
    scans = scan(photos, files, hash_files=False, decode_files=False)
    return Manifest.of_scans(photos, scans).select(split="val")


def test_stages_have_the_sizes_of_the_settings(built):
    profile, detector = built
    table = architecture.stages(detector)
    projected, hidden = profile.head.projection_width, profile.head.hidden_width
    tokens = (48 // 8) ** 2 + 1  # demo-tiny.json: patches of 8 px in 48 px; one class token
    expected = {
        "image": "3 × 48 × 48",
        "patch embedding": "32 × 6 × 6",
        "class token and positions": f"{tokens} × 32",
        **{f"block {number}": f"{tokens} × 32" for number in range(1, 5)},
        "class tokens h": "4 × 32",
        "projection": f"4 × {projected}",
        "fusion z": f"{projected}",
    }
    assert dict(list(table["output"].items())[: len(expected)]) == expected
    classifier = table.iloc[len(expected) :]
    assert list(classifier["output"]) == [f"{projected}"] * 2 + [f"{hidden}"] * 3 + ["1"]


def test_stages_hold_every_parameter_that_is_read(built):
    _, detector = built
    table = architecture.stages(detector)
    by_state = table.groupby("state")["parameters"].sum()
    counts = detector.parameter_counts()
    assert by_state["trained"] == counts["trained_blocks"] + counts["head"]
    visual = detector.encoder.visual
    unread = visual.proj.numel() + sum(p.numel() for p in visual.ln_post.parameters())
    assert by_state["frozen"] == counts["frozen"] - unread
    assert list(table.index[table["state"] == "trained"][:2]) == ["block 3", "block 4"]


def test_the_ablation_reads_the_last_block_only(built):
    profile, _ = built
    detector = tiny_detector(**{"head.blocks": "last"})
    width = profile.head.projection_width
    assert architecture.stages(detector).loc["projection", "output"] == f"1 × {width}"
    drawn = method_figures.overview(detector).axes[0].texts
    assert [t.get_text() for t in drawn if "alpha_{" in t.get_text()] == [r"$\alpha_{4}$"]


def test_of_the_last_block_for_the_class_token_alone_one_token_comes_out(built):
    _, detector = built
    spared = tiny_detector(**{"encoder.last_block": "class_token"})
    changed = architecture.stages(spared).compare(architecture.stages(detector))
    assert changed.index.tolist() == ["block 4"]
    assert changed.loc["block 4", ("output", "self")] == "1 × 32"


def test_weights_that_are_not_learned_are_drawn_and_counted_so(built):
    detector = tiny_detector(**{"head.blocks": "mean"})
    assert architecture.stages(detector).loc["fusion z"].tolist()[1:] == [0, ""]
    assert architecture.head_parameters({"head": detector.head}).loc["block logits", "head"] == 0
    texts = {text.get_text() for text in method_figures.overview(detector).axes[0].texts}
    assert "1/$L$ each, fixed" in texts and not any("softmax" in text for text in texts)


def test_the_papers_head_has_the_authors_counts():
    full = load_profile("paper")
    table = architecture.head_parameters({"paper": architecture.head_of(full.encoder, full.head)})
    assert list(table["paper"]) == [262_400, 24, 512, 65_792, 257, 328_985]


def test_a_head_by_its_settings_is_the_detectors(built):
    profile, _ = built
    for blocks in ("all", "last", "mean"):
        settings = profile.head.model_copy(update={"blocks": blocks})
        head = architecture.head_of(profile.encoder, settings)
        whole = Detector.build(profile.encoder, settings, profile.images).head
        table = architecture.head_parameters({"settings": head, "detector": whole})
        assert (table["settings"] == table["detector"]).all()
    with pytest.raises(UserError, match="knows no model"):
        architecture.head_of(
            profile.encoder.model_copy(update={"model": "no-such"}), HeadSettings()
        )


def test_curves_are_the_formulas():
    curves = architecture.activation_curves()
    np.testing.assert_allclose(curves["x"], np.arange(-400, 401) / 100, atol=1e-12)
    x = curves["x"]
    np.testing.assert_allclose(curves["quick_gelu"], x / (1 + np.exp(-1.702 * x)), atol=1e-12)
    normal = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x]
    np.testing.assert_allclose(curves["gelu"], normal, atol=1e-12)


def test_the_gap_is_that_of_the_class_tokens(built, validation):
    profile, _ = built
    one = architecture.spread(validation, 1)
    gap = architecture.activation_gap(profile, one)
    tokens = {}
    for activation in ("quick_gelu", "gelu"):
        detector = tiny_detector(**{"encoder.activation": activation})
        tokens[activation] = class_tokens(detector, one, profile.images, profile.loader)[0]
    for block, row in gap.iterrows():
        quick, plain = (tokens[name][block - 1] for name in ("quick_gelu", "gelu"))
        expected = math.dist(plain, quick) / math.hypot(*quick)
        assert row["low"] == row["median"] == row["high"] == pytest.approx(expected, rel=1e-4)
    assert list(gap.index) == list(range(1, 5))
    assert (gap["median"] > 0).all()


def test_spread_takes_every_folder(validation):
    some = architecture.spread(validation, 6).rows
    assert some["path"].is_unique
    assert set(some["label"]) == {0, 1}
    assert len(some) == 6
    everything = architecture.spread(validation, 10_000).rows
    pd.testing.assert_frame_equal(everything, validation.rows)


def test_overview_shows_the_detectors_sizes(built):
    profile, detector = built
    (axes,) = method_figures.overview(detector).axes
    words = [text.get_text() for text in axes.texts]
    assert f"Linear\n{profile.head.projection_width} → {profile.head.hidden_width}" in words
    assert f"Dropout\n{profile.head.dropout:g}" in words
    assert {"48 × 48 px", "patches of 8 × 8", "4", "frozen", "trained"} <= set(words)
    assert any("demo-tiny: 4 blocks of width 32" in word for word in words)
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert len(hatched) == 2 + 1  # frozen blocks, patch embedding
    frozen = tiny_detector(**{"encoder.trained_blocks": 0})
    (axes,) = method_figures.overview(frozen).axes
    assert len([patch for patch in axes.patches if patch.get_hatch()]) == 4 + 1


def test_a_crop_is_divided_into_its_patches():
    image = draw_image(np.random.default_rng(3), dark=False)
    crop = TrainingTransform(load_profile("demo", TINY).images)(image, image_rng(4, 0, 0))
    left, right = method_figures.patches(image, crop, 8).axes
    np.testing.assert_array_equal(left.images[0].get_array(), image)
    np.testing.assert_array_equal(right.images[0].get_array(), np.moveaxis(crop.numpy(), 0, -1))
    edges = [line.get_segments()[1][0, 0] for line in right.collections[:1]]
    assert edges == [7.5] and len(right.collections[0].get_segments()) == 48 // 8 + 1


def test_activation_figures_draw_their_tables():
    before = plt.get_fignums()
    curves = architecture.activation_curves()
    left, right = method_figures.activations(curves).axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), curves["quick_gelu"])
    np.testing.assert_array_equal(
        right.lines[-1].get_ydata(), curves["gelu"] - curves["quick_gelu"]
    )
    gap = pd.DataFrame({"low": [0.1, 0.2], "median": [0.2, 0.3], "high": [0.3, 0.4]}, index=[1, 2])
    (axes,) = method_figures.activation_gap(gap).axes
    assert list(axes.lines[0].get_ydata()) == [0.2, 0.3]
    assert plt.get_fignums() == before


def test_each_picture_of_a_strip_differs_by_its_step_alone(built):
    profile, _ = built
    image = draw_image(np.random.default_rng(3), dark=False)
    sheet = method_figures.augmentation_strips(image, profile.images, seed=4)
    assert [axis.get_ylabel() for axis in sheet.axes] == ["draw 1", "draw 2", "draw 3"]
    names = [text.get_text().split("\n")[0] for text in sheet.axes[0].texts]
    steps = ["flip", "colour jitter", "rotation", "JPEG", "down and up"]
    assert names == ["crop", *steps, "all steps", "as in training"]
    side = profile.images.crop
    for draw, axis in enumerate(sheet.axes):
        strip = np.asarray(axis.images[0].get_array())
        shown = {
            name: strip[:, place : place + side]
            for name, place in zip(names, range(0, strip.shape[1], side + GAP), strict=True)
        }
        np.testing.assert_array_equal(shown["flip"], shown["crop"][:, ::-1])
        for step in steps[1:]:  # what is left of the crop after a step is near it
            assert (shown[step] != shown["crop"]).any()
            assert np.abs(shown[step].astype(int) - shown["crop"]).mean() < 25
        if draw == 0:  # of the other draws the angles are small
            assert not shown["rotation"][0].min(axis=-1).all()  # corners turn black
        trained = TrainingTransform(profile.images)(image, image_rng(4, 0, draw)).numpy()
        np.testing.assert_array_equal(shown["as in training"], np.moveaxis(trained, 0, -1))
