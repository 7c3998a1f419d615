"""What a record says of its origin: the recipe that keys go by, and the code that was there."""

from layerfusion import provenance
from layerfusion.paths import PACKAGE


def code(monkeypatch, package):
    """Hash the package's sources in another folder."""
    monkeypatch.setattr(provenance, "PACKAGE", package)
    provenance.code_sha256.cache_clear()
    return provenance.code_sha256()


def test_code_is_known_by_its_contents_as_the_process_found_it(tmp_path, monkeypatch):
    module = tmp_path / "model" / "fusion.py"
    module.parent.mkdir()
    module.write_bytes((PACKAGE / "model" / "fusion.py").read_bytes())
    before = code(monkeypatch, tmp_path)
    module.write_text("another = 1\n")
    assert provenance.code_sha256() == before  # this process has loaded the former code
    assert code(monkeypatch, tmp_path) != before
    provenance.code_sha256.cache_clear()


def test_a_record_names_recipe_code_and_libraries():
    made = provenance.provenance()
    assert made["recipe"] >= 1 and len(made["code_sha256"]) == 64
    assert made["libraries"] == provenance.library_versions()
