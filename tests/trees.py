"""Small trees in the exact shapes of the publishers' archives, for the sources and the chapters.

Real and synthetic images can be told apart: synthetic ones are darker, with a faint grid.
"""

import io
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from conftest import TINY

KINDS = ("coco", "corvi", "wang", "truefake", "itw_sm", "mediaeval_test", "synthbuster")

# Where the archives extract to, and where the author's code looks for them.
PUBLISHERS = {
    "coco": "train2017",
    "corvi": "latent_diffusion_trainingset",
    "wang": "",
    "truefake": "TrueFake",
    "itw_sm": "ITW-SM",
    "mediaeval_test": "taska_test",
    "synthbuster": "synthbuster",
}
AUTHORS = PUBLISHERS | {
    "coco": "coco_train2017/train2017",
    "corvi": "corvi",
    "truefake": "truefake_social",
    "itw_sm": "itw_val/ITW-SM",
    "mediaeval_test": "test/taska_test",
}

CORVI_FOLDERS = (
    "latent_diffusion_class2image", "latent_diffusion_noise2image_FFHQ",
    "latent_diffusion_noise2image_bedrooms", "latent_diffusion_noise2image_churches",
    "latent_diffusion_text2img_set0", "latent_diffusion_text2img_set1",
    "latent_diffusion_text2img_set2",
)  # fmt: skip
SHARED = ("Facebook", "Telegram", "Twitter")
# Families, and the folders between them and their images, where there are any.
FAMILIES = {
    "StyleGAN1": "psi-0.5",
    "StyleGAN2": "psi-0.5",
    "StyleGAN3": "",
    "StableDiffusion1.5": "animals",
    "StableDiffusion2": "faces",
    "StableDiffusion3": "",
    "StableDiffusionXL": "general",
    "FLUX.1": "faces/close",
}
SYNTHBUSTER = (
    "dalle2", "dalle3", "firefly", "glide", "midjourney-v5", "stable-diffusion-1-3",
    "stable-diffusion-1-4", "stable-diffusion-2", "stable-diffusion-xl",
)  # fmt: skip
CORRUPT_MEMBER = "1_fake/x_618.jpg"

# What makes ViT-L/14 on 150,000 images a matter of seconds on a processor.
SMALL = {name: value for name, value in TINY.items() if name != "data.sources"} | {
    "training.precision": "fp32",
    "training.epochs": 1,
    "head.projection_width": 16,
    "head.hidden_width": 16,
    "data.selection.quotas": [
        {"source": "coco", "label": "real", "images": 6},
        {"source": "corvi", "label": "synthetic", "images": 6},
        {"source": "truefake", "label": "real", "images": 6},
        {
            "source": "truefake", "label": "synthetic", "images": 1,
            "each": ["platform", "generator"], "platforms": list(SHARED),
            "generators": list(FAMILIES),
        },
    ],
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How the trees are made.

    Attributes
    ----------
    kinds
        Which data sets.
    images
        In each folder of images; in those of COCO and of the test, four times as many.
    author
        As the author's code has them, not as the archives extract.
    nested
        The archives were extracted into folders named like themselves.
    subfolders
        Whether most of TrueFake's families have folders of their own.
    metadata
        Whether ITW-SM comes with its table of platforms.
    upper_case
        File names end in .JPG and .PNG.
    macosx
        Beside the images lies what macOS leaves in archives.
    corrupt
        The member of ITW-SM that is known as corrupt ends in the middle.
    empty
        COCO's last image has no bytes.
    duplicates
        How many images of ITW-SM's folder 0_real are copies of its first, beside the others.
    half_extracted
        Kinds of which the second half, in the order of paths, is not there.
    """

    kinds: tuple[str, ...] = KINDS
    images: int = 2
    author: bool = False
    nested: bool = False
    subfolders: bool = True
    metadata: bool = True
    upper_case: bool = False
    macosx: bool = False
    corrupt: bool = False
    empty: bool = False
    duplicates: int = 0
    half_extracted: tuple[str, ...] = ()

    def place(self, kind: str) -> PurePosixPath:
        """Return the folder of an archive's members, below the root."""
        folder = PurePosixPath((AUTHORS if self.author else PUBLISHERS)[kind])
        return folder / folder.name if self.nested else folder


class Member(NamedTuple):
    """An image of an archive: its path there, its true label, width and height."""

    path: str
    label: int
    size: tuple[int, int]


def plant(root: Path, **switches: Any) -> dict[str, dict[str, int]]:
    """Make the trees that the switches of `Shape` ask for, in about two seconds.

    Returns
    -------
    dict
        By kind, the true label of each image by its path below the root.
    """
    shape, painter = Shape(**switches), Painter(seed=7)
    planted = {kind: _extract(root, kind, shape, painter) for kind in shape.kinds}
    if shape.macosx:
        for images in planted.values():
            _litter(root, list(images)[:2])
    if shape.corrupt:
        member = next(path for path in planted["itw_sm"] if CORRUPT_MEMBER in path.lower())
        _write(root / member, (root / member).read_bytes()[:-2000])
    if shape.empty:
        _write(root / max(planted["coco"]), b"")
    for number in range(shape.duplicates):
        first = min(planted["itw_sm"])
        copy = str(PurePosixPath(first).with_name(f"Facebook_real_{9000 + number}.jpg"))
        _write(root / copy, (root / first).read_bytes())
        planted["itw_sm"][copy] = 0
    return planted


def _extract(root: Path, kind: str, shape: Shape, painter: "Painter") -> dict[str, int]:
    """Make one archive's files; return the labels of its images."""
    members = sorted(MEMBERS[kind](shape))
    if kind in shape.half_extracted:
        members = members[: len(members) // 2]
    labels = {}
    for member in members:
        path = shape.place(kind) / member.path
        if shape.upper_case:
            path = path.with_suffix(path.suffix.upper())
        _write(root / path, painter.file(member, path.suffix.lower()))
        labels[str(path)] = member.label
    if kind == "corvi":
        _add_lists(root / shape.place(kind))
    if kind == "itw_sm" and shape.metadata:
        _add_metadata(root / shape.place(kind), labels)
    return labels


def _coco(shape: Shape) -> Iterator[Member]:
    for number in range(4 * shape.images):
        size = (640, 480) if number % 3 else (427, 640)
        yield Member(f"{7919 * number + 9:012d}.jpg", 0, size)


def _corvi(shape: Shape) -> Iterator[Member]:
    for folder, generator in product(("train", "valid"), CORVI_FOLDERS):
        for number in range(shape.images):
            yield Member(f"{folder}/{generator}/img{number:06d}.png", 1, (256, 256))


def _wang(shape: Shape) -> Iterator[Member]:
    categories = ("train/airplane", "train/horse", "val/horse")
    for category, (label, name) in product(categories, enumerate(("0_real", "1_fake"))):
        for number in range(shape.images):
            yield Member(f"progan_{category}/{name}/{number:05d}.png", label, (256, 256))


def _truefake(shape: Shape) -> Iterator[Member]:
    folders = [("Real/FFHQ", 0, (512, 512)), ("Real/FORLAB", 0, (512, 384))]
    for family, below in FAMILIES.items():
        folder = f"Fake/{family}/{below}" if below and shape.subfolders else f"Fake/{family}"
        folders.append((folder, 1, (512, 512)))
    for platform, (folder, label, size) in product(("PreSocial", *SHARED), folders):
        for number in range(shape.images):
            yield Member(f"{platform}/{folder}/{number:05d}.jpg", label, size)


def _itw_sm(shape: Shape) -> Iterator[Member]:
    suffixes = ("jpg", "png", "webp", "jpeg")
    folders = enumerate((("0_real", "real"), ("1_fake", "fake")))
    platforms = ("Facebook", "Instagram", "LinkedIn", "X")
    for (label, (folder, word)), platform in product(folders, platforms):
        for number in range(shape.images):
            suffix = suffixes[number % len(suffixes)]
            size = (360 + 90 * (number % 9), 300 + 60 * (number % 7))
            yield Member(f"{folder}/{platform}_{word}_{1000 + number}.{suffix}", label, size)
    yield Member(CORRUPT_MEMBER, 1, (600, 500))


def _mediaeval_test(shape: Shape) -> Iterator[Member]:
    rng = random.Random(3)
    for number in range(4 * shape.images):
        name = uuid.UUID(int=rng.getrandbits(128), version=4)
        size = (rng.choice((400, 640, 1080)), rng.choice((360, 512)))
        yield Member(f"{name}.jpg", number % 2, size)


def _synthbuster(shape: Shape) -> Iterator[Member]:
    for generator, number in product(SYNTHBUSTER, range(shape.images)):
        yield Member(f"{generator}/r{number:03d}da54ft.png", 1, (512, 384))


MEMBERS: dict[str, Callable[[Shape], Iterator[Member]]] = {
    "coco": _coco,
    "corvi": _corvi,
    "wang": _wang,
    "truefake": _truefake,
    "itw_sm": _itw_sm,
    "mediaeval_test": _mediaeval_test,
    "synthbuster": _synthbuster,
}


def _add_lists(place: Path) -> None:
    """Write the lists of real images that Corvi's archive has instead of them."""
    for folder, name in product(("train", "valid"), ("real_coco", "real_lsun")):
        lines = [f"{name}/{number:06d}.jpg\n" for number in range(3)]
        _write(place / folder / f"{name}.txt", "".join(lines).encode())


def _add_metadata(place: Path, labels: dict[str, int]) -> None:
    rows = ["file_name,label,target,platform"]
    for path, label in labels.items():
        name = PurePosixPath(path).name
        # The table knows better than the name: what begins with x came from LinkedIn.
        platform = "linkedin" if name == "x_618.jpg" else name.partition("_")[0].lower()
        rows.append(f"{name},{('real', 'fake')[label]},{label},{platform}")
    _write(place / "metadata.csv", "\n".join(rows).encode())


def _litter(root: Path, paths: list[str]) -> None:
    for path in map(PurePosixPath, paths):
        _write(root / "__MACOSX" / path.with_name(f"._{path.name}"), b"\0\5\x16\7")
        _write(root / path.parent / "__MACOSX" / path.name, b"\0\5\x16\7")
        _write(root / path.with_name(f"._{path.name}"), b"\0\5\x16\7")
        _write(root / path.with_name(".DS_Store"), b"\0")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class Painter:
    """Paints images quickly: each is a piece of one large texture, so that no two are equal."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        coarse = Image.fromarray(self.rng.integers(60, 200, (40, 50, 3), dtype=np.uint8))
        fine = self.rng.integers(-6, 7, (1000, 1400, 3), dtype=np.int16)
        self.texture = np.asarray(coarse.resize((1400, 1000), Image.Resampling.BICUBIC)) + fine

    def file(self, member: Member, suffix: str) -> bytes:
        """Return an image file of the member's size and class."""
        width, height = member.size
        top = self.rng.integers(1000 - height + 1)
        left = self.rng.integers(1400 - width + 1)
        pixels = self.texture[top : top + height, left : left + width].copy()
        if member.label:
            pixels -= 25
            pixels[::8] += 8
            pixels[:, ::8] += 8
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        options = {
            ".png": {"format": "PNG", "compress_level": 1},
            ".webp": {"format": "WEBP", "quality": 80, "method": 0},
        }
        file = io.BytesIO()
        image.save(file, **options.get(suffix, {"format": "JPEG", "quality": 88}))
        return file.getvalue()
