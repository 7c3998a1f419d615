"""Shortcut detectors find what gives a set away, and nothing where nothing does."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from conftest import manifest_rows
from layerfusion.analysis.shortcuts import (
    METADATA,
    radial_spectra,
    radial_spectrum,
    report_shortcut,
    shortcut_baselines,
)
from layerfusion.data.manifest import Manifest
from layerfusion.data.metadata import metadata_features
from layerfusion.data.opening import open_data
from layerfusion.errors import UserError

SIDE = 32


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder of 60 pictures of white noise, the odd ones of them blurred."""
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for index in range(60):
        pixels = rng.normal(128, 20, (64, 64, 3))
        if index % 2:
            pixels = (pixels + np.roll(pixels, 1, 0) + np.roll(pixels, 1, 1)) / 3
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / f"{index:02d}.png")
    return root


def manifest(root, label, **columns):
    """A manifest of the folder's pictures, whose files might be of any kind."""
    names = [f"{index % 60:02d}.png" for index in range(len(label))]
    table = pd.DataFrame({"path": names, "label": label, "bytes": 50_000} | columns)
    rows = manifest_rows(*table.to_dict("records"))
    return Manifest(root, rows, pd.DataFrame(columns=["path", "reason"]))


def table(train, validation, profile):
    found = shortcut_baselines(train, profile.images, profile.loader, validation=validation)
    return found.set_index("name")


def test_the_format_gives_everything_away(noise, tiny_profile):
    label = np.arange(60) // 30
    formats = np.where(label == 1, "PNG", "JPEG")
    images = manifest(noise, label, format=formats)
    found = table(images, images, tiny_profile)
    assert list(found.index) == ["metadata", *(f"{n} alone" for n in METADATA), "radial spectrum"]
    assert found.loc["metadata", "features"] == ", ".join(METADATA)
    for name in ("metadata", "format alone"):
        assert found.loc[name, "roc_auc"] == found.loc[name, "f1"] == 1
    constant = found.loc["width alone"]
    assert (constant[["roc_auc", "roc_auc_low", "roc_auc_high", "average_precision"]] == 0.5).all()
    assert constant["f1"] == pytest.approx(2 / 3)


def test_where_nothing_differs_metadata_is_chance(noise, tiny_profile):
    rng = np.random.default_rng(3)

    def drawn():
        return manifest(
            noise,
            np.arange(300) % 2,
            width=rng.integers(300, 2000, 300),
            height=rng.integers(300, 2000, 300),
            bytes=rng.integers(10_000, 90_000, 300),
            format=rng.choice(["JPEG", "PNG"], 300),
        )

    found = table(drawn(), drawn(), tiny_profile).drop("radial spectrum")
    # Three standard errors of an AUC of 0.5 with 150 images of each class.
    np.testing.assert_allclose(found["roc_auc"], 0.5, atol=0.1)


def test_an_exact_size_among_others_gives_away(noise, tiny_profile):
    rng = np.random.default_rng(3)
    label = np.arange(200) % 2
    width = np.where(label == 1, 512, rng.integers(300, 800, 200))
    images = manifest(noise, label, width=width, height=width[::-1])
    assert table(images, images, tiny_profile).loc["width alone", "roc_auc"] > 0.95


def test_an_unseen_format_is_no_error(noise, tiny_profile):
    label = np.arange(60) // 30
    train = manifest(noise, label, format=np.where(label == 1, "PNG", "JPEG"))
    other = manifest(noise, label, format=np.where(label == 1, "WEBP", "JPEG"))
    assert np.isfinite(table(train, other, tiny_profile)["roc_auc"]).all()


def test_detail_gives_away_what_metadata_do_not(noise, tiny_profile):
    images = manifest(noise, np.arange(60) % 2)
    found = table(images, images, tiny_profile)
    assert found.loc["metadata", "roc_auc"] == 0.5
    assert found.loc["radial spectrum", "roc_auc"] > 0.99
    assert found.loc["radial spectrum", "features"] == "log power at 24 radii"


def test_unlabelled_images_are_left_out(noise, tiny_profile):
    label = [0, 1] * 20
    images = manifest(noise, label)
    more = manifest(noise, [*label, *[None] * 10], bytes=[50_000] * 40 + [1] * 10)
    pd.testing.assert_frame_equal(
        shortcut_baselines(more, tiny_profile.images, tiny_profile.loader, validation=more),
        shortcut_baselines(images, tiny_profile.images, tiny_profile.loader, validation=images),
    )


def test_a_missing_class_is_one_sentence(noise, tiny_profile):
    both, real = manifest(noise, [0, 1] * 5), manifest(noise, [0, None] * 5)
    for train, validation, what in ((real, both, "training"), (both, real, "validation")):
        with pytest.raises(UserError, match=f"real and synthetic {what} images"):
            table(train, validation, tiny_profile)


def test_metadata_are_those_of_the_files(noise):
    features = metadata_features(manifest(noise, [0], width=200, height=100, bytes=5000).rows)
    assert features.to_dict("records") == [
        {
            "width": 200.0,
            "height": 100.0,
            "aspect": 2.0,
            "megapixels": 0.02,
            "bytes": 5000.0,
            "bytes_per_pixel": 0.25,
            "format": "JPEG",
        }
    ]


def test_a_report_is_scikit_learns():
    rng = np.random.default_rng(0)
    label = np.arange(100) % 2
    score = rng.normal(label, 1)
    found = report_shortcut("ours", "pixels", label, score)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(label, score))
    assert found["average_precision"] == pytest.approx(average_precision_score(label, score))
    assert found["f1"] == pytest.approx(max(f1_score(label, score >= t) for t in score))
    assert found["roc_auc_low"] < found["roc_auc"] < found["roc_auc_high"]


@settings(max_examples=100, deadline=None)
@given(
    u=st.integers(-SIDE // 2 + 1, SIDE // 2 - 1),
    v=st.integers(-SIDE // 2 + 1, SIDE // 2 - 1),
    phase=st.floats(0, 2 * np.pi),
    amplitude=st.floats(1, 100),
    grey=st.floats(0, 255),
)
def test_a_wave_peaks_at_its_radius(u, v, phase, amplitude, grey):
    radius = np.hypot(u, v)
    assume(1.5 <= radius <= SIDE // 2 - 1)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    wave = grey + amplitude * np.cos(2 * np.pi * (u * x + v * y) / SIDE + phase)
    (spectrum,) = radial_spectrum(wave[None])
    assert spectrum.shape == (SIDE // 2,)
    assert abs(1 + np.argmax(spectrum) - radius) <= 1
    # Grey level and phase are not in it; the power of a whole wave goes with its amplitude squared.
    (doubled,) = radial_spectrum(2 * wave[None])
    peak = np.argmax(spectrum)
    power, larger = (10 ** values[peak] - 1 / 12 for values in (spectrum, doubled))
    assert larger == pytest.approx(4 * power, rel=1e-6)


def test_white_noise_has_its_variance_at_every_radius_and_a_flat_image_that_of_rounding():
    pixels = np.random.default_rng(0).normal(100, 7, (200, 48, 48))
    power = (10 ** radial_spectrum(pixels) - 1 / 12).mean(axis=0)
    np.testing.assert_allclose(power[1:], 49, rtol=0.1)
    assert 0.75 * 49 < power[0] < 49  # part of it went with the mean
    np.testing.assert_allclose(radial_spectrum(np.full((1, 48, 48), 9.0)), -np.log10(12))


def test_spectra_are_those_of_the_luminance_of_the_crops(photos, tiny_profile, tmp_path):
    images = open_data(tiny_profile.data, data_root=photos, cache=tmp_path).select(split="val")
    spectra = radial_spectra(images, tiny_profile.images, tiny_profile.loader)
    assert spectra.shape == (24, 24) and spectra.dtype == np.float64
    pixels = np.asarray(Image.open(images.root / images.rows["path"][5]), dtype=float)
    left, top = ((side - 48) // 2 for side in (pixels.shape[1], pixels.shape[0]))
    crop = pixels[top : top + 48, left : left + 48] @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(spectra[5], radial_spectrum(crop[None])[0])
