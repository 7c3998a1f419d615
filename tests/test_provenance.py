"""Code hashes: what a run's numbers depend on, and what further numbers add to it."""

import pytest

from layerfusion import provenance
from layerfusion.paths import PACKAGE
from layerfusion.runs.conditions import MODULES
from layerfusion.studies.study import STUDY_MODULES


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The package's sources in a folder of their own, hashed instead of the real ones."""
    for path in PACKAGE.rglob("*.py"):
        target = tmp_path / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    return tmp_path


def changed(copy, module, also=()):
    """Say whether another line in a module changes the hash, for a process that starts after it."""
    before = provenance.code_sha256(also)
    with (copy / module).open("a") as file:
        file.write("# another line\n")
    assert provenance.code_sha256(also) == before  # this process has loaded the former code
    provenance._sources.cache_clear()
    return provenance.code_sha256(also) != before


@pytest.mark.parametrize(
    "module", ["training/loop.py", "model/fusion.py", "data/loading.py", "metrics/rates.py"]
)
def test_what_trains_and_evaluates_is_in_a_runs_hash(copy, module):
    assert changed(copy, module) and changed(copy, module, also=STUDY_MODULES)


@pytest.mark.parametrize(
    "module", [*STUDY_MODULES, "cli/demo.py", "figures/tables.py", "data/sources/coco.py"]
)
def test_what_comes_before_or_after_a_run_is_not(copy, module):
    assert not changed(copy, module)


@pytest.mark.parametrize("module", STUDY_MODULES)
def test_what_a_study_depends_on_is_in_its_hash(copy, module):
    assert changed(copy, module, also=STUDY_MODULES)
    assert changed(copy, module, also=MODULES) == (module in MODULES)


def test_a_misspelt_module_is_not_passed_over():
    with pytest.raises(ValueError, match="no module uncertain"):
        provenance.code_sha256(["uncertain.py"])


def test_every_name_that_is_left_out_exists():
    for name in provenance.PRESENTATION:
        assert (PACKAGE / name).exists()
