"""The style of all figures: colours, markers and hatchings; show and save a figure.

A colour has one meaning through the course, and words, line styles, markers or hatchings say the
same, for readers who see no colours:

    CONVOLUTION  sky blue  a convolution, or its output
    POOLING      yellow    a pooling
    DENSE        purple    a dense layer
    DATA         pale grey an image or other data that enters or leaves a network
    TRAINED      green     parameters that training changes
    FROZEN_HATCH slanting  lines over the layer's colour or white: frozen parameters
    HIGHLIGHT    orange    what the text is about: a window, a value, a chosen layer
    MISTAKE      red       a wrong prediction, an error
    BASELINE     grey      baselines, and published figures that were not measured here
    MEASURED     blue      measured here; also the first of several runs
    PALETTE      blue, wine, olive, teal, ...  runs and other series in the order of the legend
    CLASS_COLOURS  indigo, sand, rose, ...      the classes in the order of `classes`

Sources:
    Okabe and Ito, "Color universal design" (2008): https://jfly.uni-koeln.de/color/
    the colours of series and classes: Tol, "Colour schemes": https://sronpersonalpages.nl/~pault/
    the weights of `LUMINANCE`: ITU-R BT.601, https://www.itu.int/rec/R-REC-BT.601
"""

import base64
import html
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator
from PIL import Image

from tutorial_utils._support.files import naming, write_bytes

# Okabe and Ito
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
# Tol, "muted"
INDIGO, SAND, WINE, OLIVE, TEAL = "#332288", "#DDCC77", "#882255", "#999933", "#44AA99"
CYAN, ROSE, FOREST, MAGENTA = "#88CCEE", "#CC6677", "#117733", "#AA4499"
GREY, PALE = "#666666", "#E8E8E8"

CONVOLUTION, POOLING, DENSE, DATA = SKY, YELLOW, PURPLE, PALE
TRAINED, HIGHLIGHT, MISTAKE, BASELINE, MEASURED = GREEN, ORANGE, RED, GREY, BLUE
FROZEN_HATCH = "///"
PALETTE = (MEASURED, WINE, OLIVE, TEAL, FOREST, "#A0703C", BLACK)  # of series, e.g. of runs
CLASS_COLOURS = (INDIGO, SAND, ROSE, CYAN, MAGENTA)
LINES, MARKERS, HATCHES = ("-", "--", ":", "-."), ("o", "s", "^", "D"), ("", "..", "xx", "||")

FRAME_GREY, HATCH_GREY, GRID_GREY = "#999999", "#bbbbbb", "#dddddd"  # lines that are no data
LUMINANCE = np.array((0.299, 0.587, 0.114))  # how bright red, green and blue appear
MISSING_GLYPH = re.compile(r"Glyph (\d+) .* missing from ")  # how matplotlib's warning starts
JPEG = {"quality": 88, "subsampling": 0, "optimize": True}  # for Pillow; 0: 4:4:4
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
        return {"color": self.colour, "hatch": self.hatch, "edgecolor": ink_on(self.colour)}


def series_style(index: int, colours: Sequence[str] = PALETTE) -> SeriesStyle:
    """Return the style of a series, counted from 0; the first 28 all differ."""
    return SeriesStyle(*(one[index % len(one)] for one in (colours, LINES, MARKERS, HATCHES)))


def class_style(index: int) -> SeriesStyle:
    """Return the style of a class, counted from 0; the first 20 all differ."""
    return series_style(index, CLASS_COLOURS)


def ink_on(colour: str) -> str:
    """Return which is easier to see on a colour: "black" or "white"."""
    return "black" if LUMINANCE @ to_rgb(colour) > 0.55 else "white"


def plain(text: object) -> str:
    """Return a text that matplotlib writes as it is, in legends too.

    Dollar signs would start a formula, and a legend leaves out names that start with "_".
    """
    text = str(text).replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text  # a space without width


def single_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a new figure, width and height in inches, with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def panel_axes(
    panels: int, width: float, height: float, **shared: bool
) -> tuple[Figure, list[Axes]]:
    """Return a new figure, width and height in inches, with axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False, **shared)[0])


def use_log_axis(axes: Axes) -> None:
    """Make the upright axis logarithmic, with plain numbers such as 0.05 at its ticks."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def show(figure: Figure, alt: str, *, dpi: int = 100) -> None:
    """Show a figure in a notebook with its alternative text.

    It is stored as PNG, or as JPEG where it holds photographs and that is smaller. JupyterLab
    drops the alternative text of plain PNG outputs; an HTML image keeps it. Used in all lessons.

    Args:
        figure: the figure.
        alt: what a reader who cannot see the figure needs to know; at least ten characters.
        dpi: pixels per inch.

    Raises:
        ValueError: if the alternative text has fewer than ten characters.
    """
    if len(alt.strip()) < 10:
        raise ValueError(f"alt must describe the figure in a sentence, not {alt!r}")
    files = {"png": io.BytesIO()}
    _write(figure, files["png"], "png", dpi)
    if _holds_colour_image(figure):  # others stay PNG, where lines and letters are sharper
        files["jpeg"] = io.BytesIO()
        Image.open(files["png"]).convert("RGB").save(files["jpeg"], format="jpeg", **JPEG)
    kind = min(files, key=lambda kind: len(files[kind].getvalue()))
    coded = base64.b64encode(files[kind].getvalue()).decode()
    tag = f'<img alt="{html.escape(alt)}" src="data:image/{kind};base64,{coded}">'
    display({"text/html": tag, "text/plain": f"[figure: {alt}]"}, raw=True)


def save(figure: Figure, path: Path | str, *, dpi: int = 100) -> None:
    """Write a figure as JPEG where the name ends in .jpg or .jpeg, else as PNG, in a new folder."""
    path = Path(path)
    kind = "jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else "png"
    content = io.BytesIO()
    _write(figure, content, kind, dpi)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())


def _holds_colour_image(figure: Figure) -> bool:
    return any(image.get_array().ndim == 3 for image in figure.findobj(AxesImage))


def _write(figure: Figure, file: io.BytesIO, kind: str, dpi: int) -> None:
    """Write a figure; signs that the font lacks are reported in one warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(
            file,
            format=kind,
            dpi=dpi,
            bbox_inches="tight",
            pil_kwargs=JPEG if kind == "jpeg" else {"optimize": True},
        )
    texts = {str(warning.message): warning for warning in caught}
    missing = {int(found[1]) for text in texts if (found := MISSING_GLYPH.match(text))}
    if missing:
        signs = " ".join(map(chr, sorted(missing)))
        warnings.warn(f"the figures' font has no {signs}: a box is drawn instead", stacklevel=3)
    for text, warning in texts.items():
        if not MISSING_GLYPH.match(text):
            warnings.warn(text, warning.category, stacklevel=3)
