"""A white sheet to draw on with Pillow, for images that have to be quick.

A matplotlib figure takes a tenth of a second and more, too long for something that follows a
slider. A `Sheet` draws rectangles, lines, text and images in a hundredth. Lengths are in points
of the screen; the image has `SCALE` times as many pixels, so that text stays crisp.

Source of the font, DejaVu Sans, which matplotlib brings along: https://dejavu-fonts.github.io
"""

import base64
import functools
import html
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCALE = 1.5
TEXT = 13  # points
FAINT = "#999999"


class Sheet:
    """A white sheet of a width and a height in points, from the left and the top.

    Attributes:
        image: what was drawn so far, RGB.
        width: in points.
        height: in points.
    """

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.image = Image.new("RGB", (_px(width), _px(height)), "white")
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = TEXT,
        colour: str = "black",
        anchor: str = "la",
    ) -> None:
        """Write words; `anchor` as Pillow has it, "la" for left and top, "mm" for the middle."""
        self._draw.text((_px(x), _px(y)), words, fill=colour, font=_font(size), anchor=anchor)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        *,
        fill: str | None = None,
        line: str | None = None,
        width: float = 1,
    ) -> None:
        """Draw a rectangle, filled, outlined or both; one of no size is left out."""
        corners = (_px(left), _px(top), _px(right) - 1, _px(bottom) - 1)
        if corners[2] >= corners[0] and corners[3] >= corners[1]:
            self._draw.rectangle(corners, fill=fill, outline=line, width=max(1, _px(width)))

    def line(self, *points: tuple[float, float], colour: str, width: float = 1) -> None:
        """Draw a line through points."""
        places = [(_px(x), _px(y)) for x, y in points]
        self._draw.line(places, fill=colour, width=max(1, _px(width)))

    def hatch(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """Draw slanting lines into a rectangle, so that more than colour tells it apart."""
        wide, tall = _px(right) - _px(left), _px(bottom) - _px(top)
        if wide < 1 or tall < 1:
            return
        across, down = np.meshgrid(np.arange(wide), np.arange(tall))
        mask = ((across + down) % _px(6) < max(1, _px(1))).astype(np.uint8) * 255
        self.image.paste(colour, (_px(left), _px(top)), Image.fromarray(mask))

    def paste(
        self,
        image: Image.Image | np.ndarray,
        left: float,
        top: float,
        width: float,
        height: float,
        *,
        smooth: bool = True,
    ) -> None:
        """Put an image into a rectangle, stretched to fill it.

        Args:
            image: PIL, or an array (H, W, 3) or (H, W) of float in [0, 1].
            left: of the rectangle, in points; likewise the others.
            top: see `left`.
            width: see `left`.
            height: see `left`.
            smooth: False keeps the edges of single pixels, for what is not a photograph.
        """
        how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
        size = (max(1, _px(width)), max(1, _px(height)))
        self.image.paste(as_image(image).resize(size, how), (_px(left), _px(top)))

    def png(self) -> bytes:
        """Return the sheet as a PNG file."""
        return png(self.image)


class View(NamedTuple):
    """An image and what it says.

    Attributes:
        image: RGB, `SCALE` pixels for each point of the screen.
        alt: what a person who cannot see the image should know, in a sentence.
        lines: text to stand under the image, one string for each line.
    """

    image: Image.Image
    alt: str
    lines: tuple[str, ...]

    def html(self, *, tight: bool = False) -> str:
        """Return the image, with its alternative text, and the lines under it.

        Args:
            tight: pack it as tightly as can be, with 192 colours, which takes longer: for an
                image that is kept.
        """
        coded = base64.b64encode(png(self.image, tight=tight)).decode()
        wide = round(self.image.width / SCALE)
        image = (
            f'<img alt="{html.escape(self.alt)}" src="data:image/png;base64,{coded}" '
            f'width="{wide}" style="max-width: 100%; height: auto">'
        )
        return image + "".join(f"<div>{html.escape(line)}</div>" for line in self.lines)

    def plain(self) -> str:
        """Return the same as text."""
        return "\n".join([f"[figure: {self.alt}]", *self.lines])


def as_image(image: Image.Image | np.ndarray) -> Image.Image:
    """Return an image, or an array of float in [0, 1], (H, W, 3) or (H, W), as RGB."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    values = (np.clip(np.nan_to_num(image), 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(values).convert("RGB")


def png(image: Image.Image, *, tight: bool = False) -> bytes:
    """Return an image as a PNG file, packed quickly; or tightly, with 192 colours."""
    file = io.BytesIO()
    if tight:
        image = image.quantize(192, dither=Image.Dither.NONE)
        image.save(file, format="png", optimize=True)
    else:
        image.save(file, format="png", compress_level=1)
    return file.getvalue()


def _px(points: float) -> int:
    return round(points * SCALE)


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    import matplotlib  # for where its fonts are; slow to load, so only when something is written

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), _px(size))
