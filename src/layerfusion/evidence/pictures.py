"""Small copies of pictures, for pages that carry them inside."""

import base64
from io import BytesIO

from PIL import Image

SHOWN = 320  # px, the longer side of the copy that a page shows
JPEG_QUALITY = 80


def small_copy(image: Image.Image, longest: int = SHOWN) -> Image.Image:
    """Return a copy of at most `longest` px on its longer side."""
    small = image.copy()
    small.thumbnail((longest, longest))
    return small


def picture_address(image: Image.Image, longest: int = SHOWN) -> str:
    """Return a small copy as a data address, JPEG."""
    buffer = BytesIO()
    small_copy(image, longest).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
