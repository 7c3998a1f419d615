"""Executing chapters: what is kept, what is published, what is repeated, what a reader is shown."""

import hashlib
import shutil
from multiprocessing import get_context

import nbformat
import pytest

from layerfusion import paths
from layerfusion.errors import UserError
from layerfusion.files import alone
from layerfusion.pages.chapters import execution
from layerfusion.pages.chapters import parameters as chapters
from layerfusion.pages.chapters.execution import build_book, run_chapters
from layerfusion.paths import PACKAGE

ROOT = PACKAGE.parents[1]
FAILS = "raise ValueError('broken')"


@pytest.fixture
def small_book(tmp_path, monkeypatch):
    """A project of its own with one quick chapter, whose text each test may replace."""
    root = tmp_path / "project"
    (root / "book").mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", root / "book")
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    shutil.copytree(ROOT / "book" / "_ext", root / "book" / "_ext")
    (root / "book" / "_toc.yml").write_text("format: jb-book\nroot: 00_small\n")
    chapter = root / "book" / "00_small.py"
    header = (ROOT / "book" / "00_data.py").read_text().split("# %%")[0]

    def write(code):
        parameters = '# %% tags=["parameters"]\nprofile = "demo"\nseed = 1337\n'
        chapter.write_text(f"{header}# %% [markdown]\n# # Small\n\n{parameters}\n# %%\n{code}\n")

    write("print(seed)")
    for module in (chapters, execution, paths):
        monkeypatch.setattr(module, "project_root", lambda: root)
    return root, write


def printed(path):
    """What a notebook's last cell printed."""
    return nbformat.read(path, as_version=4).cells[-1].outputs[0].text.strip()


def test_a_chapter_that_fails_replaces_nothing(small_book):
    root, write = small_book
    (good,) = run_chapters([], parameters={}, publish=True).notebooks
    published = root / "runs" / "reference" / "demo" / "00_small.ipynb"
    before = good.read_bytes(), published.read_bytes()
    write(FAILS)
    executed = run_chapters([], parameters={}, publish=True)
    assert executed.notebooks == []
    with pytest.raises(UserError, match=r"chapter 00_small failed: broken \(the failed notebook"):
        executed.check()
    assert (good.read_bytes(), published.read_bytes()) == before


def test_chapters_and_books_are_made_by_one_process_at_a_time(small_book):
    executed = run_chapters([], parameters={})
    made = paths.runs_root() / "demo"
    with alone(made / "chapters", ""), pytest.raises(UserError, match="another process is exec"):
        run_chapters([], parameters={})
    with alone(made / "book", ""), pytest.raises(UserError, match="another process is building"):
        build_book("demo", executed)


def test_a_failure_keeps_no_other_chapter_from_its_end(small_book):
    root, write = small_book
    other = root / "book" / "01_other.py"
    shutil.copy(root / "book" / "00_small.py", other)
    write(FAILS)
    executed = run_chapters([], parameters={}, publish=True)
    assert [path.stem for path in executed.notebooks] == ["01_other"]
    assert list(executed.failures) == ["00_small"]
    assert not (root / "runs" / "reference").exists()


def test_chapters_that_train_and_others_are_executed_side_by_side(small_book, monkeypatch):
    root, write = small_book
    monkeypatch.setattr(execution, "get_context", lambda _: get_context("fork"))  # keeps the patch
    for name in ("00_data", "02_constrained_run", "08_ablations"):
        shutil.copy(root / "book" / "00_small.py", root / "book" / f"{name}.py")
    write(FAILS)
    shutil.move(root / "book" / "00_small.py", root / "book" / "10_photographs.py")
    executed = run_chapters([], parameters={}, publish=True)
    names = [path.stem for path in executed.notebooks]
    assert names == ["00_data", "02_constrained_run", "08_ablations"]
    assert all(printed(path) == "1337" for path in executed.notebooks)
    assert list(executed.failures) == ["10_photographs"]


def test_a_book_shows_the_last_good_execution_also_of_a_chapter_that_fails_then(small_book):
    _, write = small_book
    page = build_book("demo", run_chapters([], parameters={}))
    assert page.is_file() and "1337" in page.with_name("00_small.html").read_text()
    write(FAILS)
    page = build_book("demo", run_chapters([], parameters={}))
    text = page.with_name("00_small.html").read_text()
    assert "1337" in text and "broken" not in text


def test_a_chapter_that_never_came_to_its_end_makes_no_book(small_book):
    _, write = small_book
    write(FAILS)
    with pytest.raises(UserError, match="never came to its end before"):
        build_book("demo", run_chapters([], parameters={}))


def test_running_without_publishing_leaves_the_committed_ones_alone(small_book):
    root, write = small_book
    run_chapters([], parameters={}, publish=True)
    published = root / "runs" / "reference" / "demo" / "00_small.ipynb"
    before = published.read_bytes()
    write("print(seed + 1)")
    (path,) = run_chapters(["00"], parameters={"seed": 5}).notebooks
    assert published.read_bytes() == before
    assert printed(path) == "6"


def test_executing_twice_gives_the_same_file_which_says_when_and_of_what_it_was_made(small_book):
    (first,) = run_chapters(["00_small.py"], parameters={}).notebooks
    notebook = nbformat.read(first, as_version=4)
    run_chapters(["book/00_small.py"], parameters={}, again=True)
    second = nbformat.read(first, as_version=4)
    for one in (notebook, second):
        assert len(one.metadata.layerfusion.pop("recorded")) == 10  # it may be midnight
    assert notebook == second
    origin, script = second.metadata.layerfusion, chapters.chapter_paths()["00_small"]
    assert origin.profile == "demo"
    assert origin.source_sha256 == hashlib.sha256(script.read_bytes()).hexdigest()


def test_only_what_has_changed_is_executed_again(small_book):
    root, write = small_book
    count = root / "count"
    write(f"with open({str(count)!r}, 'a') as file:\n    print(seed, file=file)")
    for parameters in ({}, {}, {"seed": 5}, {"seed": 5}):
        run_chapters([], parameters=parameters)
    assert count.read_text().split() == ["1337", "5"]
    write(f"with open({str(count)!r}, 'a') as file:\n    print('new', file=file)")
    run_chapters([], parameters={"seed": 5})
    run_chapters([], parameters={"seed": 5}, again=True)
    assert count.read_text().split() == ["1337", "5", "new", "new"]


def test_a_changed_image_has_chapters_executed_again(small_book, photos, tmp_path):
    images = shutil.copytree(photos, tmp_path / "images")
    given = {"data_root": str(images), "settings": {"data.sources": [{"kind": "folder"}]}}
    root, write = small_book
    count = root / "count"
    write(
        "data_root, settings = None, {}\n"
        f"with open({str(count)!r}, 'a') as file:\n    print('run', file=file)"
    )
    run_chapters([], parameters=given)
    run_chapters([], parameters=given)
    assert count.read_text().split() == ["run"]
    (images / "val" / "real" / "00.png").unlink()
    run_chapters([], parameters=given)
    assert count.read_text().split() == ["run", "run"]


def test_another_profile_leaves_out_what_is_about_the_demo(small_book, monkeypatch):
    _, write = small_book
    write("print('about the demo')")
    monkeypatch.setattr(execution, "DEMO_CHAPTERS", ("00",))
    run_chapters([], parameters={}, publish=True)
    executed = run_chapters([], profile="folder", parameters={})
    assert executed.notebooks == []
    page = build_book("folder", executed)
    assert "about the demo" in page.with_name("00_small.html").read_text()


def test_the_commands_execute_chapters_and_build_a_book(small_book, photos, run):
    _, write = small_book
    status, out, err = run("chapters", "run", "00_small")
    assert (status, out.split()[-1].split("/")[-1]) == (0, "00_small.ipynb"), err
    write("data_root = None\nprint(seed * 1000)")
    status, out, err = run("book", "--profile", "folder", "--data-root", photos, "--seed", 7)
    assert status == 0 and "\nopen " in out, err
    page = next(paths.runs_root().glob("folder/book/**/html/*small.html"))
    assert "7000" in page.read_text()
