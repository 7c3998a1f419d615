import os
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerfusion.data.manifest import FILE_DTYPES
from layerfusion.data.opening import open_data
from layerfusion.data.sources.folder import find_folder_images
from layerfusion.errors import UserError
from layerfusion.settings import DataSettings, FolderSource


def plant(root, *paths):
    """Make files that are named like images: finding them looks at names alone."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def describe(root, layout=None):
    """Map each path to its label, split, source, generator and platform, None where missing."""
    table = find_folder_images(root, layout)
    table = table.astype(object).where(table.notna(), None)
    return {path: tuple(rest) for path, *rest in table.itertuples(index=False)}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train/constrained/real/a.jpg", (0, "train", "constrained", None, None)),
        ("train/constrained/synthetic/a.jpg", (1, "train", "constrained", None, None)),
        ("train/social/real/Facebook/a.jpg", (0, "train", "social", None, "Facebook")),
        ("train/social/telegram/fake/SDXL/a.jpg", (1, "train", "social", "SDXL", "Telegram")),
        ("val/0_real/a.jpg", (0, "val", "folder", None, None)),
        ("val/1_fake/a.jpg", (1, "val", "folder", None, None)),
        ("Validation/AI/LinkedIN/a.JPEG", (1, "val", "folder", None, "LinkedIn")),
        ("testing/nature/twitter/a.png", (0, "test", "folder", None, "Twitter")),
        ("TEST/a.webp", (None, "test", "folder", None, None)),
        ("test/itw/x/a.jpg", (None, "test", "itw", None, "X")),
        ("heldout/synthbuster/fake/glide/a.png", (1, "heldout", "synthbuster", "glide", None)),
        ("wang/train/horse/1_fake/a.png", (1, "train", "wang/horse", None, None)),
        ("training/coco/photos/2017/a.jpg", (0, "train", "coco", None, None)),
        ("valid/corvi/generated/text2img/set0/a.png", (1, "val", "corvi", "text2img/set0", None)),
        ("train/fake/fake/a.png", (1, "train", "folder", None, None)),
        ("train/realistic/real/faked/a.png", (0, "train", "realistic", None, None)),
    ],
)
def test_folder_names_say_what_an_image_is(tmp_path, path, expected):
    plant(tmp_path, path)
    assert describe(tmp_path) == {path: expected}


def test_table_has_fixed_columns_and_is_sorted(tmp_path):
    plant(tmp_path, "test/b.jpg", "test/B.jpg", "test/a/z.jpg", "test/ä.jpg")
    table = find_folder_images(tmp_path)
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == FILE_DTYPES
    assert table["path"].tolist() == ["test/B.jpg", "test/a/z.jpg", "test/b.jpg", "test/ä.jpg"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("train/misc/a.jpg", "whether the images in {root}/train/misc are real or synthetic"),
        ("val/a.jpg", "whether the images in {root}/val are real or synthetic"),
        ("real/a.jpg", "what the images in {root}/real are for; sort them into folders named"),
        ("a.jpg", "what the images in {root} are for"),
        ("train/real/fake/a.jpg", "{root}/train/real/fake names its label twice, 'real' and"),
        ("train/val/real/a.jpg", "names its split twice, 'train' and 'val'"),
        ("train/real/X/Reddit/a.jpg", "names its platform twice, 'x' and 'reddit'"),
    ],
)
def test_unclear_folders_are_named(tmp_path, path, sentence):
    plant(tmp_path, path, "test/fine.jpg")
    with pytest.raises(UserError) as caught:
        find_folder_images(tmp_path)
    assert sentence.format(root=tmp_path) in str(caught.value)
    assert "layout" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
def test_names_of_another_encoding_are_reported(tmp_path):
    (tmp_path / "test").mkdir()
    try:
        (tmp_path / "test" / os.fsdecode(b"caf\xe9.jpg")).touch()
    except OSError:
        pytest.skip("this file system refuses such names")
    with pytest.raises(UserError, match=r"'test/caf\\udce9.jpg' is not UTF-8; rename"):
        find_folder_images(tmp_path)


def test_a_layout_says_what_folders_are(tmp_path):
    plant(
        tmp_path,
        "PreSocial/Fake/FLUX.1/a.jpg",
        "Facebook/Fake/FLUX.1/prompts/b.jpg",
        "Facebook/Fake/StyleGAN2/c.jpg",
        "Facebook/Real/FFHQ/d.jpg",
        "Facebook/Real/e.png",
        "Telegram/Real/f.jpg",
        "unused/g.jpg",
    )
    layout = tmp_path / "layout.yaml"
    layout.write_text("""
folders:
  - {path: "**/FLUX.1", label: synthetic, split: test, source: held-out, generator: FLUX}
  - {path: Facebook/Fake, label: synthetic, split: train, source: social, platform: Facebook}
  - {path: "*book/Real/*.png", label: real, split: val}
  - {path: "*/Real", label: real, split: train, source: social}
""")
    assert describe(tmp_path, layout) == {
        "PreSocial/Fake/FLUX.1/a.jpg": (1, "test", "held-out", "FLUX", None),
        "Facebook/Fake/FLUX.1/prompts/b.jpg": (1, "test", "held-out", "FLUX", None),
        "Facebook/Fake/StyleGAN2/c.jpg": (1, "train", "social", None, "Facebook"),
        "Facebook/Real/FFHQ/d.jpg": (0, "train", "social", None, None),
        "Facebook/Real/e.png": (0, "val", "folder", None, None),
        "Telegram/Real/f.jpg": (0, "train", "social", None, None),
    }


def test_a_layout_in_the_root_is_used_unless_another_is_given(tmp_path):
    plant(tmp_path, "real/a.jpg")
    entry = "folders: [{{path: {path}, label: {label}, split: {split}}}]"
    (tmp_path / "layerfusion.yaml").write_text(entry.format(path=".", label="null", split="test"))
    other = tmp_path / "other.yaml"
    other.write_text(entry.format(path="'r?al'", label="real", split="val"))

    assert describe(tmp_path) == {"real/a.jpg": (None, "test", "folder", None, None)}
    assert describe(tmp_path, other) == {"real/a.jpg": (0, "val", "folder", None, None)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1", "is not valid YAML, line 1: while parsing a flow sequence, expected"),
        ("3", "'settings': Input should be a valid dictionary"),
        ("folders: []", "'folders': List should have at least 1 item"),
        (
            "folders: [{path: '{style}', split: val, label: real}]",
            "'folders.0': {style} in the path is neither {generator} nor {platform}",
        ),
        ("folders: [{path: real, split: val}]", "'folders.0.label': Field required"),
        (
            "folders: [{path: real, split: val, label: null}]",
            "'folders.0': images for val need a label, real or synthetic",
        ),
        (
            "folders: [{path: real, split: dev, label: real}]",
            "'folders.0.split': Input should be 'train', 'val', 'test' or 'heldout'",
        ),
        (
            "folders: [{path: ../real, split: val, label: real}]",
            "'folders.0.path': must be relative to the data root and stay below it",
        ),
        (
            "folders: [{path: real, split: val, label: real, colour: red}]",
            "'folders.0.colour': there is no such setting",
        ),
        (
            "folders: [{path: real, split: val, label: real}, "
            "{path: 'rea', split: val, label: real}]",
            "'rea' matches no image",
        ),
    ],
)
def test_mistakes_in_a_layout(tmp_path, text, sentence):
    plant(tmp_path, "real/a.jpg")
    (tmp_path / "layerfusion.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        find_folder_images(tmp_path)
    assert sentence in str(caught.value)
    assert "layerfusion.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layout_that_is_not_there(tmp_path):
    plant(tmp_path, "real/a.jpg")
    with pytest.raises(UserError, match=r"there is no layout .*mine\.yaml"):
        find_folder_images(tmp_path, tmp_path / "mine.yaml")


def test_a_csv_fills_in_what_folder_names_leave_open(tmp_path):
    plant(
        tmp_path,
        "train/real/a.jpg",
        "train/fake/b.jpg",
        "train/fake/SDXL/Twitter/c.jpg",
        "train/fake/d.jpg",
        "test/e.jpg",
    )
    (tmp_path / "manifest.csv").write_text(
        "path,label,split,source,generator,platform\n"
        "train/real/a.jpg,1,test,other,camera,instagram\n"
        "train/fake/b.jpg,0,test,other,FLUX,\n"
        "train/fake/SDXL/Twitter/c.jpg,0,val,other,DALL-E,Reddit\n"
        "elsewhere.jpg,0,val,other,DALL-E,Reddit\n"
    )
    (tmp_path / "metadata.csv").write_text(
        "file_name,target,platform\n"
        "./train/fake/b.jpg,1,Mastodon\n"
        "train\\real\\a.jpg,0,Reddit\n"
        "train\\real\\a.jpg,0,WeChat\n"
        ",0,WeChat\n"
    )
    assert describe(tmp_path) == {
        "train/real/a.jpg": (0, "train", "folder", None, "Instagram"),
        "train/fake/b.jpg": (1, "train", "folder", "FLUX", "Mastodon"),
        "train/fake/SDXL/Twitter/c.jpg": (1, "train", "folder", "SDXL", "Twitter"),
        "train/fake/d.jpg": (1, "train", "folder", None, None),
        "test/e.jpg": (None, "test", "folder", None, None),
    }
    assert {str(dtype) for dtype in find_folder_images(tmp_path).dtypes} == {"str", "Int8"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,platform\na.jpg,X\n", "has no column path"),
        ("path;platform\ntest/a.jpg;X\n", "has no column path or file_name, separated by commas"),
        ("path,platform\n/data/a.jpg,X\n", "names no image"),
        ("path,label\ntest/a.jpg,1\n", ""),
        ("path,platform,generator\n", "names no image"),
    ],
)
def test_a_csv_about_something_else_is_ignored_and_said(tmp_path, text, why, capfd):
    plant(tmp_path, "test/a.jpg")
    (tmp_path / "metadata.csv").write_text(text)
    assert describe(tmp_path) == {"test/a.jpg": (None, "test", "folder", None, None)}
    describe(tmp_path)
    said = capfd.readouterr().err
    assert said.count("is not used") == bool(why) and why in said


@pytest.mark.parametrize("content", [b"", b"path,platform\ntest/a.jpg,caf\xe9", b'path\n"a\n'])
def test_a_csv_that_cannot_be_read_is_named(tmp_path, content):
    plant(tmp_path, "test/a.jpg")
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.csv cannot be read as CSV") as caught:
        find_folder_images(tmp_path)
    assert "\n" not in str(caught.value)


FOLDER = DataSettings(sources=[FolderSource(kind="folder")])


def test_open_data_reads_a_tree_with_all_its_troubles(tmp_path):
    root = tmp_path / "data"
    plant(root, "val/real/empty.jpg", "__MACOSX/val/real/a.jpg", "val/real/Thumbs.db")
    for path in ("val/real/a.JPG", "val/fake/b.png", "val/fake/short.jpg"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((64, 64, 3), 7, np.uint8)).save(root / path)
    (root / "val/fake/short.jpg").write_bytes((root / "val/fake/short.jpg").read_bytes()[:-60])
    (root / "val/fake/text.jpg").write_text("sorry, quota exceeded")

    manifest = open_data(FOLDER, data_root=root, cache=tmp_path / "cache")
    assert manifest.root == root
    assert manifest.rows["path"].tolist() == ["val/fake/b.png", "val/real/a.JPG"]
    assert manifest.skipped["path"].tolist() == [
        "val/fake/short.jpg",
        "val/fake/text.jpg",
        "val/real/empty.jpg",
    ]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["scanned"]
    assert not [path for path in root.rglob("*") if path.suffix == ".parquet"]


def test_open_data_looks_for_layouts_below_the_root_and_joins_sources(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "image.png")
        (tmp_path / f"{name}.yaml").write_text(
            f"folders: [{{path: {name}, label: real, split: val, source: {name}}}]"
        )
    layouts = [FolderSource(kind="folder", layout=f"{name}.yaml") for name in "ba"]
    manifest = open_data(DataSettings(sources=layouts), data_root=tmp_path, cache=tmp_path)
    assert manifest.rows[["path", "source"]].to_numpy().tolist() == [
        ["a/image.png", "a"],
        ["b/image.png", "b"],
    ]
    pd.testing.assert_index_equal(manifest.rows.index, pd.RangeIndex(2))

    with pytest.raises(UserError, match=r"two sources of the profile both claim .*a/image\.png"):
        open_data(DataSettings(sources=layouts[1:] * 2), data_root=tmp_path, cache=tmp_path)


def test_a_layout_takes_generators_and_platforms_from_paths(tmp_path):
    plant(tmp_path, "Fake/sdxl/x/a.jpg", "Fake/Other/b.jpg", "TELEGRAM/c.jpg", "none/d.jpg")
    (tmp_path / "layerfusion.yaml").write_text("""
folders:
  - {path: "Fake/{generator:SDXL|FLUX*}", label: synthetic, split: val, platform: X}
  - {path: "Fake/{generator}", label: synthetic, split: val, generator: "other/{generator}"}
  - {path: "{platform}", label: real, split: val}
""")
    assert describe(tmp_path) == {
        "Fake/sdxl/x/a.jpg": (1, "val", "folder", "SDXL", "X"),
        "Fake/Other/b.jpg": (1, "val", "folder", "other/Other", None),
        "TELEGRAM/c.jpg": (0, "val", "folder", None, "Telegram"),
    }
