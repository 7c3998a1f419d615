"""How much a command says: `--quiet` and `--verbose`, in front of its name and behind."""

import os
import re

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from conftest import STAMP
from layerfusion.cli.main import app
from layerfusion.progress import VARIABLE

TOY = ["--detector", "demo"]


def commands(group, name=""):
    yield name, group
    for inner, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {inner}".strip())


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(app))))
def test_every_command_has_both_and_a_help_text_for_each_option(run, name, command):
    options = [option for parameter in command.params for option in parameter.opts]
    for option in ("--quiet", "-q", "--verbose", "-v"):
        assert options.count(option) == 1, option
    for parameter in command.params:
        text = parameter.help or ("hidden." if parameter.hidden else "")
        assert text.endswith((".", "]")), f"{parameter.name}: {text!r}"
    status, out, _ = run(*name.split(), "--help")
    assert status == 0 and "Usage" in out and ("--install-completion" in out) == (not name)


@pytest.mark.parametrize("words", [["--quiet", "score"], ["score", "-q"]])
def test_quiet_leaves_results_and_errors(run, photos, words):
    usual = run("score", photos / "test", *TOY)
    assert "images scored" in usual[2]
    assert run(*words, photos / "test", *TOY) == (0, usual[1], "")
    status, out, err = run(*words, "no/such/file.jpg", *TOY)
    assert (status, out) == (2, "") and err.startswith("error: ")


@pytest.mark.parametrize("words", [["-v", "score"], ["score", "--verbose"]])
def test_verbose_says_when(run, photos, words):
    status, out, err = run(*words, photos / "test", *TOY)
    assert status == 0 and "image_id" in out and "images scored" in err
    assert all(STAMP.match(line) for line in err.splitlines())


def test_an_option_goes_before_the_variable_and_ends_with_the_command(run, photos, monkeypatch):
    monkeypatch.setenv(VARIABLE, "quiet")
    assert run("score", photos / "test", *TOY)[2] == ""
    assert "DEBUG" not in run("score", photos / "test", *TOY, "-v")[2] != ""
    assert os.environ[VARIABLE] == "quiet"
    monkeypatch.delenv(VARIABLE)
    assert run("-q", "score", photos / "test", *TOY)[0] == 0
    assert VARIABLE not in os.environ


@pytest.mark.parametrize(
    "words", [["-q", "-v", "weights", "list"], ["-q", "weights", "list", "--verbose"]]
)
def test_less_and_more_at_once_is_a_users_mistake(run, words):
    status, out, err = run(*words)
    assert (status, out) == (2, "") and "give one of them" in err


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Pictures whose tags promise more than there is: Pillow warns of each, and reads them."""
    folder = tmp_path_factory.mktemp("damaged")
    for number in range(20):
        exif = Image.Exif()
        exif[0x010E] = "a description " * 9
        path = folder / f"{number}.jpg"
        Image.fromarray(np.full((70, 70, 3), 9 * number, np.uint8)).save(path, exif=exif)
        data = path.read_bytes()
        place = data.index(b"MM\0*") + 14  # the count of the first tag's letters
        path.write_bytes(data[:place] + bytes([0, 9, number, 0]) + data[place + 4 :])
    return folder


def test_what_libraries_warn_of_is_said_once_to_whoever_asks(run, damaged, monkeypatch):
    monkeypatch.setenv("LAYERFUSION_WORKERS", "0")
    usual = run("score", damaged, *TOY)
    assert usual[0] == 0 and len(usual[2].splitlines()) == 2, usual[2]
    said = run("score", damaged, *TOY, "-v")[2]
    assert len(re.findall("WARNING UserWarning: .*PIL/", said)) == 1, said


def test_names_that_are_no_line_are_escaped(run, tmp_path):
    (tmp_path / "two\nlines.png").write_text("no picture")
    (tmp_path / os.fsdecode(b"no letter \xff.png")).write_text("no picture")
    err = run("score", tmp_path, *TOY)[2].splitlines()
    assert [line for line in err if line.startswith("not scored")] == [
        r"not scored: no letter \xff.png: not an image (JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF)",
        r"not scored: two\nlines.png: not an image (JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF)",
    ]
