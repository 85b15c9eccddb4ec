"""Encoded images as Pillow images: RGB, upright, of a size that fits in memory.

Knows image formats; knows no model. Callers: the models that look at images.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from halluc_ray.models.prompts import UnusableRow

MAX_PIXELS = 2**27
"""Of one image: 384 MiB as RGB."""

Image.init()
FORMATS = tuple(
    name for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP") if name in Image.OPEN
)
"""What is read, of what Pillow was built with; of the others some start programs (EPS) or reach for other files."""

_BROKEN = (
    UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError,
    NotImplementedError, struct.error, zlib.error,
)  # fmt: skip
_WIDE = ("I;16", "I;16L", "I;16B", "I;16N")
_NO_PICTURE = ("I", "F")


def decode(image: bytes) -> Image.Image:
    """An image as its viewer sees it: RGB, turned as its EXIF says, the first frame of several, no transparency.

    Gray of 16 bits is brought to 8.

    Raises:
        UnusableRow: `undecodable_image`, or `too_many_pixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened: Image.Image = Image.open(io.BytesIO(image), formats=FORMATS)
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise UnusableRow("too_many_pixels", f"an image of {width} x {height} pixels; at most {MAX_PIXELS:,}")
        if opened.mode in _NO_PICTURE:
            raise UnusableRow("undecodable_image", f"pixels of mode {opened.mode} are numbers, not a picture")
        upright: Image.Image = ImageOps.exif_transpose(opened)
        if upright.mode in _WIDE:
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        return upright.convert("RGB")
    except Image.DecompressionBombError as error:
        raise UnusableRow("too_many_pixels", str(error)) from error
    except _BROKEN as error:
        raise UnusableRow("undecodable_image", f"{len(image):,} bytes are no image ({error})") from error


def decode_all(images: Sequence[bytes]) -> list[Image.Image]:
    """The images of one row.

    Raises:
        UnusableRow: one of them can't be decoded.
    """
    return [decode(image) for image in images]


def black_like(image: bytes) -> bytes:
    """A black image of the same size, encoded."""
    out = io.BytesIO()
    Image.new("RGB", decode(image).size).save(out, "PNG")
    return out.getvalue()
