"""Draw quickly with Pillow: a white sheet with shapes, text and images, and what is shown of it.

A matplotlib figure takes a tenth of a second and more, too long for an image that follows a
slider. A `Sheet` takes a hundredth. Lengths are in points of the screen; the image has `SCALE`
times as many pixels, so that text is sharp.

Source of the font, DejaVu Sans, which matplotlib includes: https://dejavu-fonts.github.io
"""

import base64
import functools
import html
import io
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tutorial_utils.plots.style import GRID_GREY, JPEG

SCALE = 1.5
TEXT_SIZE = 13  # points


class Sheet:
    """A white sheet; coordinates are in points from its left and its top."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.image = Image.new("RGB", (_pixels(width), _pixels(height)), "white")
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, words: str, *, size: float = TEXT_SIZE, anchor: str = "la"
    ) -> None:
        """Write words; `anchor` is Pillow's, "la" for left and top, "mm" for the middle."""
        corner = (_pixels(x), _pixels(y))
        self._draw.text(corner, words, fill="black", font=_font(size), anchor=anchor)

    def box(
        self, *sides: float, fill: str | None = None, line: str | None = None, width: float = 1
    ) -> None:
        """Draw a rectangle, filled, outlined or both; one without area is left out.

        Args:
            sides: left, top, right and bottom.
            fill: colour inside; None for none.
            line: colour of the outline; None for none.
            width: of the outline.
        """
        left, top, right, bottom = map(_pixels, sides)
        if right > left and bottom > top:
            corners = (left, top, right - 1, bottom - 1)
            self._draw.rectangle(corners, fill=fill, outline=line, width=max(1, _pixels(width)))

    def line(self, *points: tuple[float, float], colour: str, width: float = 1) -> None:
        """Draw a line through points."""
        corners = [(_pixels(x), _pixels(y)) for x, y in points]
        self._draw.line(corners, fill=colour, width=max(1, _pixels(width)))

    def grid(self, left: float, top: float, side: float, count: int) -> None:
        """Draw the lines between the cells of a square grid, `count` cells along each side."""
        for step in range(count + 1):
            at = step * side / count
            self.line((left + at, top), (left + at, top + side), colour=GRID_GREY)
            self.line((left, top + at), (left + side, top + at), colour=GRID_GREY)

    def hatch(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """Draw slanting lines into a rectangle, to mark it by more than a colour."""
        left, top, right, bottom = map(_pixels, (left, top, right, bottom))
        if right > left and bottom > top:
            across, down = np.meshgrid(np.arange(right - left), np.arange(bottom - top))
            mask = ((across + down) % _pixels(6) < max(1, _pixels(1))).astype(np.uint8) * 255
            self.image.paste(colour, (left, top), Image.fromarray(mask))

    def paste(
        self, image: Image.Image | np.ndarray, *rectangle: float, smooth: bool = True
    ) -> None:
        """Put an image into a rectangle, stretched to fill it.

        Args:
            image: PIL, or an array (H, W, 3) or (H, W) of float in [0, 1].
            rectangle: left, top, width and height.
            smooth: False shows single pixels as squares, for filters and feature maps.
        """
        resampling = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
        left, top, width, height = map(_pixels, rectangle)
        resized = as_image(image).resize((max(1, width), max(1, height)), resampling)
        self.image.paste(resized, (left, top))


class Rendering(NamedTuple):
    """What a widget shows: an image, its alternative text, and lines of text."""

    image: Image.Image  # RGB, `SCALE` pixels for each point of the screen
    alt: str  # what a reader who cannot see the image needs to know, in a sentence
    lines: tuple[str, ...]  # under the image

    def html(self, *, tight: bool = False) -> str:
        """Return the image with its alternative text, and the lines under it.

        `tight` is for what is stored: as JPEG, or as PNG where that is smaller.
        """
        files = {"png": png(self.image, tight=tight)} | (
            {"jpeg": jpeg(self.image)} if tight else {}
        )
        kind = min(files, key=lambda kind: len(files[kind]))
        coded = base64.b64encode(files[kind]).decode()
        wide = round(self.image.width / SCALE)
        image = (
            f'<img alt="{html.escape(self.alt)}" src="data:image/{kind};base64,{coded}" '
            f'width="{wide}" style="max-width: 100%; height: auto">'
        )
        return image + "".join(f"<div>{html.escape(line)}</div>" for line in self.lines)

    def text(self) -> str:
        """Return the alternative text and the lines."""
        return "\n".join([f"[figure: {self.alt}]", *self.lines])


def as_image(image: Image.Image | np.ndarray) -> Image.Image:
    """Return an image, or an array of float in [0, 1], (H, W, 3) or (H, W), as RGB."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    values = (np.clip(np.nan_to_num(image), 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(values).convert("RGB")


def png(image: Image.Image, *, tight: bool = False) -> bytes:
    """Return an image as PNG, compressed quickly or tightly."""
    file = io.BytesIO()
    image.save(file, format="png", compress_level=9 if tight else 1)
    return file.getvalue()


def jpeg(image: Image.Image) -> bytes:
    """Return an image as JPEG of good quality, with all colours at every pixel (4:4:4)."""
    file = io.BytesIO()
    image.save(file, format="jpeg", **JPEG)
    return file.getvalue()


def _pixels(points: float) -> int:
    return round(points * SCALE)


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), _pixels(size))
