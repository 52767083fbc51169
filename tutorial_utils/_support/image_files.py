"""Open image files: any format that a camera or the web hands out, as upright RGB.

Source:
    EXIF orientation: CIPA DC-008, "Exchangeable image file format", 4.6.5
"""

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 60_000_000


# What files with an image's name really hold. Pillow knows more, some of which start programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


# The kinds of image that a HEIF file may say it is, of those that Pillow does not read.
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def open_image(path: str | Path, *, least_side: int | None = None) -> Image.Image:
    """Open an image as a person sees it: upright, in colour, on white paper.

    Args:
        path: any file that Pillow reads: grey, CMYK, palette, transparent, 8 or 16 bits, turned
            by its EXIF note.
        least_side: decode a JPEG to a half, a quarter or an eighth, if no side has fewer pixels
            then; None for the full size.

    Returns:
        The image, mode "RGB".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, is cut short, or has more than 60 megapixels, in which
            case it is not decoded.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no image {path}")
    try:
        return _read(path, least_side=least_side)
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        raise ValueError(
            f"{path} cannot be used as an image: {reason(error)}. Replace it or take it out of "
            f"the folder; data.audit lists all such files"
        ) from error


def read_image(content: bytes, name: str) -> Image.Image:
    """Open an image that came as bytes, e.g. by an upload, as `open_image` opens a file.

    Args:
        content: the whole file.
        name: what it is called, for messages.

    Returns:
        The image, mode "RGB".

    Raises:
        ValueError: if it is not an image that can be read.
    """
    kinds = "JPEG, PNG, WebP, GIF, BMP or TIFF"
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        raise ValueError(
            f"{name} is a HEIC photograph, as telephones take them, which cannot be read here: "
            f"save it as JPEG and try again"
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
    """Decode an image to upright RGB.

    Args:
        path: the file.
        least_side: decode JPEG files to an eighth of their size at the least, with no side
            shorter than this: all of the file is read, a truncated one is noticed, and it takes a
            fraction of the time.
    """
    if not path.is_file():
        raise _Unusable("not a file")
    if path.stat().st_size == 0:
        raise _Unusable("empty, 0 bytes")
    return decode(path, least_side=least_side)


def decode(file: Path | io.BytesIO, *, least_side: int | None = None) -> Image.Image:
    """Decode an image that is known to be there to upright RGB; `reason` says what was wrong."""
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _Unusable(
                f"{width} x {height} pixels, more than {MAX_PIXELS // 10**6} megapixels"
            )
        if least_side is not None:
            image.draft(None, (least_side, least_side))
        image.load()
        with contextlib.suppress(Exception):  # a damaged EXIF note says nothing about the image
            ImageOps.exif_transpose(image, in_place=True)
        return _coloured(image)


class _Unusable(ValueError):
    """An image that is refused; the text is the reason."""


def _coloured(image: Image.Image) -> Image.Image:
    """Turn any kind of pixels into RGB, transparent ones on white."""
    if image.mode == "F":
        raise _Unusable("its pixels are fractions, of which nobody knows how bright they are")
    if image.mode.startswith("I"):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGB", layer.size, "white")
        page.paste(layer, mask=layer.getchannel("A"))
        return page
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits, 0 to 65535, to 8 bits; Pillow alone would cut it off at 255."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise _Unusable(
            "its pixels are numbers of 32 bits, of which nobody knows how bright they are"
        )
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def reason(error: Exception) -> str:
    """Say in a few words why an image cannot be read."""
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
