"""Open image files of all common formats as upright RGB.

Source:
    EXIF orientation: CIPA DC-008, "Exchangeable image file format", 4.6.5
"""

import contextlib
import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tutorial_utils._support.files import not_regular

MAX_PIXELS = 60_000_000
# Resizing the shorter side to 256 pixels gives an image of this ratio 6.6 megapixels.
MAX_RATIO = 100  # of the longer to the shorter side
# Pillow knows more formats; some of them start other programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# The brands of HEIF files, which Pillow does not read.
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def open_image(path: str | Path, *, least_side: int | None = None) -> Image.Image:
    """Return an image file as upright RGB, transparent pixels on white.

    Used in lessons 00 and 12.

    Args:
        path: grey, CMYK, palette, transparent, 8 or 16 bits, rotated by its EXIF orientation.
        least_side: decode a JPEG to a half, a quarter or an eighth of its size, as long as no side
            has fewer pixels than this; None for the full size.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, is truncated, or is not decoded because it has more than
            60 megapixels, or is more than 100 times as long as it is narrow.
    """
    path = Path(os.path.expanduser(path))
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no image {path}")
    try:
        return _read(path, least_side=least_side)
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        raise ValueError(
            f"{path} cannot be used as an image: {reason(error)}. Replace it or move it out of "
            f"the folder; data.audit lists all such files"
        ) from error


def read_image(content: bytes, name: str) -> Image.Image:
    """Return an image that came as bytes, such as an upload, as `open_image` returns a file.

    Args:
        content: the whole file.
        name: of the file, for messages.

    Raises:
        ValueError: if it is not an image, or cannot be read.
    """
    kinds = "JPEG, PNG, WebP, GIF, BMP or TIFF"
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        raise ValueError(
            f"{name} is a HEIC photograph, as phones take them, which cannot be read here: save "
            f"it as JPEG and try again"
        )
    if not content:
        raise ValueError(f"{name} is empty, 0 bytes: give an image, {kinds}")
    try:
        return decode(io.BytesIO(content))
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        raise ValueError(
            f"{name} cannot be used as an image: {reason(error)}. Give another, {kinds}"
        ) from error


def fault(path: Path) -> str | None:
    """Return why an image cannot be used, or None."""
    try:
        with warnings.catch_warnings(action="ignore"):  # what matters is in the reason
            _read(path, least_side=1)
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        return reason(error)
    return None


def _read(path: Path, *, least_side: int | None = None) -> Image.Image:
    """Decode a file to upright RGB; see `open_image` for `least_side`.

    A JPEG that is decoded to an eighth of its size is still read to its end, so a truncated one is
    noticed, in a fraction of the time.
    """
    if reason := not_regular(path):
        raise _Unusable(reason)
    if path.stat().st_size == 0:
        raise _Unusable("empty, 0 bytes")
    return decode(path, least_side=least_side)


def decode(file: Path | io.BytesIO, *, least_side: int | None = None) -> Image.Image:
    """Decode an image to upright RGB; `reason` describes an error that it raises."""
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _Unusable(
                f"{width} x {height} pixels, more than {MAX_PIXELS // 10**6} megapixels"
            )
        if max(width, height) > MAX_RATIO * min(width, height):
            raise _Unusable(f"{width} x {height} pixels, too long and narrow")
        if least_side is not None:
            image.draft(None, (least_side, least_side))
        image.load()
        with contextlib.suppress(Exception):  # damaged EXIF data does not harm the image
            ImageOps.exif_transpose(image, in_place=True)
        return _coloured(image)


class _Unusable(ValueError):
    """An image that is not accepted; the text is the reason."""


def _coloured(image: Image.Image) -> Image.Image:
    """Convert pixels of any mode to RGB, transparent ones on white."""
    if image.mode == "F":
        raise _Unusable("its pixels are fractions of an unknown range")
    if image.mode.startswith("I"):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGB", layer.size, "white")
        page.paste(layer, mask=layer.getchannel("A"))
        return page
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits, 0 to 65535, to 8 bits; Pillow alone would clip it at 255."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise _Unusable("its pixels are numbers of 32 bits of an unknown range")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def reason(error: Exception) -> str:
    """Return in a few words why an image cannot be read."""
    if isinstance(error, _Unusable):
        return str(error)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"far more than {MAX_PIXELS // 10**6} megapixels"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, PermissionError):
        return "not allowed to read it"
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return "cut short"
    return f"damaged, {str(error) or type(error).__name__}"
