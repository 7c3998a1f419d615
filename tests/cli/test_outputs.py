"""Every option that names a result refuses to replace an image, or to write nowhere."""

import re

import numpy as np
import pytest

from conftest import draw_image
from layerfusion.cli.main import app

# All other options and arguments that take a path: they are read.
READ = {"--data-root", "--images", "--detector", "--against", "--here", "paths", "photos",
        "wheel", "file"}  # fmt: skip


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
    known = {("score", "--out"), ("inspect", "--report"), ("export", "--predictions"),
             ("calibrate", "--report"), ("submit", "--out"), ("data", "card", "--out")}  # fmt: skip
    assert known <= set(OUTPUTS)


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_an_output_is_checked_before_all_else(run, tmp_path, words):
    precious = tmp_path / "precious.png"
    draw_image(np.random.default_rng(0), dark=True).save(precious)
    before = precious.read_bytes()
    status, out, err = run(*words, precious)
    assert (status, out) == (2, "") and re.search(REFUSED, err), err
    assert precious.read_bytes() == before and list(tmp_path.iterdir()) == [precious]
