"""The project's own files agree: pins, environment, links, and the commands that pages name."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from documents import ROOT, command_of, command_tree, said

PAGES = ["README.md", *(f"book/{path.name}" for path in sorted((ROOT / "book").glob("*.md")))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Folders of somebody's machine, and hosts of package registries: in none of the project's files.
# Written as alternatives, which do not match their own source.
ABSOLUTE = r"(?<![\w.~$})])"
MACHINE_PATH = re.compile(ABSOLUTE + r"/(?:home|Users|root|work|private|tmp|opt)/\w")
REGISTRY = re.compile(
    r"(?:py)pi\.org|(?:python)hosted\.org|(?:download\.)pytorch\.org|(?:ana)conda\.(?:org|com)"
    r"|(?:registry\.)npmjs|\w+://\S+/(?:simple)\b"
)


def pins():
    """Versions in requirements.lock by package; one may be pinned twice, for two Pythons."""
    found: dict[str, set[Version]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        found.setdefault(canonicalize_name(requirement.name), set()).add(Version(pin.version))
    return found


def required():
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras.values() for line in extra)]
    requirements = [Requirement(line) for line in lines]
    return [requirement for requirement in requirements if requirement.name != PROJECT["name"]]


def project_files():
    """Every file that is in the repository or would enter it; links are seen by what they name."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize("requirement", required(), ids=lambda requirement: requirement.name)
def test_lock_satisfies_pyproject(requirement):
    versions = pins().get(canonicalize_name(requirement.name), set())
    assert versions, f"{requirement.name} is not in requirements.lock; run make lock"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_lock_names_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|^\s*-|@", text, flags=re.MULTILINE)


def test_every_pin_has_hashes_of_its_files():
    entries = re.split(r"\n(?! )", (ROOT / "requirements.hashes").read_text().strip())
    pinned = (ROOT / "requirements.lock").read_text().splitlines()
    assert [entry.partition(" \\\n")[0] for entry in entries] == pinned
    hashed = re.compile(r"[^@:\\\n]+( \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries if not hashed.fullmatch(entry)] == []


@pytest.mark.parametrize(
    "workflow", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name
)
def test_a_workflow_names_actions_by_commit_and_asks_for_little(workflow):
    text = workflow.read_text()
    assert re.findall(r"uses: (?!\S+@[0-9a-f]{40} # v\d)(.*)", text) == []
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_lock_has_what_must_come_together():
    locked = pins()
    assert {"torch", "torchvision"} <= locked.keys()
    # 2.x does not read _config.yml and _toc.yml.
    assert max(locked["jupyter-book"]) < Version("2")


def test_environment_is_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *from_conda, from_pip = environment["dependencies"]
    python, pip = (Requirement(line.replace("=", "==")) for line in from_conda)
    assert (python.name, pip.name) == ("python", "pip")
    supported = SpecifierSet(PROJECT["requires-python"])
    assert all(supported.contains(pin.version) for pin in python.specifier)
    # No version is named here, so there is none that could differ from the lock's.
    assert from_pip == {"pip": ["-r requirements.lock", "-e ."]}


def test_precommit_runs_the_locked_ruff():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (revision,) = (repo["rev"] for repo in config["repos"] if "ruff" in repo["repo"])
    assert Version(revision) in pins()["ruff"]


@pytest.mark.parametrize(
    "name", ["book", "src", "runs", "_config.yml", "_toc.yml", "tests", "environment.yml"]
)
def test_top_level(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", ["_config.yml", "_toc.yml"])
def test_book_links_to_its_configuration(name):
    link = ROOT / "book" / name
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / name


def test_pages_are_links_to_recorded_chapters():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    assert (ROOT / "book" / f"{toc['root']}.md").is_file()
    pages = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    chapters = [page for page in pages if not (ROOT / "book" / f"{page}.md").is_file()]
    scripts = [path.stem for path in (ROOT / "book").glob("[0-9][0-9]_*.py")]
    assert sorted(chapters) == sorted(scripts)
    for chapter in chapters:
        link = ROOT / "book" / f"{chapter}.ipynb"
        assert link.readlink() == Path(f"../runs/reference/demo/{chapter}.ipynb")


def test_pages_name_existing_targets():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = {page: {line.split()[0] for line in said(page, "make")} for page in PAGES}
    assert {"book", "test", "env"} <= named["README.md"]
    assert set().union(*named.values()) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_existing_commands_and_options(page):
    for line in said(page, "layerfusion"):
        command = command_of(line.replace("$name", "weights"))
        if command is None:  # a group by itself, as `layerfusion study`
            assert any(known.startswith(f"{line} ") for known in command_tree()), line
            continue
        options = {o for parameter in command_tree()[command].params for o in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line


def test_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [reference["year"] for reference in citation["references"]] == [2026]


@pytest.mark.parametrize(
    "pattern",
    [
        MACHINE_PATH,
        # This checkout's own place, unless it is as short as `/src`, which may mean anything.
        re.compile(ABSOLUTE + re.escape(f"{ROOT}/") if len(ROOT.parts) > 2 else r"(?!)"),
        REGISTRY,
    ],
    ids=["machine", "checkout", "registry"],
)
def test_no_file_names_a_machine_or_a_registry(pattern):
    found = []
    for path in project_files():
        data = path.read_bytes()
        if b"\0" in data:  # not text
            continue
        for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_are_for():
    somewhere = "/".join(["", "home", "ada", "checkout"])
    assert MACHINE_PATH.search(f'File "{somewhere}"')
    assert MACHINE_PATH.search(f"file://{somewhere}")
    assert not MACHINE_PATH.search("runs/work/out and https://example.org/home/page")
    assert REGISTRY.search("https://" + ".".join(["files", "python" + "hosted", "org"]))
    assert REGISTRY.search("https://mirror.example/" + "simple/")
    assert not REGISTRY.search("a simple sentence about anaconda")


def test_every_variable_that_is_read_is_in_the_table_of_variables():
    text = (ROOT / "book" / "reproducing.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(LAYERFUSION_\w+)` \|", text, flags=re.MULTILINE))
    read: set[str] = set()
    for folder in ("src", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            read |= set(re.findall(r"LAYERFUSION_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert told == read
