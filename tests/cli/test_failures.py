"""Whatever ends a command is one sentence and a status that says so; a result is not lost."""

import errno
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from safetensors import SafetensorError

from layerfusion.cli import failures

NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
LONG = "a" * 300
SCORE = "score --detector demo P"


def too_deep():
    return too_deep()


def missing(name):
    return ModuleNotFoundError(f"No module named '{name}'", name=name)


ENDINGS = {
    "no permission": (PermissionError(13, "Not permitted", "/a/b"), 2, "/a/b: Not permitted"),
    "without a name": (NO_ROOM, 2, "cannot be written: No space left on device"),
    "of a library": (OSError("disk quota"), 2, "error: disk quota: disk quota"),
    "weights": (SafetensorError("HeaderTooLarge"), 2, "cannot be read or written: HeaderTooL"),
    "memory": (MemoryError(), 2, "not enough memory"),
    "memory of torch": (RuntimeError("x: can't allocate memory"), 2, "not enough memory"),
    "memory of a GPU": (RuntimeError("CUDA out of memory. Tried"), 2, "not enough memory"),
    "encoding": ("\udcff".encode, 2, "is not in the encoding"),
    "depth": (too_deep, 2, "nested too deeply"),
    "pipe": (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "standard output was closed before"),
    "extra": (missing("waitress"), 2, "is not installed; install it with: pip install "
              "'layerfusion[serve]'"),
    "extra of another name": (missing("c2pa.x"), 2, "package c2pa-python, which is not installed"),
    "broken installation": (missing("torch"), 2, "the package torch is not"),
    "mistake": (ZeroDivisionError("by 0"), 70, "of layerfusion: ZeroDivisionError: by 0 ("),
}  # fmt: skip


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("error, status, sentence", ENDINGS.values(), ids=ENDINGS)
def test_whatever_ends_a_command_is_one_sentence(
    run, monkeypatch, error, status, sentence, verbose
):
    def end(paths):
        if callable(error):
            error()
        raise error

    requirements = ["torch", "waitress>=3; extra == 'serve'", 'c2pa-python>=0.3; extra == "c2pa"']
    monkeypatch.setattr(failures, "requires", lambda package: requirements)
    monkeypatch.setattr("layerfusion.scoring.inputs.check_paths", end)
    code, out, err = run("score", "x", *["--verbose"] * verbose)
    *before, last = err.splitlines()
    assert (code, out) == (status, "") and last.startswith("error: ") and sentence in last, err
    shown = verbose and not isinstance(error, BrokenPipeError)
    assert bool(before) == shown and (not shown or before[0].startswith("Traceback"))


@pytest.mark.parametrize("words", ["score x", "train --run open"])
def test_ctrl_c_is_one_sentence(run, monkeypatch, words):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("layerfusion.scoring.inputs.check_paths", interrupt)
    monkeypatch.setattr("layerfusion.cli.options.DataChoice.open_run", interrupt)
    code, out, err = run(*words.split())
    assert (code, out, err.count("\n")) == (130, "", 1) and "what was finished is kept" in err
    assert err.endswith(", with --resume\n") == words.startswith("train")
    monkeypatch.setattr("layerfusion.cli.main.app", interrupt)  # before there is a command
    assert run(*words.split()) == (130, "", "error: stopped from the keyboard\n")


def test_ctrl_c_interrupts_no_tidying_up():
    script = (
        "import atexit, os, signal, sys\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['layerfusion', '--version']\n"
        "from layerfusion.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["score", LONG], f"error: {'a' * 100}...{'a' * 100}: File name too long"),
        (["train", "--run", "open", "-p", "folder", "-d", LONG], "File name too long"),
        (["score", "x", "--out", LONG], "File name too long"),
        (["score", ""], "a word of the command is empty"),
        (["weights", "get", "x", "--from", ""], "a word of the command is empty"),
    ],
)
def test_names_that_cannot_be(run, words, sentence):
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (2, "", 1) and sentence in err


@pytest.mark.parametrize(
    ("words", "output"),
    [("--version", ">&-"), ("--help", "> /dev/full"), ("--help", "| true"),
     ("weights list", "> /dev/full"), *product([SCORE], [">&-", "> /dev/full", "| true"])],
)  # fmt: skip
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_result_that_nobody_gets_is_an_error(photos, words, output):
    status = "; exit ${PIPESTATUS[0]}" if output == "| true" else ""
    words = words.replace("P", str(photos / "val"))
    command = f"{sys.executable} -m layerfusion {words} {output}{status}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    if output == "| true" and words == "--help":  # may be done before it closes
        assert done.returncode in (0, 1, 2) and "Traceback" not in done.stderr
        return
    *_, last = done.stderr.splitlines()
    assert done.returncode == 2 and last.startswith("error: standard output"), done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
