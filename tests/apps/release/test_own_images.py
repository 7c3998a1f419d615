"""Somebody's own images: how they may lie, and what is not counted."""

import numpy as np
import pytest

from conftest import draw_image
from layerfusion.apps.release.own_images import NO_FOLDER, find_own_images
from layerfusion.errors import UserError


def fill(root, *, real=30, synthetic=30, names=("real", "synthetic")):
    rng = np.random.default_rng(0)
    for name, count in zip(names, (real, synthetic), strict=True):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = draw_image(rng, dark=False, size=(20, 16))
            image.save(root / name / f"{number:02d}.png")
    return root


@pytest.mark.parametrize("names", [("real", "synthetic"), ("0_real", "1_fake"), ("Photos", "AI")])
def test_classes_are_called_as_everywhere(tmp_path, names):
    own = find_own_images(fill(tmp_path, names=names))
    assert own.counts == {"real": 30, "synthetic": 30}
    assert set(own.manifest.rows["source"]) == {NO_FOLDER}


@pytest.mark.parametrize(
    ("real", "source"),
    [("real/flickr", "flickr"), ("real/flickr/2023", "flickr"), ("val/real/flickr", "flickr"),
     ("flickr/real", "flickr"), ("flickr/real/2023", "flickr"), ("val/real", NO_FOLDER)],
)  # fmt: skip
def test_a_folder_is_a_source(tmp_path, real, source):
    rows = find_own_images(fill(tmp_path, names=(real, "synthetic/x"))).manifest.rows
    assert set(rows.loc[rows["label"] == 0, "source"]) == {source}
    assert set(rows.loc[rows["label"] == 1, "source"]) == {"x"}


def test_what_does_not_count_is_counted(tmp_path):
    fill(tmp_path)
    whole = (tmp_path / "real" / "00.png").read_bytes()
    (tmp_path / "real" / "copy.png").write_bytes(whole)
    (tmp_path / "real" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "synthetic" / "empty.jpg").touch()
    (tmp_path / "loose.png").write_bytes(whole)
    own = find_own_images(tmp_path)
    assert own.counts == {"real": 30, "synthetic": 30}
    assert (own.copies, own.unlabelled) == (1, 1)
    bad = own.unreadable.set_index("path")
    assert bad["class"].to_dict() == {"real/cut.png": "real", "synthetic/empty.jpg": "synthetic"}
    assert bad["reason"].str.len().min() > 0


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ({"real": 30, "synthetic": 19}, "has 30 real and 19 synthetic images that can be used"),
        ({"real": 30, "synthetic": 19}, "50 are needed at least, 10 of each class"),
        ({"real": 52, "synthetic": 0}, "52 real and 0 synthetic images that can be used"),
        ({"real": 52, "synthetic": 9}, "52 real and 9 synthetic .* 10 of each class among them"),
        ({"real": 0, "synthetic": 0}, "there are no images"),
    ],
)
def test_too_few_are_refused(tmp_path, images, words):
    with pytest.raises(UserError, match=words):
        find_own_images(fill(tmp_path, **images))


def test_a_file_in_both_classes_is_refused(tmp_path):
    fill(tmp_path)
    whole = (tmp_path / "real" / "07.png").read_bytes()
    (tmp_path / "synthetic" / "z.png").write_bytes(whole)
    with pytest.raises(UserError, match=r"real/07.png and synthetic/z.png are the same file"):
        find_own_images(tmp_path)


def test_a_path_of_both_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match="folders of both classes, real and fake"):
        find_own_images(fill(tmp_path, names=("real/fake", "synthetic")))


def test_names_that_say_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match="nothing says whether"):
        find_own_images(fill(tmp_path, names=("a", "b")))
