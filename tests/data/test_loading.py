"""Training images: which view of an image a draw takes."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerfusion.data import loading
from layerfusion.data.loading import (
    Draw,
    EvaluationImages,
    TrainingImages,
    scoring_batches,
    worker_count,
)
from layerfusion.errors import UserError
from layerfusion.progress import warn_once
from layerfusion.settings import ImageSettings, LoaderSettings


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3), dtype=np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    return folder


def images(root, names="ab", *, seed=1, views=None):
    rows = pd.DataFrame({"path": [f"{name}.png" for name in names], "label": 0})
    settings = ImageSettings(crop=32, min_side=32)
    return TrainingImages(root, rows, settings, seed=seed, views=views)


def test_a_lost_worker_is_one_sentence(root, monkeypatch):
    parent = os.getpid()

    def killed(self, index):
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(EvaluationImages, "__getitem__", killed)
    looked_at = EvaluationImages([root / "a.png"] * 2, ImageSettings(crop=32, min_side=32))
    with pytest.raises(UserError, match=r"want of memory.*LAYERFUSION_WORKERS=0"):
        list(scoring_batches(looked_at, LoaderSettings(workers=1, evaluation_batch_size=1)))


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="processes are spawned here")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_a_workers_birth_ends_nothing(root, sent, capfd):
    born = [True]
    os.register_at_fork(after_in_child=lambda: born and os.kill(os.getpid(), sent))
    looked_at = EvaluationImages([root / "a.png"] * 2, ImageSettings(crop=32, min_side=32))
    try:
        loaded = scoring_batches(looked_at, LoaderSettings(workers=1, evaluation_batch_size=1))
        assert [batch.readable for batch in loaded] == [[0], [1]]
    finally:
        born.clear()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    assert capfd.readouterr().err == ""


def test_a_single_batch_is_scored_without_workers(root, monkeypatch):
    seen = []
    prepared = EvaluationImages.__getitem__
    monkeypatch.setattr(
        EvaluationImages,
        "__getitem__",
        lambda self, index: seen.append(os.getpid()) or prepared(self, index),
    )
    looked_at = EvaluationImages([root / "a.png"] * 2, ImageSettings(crop=32, min_side=32))
    for size, here in ((2, [os.getpid()] * 2), (1, [])):
        seen.clear()
        list(scoring_batches(looked_at, LoaderSettings(workers=2, evaluation_batch_size=size)))
        assert seen == here


def test_a_wrong_pixel_limit_is_said_before_a_worker_starts(root, monkeypatch):
    monkeypatch.setenv("LAYERFUSION_MAX_MEGAPIXELS", "many")
    for make in (lambda: images(root), lambda: EvaluationImages([root / "a.png"], ImageSettings())):
        with pytest.raises(UserError, match="is not a number of megapixels"):
            make()


def test_workers_can_be_told_by_the_environment(monkeypatch):
    monkeypatch.setenv("LAYERFUSION_WORKERS", "3")
    assert worker_count(LoaderSettings()) == 3
    assert worker_count(LoaderSettings(workers=1)) == 1
    monkeypatch.setenv("LAYERFUSION_WORKERS", "few")
    with pytest.raises(UserError, match="LAYERFUSION_WORKERS=few is not a number"):
        worker_count(LoaderSettings())


def drawn(of, row, count=60):
    """The different images that so many draws of a row are, over two epochs."""
    draws = [Draw(row, epoch, i) for epoch in range(2) for i in range(count // 2)]
    return {of[draw][0].numpy().tobytes() for draw in draws}


def test_views_are_the_same_in_all_epochs_seeds_and_runs(root):
    three = drawn(images(root, views=3), 0)
    assert len(three) == 3
    assert drawn(images(root, views=3, seed=2), 0) == three
    assert drawn(images(root, "ba", views=3), 1) == three
    assert drawn(images(root, views=2), 0) < three
    assert drawn(images(root, views=3), 1).isdisjoint(three)


def test_seeds_take_their_views_in_orders_of_their_own(root):
    first, second = images(root, views=3), images(root, views=3, seed=2)
    draws = [Draw(0, 0, position) for position in range(20)]
    assert not all(torch.equal(first[draw][0], second[draw][0]) for draw in draws)
    assert all(torch.equal(first[draw][0], first[draw][0]) for draw in draws)


def test_without_views_every_draw_is_an_image_of_its_own(root):
    assert len(drawn(images(root), 0)) == 60


@pytest.fixture
def own_warnings(capfd):
    warn_once.cache_clear()
    return lambda: capfd.readouterr().err


def of_one(root):
    looked_at = EvaluationImages([root / "a.png"] * 4, ImageSettings(crop=32, min_side=32))
    return scoring_batches(looked_at, LoaderSettings(workers=2, evaluation_batch_size=1))


def test_without_room_in_shared_memory_there_are_no_workers(root, monkeypatch, own_warnings):
    expected = torch.cat([batch.images for batch in of_one(root)])
    monkeypatch.setattr(loading, "SHARED_MEMORY", root)
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    state = torch.get_rng_state()
    alone = torch.cat([batch.images for batch in of_one(root)])
    after = torch.get_rng_state()
    assert torch.equal(alone, expected) and "in this process alone" in own_warnings()
    torch.set_rng_state(state)
    monkeypatch.undo()
    list(of_one(root))
    assert torch.equal(after, torch.get_rng_state())


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."),
        RuntimeError("unable to write to file </torch_7_1>"),
    ],
)
def test_workers_that_cannot_begin_are_done_without(root, monkeypatch, own_warnings, error):
    class Refused(loading.DataLoader):
        def __iter__(self):
            iterator = super().__iter__() if not self.num_workers else None
            if iterator is None:
                torch.rand(1)
                raise error
            return iterator

    monkeypatch.setattr(loading, "DataLoader", Refused)
    state = torch.get_rng_state()
    assert len(list(of_one(root))) == 4 and "in this process alone" in own_warnings()
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    monkeypatch.undo()
    list(of_one(root))
    assert torch.equal(after, torch.get_rng_state())


def test_a_script_without_a_guard_is_scored_where_processes_are_spawned(root, tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import multiprocessing\n"
        "multiprocessing.set_start_method('spawn', force=True)\n"
        "from layerfusion import score\n"
        f"print(len(score([{str(root / 'a.png')!r}] * 65, 'demo')))\n"
    )
    environ = os.environ | {"LAYERFUSION_WORKERS": "1"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, env=environ
    )
    assert (done.returncode, done.stdout) == (0, "65\n")
    assert done.stderr.count("\n") == 1 and "if __name__ == '__main__'" in done.stderr
