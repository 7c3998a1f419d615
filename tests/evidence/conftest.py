"""The toy with reference scores, an inspector of it, and a browser, for all tests of reports."""

import shutil

import numpy as np
import pandas as pd
import pytest

from browsing import chromium
from layerfusion.evidence.inspection import Inspector
from layerfusion.scoring.reference import write_reference
from layerfusion.scoring.shipped import DEMO_FOLDER


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """The toy's folder, with scores that it can be compared with."""
    folder = tmp_path_factory.mktemp("inspect") / "detector"
    shutil.copytree(DEMO_FOLDER, folder)
    label = np.arange(200) % 2
    logit = np.random.default_rng(0).normal(label * 2.0)
    write_reference(pd.DataFrame({"label": label, "logit": logit}), folder)
    return folder


@pytest.fixture(scope="session")
def inspector(detector):
    return Inspector.load(detector)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    yield from chromium(tmp_path_factory.mktemp("chromium"))
