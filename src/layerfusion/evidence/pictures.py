"""Small copies of pictures, for pages that carry them inside."""

import base64
from io import BytesIO

from PIL import Image

SHOWN = 320  # px, the longer side of the copy that a page shows
JPEG_QUALITY = 80


def small_copy(image: Image.Image) -> Image.Image:
    """Return a copy of at most `SHOWN` px on its longer side."""
    small = image.copy()
    small.thumbnail((SHOWN, SHOWN))
    return small


def picture_address(image: Image.Image, longest: int = SHOWN) -> str:
    """Return a small copy as a data address, JPEG."""
    small = image.copy()
    small.thumbnail((longest, longest))
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
