"""One file looked at: what its header, its end and its pixels say."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from layerfusion.data import scanning
from layerfusion.data.scanning import (
    FileScan,
    file_state,
    perceptual_hash,
    scan_file,
    scanner_digest,
)
from layerfusion.images.reading import ImageError, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format=kind)
    return buffer.getvalue()


WHOLE = {kind: encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")}


def can_be_read(path):
    try:
        read_image(path)
    except ImageError:
        return False
    return True


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("asked", [False, True])
def test_a_whole_file_of_every_format(tmp_path, kind, asked):
    (tmp_path / "image").write_bytes(WHOLE[kind])
    found = scan_file(tmp_path / "image", hash_file=asked, decode_file=asked)
    assert (found.bytes, found.state) == file_state(tmp_path / "image")
    assert (found.width, found.height, found.format) == (30, 20, kind)
    assert found.reason is None and found.damage is None
    assert (found.sha256 is not None, found.phash is not None) == (asked, asked)
    content = WHOLE[kind]
    others = {content[: len(content) // 2]: False} | dict.fromkeys(
        (content + behind for behind in (bytes(5000), b"\r\n", b"a maker's note" * 20)), True
    )
    for other, whole in others.items():
        (tmp_path / "image").write_bytes(other)
        found = scan_file(tmp_path / "image", hash_file=asked, decode_file=asked)
        assert (found.reason is None and found.damage is None) == whole


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["JPEG", "PNG"]),
    kept=st.floats(0, 1),
    behind=st.binary(max_size=80),
    decode=st.booleans(),
)
def test_no_readable_file_is_refused_and_no_truncated_one_is_overlooked(
    tmp_path_factory, kind, kept, behind, decode
):
    path = tmp_path_factory.mktemp("cut") / "image"
    content = WHOLE[kind][: round(kept * len(WHOLE[kind]))]
    path.write_bytes(content + behind)
    found = scan_file(path, hash_file=False, decode_file=decode)
    readable = can_be_read(path)
    if readable:
        assert found.reason is None and found.damage is None
    elif decode or not behind:
        assert found.reason is not None or found.damage is not None
        assert found.reason is not None or behind


def test_damage_inside_is_found_by_decoding_alone(tmp_path):
    content = bytearray(WHOLE["PNG"])
    content[200:300] = bytes(100)
    (tmp_path / "image").write_bytes(content)
    quick = scan_file(tmp_path / "image", hash_file=True, decode_file=False)
    assert quick.reason is None and quick.sha256 is not None
    found = scan_file(tmp_path / "image", hash_file=True, decode_file=True)
    assert found.damage is not None and found._replace(damage=None) == quick


def test_of_a_file_that_is_not_there_nothing_is_remembered(tmp_path):
    found = scan_file(tmp_path / "gone.jpg", hash_file=True, decode_file=True)
    assert found == FileScan(reason="file not found")


def test_a_bad_file_is_remembered_with_its_state(tmp_path):
    (tmp_path / "empty.jpg").touch()
    found = scan_file(tmp_path / "empty.jpg", hash_file=True, decode_file=True)
    assert (found.bytes, found.reason) == (0, "empty file")
    assert found.state == file_state(tmp_path / "empty.jpg")[1]


def test_too_little_memory_says_nothing_of_a_file(tmp_path, monkeypatch):
    (tmp_path / "image").write_bytes(WHOLE["PNG"])

    def exhausted(path):
        raise ImageError(path, "not enough memory to decode it") from MemoryError()

    monkeypatch.setattr(scanning, "read_image", exhausted)
    found = scan_file(tmp_path / "image", hash_file=False, decode_file=True)
    assert found.damage == "not enough memory to decode it" and found.state is None


def test_inspections_are_known_by_the_libraries_that_made_them(monkeypatch):
    before = scanner_digest()
    assert len(before) == 64 and scanner_digest() == before
    monkeypatch.setattr(scanning, "version", lambda name: "0")
    assert scanner_digest() != before


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        *(
            (np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8), expected)
            for seed, expected in ((1, "d96d7940196e02fb"), (2, "f7eb2174d50e6144"))
        ),
        (np.full((9, 9, 3), 7, dtype=np.uint8), "8000000000000000"),
    ],
)
def test_the_perceptual_hash_is_that_of_imagehash_4_3(pixels, expected):
    assert perceptual_hash(Image.fromarray(pixels)) == expected
