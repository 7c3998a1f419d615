"""The pages of `inspect`, `serve` and `calibrate` as a person sees them, in a real browser."""

import base64
import re
import threading

import numpy as np
import pytest

from browsing import CONTRAST, ENOUGH, show
from conftest import demo_detector, draw_classes, draw_image
from layerfusion.apps.evidence.inspection import report_html
from layerfusion.apps.evidence.pages import write_page
from layerfusion.apps.evidence.serving import Limits, listen
from layerfusion.apps.release.calibration import calibrate, calibration_html
from layerfusion.apps.release.own_images import find_own_images

PHONE = 390  # px

# Every element with a text of its own: its contrast with what is drawn below it.
CONTRASTS = f"""{CONTRAST}
return [...document.body.querySelectorAll('*')]
  .filter(one => one.checkVisibility({{visibilityProperty: true, opacityProperty: true}}))
  .filter(one => says(one))
  .filter(one => !['SCRIPT', 'STYLE'].includes(one.tagName) && !one.matches(':disabled'))
  .map(one => [one.tagName + ' ' + one.textContent.trim().slice(0, 40), contrast(one)]);
"""
BEYOND = """
const width = document.documentElement.clientWidth;
const scrolls = one =>
  one && (getComputedStyle(one).overflowX === 'auto' || scrolls(one.parentElement));
return [...document.body.querySelectorAll('*')]
  .filter(one => one.getBoundingClientRect().right > width + 0.5 && !scrolls(one.parentElement))
  .map(one => one.tagName + ' ' + one.className);
"""


# What `drop` of a desktop brings: files in a DataTransfer, on the element below the pointer.
@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / ("holiday" + "_long" * 30 + ".png")
    draw_image(np.random.default_rng(0), dark=False, size=(90, 80)).save(path)
    return path


@pytest.fixture(scope="module")
def pages(inspector, picture, tmp_path_factory):
    """A report of two pictures, one of a file that is none, and a calibration's."""
    folder = tmp_path_factory.mktemp("written")
    broken = folder / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    found = [inspector.inspect(path) for path in (picture, broken)]
    write_page(report_html(found, inspector.about()), folder / "report.html")
    own = tmp_path_factory.mktemp("own")  # folders with names that do not break
    draw_classes(own, {f"{'scans' * 8}{n}": 13 for n in range(2)}, np.random.default_rng(0))
    made = calibrate(demo_detector(), find_own_images(own))
    write_page(calibration_html(made, "It is a toy"), folder / "calibration.html")
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["report.html", "calibration.html", "serve"])
def test_every_text_can_be_read(browser, inspector, pages, page, scheme):
    server = listen(inspector, Limits(3, 5), port=0)
    threading.Thread(target=server.run, daemon=True).start()
    show(browser, server.address if page == "serve" else (pages / page).as_uri(), scheme=scheme)
    found = dict(browser.execute_script(CONTRASTS))
    dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    server.close()
    assert len(found) > 5 and (dark != "rgb(255, 255, 255)") == (scheme == "dark")
    assert {text: ratio for text, ratio in found.items() if ratio < ENOUGH} == {}


def test_what_is_too_faint_is_found(browser, pages):
    show(browser, (pages / "report.html").as_uri())
    browser.execute_script("document.querySelector('h1').style.color = '#999'")
    faint = [text for text, ratio in browser.execute_script(CONTRASTS) if ratio < ENOUGH]
    assert len(faint) == 1 and faint[0].startswith("H1 ")


@pytest.mark.parametrize("page", ["report.html", "calibration.html"])
def test_on_a_phone_nothing_reaches_beyond_the_side(browser, pages, page):
    show(browser, (pages / page).as_uri(), width=PHONE)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE
    assert browser.execute_script(BEYOND) == []
    browser.execute_script("document.querySelector('h1').style.width = '500px'")
    assert any(one.startswith("H1") for one in browser.execute_script(BEYOND))


@pytest.mark.parametrize("page", ["report.html", "calibration.html"])
def test_in_print_every_section_is_there_dark_on_white(browser, pages, page):
    address = (pages / page).as_uri()
    show(browser, address)
    sections = browser.execute_script("return document.querySelectorAll('section').length")
    show(browser, address, scheme="dark", media="print")
    seen = browser.execute_script(
        "return [...document.querySelectorAll('section')]"
        ".filter(one => one.checkVisibility() && one.getBoundingClientRect().height > 0).length"
    )
    assert seen == sections >= 3
    found = dict(browser.execute_script(CONTRASTS))
    assert found and {text: ratio for text, ratio in found.items() if ratio < ENOUGH} == {}
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    headings = browser.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3')].map(one => one.textContent)"
    )
    show(browser, address)
    assert headings_in_print(browser) >= set(headings)
    browser.execute_script("document.querySelector('section.words').style.display = 'none'")
    assert headings_in_print(browser) < set(headings)


def headings_in_print(browser):
    """The headings that the printed page has as a PDF's outline."""
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"generateDocumentOutline": True})
    found = re.findall(rb"/Title \(((?:[^()\\]|\\.)*)", base64.b64decode(printed["data"]))
    return {title.replace(b"\\", b"").decode("ascii") for title in found}
