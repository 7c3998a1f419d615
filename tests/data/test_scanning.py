"""Looking at files: what is found out, and that nothing is read twice or remembered wrongly."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from layerfusion.data import scanning
from layerfusion.data.manifest import Manifest, file_table
from layerfusion.data.metadata import manifest_warnings
from layerfusion.data.scanning import ScanCache
from layerfusion.errors import UserError


def picture(path, size=(24, 16), seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size=(size[1], size[0], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)


BAD = {"truncated.jpg", "truncated.png", "empty.jpg", "text.jpg"}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    picture(root / "a.jpg", seed=1)
    picture(root / "b.PNG", size=(30, 10), seed=2)
    for name in ("truncated.jpg", "truncated.png"):
        picture(root / name, size=(200, 200), seed=3)
        (root / name).write_bytes((root / name).read_bytes()[:2000])
    damage_inside(root / "damaged.png")
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("no image at all")
    return root


def damage_inside(path):
    """Write a PNG that begins and ends well, with other pixels than its checksum says."""
    picture(path, size=(50, 50), seed=4)
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)


def all_of(root, *, label=0, split="train"):
    return file_table((path.name, label, split, "s", None, None) for path in root.iterdir())


def scan(root, files, *, hash_files=True, decode_files=True, **asked):
    asked |= {"hash_files": hash_files, "decode_files": decode_files}
    return Manifest.of_scans(root, scanning.scan(root, files, **asked))


def look(root, cache, **asked):
    """Scan a tree, and say how many files were read for it."""
    read: list[Path] = []
    inspect = scanning.scan_file

    def counted(path, **named):
        read.append(path)
        return inspect(path, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "scan_file", counted)
        manifest = scan(root, all_of(root), cache=cache, **asked)
    return manifest, len(read)


def same(one, other):
    pd.testing.assert_frame_equal(one.rows, other.rows)
    pd.testing.assert_frame_equal(one.skipped, other.skipped)
    return one.digest() == other.digest()


def test_scan_says_what_files_are_and_skips_bad_ones(tree):
    files = pd.concat([all_of(tree), file_table([("gone.jpg", 1, "val", "s", None, None)])])
    manifest = scan(tree, files)

    assert manifest.rows["path"].tolist() == ["a.jpg", "b.PNG"]
    assert manifest.rows["width"].tolist() == [24, 30]
    assert manifest.rows["height"].tolist() == [16, 10]
    assert manifest.rows["format"].tolist() == ["JPEG", "PNG"]
    content = (tree / "a.jpg").read_bytes()
    assert manifest.rows["bytes"][0] == len(content)
    assert manifest.rows["sha256"][0] == hashlib.sha256(content).hexdigest()
    assert manifest.rows["phash"].str.fullmatch("[0-9a-f]{16}").all()
    skipped = dict(zip(manifest.skipped["path"], manifest.skipped["reason"], strict=True))
    assert skipped.keys() == BAD | {"damaged.png", "gone.jpg"}
    assert all(skipped.values())


def test_scan_measures_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture(tmp_path / "turned.jpg", size=(40, 20), exif=exif)
    rows = scan(tmp_path, all_of(tmp_path), hash_files=False).rows

    assert (rows["width"][0], rows["height"][0]) == (20, 40)


def test_scan_is_the_same_for_any_number_of_workers_and_reports_progress(tmp_path, monkeypatch):
    for number in range(150):
        picture(tmp_path / f"{number}.png", size=(8, 8), seed=number)
    (tmp_path / "77.png").write_bytes(b"")
    calls = []
    manifests = []
    for workers in (1, 4):
        monkeypatch.setattr(scanning, "usable_cores", lambda workers=workers: workers)
        manifests.append(
            scan(tmp_path, all_of(tmp_path), progress=lambda *done: calls.append(done))
        )
    one, four = manifests
    pd.testing.assert_frame_equal(one.rows, four.rows)
    pd.testing.assert_frame_equal(one.skipped, four.skipped)
    assert len(one.rows) == 149
    assert calls[-1] == (150, 150)
    assert calls == sorted(calls[: len(calls) // 2]) * 2


def test_scan_of_no_files_gives_an_empty_manifest(tmp_path):
    manifest = scan(tmp_path, file_table([]))

    manifest.save(tmp_path / "manifest.parquet")
    assert len(Manifest.load(tmp_path / "manifest.parquet", tmp_path).rows) == 0
    assert manifest_warnings(manifest) == []
    assert len(manifest.summary()) == 0


def test_scan_without_decoding_finds_what_is_empty_or_cut_off(tree):
    manifest = scan(tree, all_of(tree), hash_files=False, decode_files=False)

    assert set(manifest.skipped["path"]) == BAD
    assert manifest.rows["path"].tolist() == ["a.jpg", "b.PNG", "damaged.png"]
    assert manifest.rows["sha256"].isna().all()
    assert manifest.rows["phash"].isna().all()


def test_only_what_is_new_or_changed_is_read_again(tree, tmp_path):
    look(tree, tmp_path / "cache")
    picture(tree / "new.jpg", seed=5)
    picture(tree / "a.jpg", size=(99, 77), seed=6)  # another size
    state = (tree / "b.PNG").stat()
    os.utime(tree / "b.PNG", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    picture(tree / "empty.jpg", seed=7)  # mended
    manifest, read = look(tree, tmp_path / "cache")
    assert read == 4 and same(manifest, look(tree, None)[0])
    assert {"new.jpg", "empty.jpg"} < set(manifest.rows["path"])
    assert look(tree, tmp_path / "cache")[1] == 0


def test_files_exchanged_with_times_and_sizes_kept_are_read_again(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for seed, name in enumerate(("a.bmp", "b.bmp")):
        picture(tree / name, seed=seed)
        os.utime(tree / name, ns=(10**18, 10**18))
    first, _ = look(tree, tmp_path / "cache")
    for old, new in (("a.bmp", "c.bmp"), ("b.bmp", "a.bmp"), ("c.bmp", "b.bmp")):
        (tree / old).rename(tree / new)  # as rsync and dvc put a file in place of another
    second, read = look(tree, tmp_path / "cache")
    assert read == 2
    assert second.rows["sha256"].tolist() == first.rows["sha256"].tolist()[::-1]

    content = (tree / "a.bmp").read_bytes()
    (tree / "a.bmp").write_bytes((tree / "b.bmp").read_bytes())  # as cp -p writes into one
    (tree / "b.bmp").write_bytes(content)
    for name in ("a.bmp", "b.bmp"):
        os.utime(tree / name, ns=(10**18, 10**18))
    assert same(look(tree, tmp_path / "cache")[0], first)


def test_files_that_are_gone_leave_the_cache_and_others_stay(tree, tmp_path):
    look(tree, tmp_path / "cache")
    (tree / "a.jpg").unlink()
    some = all_of(tree).query("path != 'b.PNG'")
    scan(tree, some, cache=tmp_path / "cache")
    known = set(ScanCache(tmp_path / "cache", tree).read()["path"])
    assert known == {path.name for path in tree.iterdir()}  # not a.jpg, and still b.PNG


def test_what_the_cache_lacks_is_read_then_and_what_it_has_is_kept(tree, tmp_path):
    cache = tmp_path / "cache"
    usable = 7 - len(BAD)
    for asked, read in (
        ({"hash_files": False, "decode_files": False}, 7),
        ({"hash_files": True, "decode_files": False}, usable),
        ({"hash_files": False, "decode_files": True}, usable),
        ({"hash_files": True, "decode_files": True}, 0),
        ({"hash_files": False, "decode_files": False}, 0),
    ):
        manifest, looked = look(tree, cache, **asked)
        assert looked == read
        assert same(manifest, look(tree, None, **asked)[0])


def test_trouble_that_is_not_the_file_s_is_not_remembered(tree, tmp_path, monkeypatch):
    opened = Path.open

    def forbidden(path, *arguments, **named):
        if path.name == "a.jpg":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", forbidden)
    manifest, _ = look(tree, tmp_path / "cache")
    assert "a.jpg" in set(manifest.skipped["path"])
    monkeypatch.undo()
    manifest, read = look(tree, tmp_path / "cache")
    assert read == 1 and "a.jpg" in set(manifest.rows["path"])


class Killed(BaseException):
    pass


def many(root, count=200):
    for number in range(count):
        picture(root / f"{number:03d}.png", size=(8, 8), seed=number)


def test_a_scan_that_is_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    many(tmp_path / "tree")
    monkeypatch.setattr(scanning, "CHUNK", 8)
    monkeypatch.setattr(scanning, "PART", 32)

    def stop(done, total):
        if done >= 150:
            raise Killed

    files = all_of(tmp_path / "tree")
    with pytest.raises(Killed):
        scan(tmp_path / "tree", files, cache=tmp_path / "cache", progress=stop)
    calls = []
    resumed = scan(
        tmp_path / "tree",
        files,
        cache=tmp_path / "cache",
        progress=lambda *done: calls.append(done),
    )
    assert calls[0] == (128 + 8, 200) and calls[-1] == (200, 200)
    assert same(resumed, look(tmp_path / "tree", None)[0])
    assert len(list((tmp_path / "cache").glob("*/*"))) == 1


def test_damaged_caches_and_those_of_other_code_count_as_nothing(tree, tmp_path, monkeypatch):
    first, _ = look(tree, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*/part-*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    (file.parent / "part-0-0.parquet").write_bytes(b"PAR1")
    again, read = look(tree, tmp_path / "cache")
    assert read == 7 and same(first, again)
    monkeypatch.setattr("layerfusion.data.scanning.scanner_digest", lambda: "other")
    assert look(tree, tmp_path / "cache")[1] == 7
    assert look(tree, tmp_path / "cache")[1] == 0


def test_two_scans_at_once_do_no_harm(tmp_path, monkeypatch):
    many(tmp_path / "tree")
    monkeypatch.setattr(scanning, "CHUNK", 8)
    monkeypatch.setattr(scanning, "PART", 16)
    monkeypatch.setattr(scanning, "usable_cores", lambda: 1)
    files = all_of(tmp_path / "tree")

    def once(_):
        return scan(tmp_path / "tree", files, cache=tmp_path / "cache")

    with ThreadPoolExecutor(3) as pool:
        manifests = list(pool.map(once, range(3)))
    assert all(same(manifests[0], manifest) for manifest in manifests)
    assert look(tmp_path / "tree", tmp_path / "cache")[1] == 0
    assert len(ScanCache(tmp_path / "cache", tmp_path / "tree").read()) == 200


def test_roots_of_the_same_name_have_caches_of_their_own(tmp_path):
    for parent in ("one", "two"):
        picture(tmp_path / parent / "data" / "a.png", seed=len(parent))
        assert look(tmp_path / parent / "data", tmp_path / "cache")[1] == 1
    assert look(tmp_path / "one" / "data", tmp_path / "cache")[1] == 0


def test_a_cache_that_cannot_be_written_is_said_in_a_sentence(tree, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot be kept in") as caught:
        look(tree, tmp_path / "cache")
    assert "\n" not in str(caught.value)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["a.png", "b.png", "c.png"]),
        st.sampled_from(["write", "cut", "remove", "nothing"]),
        st.booleans(),
        st.booleans(),
    ),
    min_size=2,
    max_size=5,
)


@hypothesis_settings(deadline=None, max_examples=10)
@given(changes=CHANGES)
def test_a_cache_never_changes_what_a_scan_says(tmp_path_factory, changes):
    """Whatever happens to files between scans, and whatever is asked for."""
    folder = tmp_path_factory.mktemp("scans")
    picture(folder / "tree" / "a.png")
    for number, (name, change, hashed, decoded) in enumerate(changes, start=1):
        file = folder / "tree" / name
        if change == "write":
            picture(file, size=(8 + number, 8), seed=number)
        elif change == "cut" and file.exists():
            file.write_bytes(file.read_bytes()[:-20])
        elif change == "remove":
            file.unlink(missing_ok=True)
        asked = {"hash_files": hashed, "decode_files": decoded}
        with_cache, _ = look(folder / "tree", folder / "cache", **asked)
        assert same(with_cache, look(folder / "tree", None, **asked)[0])
