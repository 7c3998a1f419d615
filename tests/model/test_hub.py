"""A detector as hubs keep it: the same scores from either kind of folder, no network unasked."""

import json
import socket
from functools import partial
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from layerfusion.errors import UserError
from layerfusion.model.detector import Detector
from layerfusion.scoring.detectors import DEMO_FOLDER


@pytest.fixture(scope="module")
def detector():
    return Detector.load(DEMO_FOLDER)


def scores(detector):
    side = detector.image_settings.crop
    images = torch.arange(2 * 3 * side * side).reshape(2, 3, side, side).remainder(256).byte()
    with torch.no_grad():
        return detector(images)


def test_a_folder_as_hubs_expect_it_gives_the_same_scores(detector, tmp_path):
    detector.save_pretrained(tmp_path / "pretrained", card="# A card\n")
    names = {path.name for path in (tmp_path / "pretrained").iterdir()}
    assert names == {"config.json", "model.safetensors", "README.md", "SHA256SUMS"}
    read = Detector.from_pretrained(tmp_path / "pretrained")
    assert torch.equal(scores(read), scores(detector))
    assert read.threshold == detector.threshold and read.notice == detector.notice
    config = json.loads((tmp_path / "pretrained" / "config.json").read_text())
    assert config["images"]["crop"] == detector.image_settings.crop


def test_what_save_and_export_write_is_read_too(detector):
    assert torch.equal(scores(Detector.from_pretrained(str(DEMO_FOLDER))), scores(detector))


def test_saved_over_a_folder_of_the_other_kind_the_newer_is_read(detector, tmp_path):
    other = Detector.load(DEMO_FOLDER)
    other.threshold = 0.75
    detector.save_pretrained(tmp_path)
    other.save(tmp_path)
    assert Detector.load(tmp_path).threshold == 0.75
    detector.save_pretrained(tmp_path)
    assert Detector.load(tmp_path).threshold == detector.threshold


def test_a_folder_that_holds_more_is_left_as_it_is_otherwise(detector, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    detector.save_pretrained(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert torch.equal(scores(Detector.from_pretrained(tmp_path)), scores(detector))
    with pytest.raises(UserError, match="is a file"):
        detector.save_pretrained(tmp_path / "notes.txt")


def test_another_models_files_are_not_lost_by_a_save(detector, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("another's")
    detector.save(tmp_path)
    assert (tmp_path / "model.safetensors").read_text() == "another's"
    assert torch.equal(scores(Detector.load(tmp_path)), scores(detector))


def test_a_save_that_was_stopped_leaves_what_was_there(detector, tmp_path, monkeypatch):
    detector.save_pretrained(tmp_path)
    before = sorted(tmp_path.iterdir())
    other = Detector.load(DEMO_FOLDER)
    other.threshold = 0.75

    def stopped(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", stopped)
    for save in (other.save, other.save_pretrained):
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path)
        assert Detector.load(tmp_path).threshold == detector.threshold
        assert sorted(tmp_path.iterdir()) == before


def test_a_hubs_name_is_fetched_and_nothing_else(detector, tmp_path, monkeypatch):
    detector.save_pretrained(tmp_path)
    asked = []

    def fetch(name, **options):
        asked.append((name, options["revision"]))
        assert not any("py" in pattern or "bin" in pattern for pattern in options["allow_patterns"])
        assert ("model.safetensors" in options["allow_patterns"]) == (len(asked) == 2)
        return str(tmp_path)

    monkeypatch.setattr("layerfusion.model.folder.snapshot_download", fetch)
    read = Detector.from_pretrained("somebody/detector", revision="v1")
    assert torch.equal(scores(read), scores(detector))
    # What describes it, then the rest of that very commit, by which the copy's folder is called.
    assert asked == [("somebody/detector", "v1"), ("somebody/detector", tmp_path.name)]
    Detector.from_pretrained(tmp_path)
    for none in ("nowhere", "a/b/c", tmp_path / "nowhere", "../x y", "./nowhere", "../nowhere"):
        with pytest.raises(UserError, match="there is no folder"):
            Detector.from_pretrained(none)
    assert len(asked) == 2


@pytest.mark.parametrize("text", [None, "{}", "[]", "no JSON", '{"model_type": "clip"}'])
def test_tensors_of_another_model_are_not_even_fetched(tmp_path, monkeypatch, text):
    if text is not None:
        (tmp_path / "config.json").write_text(text)

    def fetch(name, **options):
        assert not any("safetensors" in pattern for pattern in options["allow_patterns"])
        return str(tmp_path)

    monkeypatch.setattr("layerfusion.model.folder.snapshot_download", fetch)
    with pytest.raises(UserError, match="is not a detector of layerfusion"):
        Detector.from_pretrained("somebody/clip")


def publish(detector, folder, monkeypatch, **encoder):
    """Have the hub give a detector whose description says something else of its encoder."""
    detector.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["encoder"] |= encoder
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("layerfusion.model.folder.snapshot_download", lambda *_, **__: str(folder))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("weights", "/etc/hostname", "say where yours are with --weights"),
        ("weights", "here.pt", "say where yours are with --weights"),
        ("weights", "../nowhere", "say where yours are with --weights"),
        ("model", "tower.json", "describes its encoder by a file"),
        ("model", "../tower", "describes its encoder by a file"),
    ],
)
def test_a_fetched_description_may_name_no_file(
    detector, tmp_path, monkeypatch, field, value, words
):
    publish(detector, tmp_path, monkeypatch, **{field: value})
    (tmp_path / "here.pt").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        Detector.from_pretrained("somebody/detector")


def test_weights_that_the_reader_names_are_read(detector, tmp_path, monkeypatch):
    publish(detector, tmp_path, monkeypatch, weights="elsewhere/clip.pt")
    read = Detector.from_pretrained("somebody/detector", weights="embedded")
    assert torch.equal(scores(read), scores(detector))


def gone():
    """What the hub's client raises, made without an answer of a server."""
    return RepositoryNotFoundError.__new__(RepositoryNotFoundError)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (gone(), "no repository of that name"),
        (LocalEntryNotFoundError("offline"), "cannot be reached"),
        (OSError("disk full\nmore"), "disk full$"),
        (OSError(), "OSError$"),
        (HFValidationError("no such name"), "no such name"),
        (GatedRepoError.__new__(GatedRepoError), "has to let you in"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_sentence(monkeypatch, error, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("layerfusion.model.folder.snapshot_download", fail)
    with pytest.raises(UserError, match=words) as caught:
        Detector.from_pretrained("somebody/detector")
    assert "\n" not in str(caught.value)


def test_pushing_uploads_what_save_pretrained_writes(detector, monkeypatch):
    sent = {}

    class Api:
        def __init__(self, token):
            sent["token"] = token

        def create_repo(self, name, *, private, exist_ok):
            sent["repo"] = name, private, exist_ok
            return f"https://hub.invalid/{name}"

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            sent["files"] = sorted(path.name for path in folder_path.iterdir())

        def file_exists(self, name, file):
            return "there" in sent

        def upload_file(self, *, path_or_fileobj, path_in_repo, repo_id):
            sent[path_in_repo] = path_or_fileobj.decode()

    monkeypatch.setattr("layerfusion.model.folder.HfApi", Api)
    page = detector.push_to_hub("me/detector", card="# Card\n", private=True, token="t")
    assert page.endswith("me/detector")
    assert sent["repo"] == ("me/detector", True, True)
    assert sent["files"] == ["README.md", "SHA256SUMS", "config.json", "model.safetensors"]
    with pytest.raises(UserError, match="give owner/name"):
        detector.push_to_hub("detector")
    assert "README.md" not in sent  # the card that was given went with the folder
    detector.push_to_hub("me/detector")
    card = sent.pop("README.md")
    assert card.startswith("---\nlibrary_name: layerfusion\n") and "# me/detector" in card
    assert detector.notice in card and f"{detector.threshold:.6g}" in card
    sent["there"] = True  # a card that somebody wrote is left as it is
    detector.push_to_hub("me/detector")
    assert "README.md" not in sent


def test_pushing_without_a_network_is_one_sentence(detector, monkeypatch):
    with socket.socket() as taken:  # bound and not listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr("layerfusion.model.folder.HfApi", partial(HfApi, endpoint=nobody))
        with pytest.raises(UserError, match="me/detector cannot be written on the hub") as caught:
            detector.push_to_hub("me/detector", token="t")
    assert "\n" not in str(caught.value)
