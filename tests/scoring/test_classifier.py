"""A detector where scikit-learn expects a classifier."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.model_selection import cross_val_predict

from conftest import draw_image
from layerfusion import Detector, ImageClassifier, score
from layerfusion.errors import UserError
from layerfusion.images.reading import ImageError
from layerfusion.scoring.detectors import DEMO_FOLDER


@pytest.fixture(scope="module")
def detector():
    return Detector.load(DEMO_FOLDER)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number:02d}.png" for number in range(12)]
    for number, path in enumerate(paths):
        draw_image(np.random.default_rng(number), dark=number % 2 == 0, size=(80, 70)).save(path)
    return [str(path) for path in paths], np.arange(12) % 2


def test_probabilities_are_those_of_score_in_the_images_order(detector, images):
    paths, _ = images
    backwards = paths[::-1]
    found = ImageClassifier(detector).predict_proba(backwards)
    assert found.shape == (12, 2) and found.dtype == np.float64
    assert np.allclose(found.sum(axis=1), 1)
    table = score(paths, detector).iloc[::-1]
    assert np.allclose(found[:, 1], table["probability"], atol=1e-6)
    assert ImageClassifier(detector).predict(backwards).tolist() == table["predicted"].tolist()


def test_fitting_chooses_the_threshold_of_the_largest_f1(detector, images):
    paths, labels = images
    classifier = ImageClassifier(detector).fit(paths, labels)
    synthetic = classifier.predict_proba(paths)[:, 1]
    best = max(f1_score(labels, synthetic >= at) for at in synthetic)
    assert f1_score(labels, classifier.predict(paths)) == pytest.approx(best)


def test_scikit_learns_tools_take_it(detector, images):
    paths, labels = np.array(images[0]), images[1]
    classifier = clone(ImageClassifier(None)).set_params(detector=detector)
    assert cross_val_predict(classifier, paths, labels, cv=3).shape == (12,)
    assert 0 <= classifier.fit(paths, labels).score(paths, labels) <= 1
    assert classifier.classes_.tolist() == [0, 1]


def test_no_images_and_bad_ones(detector, images, tmp_path):
    classifier = ImageClassifier(detector)
    assert classifier.predict_proba([]).shape == (0, 2)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"broken\.png"):
        classifier.predict([images[0][0], tmp_path / "broken.png"])
    with pytest.raises(UserError, match="do not fit"):
        classifier.fit(images[0], [0, 1])
    with pytest.raises(UserError, match="both of them"):
        classifier.fit(images[0], [1] * 12)
    with pytest.raises(UserError, match="give a list of paths"):
        classifier.predict(images[0][0])
