"""`layerfusion serve` and the report: by HTTP, and as a browser shows them."""

import base64
import contextlib
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from io import BytesIO

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from werkzeug.datastructures import FileStorage
from werkzeug.test import Client, EnvironBuilder

from browsing import failures, show
from conftest import draw_image
from layerfusion.apps.evidence.inspection import Inspector, report_html
from layerfusion.apps.evidence.pages import write_page
from layerfusion.apps.evidence.serving import Limits, Service, listen
from layerfusion.errors import UserError

DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), one => one.charCodeAt(0));
const carried = new DataTransfer();
carried.items.add(new File([bytes], arguments[1], {type: 'image/png'}));
const target = document.querySelector('.drop p');
const send = kind => target.dispatchEvent(
  new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
const over = !send('dragover') && document.querySelector('.drop').classList.contains('over');
const kept = !send('drop');
return [over, kept, document.querySelector('.drop').classList.contains('over')];
"""
PHONE = 390  # px
PORT = 4321
HERE = {"Host": f"127.0.0.1:{PORT}"}
OWN = HERE | {"Origin": f"http://127.0.0.1:{PORT}"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    drawn = draw_image(np.random.default_rng(0), dark=False, size=(90, 80))
    drawn.save(folder / "b2.png")
    drawn.resize((9, 7)).save(folder / ("b10" + "_long" * 30 + ".png"))
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return sorted(folder.iterdir())


def client_at(inspector, port):
    service = Service(inspector, Limits(files=3, megabytes=1))
    return Client(lambda environ, start: service(environ | {"SERVER_PORT": str(port)}, start))


@pytest.fixture
def client(inspector):
    return client_at(inspector, PORT)


def test_on_the_webs_own_port_browsers_leave_it_out(inspector):
    client = client_at(inspector, 80)
    assert client.get("/", headers={"Host": "127.0.0.1"}).status_code == 200
    answer = client.get("/", headers={"Host": "elsewhere"})
    assert answer.status_code == 403 and "form" not in answer.text


def sent(*files):
    return {"pictures": [(BytesIO(data), name) for name, data in files]}


def test_the_page_is_a_plain_form_of_its_own(client):
    answer = client.get("/", headers=HERE)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    soup = BeautifulSoup(answer.text, "html.parser")
    form = soup.find("form")
    assert (form["method"], form["enctype"]) == ("post", "multipart/form-data")
    assert soup.find("label", attrs={"for": form.find("input", type="file")["id"]}) is not None
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert soup.select("[style], [onclick], [src]") == []


def test_pictures_are_answered_with_the_levels_of_inspect(client, inspector, pictures, monkeypatch):
    files_seen = []
    inspect = Inspector.inspect
    monkeypatch.setattr(
        Inspector,
        "inspect",
        lambda self, path, **options: files_seen.append(path) or inspect(self, path, **options),
    )
    files = [(path.name, path.read_bytes()) for path in pictures]
    answer = client.post("/", data=sent(*files), headers=OWN)
    assert answer.status_code == 200
    soup = BeautifulSoup(answer.text, "html.parser")
    said = {one.h2.text: one.select_one(".verdict").text for one in soup.select("section.picture")}
    expected = {path.name: inspect(inspector, path, occlusion=False).level for path in pictures}
    assert said == {
        name: word.text.capitalize() if word is not None else "Could not be read"
        for name, word in expected.items()
    }
    assert len(files_seen) == 3 and not any(path.exists() for path in files_seen)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": f"evil.example:{PORT}", "Origin": f"http://evil.example:{PORT}"}, 403),
        (HERE, 403),
        (HERE | {"Origin": "null"}, 403),
        (HERE | {"Origin": "http://evil.example"}, 403),
        (OWN, 400),
    ],
)
def test_only_the_own_page_may_send(client, headers, status):
    assert client.post("/", data={"pictures": ""}, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("files", "option"),
    [
        ([("a.png", b"x" * 1_000_001)], "--max-mb"),
        ([("a.png", b"x")] * 4, "--max-files"),
        ([("a.png", b"x")] * 40, "--max-files"),
    ],
)
def test_too_much_is_refused_and_the_setting_is_named(client, files, option):
    answer = client.post("/", data=sent(*files), headers=OWN)
    assert answer.status_code == 413
    assert option in BeautifulSoup(answer.text, "html.parser").find(role="alert").text


def test_a_picture_without_an_answer_costs_no_other_its_own(client, pictures, tmp_path):
    Image.new("L", (2, 65_501)).save(tmp_path / "long.png")
    files = [(path.name, path.read_bytes()) for path in (tmp_path / "long.png", pictures[-1])]
    answer = client.post("/", data=sent(*files), headers=OWN)
    assert answer.status_code == 200
    said = [one.text for one in BeautifulSoup(answer.text, "html.parser").select(".verdict")]
    assert said[0] == "Could not be read" != said[1]


def test_a_full_disk_is_the_pictures_answer(client, pictures, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileStorage, "save", fail)
    answer = client.post("/", data=sent(("a.png", b"x")), headers=OWN)
    assert answer.status_code == 200 and "no space left on device" in answer.text


def test_other_paths_and_methods(client):
    assert client.get("/etc/passwd", headers=HERE).status_code == 404
    assert client.put("/", headers=OWN).status_code == 405
    assert client.post("/", data=b"?", headers=OWN).status_code == 400


def test_a_taken_port_is_one_sentence(inspector):
    server = listen(inspector, Limits(1, 1), port=0)
    port = server.address.split(":")[-1].strip("/")
    with pytest.raises(UserError, match=f"port {port} cannot be used .* --port"):
        listen(inspector, Limits(1, 1), port=int(port))
    server.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal of its own there")
@pytest.mark.parametrize(
    ("asked", "at_work"), [("SIGINT", False), ("SIGINT", True), ("SIGHUP", True)]
)
def test_a_signal_ends_it_quietly_and_leaves_no_picture(
    detector, pictures, tmp_path, monkeypatch, asked, at_work
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # What a shell starts in the background ignores Ctrl-C, and so would all that is started here.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = ["-m", "layerfusion", "serve", "--port", "0", "--detector", detector]
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as process:
        try:
            address = process.stderr.readline().split()[1]
            assert address.startswith("http://127.0.0.1:")
            if at_work:
                threading.Thread(target=send, args=(address, pictures[1]), daemon=True).start()
                end = time.monotonic() + 60
                while not list(tmp_path.glob("layerfusion-*/picture")) and time.monotonic() < end:
                    time.sleep(0.001)
            process.send_signal(signal.Signals[asked])
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
            signal.signal(signal.SIGINT, before)
    assert process.returncode == 0
    assert "Traceback" not in err and (at_work or err == "")
    assert not list(tmp_path.glob("layerfusion-*"))


def send(address, picture):
    """Send a picture as the page's form does, with the map that takes longest."""
    form = EnvironBuilder(data={"pictures": (picture.open("rb"), picture.name), "occlusion": "on"})
    environ = form.get_environ()
    body = environ["wsgi.input"].read()
    headers = {"Content-Type": environ["CONTENT_TYPE"], "Origin": address.rstrip("/")}
    with contextlib.suppress(OSError):
        urllib.request.urlopen(urllib.request.Request(address, body, headers)).read()


def names_shown(browser):
    return browser.execute_script(
        "return [...document.querySelectorAll('#index tbody tr')]"
        ".filter(row => !row.hidden).map(row => row.dataset.name.slice(0, 3))"
    )


def test_a_report_in_a_browser(browser, inspector, pictures, tmp_path):
    found = [inspector.inspect(path) for path in pictures]
    write_page(report_html(found, inspector.about()), tmp_path / "report.html")
    show(browser, (tmp_path / "report.html").as_uri(), width=PHONE)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE
    shown = "return [...document.images].every(image => image.complete && image.naturalWidth)"
    assert browser.execute_script(shown)
    head = browser.find_element("css selector", "th[data-sort=name]")
    head.find_element("tag name", "button").click()
    assert names_shown(browser) == ["a.j", "b2.", "b10"]
    head.find_element("tag name", "button").click()
    assert names_shown(browser) == ["b10", "b2.", "a.j"]
    assert head.get_attribute("aria-sort") == "descending"
    browser.find_element("css selector", "#filters [data-level='-1']").click()
    assert names_shown(browser) == ["a.j"]
    assert browser.find_element("id", "counted").text == "1 of 3 shown"
    faults = failures(browser, tmp_path.as_uri())
    assert faults == {"complaints": [], "failed": [], "foreign": []}


@pytest.mark.parametrize("dropped", [False, True], ids=["chosen", "dropped"])
def test_a_file_is_uploaded_and_words_come_back(browser, inspector, pictures, dropped):
    from selenium.webdriver.support.wait import WebDriverWait

    server = listen(inspector, Limits(files=1, megabytes=5), port=0)
    threading.Thread(target=server.run, daemon=True).start()
    failures(browser, "")  # those of the pages before
    show(browser, server.address, width=PHONE)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE
    browser.find_element("id", "pictures").send_keys("\n".join(map(str, pictures[:2])))
    assert "--max-files 1" in browser.find_element("id", "state").text
    assert not browser.find_element("css selector", "button").is_enabled()
    browser.execute_script("document.querySelector('#pictures').value = ''")
    if dropped:
        sent = base64.b64encode(pictures[-1].read_bytes()).decode("ascii")
        assert browser.execute_script(DROP, sent, pictures[-1].name) == [True, True, False]
        assert browser.find_element("id", "state").text == f"1 chosen: {pictures[-1].name}"
    else:
        browser.find_element("id", "pictures").send_keys(str(pictures[-1]))
    browser.find_element("css selector", "button").click()
    WebDriverWait(browser, 60).until(lambda _: browser.find_elements("css selector", ".verdict"))
    word = inspector.inspect(pictures[-1], occlusion=False).level
    assert browser.find_element("css selector", ".verdict").text == word.text.capitalize()
    assert browser.find_element("css selector", "section.picture h2").text == pictures[-1].name
    faults = failures(browser, server.address)
    server.close()
    assert faults == {"complaints": [], "failed": [], "foreign": []}
