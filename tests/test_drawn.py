from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from layerfusion.data import drawn, open_data
from layerfusion.data.drawn import draw_images
from layerfusion.data.manifest import FILE_DTYPES, Manifest
from layerfusion.errors import UserError
from layerfusion.settings import DataSettings, DrawnSource, FolderSource

SMALL = DrawnSource(kind="drawn", seed=5, train_per_class=3, evaluation_per_class=4)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    source = DrawnSource(kind="drawn", train_per_class=100, evaluation_per_class=100)
    settings = DataSettings(sources=[source])
    return open_data(settings, data_root=None, cache=tmp_path_factory.mktemp("cache"))


def test_draws_labelled_images_for_every_split_and_source(tmp_path: Path) -> None:
    table = draw_images(SMALL, tmp_path / "drawn")

    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == FILE_DTYPES
    assert table.groupby(["split", "source", "label"]).size().to_dict() == {
        ("test", "drawn", 0): 4,
        ("test", "drawn", 1): 4,
        ("train", "constrained", 0): 3,
        ("train", "constrained", 1): 3,
        ("train", "social", 0): 3,
        ("train", "social", 1): 3,
        ("val", "drawn", 0): 4,
        ("val", "drawn", 1): 4,
    }
    assert (table["platform"].notna() == (table["source"] == "social")).all()
    assert (table["generator"].notna() == (table["label"] == 1)).all()
    images = {path for path in content(tmp_path / "drawn") if not path.startswith(".")}
    assert images == set(table["path"])


def test_drawing_twice_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    draw_images(SMALL, tmp_path / "one")
    draw_images(SMALL, tmp_path / "two")
    draw_images(SMALL.model_copy(update={"seed": 6}), tmp_path / "three")

    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len(set(content(tmp_path / "one").values())) == 28 + 1  # all images, and the mark
    others = {image for image in content(tmp_path / "three").values() if image}
    assert not set(content(tmp_path / "one").values()) & others


def test_what_is_drawn_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = draw_images(SMALL, tmp_path / "drawn")
    monkeypatch.setattr(drawn, "_draw", None)
    assert draw_images(SMALL, tmp_path / "drawn").equals(first)


def test_an_interrupted_drawing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, calls = drawn._draw, []

    def interrupted(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 10:
            raise KeyboardInterrupt
        draw(*arguments)

    monkeypatch.setattr(drawn, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_images(SMALL, tmp_path / "drawn")
    assert list(tmp_path.iterdir()) == []

    draw_images(SMALL, tmp_path / "drawn")
    assert len(content(tmp_path / "drawn")) == 28 + 1


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "holiday.jpg").touch()
    with pytest.raises(UserError, match="holds something other than these pictures"):
        draw_images(SMALL, tmp_path / "drawn")
    assert list(content(tmp_path / "drawn")) == ["holiday.jpg"]


def test_another_process_may_finish_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = drawn._draw

    def overtaken(*arguments: object) -> None:
        monkeypatch.setattr(drawn, "_draw", draw)
        draw_images(SMALL, tmp_path / "drawn")
        draw(*arguments)

    monkeypatch.setattr(drawn, "_draw", overtaken)
    draw_images(SMALL, tmp_path / "drawn")
    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]


def test_files_alone_do_not_give_the_label_away(world: Manifest) -> None:
    assert world.warnings() == []
    for (split, source), rows in world.rows.groupby(["split", "source"]):
        number = rows["path"].str.extract(r"(\d+)\.\w+$")[0].astype(int)
        for measure in (rows["bytes"], rows["width"], number):
            auc = roc_auc_score(rows["label"].astype(int), measure.astype(float))
            assert 0.3 < auc < 0.7, (split, source, measure.name)
    constrained = world.rows[world.rows["source"] == "constrained"]
    assert set(constrained["format"]) == {"PNG"}
    assert set(world.rows.drop(constrained.index)["format"]) == {"JPEG"}


def test_pixels_do_give_it_away(world: Manifest) -> None:
    """Sampled-up pictures lack the finest detail: one number per image tells most of them."""
    rows = world.select(split="train", sources=["social"]).rows

    def fineness(path: str) -> float:
        pixels = np.asarray(Image.open(world.root / path).convert("L"), dtype=float)
        return float(np.abs(np.diff(pixels, n=2)).mean() / np.abs(np.diff(pixels)).mean())

    auc = roc_auc_score(rows["label"].astype(int), rows["path"].map(fineness))
    assert abs(auc - 0.5) > 0.2


def test_some_evaluation_images_are_smaller(world: Manifest) -> None:
    smaller = (world.rows["width"] < drawn.SIDE).groupby(world.rows["split"]).mean()
    assert smaller["train"] == 0
    assert 0.1 < smaller["val"] < 0.5
    assert 0.1 < smaller["test"] < 0.5


def test_open_data_draws_into_the_cache_once(tmp_path: Path) -> None:
    settings = DataSettings(sources=[SMALL])
    first = open_data(settings, data_root=None, cache=tmp_path / "cache")
    again = open_data(settings, data_root=None, cache=tmp_path / "cache")

    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.name.startswith("drawn-")
    assert first.root == again.root == folder
    assert first.digest() == again.digest()
    assert len(first.rows) == 28
    other = DataSettings(sources=[SMALL.model_copy(update={"seed": 6})])
    assert open_data(other, data_root=None, cache=tmp_path / "cache").root != folder


def test_drawn_pictures_stand_alone(tmp_path: Path) -> None:
    mixed = DataSettings(sources=[SMALL, FolderSource(kind="folder")])
    with pytest.raises(UserError, match="must be a profile's only source"):
        open_data(mixed, data_root=tmp_path, cache=tmp_path)
    with pytest.raises(UserError, match="draws its own images and would not read"):
        open_data(DataSettings(sources=[SMALL]), data_root=tmp_path, cache=tmp_path)
