"""Every option that names a result refuses to replace an image, or to write nowhere."""

import io
import re
import sys

import numpy as np
import pandas as pd
import pytest

from conftest import draw_image
from layerfusion.cli.main import app

# All other options and arguments that take a path: they are read.
READ = {"--data-root", "--images", "--detector", "--against", "--plan", "--labels", "--official",
        "paths", "photos", "wheel", "file", "folder"}  # fmt: skip


def outputs(commands=app, words=()):
    """Every option of a command that takes a path and is not known to be read."""
    for group in commands.registered_groups:
        yield from outputs(group.typer_instance, (*words, group.name))
    for command in commands.registered_commands:
        name = command.name or command.callback.__name__
        for parameter, hint in command.callback.__annotations__.items():
            option = f"--{parameter.replace('_', '-')}"
            if "pathlib" in str(hint) and not {parameter, option} & READ:
                yield (*words, name.replace("_", "-"), option)


REFUSED = r"^error: --\w+ \S+precious.png (is an image|is a file; name a folder|already exists)"
OUTPUTS = sorted(outputs())


def test_outputs_are_found():
    assert OUTPUTS == [
        ("calibrate", "--out"), ("calibrate", "--report"), ("data", "card", "--out"),
        ("data", "check", "--out"), ("data", "manifest", "--out"), ("export", "--out"),
        ("export", "--predictions"), ("inspect", "--report"), ("score", "--out"),
        ("study", "processors", "--here"), ("submit", "--out"),
    ]  # fmt: skip


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_an_output_is_checked_before_all_else(run, tmp_path, words):
    precious = tmp_path / "precious.png"
    draw_image(np.random.default_rng(0), dark=True).save(precious)
    before = precious.read_bytes()
    status, out, err = run(*words, precious)
    assert (status, out) == (2, "") and re.search(REFUSED, err), err
    assert precious.read_bytes() == before and list(tmp_path.iterdir()) == [precious]


@pytest.mark.parametrize(
    ("link", "refused"),
    [("scores.csv", None), ("precious.png", "is an image"), ("gone/x", "folder")],
)
def test_a_link_stays_and_what_it_leads_to_is_written(run, tmp_path, link, refused):
    draw_image(np.random.default_rng(0), dark=True).save(tmp_path / "precious.png")
    (tmp_path / "out.csv").symlink_to(link)
    status, _, err = run("score", tmp_path / "precious.png", "--detector", "demo", "--out",
                         tmp_path / "out.csv")  # fmt: skip
    assert (tmp_path / "out.csv").is_symlink()
    if refused is None:
        assert status == 0 and (tmp_path / "scores.csv").read_text().startswith("image_id,")
    else:
        assert status == 2 and refused in err


def test_a_manifest_too_goes_where_a_link_leads(run, photos, tmp_path):
    (tmp_path / "link.parquet").symlink_to(tmp_path / "made.parquet")
    words = ["data", "manifest", "-p", "folder", "-d", photos, "--out", tmp_path / "link.parquet"]
    status, _, err = run(*words)
    assert status == 0 and (tmp_path / "link.parquet").is_symlink(), err
    assert len(pd.read_parquet(tmp_path / "made.parquet"))


def test_names_send_no_commands_to_a_terminal(run, tmp_path, monkeypatch):
    names = ["\x1b[31mred.png", "a\rb.png", "c\u202ed.png"]
    for name in names:
        draw_image(np.random.default_rng(0), dark=True).save(tmp_path / name)
    status, out, err = run("score", tmp_path, "--detector", "demo")
    table = pd.read_csv(io.StringIO(out, newline=""))
    assert status == 0 and sorted(table["image_id"]) == sorted(names) and "\x1b" not in err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    status, out, err = run("score", tmp_path, "--detector", "demo")
    assert status == 0 and r"\x1b[31mred.png" in out and r"a\rb.png" in out and r"c\u202ed" in out
    assert not {"\x1b", "\r", "\u202e"} & set(out)


def test_a_picture_that_is_none_ends_with_status_1(run, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\3\4" + bytes(20))
    status, out, err = run("score", tmp_path / "a.zip", "--detector", "demo")
    assert status == 1 and "not an image but an archive" in out and "0 of 1 images scored" in err
