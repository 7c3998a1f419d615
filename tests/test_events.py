"""What happens, a line an event: on the screen as much as is asked for, in a file all of it."""

import errno
import logging
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from layerfusion import progress
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.progress import Reporter

BROKEN = 2 * ["ERROR other: broken"]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (DEBUG|INFO|WARNING|ERROR) (.*)")


def logged(path):
    """Return level and text of every line; one that is none is a mistake."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [LINE.fullmatch(line).groups() for line in lines]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.txt"


def test_lines_have_time_and_level_and_come_behind_those_of_before(log):
    for text in ("once", "again"):
        with Reporter().log_to(log):
            Reporter().say(text)
            Reporter().detail("more")
            Reporter().warn("look")
    once, again = logged(log)[:3], logged(log)[3:]
    assert once == [("INFO", "once"), ("DEBUG", "more"), ("WARNING", "look")]
    assert again == [("INFO", "again"), *once[1:]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\r", r"two\nlines\r"),
        ("a terminal's \x1b[2J", r"a terminal's \x1b[2J"),
        (os.fsdecode(b"no letter \xff.png"), r"no letter \udcff.png"),
        ("é 漢.png", "é 漢.png"),
    ],
    ids=["end of a line", "command of a terminal", "byte that is no letter", "letters"],
)
def test_an_event_is_one_line_whatever_a_file_is_called(log, capfd, text, line):
    with Reporter().log_to(log):
        Reporter().say(text)
    assert logged(log) == [("INFO", line)]
    assert capfd.readouterr().err == f"{line}\n"


def test_a_process_that_is_killed_leaves_what_it_said(log):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from layerfusion.progress import Reporter\n"
        "with Reporter().log_to(Path(sys.argv[1])):\n"
        "    Reporter().say('begun'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(log)], check=False, capture_output=True)
    assert done.returncode < 0
    assert logged(log) == [("INFO", "begun")]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StopRequestedError("asked to stop"), ("INFO", "asked to stop")),
        (UserError("no such folder"), ("ERROR", "no such folder")),
        (KeyboardInterrupt(), ("INFO", "interrupted from the keyboard")),
    ],
)
def test_the_last_line_says_why_it_ended(log, error, line):
    with pytest.raises(type(error)), Reporter().log_to(log):
        raise error
    assert logged(log) == [line]


def test_a_mistake_of_the_program_is_one_line_with_its_place(log):
    with pytest.raises(ZeroDivisionError), Reporter().log_to(log):
        _ = 1 / 0
    ((level, text),) = logged(log)
    assert level == "ERROR" and text.startswith("ZeroDivisionError: division by zero (")
    assert "test_events.py:" in text


# --- what cannot be written -----------------------------------------------------------------------


def test_a_log_that_cannot_be_opened_stops_nothing(tmp_path, capfd):
    (tmp_path / "log.txt").mkdir()  # as good as a folder without permission, which root has
    with Reporter().log_to(tmp_path / "log.txt"):
        Reporter().say("going on")
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith("warning: no log is written to") and second == "going on"
    with pytest.raises(UserError) as caught, Reporter().log_to(tmp_path / "log.txt"):
        raise UserError("of its own")
    assert caught.value.__context__ is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_stops_nothing_and_is_said_once(log, capfd):
    log.symlink_to("/dev/full")
    with Reporter().log_to(log):
        for number in range(3):
            Reporter().say(f"step {number}")
    lines = capfd.readouterr().err.splitlines()
    (trouble,) = [line for line in lines if "lines are missing in the log" in line]
    assert os.strerror(errno.ENOSPC) in trouble and "Traceback" not in trouble
    assert [line for line in lines if line != trouble] == ["step 0", "step 1", "step 2"]


# --- several processes ----------------------------------------------------------------------------


def test_of_several_processes_the_first_alone_writes(log, monkeypatch, capfd):
    for name, value in {
        "TORCHELASTIC_RUN_ID": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        with Reporter().log_to(log):
            Reporter().say(f"rank {rank}")
    assert logged(log) == [("INFO", "rank 0")] and capfd.readouterr().err == "rank 0\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are not forked here")
def test_a_forked_worker_writes_nothing(log):
    with Reporter().log_to(log):
        child = os.fork()
        if child == 0:
            Reporter().say("a worker")
            os._exit(0)
        os.waitpid(child, 0)
    assert logged(log) == []


# --- what libraries say ---------------------------------------------------------------------------


def warn_often(times):
    for number in range(times):
        warnings.warn(f"tag {number} is damaged", UserWarning, stacklevel=1)


def test_a_warning_that_comes_often_is_one_line(log):
    with warnings.catch_warnings(record=True) as shown, Reporter().log_to(log):
        warnings.simplefilter("always", UserWarning)
        warn_often(1000)
        logging.getLogger("PIL.Image").warning("another")
    first, other = logged(log)
    assert first[0] == "WARNING" and "UserWarning: tag 0 is damaged" in first[1]
    assert other == ("WARNING", "PIL.Image: another")
    assert len(shown) == 1000  # as without a log


def test_warnings_are_shown_as_before_while_a_log_is_kept(log):
    with Reporter().log_to(log), pytest.warns(UserWarning, match="tag 0"):
        warn_often(1)
    former = warnings.showwarning
    with Reporter().log_to(log):
        assert warnings.showwarning is not former
    assert warnings.showwarning is former


def test_whoever_uses_the_package_hears_of_events_by_logging(caplog):
    with caplog.at_level(logging.INFO, logger="layerfusion"):
        Reporter().say("an event")
        Reporter().detail("a detail")
    assert [record.message for record in caplog.records] == ["an event"]


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        ("quiet", BROKEN),
        ("normal", ["said", "warning: look", *BROKEN]),
        ("verbose", ["INFO said", "WARNING look", "DEBUG more", "WARNING other: worn", *BROKEN]),
    ],
)  # fmt: skip
def test_as_much_is_said_as_is_asked_for(monkeypatch, capfd, level, lines):
    monkeypatch.setenv(progress.VARIABLE, level)
    with progress.on_screen():
        reporter, other = Reporter(), logging.getLogger("other")
        reporter.say("said")
        reporter.warn("look")
        reporter.detail("more")
        for _ in range(3):
            other.warning("worn")
        for _ in range(2):
            other.error("broken")
    shown = [re.sub(r"^\S+Z ", "", line) for line in capfd.readouterr().err.splitlines()]
    assert shown == lines


def test_where_there_is_no_terminal_a_bar_is_a_line_now_and_then(monkeypatch, capfd):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.05)
    lines = []
    with Reporter().bar("scoring", 8) as bar:
        bar(3, 8)
        while not lines:  # the block itself prints nothing
            lines = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"scoring 3/8 .*left .*", lines[0])
    monkeypatch.setenv(progress.VARIABLE, "quiet")
    with Reporter().bar("scoring", 8):
        time.sleep(0.2)
    assert capfd.readouterr().err == ""


def test_an_amount_that_is_not_known_is_a_users_mistake(monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, "loud")
    with pytest.raises(UserError, match="LAYERFUSION_VERBOSITY=loud is not known"):
        Reporter()
