"""Files that are complete or what they were before."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest
from pydantic import BaseModel

from layerfusion.apps.task.check import check_submission
from layerfusion.data.tables import read_csv, read_parquet
from layerfusion.errors import UserError
from layerfusion.files import alone, in_place_of, new_folder, read_record, read_text, write_record
from layerfusion.model.known_weights import KNOWN, convert
from layerfusion.model.onnx_export import load_onnx
from layerfusion.model.weight_files import file_activation, read_tensors, read_visual_weights
from layerfusion.settings import read_yaml


@pytest.mark.parametrize("shared", [False, True])
def test_a_block_that_ends_well_replaces_the_file_and_leaves_nothing_beside_it(tmp_path, shared):
    path = tmp_path / "table.csv"
    for text in ("old", "new"):
        with in_place_of(path, shared=shared) as partial:
            partial.write_text(text)
            assert not path.exists() or path.read_text() == "old"
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(error), in_place_of(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_is_complete_or_not_there(tmp_path, error):
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").is_file()
    with pytest.raises(UserError, match="already exists"), new_folder(tmp_path / "out"):
        pass
    expected = UserError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught, new_folder(tmp_path / "next") as folder:
        (folder / "a").touch()
        raise error
    assert expected is KeyboardInterrupt or "written to" in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_new_folder_removes_what_killed_processes_left_of_it(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left, at_work = (tmp_path / f".out.{pid}.partial" for pid in (killed.pid, os.getppid()))
    for folder in (left, at_work):
        (folder / "half").mkdir(parents=True)
    with new_folder(tmp_path / "out"):
        pass
    assert sorted(tmp_path.iterdir()) == [at_work, tmp_path / "out"]


def test_two_processes_that_share_a_file_do_not_mix_theirs(tmp_path):
    path = tmp_path / "table.csv"
    with in_place_of(path, shared=True) as partial:
        partial.write_text("ours")
        subprocess.run(
            [sys.executable, "-c", WRITE.format(path=str(path), what="theirs")], check=True
        )
        assert path.read_text() == "theirs"
        assert partial.read_text() == "ours"
    assert path.read_text() == "ours"


def test_what_a_killed_process_leaves_is_overwritten(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    killed = "half'); import os, signal; os.kill(os.getpid(), signal.SIGKILL); print('"
    command = WRITE.replace("shared=True", "shared=False").format(path=str(path), what=killed)
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode < 0
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    with in_place_of(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


WRITE = """
from pathlib import Path
from layerfusion.files import in_place_of
with in_place_of(Path({path!r}), shared=True) as partial:
    partial.write_text('{what}')
"""


class Record(BaseModel):
    name: str


def test_a_record_is_its_json(tmp_path):
    path = tmp_path / "record.json"
    write_record(Record(name="é"), path)
    assert path.read_text(encoding="utf-8") == '{\n  "name": "é"\n}\n'
    assert read_record(Record, path, "study") == Record(name="é")


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_record_is_one_sentence(tmp_path, content):
    path = tmp_path / "record.json"
    with pytest.raises(UserError, match="study not found: "):
        read_record(Record, path, "study")
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a valid study: ") as caught:
        read_record(Record, path, "study")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize(
    "read",
    [
        load_onnx, read_csv, read_parquet, read_tensors, read_text, read_visual_weights,
        lambda path: read_yaml(path, "layout"), lambda path: check_submission(path, []),
        lambda path: convert(next(iter(KNOWN.values())), path),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["onnx", "pt"])
def test_no_reader_waits_at_a_pipe(read, suffix, tmp_path):
    path = tmp_path / f"pipe.{suffix}"
    os.mkfifo(path)
    with pytest.raises((UserError, OSError, ValueError)) as caught:
        read(path)
    assert len(str(caught.value).splitlines()) == 1
    with suppress(UserError):
        file_activation(path)


def test_a_table_of_endless_columns_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "validation.csv"
    path.write_text("label,logit" + ",x" * 10**6 + "\n")
    with pytest.raises(UserError, match="its first line is too long"):
        read_csv(path)


def test_a_folder_is_filled_by_one_process_at_a_time(tmp_path):
    folder = tmp_path / "studies" / "mine"
    waits = f"""
from pathlib import Path
from layerfusion.files import alone
with alone(Path({str(folder)!r}), "busy"):
    print("in", flush=True)
    input()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "in\n"
    with pytest.raises(UserError, match="busy"), alone(folder, "busy"):
        pass
    other.kill()  # leaves nothing that is in anybody's way
    other.communicate()
    with alone(folder, "busy"):
        pass
