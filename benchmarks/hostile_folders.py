"""Score folders that mean harm, and name outputs that must not be lost; count what happens.

Names that a terminal obeys, trees without an end or a permission, files that are none, images of
odd forms, and for every option that names an output: an image, a device, a link, a pipe::

    python benchmarks/hostile_folders.py [--only PART-OF-A-NAME]

Whatever one file is, the run ends with a row for it, by its name, and scores the others; an output
is refused in one sentence and what was there is as it was. Run as root each child is another user,
for root needs no permission. Five minutes on two quiet cores.
"""

import argparse
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import forked
import numpy as np
import pandas as pd
from bad_days import SETTINGS, TOWER, draw_images, draw_reference
from PIL import Image

RESULTS = Path(__file__).parent / "results"
SLOW, HANG = 20, 90  # seconds on a shared machine
HEAVY = 1500  # MiB
NOBODY = 65534
# Kinds of folder that cannot be listed whole, which one sentence may say instead.
NOT_LISTED = {
    "1,200 folders deep", "1,200 folders deep, of long names", "a folder without permission",
}  # fmt: skip

# At an output the shell's own > follows it, and so do the commands.
FOLLOWED = "a link to a file"

Make = Callable[[Path], object]


def folders() -> dict[str, Make]:
    """Return what fills a folder that has two images already, by kind."""

    def named(*names: bytes) -> Make:
        def make(folder: Path) -> None:
            for name in names:
                place = os.fsencode(folder) + b"/" + name
                shutil.copyfile(folder / "a.png", place)

        return make

    def written(name: str, data: Callable[[], bytes]) -> Make:
        return lambda folder: (folder / name).write_bytes(data())

    def deep(name: str) -> Make:
        def make(folder: Path) -> None:
            above = os.open(folder, os.O_RDONLY)
            for _ in range(1200):
                os.mkdir(name, dir_fd=above)
                below = os.open(name, os.O_RDONLY, dir_fd=above)
                os.close(above)
                above = below
            os.close(above)

        return make

    def forbidden(folder: Path) -> None:
        (folder / "closed").mkdir()
        shutil.copy(folder / "a.png", folder / "closed" / "b.png")
        (folder / "closed").chmod(0)

    def circle(folder: Path) -> None:
        (folder / "one").mkdir()
        (folder / "one" / "up.png").symlink_to(folder)
        (folder / "one" / "two").symlink_to(folder / "one")
        (folder / "self.png").symlink_to("self.png")

    def bound(folder: Path) -> None:
        socket.socket(socket.AF_UNIX).bind(str(folder / "socket.png"))

    return {
        "names that a terminal obeys": named(b"\x1b]0;owned\x07\x1b[2J.png", b"\x9b31m.png"),
        "names with line ends": named(b"a\nb.png", b"a\rb.png", b"a\r\nb.png", b"a\x85b.png"),
        "names that are not UTF-8": named(b"\xff\xfe.png", b"\xed\xa0\x80.png"),
        "names of 255 bytes": named(b"x" * 251 + b".png", "ü".encode() * 125 + b"x.png"),
        "names of a formula, a quote, a comma": named(b'=1+1,".png', b'","x.png', b"-rf.png"),
        "names as markup": named(b"<script>alert(1)<.png", b"[red]x[-red].png", b"{{7*7}}.png"),
        "names written backwards": named("\u202egnp.exe.png".encode(), "\ufeff.png".encode()),
        "1,200 folders deep": deep("d"),
        "1,200 folders deep, of long names": deep("long" * 60),
        "a folder without permission": forbidden,
        "a file without permission": lambda folder: _forbidden(folder / "c.png"),
        "links in circles": circle,
        "a link to nowhere": lambda folder: (folder / "n.png").symlink_to("/nowhere"),
        "a pipe": lambda folder: os.mkfifo(folder / "pipe.png"),
        "a socket": bound,
        "a device": lambda folder: (folder / "zero.png").symlink_to("/dev/zero"),
        "a folder named as an image": lambda folder: (folder / "f.png").mkdir(),
        "an empty file": written("e.png", bytes),
        "a file of one byte": written("e.jpg", lambda: b"\xff"),
        "a video, a zip, a PDF": lambda folder: [
            (folder / name).write_bytes(start + bytes(100)) for name, start in
            {"v.mp4": b"\0\0\0\x18ftypmp42", "z.zip": b"PK\3\4", "p.pdf": b"%PDF-1.7"}.items()
        ],
        "PNG 320 x 70,000": written("t.png", lambda: png(320, 70_000)),
        "PNG 70,000 x 1": written("t.png", lambda: png(70_000, 1)),
        "PNG 1 x 1": written("t.png", lambda: png(1, 1)),
        "PNG of 2^31 pixels": written("t.png", lambda: png(1 << 16, 1 << 15, rows=1)),
        "PNG of a million chunks": written("t.png", lambda: png(64, 64, pieces=10**6)),
        "PNG of a million texts": written("t.png", lambda: png(64, 64, texts=10**6)),
        "PNG of a text of 1 GB packed": written("t.png", lambda: png(64, 64, bomb=1 << 30)),
        "PNG whose profile is 1 GB packed": written("t.png", lambda: png(64, 64, icc=1 << 30)),
        "PNG cut off": written("t.png", lambda: png(64, 64)[:-40]),
        "JPEG of 10^5 segments": written("t.jpg", lambda: jpeg(b"\xff\xec\0\x02" * 10**5)),
        "JPEG of 10^5 EXIF blocks": written("t.jpg", lambda: jpeg(_exif() * 10**5)),
        "JPEG of 60 MB of XMP": written("t.jpg", lambda: jpeg(_xmp(b"<a>" * 21_000) * 900)),
        "JPEG of XMP that doubles": written("t.jpg", lambda: jpeg(_xmp(_laughs()))),
        "JPEG cut off": written("t.jpg", lambda: jpeg(b"")[:-300]),
        "TIFF whose directories are a circle": written("t.tif", lambda: tiff(b"\x08\0\0\0")),
        "GIF of 20,000 frames": written("t.gif", lambda: gif(20_000)),
        "SVG and HTML named .png": lambda folder: [
            (folder / name).write_text(text) for name, text in
            {"s.png": "<svg xmlns='http://www.w3.org/2000/svg'/>", "h.png": "<html>"}.items()
        ],
    }  # fmt: skip


def png(
    width: int, height: int, *, rows: int | None = None, pieces: int = 1, texts: int = 0,
    bomb: int = 0, icc: int = 0,
) -> bytes:  # fmt: skip
    """Return a grey PNG, its pixels in many chunks, with texts and packed zeros as asked."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(range(256)) * (width // 256 + 1))[: width + 1] * (
        height if rows is None else rows))  # fmt: skip
    step = -(-len(pixels) // pieces)
    parts = [pixels[at : at + step] for at in range(0, len(pixels), step)]
    parts += [b""] * (pieces - len(parts))
    return b"".join([
        b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header),
        chunk(b"iCCP", b"p\0\0" + _packed_zeros(icc)) if icc else b"",
        chunk(b"tEXt", b"a\0b") * texts,
        chunk(b"zTXt", b"parameters\0\0" + _packed_zeros(bomb)) if bomb else b"",
        *(chunk(b"IDAT", part) for part in parts), chunk(b"IEND", b""),
    ])  # fmt: skip


def jpeg(segments: bytes) -> bytes:
    """Return a JPEG with segments behind its first marker."""
    import io

    file = io.BytesIO()
    Image.effect_noise((80, 70), 60).convert("RGB").save(file, "JPEG")
    data = file.getvalue()
    return data[:2] + segments + data[2:]


def tiff(following: bytes) -> bytes:
    """Return a TIFF of one grey pixel whose directory is followed by the one at an offset."""
    entries = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + following


def gif(frames: int) -> bytes:
    """Return a GIF of frames of 8 x 8 pixels."""
    import io

    file, one = io.BytesIO(), Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    one.save(file, "GIF")
    data = file.getvalue()
    start = data.index(b"\x2c")
    return data[:start] + data[start:-1] * frames + data[-1:]


def _forbidden(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


def _packed_zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def _segment(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def _exif() -> bytes:
    return _segment(b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")


def _xmp(text: bytes) -> bytes:
    return _segment(b"http://ns.adobe.com/xap/1.0/\0" + text)


def _laughs() -> bytes:
    """Return an XML text of 10^9 words in entities of entities."""
    lines = [b'<!DOCTYPE x [<!ENTITY e0 "trainedAlgorithmicMedia">']
    lines += [b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10)]
    return b"".join([*lines, b"]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&e9;</x:xmpmeta>"])


def outputs(images: Path, reference: Path, tower: Path) -> dict[str, tuple[object, ...]]:
    """Return the commands that name an output, which is to follow, by their option."""
    profile = ["-p", "folder", "-d", images, "--set", f"encoder.model={tower}"]
    for setting in (*SETTINGS, "encoder.trained_blocks=0", "loader.workers=0"):
        profile += ["--set", setting]
    run = ["--run", "open", *profile]
    return {
        "score --out": ("score", images / "val", "--detector", "demo", "--out"),
        "inspect --report": ("inspect", images / "val" / "real" / "0.png", "--no-map",
                             "--detector", reference, "--report"),
        "calibrate --report": ("calibrate", images, "--detector", "demo", "--out", "new",
                               "--report"),
        "calibrate --out": ("calibrate", images, "--detector", "demo", "--out"),
        "data manifest --out": ("data", "manifest", *profile, "--out"),
        "data check --out": ("data", "check", *profile, "--out"),
        "data card --out": ("data", "card", "-d", images, "--out"),
        "export --out": ("export", *run, "--out"),
        "export --predictions": ("export", *run, "--out", "new", "--predictions"),
        "submit --out": ("submit", *run, "--images", images / "val" / "real", "--team", "us",
                         "--force", "--out"),
    }  # fmt: skip


def targets(image: Path) -> dict[str, Make]:
    """Return what may lie at the place of an output and must not be lost, by kind."""
    return {
        "an image": lambda path: shutil.copyfile(image, path),
        "a link to an image": lambda path: path.symlink_to(image),
        FOLLOWED: lambda path: path.symlink_to(_precious(path)),
        "a pipe": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/full"),
        "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
        "a folder with a file": lambda path: [path.mkdir(), (path / "f").write_text("precious")],
    }  # fmt: skip


def _precious(path: Path) -> Path:
    file = path.with_name("precious.txt")
    file.write_text("precious")
    return file


def state(folder: Path) -> list[tuple[str, int, str]]:
    """Return what lies in a folder: path, kind and content, links as links."""
    found = []
    for path in sorted(folder.rglob("*")):
        mode, content = path.lstat().st_mode, ""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes().hex()
        found.append((path.name, mode, content))
    return found


def as_nobody(work: Callable[[], object]) -> Callable[[], object]:
    """Return the work of another user, where this one is root and needs no permission."""

    def done() -> None:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    return done


def onto(file: str, work: Callable[[], object]) -> Callable[[], object]:
    """Return work whose standard output is a file, or with an empty name is closed."""

    def done() -> None:
        os.close(1)
        if file:
            os.open(file, os.O_WRONLY)
        else:
            sys.stdout = None  # as Python begins where it is closed
        work()

    return done


def attempts(place: Path) -> Iterator[tuple[str, Callable[[Path], list[str]]]]:
    """Yield each kind of attack, and what makes it in a folder, runs it and names what is wrong."""
    images, tower = draw_images(place / "images"), place / "tower.json"
    tower.write_text(json.dumps(TOWER))
    draw_reference(place / "reference")
    image = images / "val" / "real" / "0.png"
    for kind, make in folders().items():
        meant = ("accepted", "refused") if kind in NOT_LISTED else ("accepted",)
        yield f"folder, {kind}", _folder_attack(make, image, place / "reference", meant)
    names = outputs(images, place / "reference", tower)
    yield "a run for export and submit", _prepared(names["export --out"][3:-1])
    for option, words in names.items():
        for kind, make in targets(image).items():
            yield f"{option}, {kind}", _output_attack(make, words, followed=kind == FOLLOWED)
        yield f"{option}, a name of 300 bytes", _long_name_attack(words)
    scored = forked.command_line("score", images / "val", "--detector", "demo")
    for kind, file in {"a full device": "/dev/full", "closed": ""}.items():
        yield f"standard output, {kind}", _stream_attack(onto(file, scored))


def _folder_attack(
    make: Make, image: Path, reference: Path, meant: tuple[str, ...]
) -> Callable[[Path], list[str]]:
    from layerfusion.images.finding import printable

    def attack(folder: Path) -> list[str]:
        target = folder / "target"
        target.mkdir()
        for name in ("a.png", "b.png"):
            shutil.copyfile(image, target / name)
        make(target)
        wrong = []
        for words in (
            ("score", target, "--detector", "demo", "--out", "scores.csv"),
            ("inspect", target, "--detector", reference, "--no-map", "--report", "report.html"),
        ):
            work = folder / words[0]
            work.mkdir()
            work.chmod(0o777)
            ended = _run(as_nobody(forked.command_line(*words)), work)
            wrong += [f"{words[0]}: {text}" for text in _complaints(ended, *meant)]
            # A table of scores is data, and names its files as they are called.
            pages = [path for path in work.glob("*.*") if path.suffix != ".csv"]
            written = "".join(path.read_text("utf-8") for path in pages)
            if found := forked.control_characters(written):
                wrong.append(f"{words[0]}: its result holds {sorted(found)}")
        table = folder / "score" / "scores.csv"
        if table.is_file():
            scores = pd.read_csv(table)
            if scores["logit"].notna().sum() < 2:
                wrong.append("score: the two whole images have no score")
            named = {p.name for p in target.iterdir() if p.suffix == ".png" and p.is_file()}
            if missing := {printable(name) for name in named} - set(scores["image_id"]):
                wrong.append(f"score: no row for {sorted(missing)}")
        return wrong

    return attack


def _output_attack(
    make: Make, words: tuple[object, ...], *, followed: bool
) -> Callable[[Path], list[str]]:
    def attack(folder: Path) -> list[str]:
        work, submits = folder / "work", words[0] == "submit"  # which names its file itself
        work.mkdir()
        place = work / ("us_open.csv" if submits else "out")
        make(place)
        before = state(work)
        named = forked.command_line(*words, "." if submits else "out")
        ended = _run(named, work)
        wrong = _complaints(ended, "refused", *["accepted"] * followed)
        if ended.verdict == "accepted" and followed:  # the link stays, and leads to the result
            kept = place.is_symlink() and place.read_bytes() != b"precious"
            return [*wrong, *([] if kept else ["the link is not followed"])]
        return [*wrong, *(["what was there has changed"] if state(work) != before else [])]

    return attack


def _long_name_attack(words: tuple[object, ...]) -> Callable[[Path], list[str]]:
    def attack(folder: Path) -> list[str]:
        (folder / "work").mkdir()
        ended = _run(forked.command_line(*words, "x" * 300), folder / "work")
        return _complaints(ended, "refused")

    return attack


def _stream_attack(work: Callable[[], object]) -> Callable[[Path], list[str]]:
    def attack(folder: Path) -> list[str]:
        (folder / "work").mkdir()
        return _complaints(_run(work, folder / "work"), "refused")

    return attack


def _prepared(profile: tuple[object, ...]) -> Callable[[Path], list[str]]:
    def attack(folder: Path) -> list[str]:
        (folder / "work").mkdir()
        words = forked.command_line("train", "--run", "open", *profile)
        return _complaints(_run(words, folder / "work"), "accepted")

    return attack


def _run(work: Callable[[], object], folder: Path) -> forked.Ended:
    place = folder.parents[1]
    own = {"LAYERFUSION_RUNS": str(place / "runs"), "LAYERFUSION_CACHE": str(place / "cache")}
    return forked.Child(work, folder, variables=own).wait(HANG)


def _complaints(ended: forked.Ended, *meant: str) -> list[str]:
    """Return what is wrong with how a child ended."""
    wrong = [] if ended.verdict in meant else [f"{ended.verdict}: {ended.last_line[:200]}"]
    if found := forked.control_characters(ended.out + ended.said):
        wrong.append(f"the terminal got {sorted(found)}")
    if ended.verdict in meant and (ended.seconds > SLOW or ended.peak_mib > HEAVY):
        wrong.append(f"took {ended.seconds:.0f} s, {ended.peak_mib:.0f} MiB")
    return wrong


def _remove(folder: Path) -> None:
    """Remove a folder however deep it is, which Python's own way cannot."""
    subprocess.run(["rm", "-rf", str(folder)], check=True)  # noqa: S607


def main() -> None:
    """Make all attacks; print what does not hold, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of attacks")
    chosen = parser.parse_args()
    forked.load_package()
    from layerfusion.provenance import provenance

    place, rows = Path(tempfile.mkdtemp(prefix="hostile-")), []
    place.chmod(0o755)
    (place / "cache").mkdir(mode=0o777)
    try:
        for number, (kind, attack) in enumerate(attempts(place)):
            if chosen.only not in kind and not kind.startswith("a run"):
                continue
            folder = place / str(number)
            folder.mkdir()
            wrong = [text.replace(str(place), "") for text in attack(folder)]
            rows.append({"kind": kind, "wrong": wrong})
            print("FOUND" if rows[-1]["wrong"] else "     ", json.dumps(rows[-1]), flush=True)
            _remove(folder)
    finally:
        _remove(place)
    hold = Counter(not row["wrong"] for row in rows)
    result = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "hold": hold[True], "kinds": rows,
        "provenance": provenance(),
    }  # fmt: skip
    if not chosen.only:
        text = json.dumps(result, indent=2)
        (RESULTS / "hostile_folders.json").write_text(f"{text}\n", encoding="utf-8")
    print(f"{hold[True]} of {len(rows)} hold")
    sys.exit(hold[False] > 0)


if __name__ == "__main__":
    main()
