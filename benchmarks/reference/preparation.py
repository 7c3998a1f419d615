"""Images prepared as one would at first: torchvision's transforms of PIL images, one after another.

The steps are those of the author's code as `layerfusion` has them; nothing is left out, and nothing
is done that would not be needed. Normalised float tensors (3, 224, 224) come out.
"""

import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode

CROP, MIN_SIDE = 224, 256
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
BICUBIC, BILINEAR = InterpolationMode.BICUBIC, InterpolationMode.BILINEAR


def enlarged(image: Image.Image) -> Image.Image:
    """Bring the shorter side of a small image to 256 px."""
    return T.Resize(MIN_SIDE, BICUBIC)(image) if min(image.size) < MIN_SIDE else image


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after a round trip through JPEG."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def random_jpeg(image: Image.Image) -> Image.Image:
    """Recompress at a random quality."""
    return jpeg(image, random.randint(50, 100))


def random_resample(image: Image.Image) -> Image.Image:
    """Shrink to a random side and enlarge again."""
    small = T.Resize(random.randint(80, 192), BICUBIC)(image)
    return T.Resize((CROP, CROP), BICUBIC)(small)


def laundered(image: Image.Image) -> Image.Image:
    """Halve, bring back, cut out 90 % and bring back, at full size."""
    width, height = image.size
    half = image.resize((max(32, width // 2), max(32, height // 2)), Image.Resampling.BICUBIC)
    back = half.resize((width, height), Image.Resampling.BICUBIC)
    window = max(32, height * 90 // 100), max(32, width * 90 // 100)
    return T.CenterCrop(window)(back).resize((width, height), Image.Resampling.BICUBIC)


TENSOR = [T.ToTensor(), T.Normalize(MEAN, STD)]

TRAINING = T.Compose(
    [
        T.Lambda(enlarged),
        T.RandomCrop(CROP),
        T.RandomHorizontalFlip(0.5),
        T.RandomApply([T.ColorJitter(0.1, 0.1, 0.1, 0.02)], 0.3),
        T.RandomApply([T.RandomRotation(5, BILINEAR)], 0.2),
        T.RandomApply([T.Lambda(random_jpeg)], 0.5),
        T.RandomApply([T.Lambda(random_resample)], 0.6),
        *TENSOR,
    ]
)
EVALUATION = T.Compose([T.Lambda(enlarged), T.CenterCrop(CROP), *TENSOR])

CONDITIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "clean": lambda image: image,
    "jpeg-95": lambda image: jpeg(image, 95),
    "jpeg-85": lambda image: jpeg(image, 85),
    "jpeg-75": lambda image: jpeg(image, 75),
    "launder": laundered,
}


def read(path: Path) -> Image.Image:
    """Decode an image file."""
    return Image.open(path).convert("RGB")


def training(path: Path) -> torch.Tensor:
    """Return a random view of an image file."""
    view: torch.Tensor = TRAINING(read(path))
    return view


def evaluation(path: Path, condition: str = "clean") -> torch.Tensor:
    """Return the centre of an image file, degraded first."""
    view: torch.Tensor = EVALUATION(CONDITIONS[condition](read(path)))
    return view


def suite(path: Path) -> list[torch.Tensor]:
    """Return an image under every condition: a full pass each, as a loop over conditions does."""
    return [evaluation(path, condition) for condition in CONDITIONS]
