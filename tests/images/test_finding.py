"""One way to walk a tree: links, debris, names that do not say what a file is."""

import os
import subprocess
import sys
import unicodedata

import pytest
from PIL import Image

from layerfusion.apps.evidence.inspection import Inspector
from layerfusion.apps.evidence.metadata import marks
from layerfusion.apps.task.check import find_test_images
from layerfusion.data.sources.folder import find_folder_images
from layerfusion.errors import UserError
from layerfusion.images.finding import composed, files_below
from layerfusion.images.reading import ImageError, begins_as_image, probe_image, read_pixels
from layerfusion.scoring.inputs import find_images


def picture(path, kind="JPEG"):
    """Save a small image under any name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), "teal").save(path, kind)
    return path


def touched(path, data=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_links_are_followed_and_never_up(tmp_path):
    picture(tmp_path / "elsewhere/inside/a.jpg")
    root = tmp_path / "root"
    picture(root / "b.jpg")
    picture(root / "folder.png" / "c.jpg")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/inside/up").symlink_to(root)
    (root / "self").symlink_to(root)
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")
    assert files_below(root).images == [
        "b.jpg", "folder.png/c.jpg", "gone.jpg", "link/inside/a.jpg",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="has no paths of such a length")
def test_folders_deeper_than_calls_may_be_are_walked(tmp_path):
    within = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):  # more than Python calls within each other
        os.mkdir("d", dir_fd=within)
        above, within = within, os.open("d", os.O_RDONLY, dir_fd=within)
        os.close(above)
    os.close(os.open("a.jpg", os.O_CREAT, dir_fd=within))
    os.close(within)
    assert files_below(tmp_path).images == ["d/" * 1200 + "a.jpg"]
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # which Python's own way cannot


def test_every_command_finds_the_same_images(tmp_path):
    root = tmp_path / "data"
    picture(tmp_path / "elsewhere/d.jpg")
    for name in ("a.jpg", "b.jfif", "c"):
        picture(root / "test/real" / name)
    (root / "test/synthetic").symlink_to(tmp_path / "elsewhere")
    expected = ["real/a.jpg", "real/b.jfif", "real/c", "synthetic/d.jpg"]
    assert list(find_images([root / "test"])[0]) == expected
    assert list(find_test_images(root / "test")[0]) == ["a.jpg", "b.jfif", "c", "d.jpg"]
    assert find_folder_images(root)["path"].tolist() == [f"test/{name}" for name in expected]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jfif", "JPEG"), ("a.jpg_large", "JPEG"), ("a", "PNG"), ("a.png!w700", "WEBP"),
     ("a.dat", "GIF"), ("a.IMG", "TIFF"), ("a.pic", "AVIF"), ("a.1", "BMP")],
)  # fmt: skip
def test_what_begins_as_an_image_is_one(name, kind, tmp_path):
    picture(tmp_path / name, kind)
    touched(tmp_path / "notes.txt", b"BMW, RIFFs and GIFs")
    for other in ("empty", "jpg", "Thumbs.db", "archive.jpg.zip"):
        touched(tmp_path / other)
    others = ["Thumbs.db", "archive.jpg.zip", "empty", "jpg", "notes.txt"]
    assert files_below(tmp_path) == ([name], others)


def test_an_image_that_is_not_read_is_found_and_named(tmp_path):
    touched(tmp_path / "photo.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert files_below(tmp_path).images == ["photo.HEIC"]


@pytest.mark.parametrize(
    "name",
    ["._x.jpg", ".x.jpg", ".hidden/x.jpg", "__MACOSX/x.jpg", "@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg",
     "$RECYCLE.BIN/x.jpg", "#recycle/x.jpg", "System Volume Information/x.jpg"],
)  # fmt: skip
def test_debris_is_passed_over(name, tmp_path):
    picture(tmp_path / name)
    assert files_below(tmp_path) == ([], [])


def test_backslashes_in_a_name_are_named(tmp_path):
    picture(tmp_path / "train/real/a.jpg")
    picture(tmp_path / "train\\synthetic\\b.jpg")
    with pytest.raises(UserError, match="has backslashes in it"):
        find_folder_images(tmp_path)


def test_accents_are_compared_as_they_look():
    name = "caf\u00e9.jpg"
    assert composed(unicodedata.normalize("NFD", name)) == composed(name) == name


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_pipes_sockets_and_devices_are_never_opened(tmp_path):
    # To open a pipe that nobody writes to takes for ever: where it is opened, this test never ends.
    picture(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    found = files_below(tmp_path)
    assert found.images == ["a.jpg"] and found.others == ["device.png", "pipe", "pipe.jpg"]
    images, passed_over = find_images([tmp_path])
    assert list(images) == ["a.jpg"] and passed_over == 3
    for name in found.others:
        for read in (read_pixels, probe_image):
            with pytest.raises(ImageError, match="a pipe, socket or device, not a file"):
                read(tmp_path / name)
        assert marks(tmp_path / name) == [] and not begins_as_image(tmp_path / name)
        found_out = Inspector(None, None).inspect(tmp_path / name)
        assert found_out.error == "a pipe, socket or device, not a file"


def test_a_link_to_itself_ends_no_walk(tmp_path):
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    picture(tmp_path / "good.jpg")
    assert files_below(tmp_path).images == ["good.jpg", "self.png"]
