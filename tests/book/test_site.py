"""The built site: complete, no link broken, no request elsewhere, readable dark and small."""

import functools
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from typer.main import get_command

import layerfusion
from browsing import CONTRAST, ENOUGH, chromium, failures
from layerfusion.cli.main import app as command_line
from layerfusion.pages.chapters.source import read_chapter
from layerfusion.paper import numbers as paper
from networks import close_network

bs4 = pytest.importorskip("bs4")
pytest.importorskip("jupyter_book")

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("[0-9][0-9]_*.py"))
PARTS = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
PAGES = sorted(["index", *(page["file"] for part in PARTS for page in part["chapters"])])

Built = tuple[Path, subprocess.CompletedProcess[str]]
View = tuple[int, str, dict[str, dict[str, Any]]]  # width, colours, facts by page


def jupyter_book(book, *options, **environment):
    """Build a book as the README says: `jupyter-book build book`, beside it."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", book.name, *options]
    return subprocess.run(
        command,
        cwd=book.parent,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A copy of what the site is made of, built without a network; what the build said."""
    root = tmp_path_factory.mktemp("checkout")
    attempts = close_network(root)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, root)
    ignore = shutil.ignore_patterns("_build", "__pycache__", ".ipynb_checkpoints")
    for name in ("book", "runs/reference"):  # links between the two stay links
        shutil.copytree(ROOT / name, root / name, symlinks=True, ignore=ignore)
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = jupyter_book(root / "book", PYTHONPATH=paths)
    assert not attempts.exists(), attempts.read_text()
    return root / "book" / "_build" / "html", done


@pytest.fixture(scope="session")
def site(built):
    """The folder of the built site."""
    html, done = built
    if done.returncode:
        pytest.fail("no site was built: see the test of the build", pytrace=False)
    return html


@pytest.fixture(scope="session")
def pages(site):
    """Every page of the site by its file's name, parsed."""
    return {
        path.name: bs4.BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in site.glob("*.html")
    }


def recorded_outputs(chapter):
    """What a chapter's committed notebook displays: texts by their MIME type."""
    path = ROOT / "book" / f"{chapter}.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output.data for output in outputs if "data" in output]


def test_the_build_has_no_warning(built):
    _, done = built
    words = ("WARNING", "ERROR", "Error: ", "cannot be shown")
    assert [line for line in done.stdout.splitlines() if any(word in line for word in words)] == []
    assert done.returncode == 0, done.stdout[-1000:]


def test_pages_are_named_as_their_chapters(site):
    made = {path.stem for path in site.glob("*.html")} - {"genindex", "search"}
    assert sorted(made) == PAGES
    assert set(CHAPTERS) < made


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_every_recorded_figure_and_table(chapter, pages):
    shown = pages[f"{chapter}.html"].select(".cell_output")
    outputs = recorded_outputs(chapter)
    figures = [data for data in outputs if any(kind.startswith("image/") for kind in data)]
    tables = [data for data in outputs if "<table" in data.get("text/html", "")]
    assert figures or tables
    assert len([image for output in shown for image in output.select("img")]) == len(figures)
    assert len([table for output in shown for table in output.select("table")]) == len(tables)


def links(page):
    """Everything that a page links to or shows, as it is written."""
    attributes = ("href", "src", "poster", "data-src")
    return [str(tag[name]) for name in attributes for tag in page.select(f"[{name}]")]


def test_every_internal_link_leads_somewhere(site, pages):
    anchors = {
        name: {tag.get("id") or tag.get("name") for tag in page.select("[id], a[name]")}
        for name, page in pages.items()
    }
    broken, seen = [], 0
    for name, page in pages.items():
        for link in links(page):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            seen += 1
            target = unquote(parts.path) or name
            if not (site / target).is_file():
                broken.append(f"{name}: {link}")
            elif parts.fragment and target in anchors:
                fragment = unquote(parts.fragment)
                broken += [f"{name}: {link}"] if fragment not in anchors[target] else []
    assert not broken
    assert seen > 100


def test_no_page_asks_another_host_for_anything(site, pages):
    loading = (
        "script[src], img[src], iframe[src], source[src], video[src], object[data], link[href]"
    )
    found = []
    for name, page in pages.items():
        for tag in page.select(loading):
            address = tag.get("src") or tag.get("data") or tag["href"]
            if urlsplit(address).netloc and "canonical" not in tag.get("rel", []):
                found.append(f"{name}: {tag}")
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8").replace("'", "").replace('"', "")
        found += [str(style) for start in ("http", "//") if f"url({start}" in text]
    assert not found


# Where pages may lead. Nobody asks the network whether an address still answers.
HOSTS = {
    "aiimageverify.github.io", "arxiv.org", "cocodataset.org", "doi.org", "docs.pytorch.org",
    "docs.python.org", "github.com", "huggingface.co", "jupyterbook.org", "pandas.pydata.org",
    "scikit-learn.org",
}  # fmt: skip


def test_a_page_leads_to_known_hosts_alone(pages):
    found = {
        urlsplit(link).netloc: f"{name}: {link}"
        for name, page in pages.items()
        for link in links(page)
        if urlsplit(link).scheme in ("http", "https")
    }
    assert {host: where for host, where in found.items() if host not in HOSTS} == {}


def test_every_picture_has_a_text_that_says_what_it_shows(pages):
    texts = {
        f"{name}: {image['src']}": image.get("alt", "")
        for name, page in pages.items()
        for image in page.select("article img")
    }
    assert {where: text for where, text in texts.items() if len(text.split()) < 5} == {}
    assert len(texts) > 30


LARGEST = 1_500  # kB of a page's HTML
WRITTEN = [page for page in PAGES if page not in ("index", "glossary", "references")]


@pytest.mark.parametrize("page", WRITTEN)
def test_a_page_begins_with_its_question_and_answer(page, pages, site):
    article = pages[f"{page}.html"].select_one("article")
    box = article.select_one("h1").find_next(["div", "p", "details"])
    assert "in-short" in box.get("class", []), box
    assert [part.get_text() for part in box.select("p > strong:first-child")][:2] == [
        "Question.",
        "Answer.",
    ]
    assert (site / f"{page}.html").stat().st_size < LARGEST * 1000


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_ends_with_what_to_remember_and_an_exercise(chapter, pages):
    boxes = pages[f"{chapter}.html"].select("article .admonition.remember, article .exercise")
    assert [set(box["class"]) & {"remember", "exercise"} for box in boxes] == [
        {"remember"},
        {"exercise"},
    ]
    assert len(boxes[0].select("li")) == 3
    assert len(boxes[1].select("details")) == 1


def test_a_page_says_what_it_is_about_to_who_links_to_it(pages):
    for page in WRITTEN:
        head = pages[f"{page}.html"].head
        description = head.select_one("meta[name=description]")["content"]
        assert 40 < len(description) <= 310
        assert head.select_one('meta[property="og:description"]')["content"] == description


def commands_below(command, words="layerfusion"):
    """The names of a command and of all below it."""
    yield words
    for name, one in getattr(command, "commands", {}).items():
        yield from commands_below(one, f"{words} {name}")


def test_reference_pages_describe_every_command_and_every_public_name(pages):
    titles = {code.get_text() for code in pages["commands.html"].select(":is(h1, h2, h3) code")}
    assert set(commands_below(get_command(command_line))) - {"layerfusion"} == titles
    api = pages["api.html"]
    assert all(api.find(id=f"layerfusion.{name}") for name in layerfusion.__all__)
    addresses = {urlsplit(link).netloc for link in links(api)}
    assert {"docs.pytorch.org", "docs.python.org"} <= addresses


def test_the_status_page_has_every_chapter_with_its_commit(pages):
    rows = pages["status.html"].select("article tbody tr")
    cells = [[cell.get_text() for cell in row.select("td")] for row in rows]
    assert [row[0] for row in cells] == [chapter[:2] for chapter in CHAPTERS]
    assert all("not recorded" not in row for row in cells)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_can_be_downloaded_with_its_tables(chapter, site, pages):
    page = pages[f"{chapter}.html"]
    offered = {Path(a["href"]).name: a["href"] for a in page.select(".chapter-foot a[download]")}
    tables = sorted((ROOT / "runs" / "reference" / "demo" / "tables").glob(f"{chapter}-*.csv"))
    sources = [ROOT / "book" / f"{chapter}{suffix}" for suffix in (".py", ".ipynb")]
    assert list(offered) == [path.name for path in [*sources, *tables]]
    for path in [*sources, *tables]:
        assert (site / offered[path.name]).read_bytes() == path.read_bytes()
    buttons = [a["href"] for a in page.select(".dropdown-download-buttons a")]
    assert buttons == [f"_sources/{chapter}.ipynb", f"_sources/{chapter}.py"]
    for path, button in zip(sources, reversed(buttons), strict=True):
        assert (site / button).read_bytes() == path.read_bytes()


# As the working notes print them.
MIRRORS = {
    "04_official_results": (
        ["Local, Constr.", "Local, Open", "Official, Constr.", "Official, Open"],
        ["Acc.", "Prec.", "Rec.", "F1", "AUC", "AP"],
        [[value for value in vars(row).values() if isinstance(value, float)]
         for row in paper.TABLE_1],
    ),
    "05_robustness": (
        ["Constr.", "Open"],
        ["JPEG F1", "JPEG AUC", "Launder F1", "Launder AUC", "Small F1"],
        [[value for (_, own), row in paper.TABLE_2.items() if own == run for value in row.values()]
         for run in ("constrained", "open")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("chapter", MIRRORS)
def test_a_mirrored_table_has_the_papers_rows_columns_and_numbers(chapter, pages):
    rows, columns, printed = MIRRORS[chapter]
    (table,) = pages[f"{chapter}.html"].select("table[id^=T_mirror]")
    head, *body = [
        [cell.get_text(" ", strip=True) for cell in row.select("th, td")]
        for row in table.select("tr")
    ]
    assert head[1:] == columns
    assert [row[0] for row in body] == rows
    for row, numbers in zip(body, printed, strict=True):
        assert [cell.split()[:2] for cell in row[1:]] == [["paper", f"{n:.4f}"] for n in numbers]
    assert "demo profile" in table.caption.get_text()


@pytest.fixture
def small_book(tmp_path):
    """A book of two pages, one of them a recorded notebook, configured as the project's."""
    book = tmp_path / "book"
    shutil.copytree(ROOT / "book" / "_ext", book / "_ext")
    shutil.copy(ROOT / "book" / "references.bib", book)
    shutil.copy(ROOT / "_config.yml", book)
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters: [{file: second}]\n")
    (book / "index.md").write_text("# Book\n")
    (book / "second.py").write_text("# %% [markdown]\n# # Second\n\n# %%\n1\n")
    notebook = read_chapter(book / "second.py")
    notebook.cells[1].execution_count = 1
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, book / "second.ipynb")
    return book


def test_a_build_with_a_warning_fails_each_time(small_book):
    (small_book / "index.md").write_text("# Book\n\n[gone](nowhere)\n")
    for _ in range(2):
        done = jupyter_book(small_book)
        assert done.returncode == 1 and "'nowhere'" in done.stdout, done.stdout


def test_a_published_page_leads_to_its_source_and_can_be_launched(small_book):
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text())["jobs"]
    (step,) = [step for step in jobs["build"]["steps"] if "CONFIG" in step.get("env", {})]
    config = small_book.parent / "elsewhere.yml"
    addresses = {
        "BASE_URL": "https://ada.example",
        "REPOSITORY_URL": "https://github.com/ada/fork",
        "BINDERHUB_URL": "https://binder.example",
        "BRANCH": "dev",
        "CONFIG": str(config),
    }
    assert addresses.keys() == step["env"].keys()
    code = step["run"].partition("<<'PY'\n")[2].rpartition("PY")[0]
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | addresses, check=True)
    done = jupyter_book(small_book, "--config", str(config))
    assert done.returncode == 0, done.stdout
    page = (small_book / "_build" / "html" / "second.html").read_text()
    for link in (
        "https://ada.example/second.html",
        "https://github.com/ada/fork/blob/dev/book/second.py?plain=1",
        "https://github.com/ada/fork/edit/dev/book/second.py",
        "https://binder.example/v2/gh/ada/fork/dev?urlpath=lab/tree/book/second.ipynb",
    ):
        assert f'"{link}"' in page


# From here on: the site as a browser shows it.

DESKTOP, PHONE = 1280, 390  # px
VIEWS = [(width, mode) for width in (DESKTOP, PHONE) for mode in ("light", "dark")]

# What is asked of each page.
FACTS = (
    CONTRAST
    + """
const texts = [...document.querySelectorAll("main article *")].filter(
  element => says(element) && element.checkVisibility() && !element.matches(".headerlink"));
return {
  theme: document.documentElement.dataset.theme,
  width: document.documentElement.scrollWidth,
  faint: texts.filter(element => contrast(element) < LEAST)
    .map(element => `${contrast(element).toFixed(2)}: ${element.textContent.trim().slice(0, 60)}`),
  texts: texts.length,
  wide: [...document.querySelectorAll("article table")]
    .filter(table => table.checkVisibility()
      && table.parentElement.clientWidth + 1 < table.scrollWidth)
    .map(table => `${table.scrollWidth} px: ${table.textContent.trim().slice(0, 60)}`),
  missing: [...document.images].filter(image => !(image.complete && image.naturalWidth))
    .map(image => image.src),
  cut: texts.map(element => element.closest("caption, table, pre, math") || element)
    .filter(element => {
    for (let box = element; box && !element.matches("caption"); box = box.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false;
    return element.getBoundingClientRect().right > innerWidth + 1;
  }).map(element => element.textContent.trim().slice(0, 60)),
};
""".replace("LEAST", str(ENOUGH))
)


SHOWN = """
return document.readyState === "complete"
  && document.documentElement.dataset.theme === arguments[0]
  && [...document.querySelectorAll("main *")].some(element => element.checkVisibility());
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and does not tell the terminal of each."""

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served while a browser looks at it."""
    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium without a window, with a profile of its own."""
    yield from chromium(tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="module", params=VIEWS, ids=lambda view: f"{view[0]}px-{view[1]}")
def view(request, browser, address):
    """A width and a colour scheme, and what was found on each page in it."""
    width, mode = request.param
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": mode}]},
    )
    found = {}
    for page in [*PAGES, "search"]:
        browser.get(f"{address}{page}.html")
        wait_until_shown(browser, mode)
        found[page] = browser.execute_script(FACTS) | failures(browser, address)
        found[page]["inaccessible"] = barriers(browser) if width == DESKTOP else []
        if "LAYERFUSION_SCREENSHOTS" in os.environ:
            keep_picture(browser, width, f"{page}-{width}-{mode}.png")
    return width, mode, found


# Of the theme, on each page: the name of its button for colours is not the text that it shows.
THEIRS = {"label-content-name-mismatch"}


def barriers(browser):
    """What axe finds on a page that is serious or critical, but for the theme's own."""
    from axe_core_python.selenium import Axe

    found = Axe().run(browser)["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical") and one["id"] not in THEIRS
    ]


def wait_until_shown(browser, mode):
    """Wait until a page has put on its colours and shows text, or half a minute.

    On a busy machine its scripts may come after its load event. What is not as it should be by
    then is measured as it is.
    """
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.wait import WebDriverWait

    with suppress(TimeoutException):
        WebDriverWait(browser, 30).until(lambda _: browser.execute_script(SHOWN, mode))


def keep_picture(browser, width, name):
    """Keep a picture of the whole page for a person, in the folder that the environment names."""
    screen = {"width": width, "deviceScaleFactor": 1, "mobile": False}
    height = browser.execute_script("return document.documentElement.scrollHeight")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen | {"height": height})
    folder = Path(os.environ["LAYERFUSION_SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(folder / name))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen | {"height": 900})


def of_all(view, fact):
    """One fact of those pages on which it is not empty."""
    return {page: facts[fact] for page, facts in view[2].items() if facts[fact]}


@pytest.mark.parametrize("fact", ["complaints", "failed", "foreign", "missing"])
def test_a_page_loads_without_a_fault(fact, view):
    assert of_all(view, fact) == {}


def test_no_page_is_wider_than_the_screen(view):
    width, _, found = view
    assert {page: facts["width"] for page, facts in found.items() if facts["width"] > width} == {}
    assert of_all(view, "cut") == {}


def test_no_page_shuts_out_who_reads_it_by_other_means(view):
    assert of_all(view, "inaccessible") == {}


def test_no_table_is_wider_than_its_column(view):
    width, _, _ = view
    if width == DESKTOP:  # on a phone its box scrolls
        assert of_all(view, "wide") == {}


def test_every_text_stands_out_from_its_ground(view):
    _, mode, found = view
    assert {facts["theme"] for facts in found.values()} == {mode}
    assert all(found[page]["texts"] > 20 for page in PAGES)
    assert of_all(view, "faint") == {}
