"""The style of all figures: colours, markers and hatchings; show and save a figure.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart. Lines also differ in
style and marker, bars in hatching: `series_style` gives all four for one series of a figure.

Sources:
    Okabe and Ito, "Color universal design" (2008): https://jfly.uni-koeln.de/color/
    the weights of `LUMINANCE`: ITU-R BT.601, https://www.itu.int/rec/R-REC-BT.601
"""

import base64
import html
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#666666"
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
LINES, MARKERS, HATCHES = ("-", "--", ":", "-."), ("o", "s", "^", "D"), ("", "//", "..", "xx")

FRAME_GREY, HATCH_GREY, GRID_GREY = "#999999", "#bbbbbb", "#dddddd"  # lines that are no data
LUMINANCE = np.array((0.299, 0.587, 0.114))  # how bright red, green and blue appear
HEAT_OPACITY = 0.6  # of a heat map over its image


class SeriesStyle(NamedTuple):
    """How the line, points or bars of one series are drawn, in matplotlib's terms."""

    colour: str
    line: str
    marker: str
    hatch: str

    @property
    def bar(self) -> dict[str, str]:
        """Return the arguments of `Axes.bar` and `Axes.barh`."""
        return {"color": self.colour, "hatch": self.hatch, "edgecolor": "white"}


def series_style(index: int) -> SeriesStyle:
    """Return the style of a series, counted from 0; the first 28 all differ."""
    return SeriesStyle(
        PALETTE[index % len(PALETTE)],
        LINES[index % len(LINES)],
        MARKERS[index % len(MARKERS)],
        HATCHES[index % len(HATCHES)],
    )


def single_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a new figure, width and height in inches, with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def panel_axes(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a new figure, width and height in inches, with axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def show(figure: Figure, alt: str, *, dpi: int = 80) -> None:
    """Show a figure in a notebook with its alternative text.

    JupyterLab drops the alternative text of plain PNG outputs; an HTML image keeps it. Used in
    lessons 00 to 05 and 07 to 13.

    Args:
        figure: the figure.
        alt: what a reader who cannot see the figure needs to know; at least ten characters.
        dpi: pixels per inch.

    Raises:
        ValueError: if the alternative text has fewer than ten characters.
    """
    if len(alt.strip()) < 10:
        raise ValueError(f"alt must describe the figure in a sentence, not {alt!r}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    image = Image.open(buffer).convert("RGB").quantize(192, dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, format="png", optimize=True)
    coded = base64.b64encode(min(buffer.getvalue(), small.getvalue(), key=len)).decode()
    tag = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{coded}">'
    display({"text/html": tag, "text/plain": f"[figure: {alt}]"}, raw=True)


def save(figure: Figure, path: Path | str, *, dpi: int = 100) -> None:
    """Write a figure as a PNG file; its folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, bbox_inches="tight")
