import pytest
from sklearn.metrics import roc_auc_score

from layerfusion.data.manifest import FILE_DTYPES
from layerfusion.data.opening import open_data
from layerfusion.data.sources import world
from layerfusion.data.sources.world import contents, make_world
from layerfusion.demo.generators import GENERATORS
from layerfusion.demo.pictures import PARTS, make, plan, scene_of
from layerfusion.demo.platforms import PLATFORMS
from layerfusion.demo.scenes import SHAPES
from layerfusion.demo.surfaces import COLOURS
from layerfusion.errors import UserError
from layerfusion.settings import DataSettings, FolderSource, WorldSource

SMALL = WorldSource(kind="world", seed=5, train_per_class=3, evaluation_per_class=4)


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    source = WorldSource(kind="world", train_per_class=30, evaluation_per_class=50)
    settings = DataSettings(sources=[source])
    return open_data(settings, data_root=None, cache=tmp_path_factory.mktemp("cache"))


def test_makes_labelled_pictures_for_every_split_and_source(tmp_path):
    table = make_world(SMALL, tmp_path / "world")

    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == FILE_DTYPES
    assert table.groupby(["split", "source", "label"]).size().to_dict() == {
        ("test", "hidden", 0): 4,
        ("test", "hidden", 1): 4,
        ("train", "constrained", 0): 3,
        ("train", "constrained", 1): 3,
        ("train", "social", 0): 3,
        ("train", "social", 1): 3,
        ("val", "wild", 0): 4,
        ("val", "wild", 1): 4,
    }
    assert (table["generator"].notna() == (table["label"] == 1)).all()
    images = {path for path in content(tmp_path / "world") if not path.startswith(".")}
    assert images == set(table["path"])


def test_making_twice_gives_the_same_bytes_and_another_seed_others(tmp_path):
    make_world(SMALL, tmp_path / "one")
    make_world(SMALL, tmp_path / "two")
    make_world(SMALL.model_copy(update={"seed": 6}), tmp_path / "three")

    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len(set(content(tmp_path / "one").values())) == 28 + 1  # all pictures, and the mark
    others = {image for image in content(tmp_path / "three").values() if image}
    assert not set(content(tmp_path / "one").values()) & others


def test_several_processes_make_the_same_bytes_as_one(manifest):
    source = WorldSource(kind="world", train_per_class=30, evaluation_per_class=50)
    for picture in list(plan(source))[::97]:
        assert (manifest.root / picture.path).read_bytes() == make(picture)


def test_what_is_made_is_not_made_again(tmp_path, monkeypatch):
    first = make_world(SMALL, tmp_path / "world")
    monkeypatch.setattr(world, "make", None)
    assert make_world(SMALL, tmp_path / "world").equals(first)


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    calls = []

    def interrupted(picture):
        calls.append(picture)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return make(picture)

    monkeypatch.setattr(world, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_world(SMALL, tmp_path / "world")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "holiday.jpg").touch()
    with pytest.raises(UserError, match="holds something other than these pictures"):
        make_world(SMALL, tmp_path / "world")
    assert list(content(tmp_path / "world")) == ["holiday.jpg"]


def test_another_process_may_finish_first(tmp_path, monkeypatch):
    def overtaken(picture):
        monkeypatch.setattr(world, "make", make)
        make_world(SMALL, tmp_path / "world")
        return make(picture)

    monkeypatch.setattr(world, "make", overtaken)
    make_world(SMALL, tmp_path / "world")
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_the_hidden_test_set_has_a_generator_a_platform_and_a_camera_of_its_own():
    seen, hidden = PARTS[:-1], PARTS[-1]
    assert hidden.split == "test"
    for field, known in (("generators", GENERATORS), ("platforms", PLATFORMS), ("cameras", None)):
        before = {name for part in seen for name in getattr(part, field)}
        assert len(set(getattr(hidden, field)) - before) == 1
        assert known is None or before | set(getattr(hidden, field)) == set(known)


def test_files_alone_do_not_give_the_label_away(manifest):
    assert set(manifest.rows["format"]) == {"JPEG"}
    number = manifest.rows["path"].str.extract(r"(\d+)\.jpg$")[0].astype(int)
    for split, rows in manifest.rows.groupby("split"):
        for name, measure in {"width": rows["width"], "number": number[rows.index]}.items():
            auc = roc_auc_score(rows["label"].astype(int), measure.astype(float))
            assert 0.35 < auc < 0.65, (split, name)


def test_validation_and_test_have_small_images(manifest):
    shorter = manifest.rows[["width", "height"]].min(axis=1)
    small = (shorter < 88).groupby(manifest.rows["split"]).mean()
    assert small["val"] > 0.15
    assert small["test"] > 0.15


def test_contents_name_what_the_scenes_show():
    table = contents(DataSettings(sources=[SMALL]))
    pictures = list(plan(SMALL))
    assert list(table["path"]) == [picture.path for picture in pictures]
    assert set(table["shape"]) <= set(SHAPES)
    assert set(table["colour"]) <= set(COLOURS)
    assert table["ground"][3] == scene_of(pictures[3]).ground


def test_of_other_images_contents_are_unknown():
    with pytest.raises(UserError, match="only of a world"):
        contents(DataSettings(sources=[FolderSource(kind="folder")]))


def test_open_data_makes_the_world_once(tmp_path):
    settings = DataSettings(sources=[SMALL])
    first = open_data(settings, data_root=None, cache=tmp_path / "cache")
    again = open_data(settings, data_root=None, cache=tmp_path / "cache")

    (folder,) = (tmp_path / "cache").glob("world-*")
    assert folder.name.startswith("world-")
    assert first.root == again.root == folder
    assert first.digest() == again.digest()
    assert len(first.rows) == 28
    other = DataSettings(sources=[SMALL.model_copy(update={"seed": 6})])
    assert open_data(other, data_root=None, cache=tmp_path / "cache").root != folder


def test_a_world_stands_alone(tmp_path):
    mixed = DataSettings(sources=[SMALL, FolderSource(kind="folder")])
    with pytest.raises(UserError, match="must be a profile's only source"):
        open_data(mixed, data_root=tmp_path, cache=tmp_path)
    with pytest.raises(UserError, match="makes its own images and would not read"):
        open_data(DataSettings(sources=[SMALL]), data_root=tmp_path, cache=tmp_path)
