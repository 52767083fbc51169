"""What the widgets show, as plain functions: numbers in, an image and its text out.

Every function returns a `View` and knows nothing of widgets, so that the same call draws the still
image of a notebook without a kernel. They draw on a `canvas.Sheet`, which is quick enough to
follow a slider. What needs a network's pass is passed in: heat maps, outputs, costs.

Colours are those of `plots`; what a colour tells, a place, a hatching or a word tells too.
"""

import copy
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import torch
from PIL import Image

from tutorial_utils import data, layers, plots
from tutorial_utils.history import History
from tutorial_utils.models import Preset
from tutorial_utils.widgets import canvas
from tutorial_utils.widgets.canvas import FAINT, Sheet, View

if TYPE_CHECKING:
    import pandas

BLUE, ORANGE, GREEN, PAD = plots.BLUE, plots.ORANGE, plots.GREEN, "#dddddd"
VIEWS = 9  # of one image, in the augmentation playground
SMALL = 135  # pixels of such a view: it is drawn small, and has to be quick
OPACITY = 0.55  # of a heat map over its image


# A convolution's output size.


def output_size(size: int, kernel: int, stride: int, padding: int, window: int = 1) -> View:
    """Draw where a window stands on a padded image, and the output value that it gives.

    Args:
        size: side of the image, in pixels.
        kernel: side of the window.
        stride: the window's step.
        padding: width of the frame of zeros.
        window: which of the output's values, counted from 1 in reading order; a number that is
            too large means the last.

    Raises:
        ValueError: if the numbers do not go together, see `layers.output_size`, or `window` is
            not a whole number from 1.

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """
    out = layers.output_size(size, kernel, stride, padding)
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise ValueError(f"window must be a whole number from 1, not {window!r}")
    window = min(window, out * out)
    row, column = divmod(window - 1, out)
    whole = size + 2 * padding
    steps, rest = (whole - kernel) / stride, (whole - kernel) % stride
    sheet = Sheet(620, 330)
    _draw_input(sheet, size, padding, kernel, (row * stride, column * stride), rest)
    _draw_output(sheet, out, row, column)
    first = (row * stride + 1, column * stride + 1)
    lines = (
        f"⌊({size} + 2·{padding} − {kernel}) / {stride}⌋ + 1 = ⌊{steps:.4g}⌋ + 1 = {out}",
        f"Output: {out}×{out} values. {_rest(rest)}",
        f"Window {window} of {out * out} covers rows {first[0]} to {first[0] + kernel - 1} and "
        f"columns {first[1]} to {first[1] + kernel - 1} of the padded image, and gives the "
        f"output's value in row {row + 1}, column {column + 1}.",
    )
    alt = (
        f"Left: an image of {size} by {size} pixels with {padding} pixels of padding and a window "
        f"of {kernel} by {kernel} on it. Right: the output, {out} by {out}, with the window's "
        f"value marked in row {row + 1}, column {column + 1}."
    )
    return View(sheet.image, alt, lines)


def _rest(rest: int) -> str:
    if rest == 0:
        return "The steps come out even: every pixel is covered or stepped over as planned."
    pixels = "1 pixel is" if rest == 1 else f"{rest} pixels are"
    return f"{pixels} left over at the right and at the bottom, where no whole step fits."


def _draw_input(
    sheet: Sheet, size: int, padding: int, kernel: int, start: tuple[int, int], rest: int
) -> None:
    left, top, side = 20, 40, 270
    whole = size + 2 * padding
    unit = side / whole
    sheet.text(left, 12, f"image {size}×{size}, padding {padding}")
    sheet.box(left, top, left + side, top + side, fill=PAD)
    sheet.hatch(left, top, left + side, top + side, "#bbbbbb")
    inner = padding * unit
    sheet.box(left + inner, top + inner, left + side - inner, top + side - inner, fill="white")
    if unit >= 5:
        for step in range(whole + 1):
            sheet.line((left + step * unit, top), (left + step * unit, top + side), colour=PAD)
            sheet.line((left, top + step * unit), (left + side, top + step * unit), colour=PAD)
    if rest:
        edge = rest * unit
        sheet.hatch(left + side - edge, top, left + side, top + side, BLUE)
        sheet.hatch(left, top + side - edge, left + side - edge, top + side, BLUE)
    sheet.box(left, top, left + side, top + side, line="black")
    y, x = top + start[0] * unit, left + start[1] * unit
    sheet.box(x, y, x + kernel * unit, y + kernel * unit, fill=ORANGE, line="black", width=2)


def _draw_output(sheet: Sheet, out: int, row: int, column: int) -> None:
    left, top, side = 340, 40, 250
    unit = side / out
    sheet.text(left, 12, f"output {out}×{out}")
    if unit >= 5:
        for step in range(out + 1):
            sheet.line((left + step * unit, top), (left + step * unit, top + side), colour=PAD)
            sheet.line((left, top + step * unit), (left + side, top + step * unit), colour=PAD)
    sheet.box(left, top, left + side, top + side, line="black")
    y, x, least = top + row * unit, left + column * unit, max(unit, 3)
    sheet.box(x, y, x + least, y + least, fill=ORANGE, line="black" if unit > 6 else None)
    sheet.line((300, top + side / 2), (328, top + side / 2), colour="black", width=2)
    for turn in (-6, 6):
        sheet.line((328, top + side / 2), (320, top + side / 2 + turn), colour="black", width=2)


# What freezing saves.


def freezing(costs: "pandas.DataFrame", frozen: int) -> View:
    """Draw each layer, frozen or trained, and what a step costs with so many frozen.

    Args:
        costs: what `stepcost.step_costs` measured; one row for each number of frozen layers.
        frozen: how many layers are frozen, counted from the image's side.

    Raises:
        ValueError: if there is no such row.
    """
    if frozen not in set(costs["frozen"]):
        raise ValueError(
            f"frozen must be a whole number from 0 to {len(costs) - 1}, the layers that were "
            f"measured, not {frozen!r}"
        )
    names = costs["layer"].tolist()[1:]
    trained = costs["trainable"].tolist()
    sizes = [more - less for more, less in zip(trained, trained[1:], strict=False)]
    sheet = Sheet(700, max(250, 24 * len(names) + 70))
    _draw_layers(sheet, names, sizes, frozen)
    row = costs[costs["frozen"] == frozen].iloc[0]
    seconds = costs[["forward_s", "backward_s", "update_s"]]
    memory = costs[["saved_bytes", "gradient_bytes", "state_bytes"]] / 1e6
    here = costs.index[costs["frozen"] == frozen][0]
    _draw_parts(sheet, 60, "one step, seconds", seconds, here, ("forward", "backward", "update"))
    _draw_parts(sheet, 160, "memory, MB", memory, here, ("for backward", "gradients", "Adam"))
    total = trained[0]
    lines = (
        f"{frozen} of {len(names)} layers frozen: {row['trainable']:,} of {total:,} parameters "
        f"are trained ({row['trainable'] / total:.1%}).",
        f"A step takes {seconds.loc[here].sum():.2f} s (all trained: "
        f"{seconds.iloc[0].sum():.2f} s), of which the backward pass {row['backward_s']:.2f} s.",
        f"It holds {memory.loc[here].sum():,.0f} MB for training (all trained: "
        f"{memory.iloc[0].sum():,.0f} MB), the weights themselves not counted.",
    )
    alt = f"Bars of {len(names)} layers, the first {frozen} hatched as frozen, and a step's costs."
    return View(sheet.image, alt, lines)


def _draw_layers(sheet: Sheet, names: list[str], sizes: list[int], frozen: int) -> None:
    left, room = 110, 190
    most = math.log10(max(sizes) + 1)
    sheet.text(left, 12, "parameters of each layer (logarithmic)")
    for place, (name, size) in enumerate(zip(names, sizes, strict=True)):
        top = 38 + 24 * place
        right = left + room * math.log10(size + 1) / most
        still = place < frozen
        sheet.text(left - 8, top + 8, name, anchor="rm", size=11)
        sheet.box(left, top, right, top + 17, fill="white" if still else ORANGE, line="black")
        if still:
            sheet.hatch(left + 1, top + 1, right - 1, top + 16, BLUE)
        words = f"{size:,} {'frozen' if still else ''}"
        sheet.text(right + 6, top + 8, words, anchor="lm", size=11)


def _draw_parts(
    sheet: Sheet,
    top: float,
    title: str,
    table: "pandas.DataFrame",
    here: int,
    names: Sequence[str],
) -> None:
    """Draw one stacked bar, on the scale of the row in which nothing is frozen."""
    left, room = 450, 180
    most = max(table.sum(axis=1).max(), 1e-12)
    values = table.loc[here].tolist()
    sheet.text(left, top - 40, title)
    sheet.box(left, top - 18, left + room, top, line=FAINT)
    x = left
    for value, colour in zip(values, (BLUE, ORANGE, GREEN), strict=True):
        sheet.box(x, top - 18, x + room * value / most, top, fill=colour, line="black")
        x += room * value / most
    sheet.text(left + room + 8, top - 9, f"{sum(values):.3g}", anchor="lm")
    for place, (name, value, colour) in enumerate(
        zip(names, values, (BLUE, ORANGE, GREEN), strict=True)
    ):
        across = left + 82 * place
        sheet.box(across, top + 9, across + 9, top + 18, fill=colour, line="black")
        sheet.text(across + 13, top + 14, name, anchor="lm", size=10)
        sheet.text(across + 13, top + 29, f"{value:.3g}", anchor="lm", size=10)


# Augmentation.


def augmentation(
    image: Image.Image,
    preset: Preset,
    *,
    least_area: float = 0.5,
    flip: float = 0.5,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
    seed: int = 0,
) -> View:
    """Draw nine random variations of an image, as a person sees them and as the network does.

    They are made in 135x135 pixels, whatever the preset's size, to be quick.

    Args:
        image: as it comes from the file.
        preset: the weights' own, `weights.transforms()`.
        least_area: see `data.augmented`; likewise `flip`, `brightness`, `contrast`, `saturation`.
        flip: see `least_area`.
        brightness: see `least_area`.
        contrast: see `least_area`.
        saturation: see `least_area`.
        seed: of the variations; the same seed gives the same ones. The caller's generator is left
            as it was.
    """
    small = copy.copy(preset)
    small.crop_size = [SMALL]
    vary = data.augmented(
        small,
        least_area=least_area,
        flip=flip,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
    )
    reduced = image.convert("RGB")
    reduced.thumbnail((3 * SMALL, 3 * SMALL))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        batch = torch.stack([vary(reduced) for _ in range(VIEWS)])  # (9, 3, H, W)
    seen = plots.denormalise(batch, preset)
    given = list(batch.clamp(0, 1).permute(0, 2, 3, 1).numpy())
    sheet = Sheet(760, 345)
    _as_it_is(sheet, image)
    _draw_nine(sheet, 180, "what a person sees", seen)
    _draw_nine(sheet, 475, "what the network is given, clipped at 0 and 1", given)
    lines = (
        f"Every view keeps {least_area:.0%} to 100% of the area and is mirrored with probability "
        f"{flip:.0%}; brightness changes by up to {brightness:.0%}, contrast by up to "
        f"{contrast:.0%}, saturation by up to {saturation:.0%}.",
        f"The network is given numbers from {batch.min():.2f} to {batch.max():.2f}, "
        f"mean {batch.mean():.2f}.",
    )
    alt = "An image, nine variations of it as a person sees them, and the same nine normalised."
    return View(sheet.image, alt, lines)


def _as_it_is(sheet: Sheet, image: Image.Image) -> None:
    width = 150
    sheet.text(10, 12, "as it is")
    sheet.paste(image, 10, 36, width, width * image.height / image.width)


def _draw_nine(sheet: Sheet, left: float, title: str, views: Sequence[np.ndarray]) -> None:
    side = 90
    sheet.text(left, 12, title, size=12)
    for place, view in enumerate(views):
        row, column = divmod(place, 3)
        sheet.paste(view, left + column * (side + 6), 36 + row * (side + 6), side, side)


# What a network said of an image, and where it looked.


def answer(
    image: np.ndarray,
    heat: np.ndarray | None,
    probabilities: Sequence[float],
    classes: Sequence[str],
    *,
    truth: int | None = None,
    title: str = "",
) -> View:
    """Draw an image, what the network looked at, and how sure it is of each class.

    Args:
        image: (H, W, 3) of float in [0, 1], as the network was given it, e.g. by
            `plots.denormalise`.
        heat: (H, W), zero or more, e.g. by `attribution.grad_cam`; None if there is none.
        probabilities: (K,), one for each class.
        classes: the K names.
        truth: the right class, if it is known.
        title: a line above all, e.g. the name of the file.

    Raises:
        ValueError: if the numbers of classes differ, or the heat has not the image's size.
    """
    if len(probabilities) != len(classes) or not len(classes):
        raise ValueError(f"{len(probabilities)} probabilities do not fit the classes {classes}")
    if heat is not None and np.shape(heat) != np.shape(image)[:2]:
        raise ValueError(
            f"the heat map is {np.shape(heat)} and the image {np.shape(image)[:2]}: give the "
            f"map in the image's size, as attribution makes it"
        )
    order = np.argsort(-np.asarray(probabilities, dtype=float), kind="stable")
    shown = order[:8]
    sheet = Sheet(760, 300)
    sheet.text(10, 8, title)
    sheet.paste(image, 10, 34, 225, 225)
    sheet.text(10, 268, "what it was given", size=11)
    if heat is not None:
        sheet.paste(_warmed(image, np.asarray(heat, dtype=float)), 245, 34, 225, 225)
        sheet.text(245, 268, "where it looked (Grad-CAM), yellow most", size=11)
    _draw_sureness(sheet, [(classes[k], float(probabilities[k]), k == truth) for k in shown])
    first = order[0]
    said = f"{classes[first]}, probability {float(probabilities[first]):.3f}"
    right = "" if truth is None else f" It is {classes[truth]}: {_verdict(first == truth)}."
    lines = (f"The network says {said}.{right}",)
    return View(sheet.image, f"{title or 'An image'}. {lines[0]}", lines)


def _verdict(right: bool) -> str:
    return "right" if right else "wrong"


def _warmed(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a heat map over the grey copy of its image."""
    grey = (image @ np.array((0.299, 0.587, 0.114)))[..., None]
    most = heat.max()
    colours = matplotlib.colormaps["viridis"](heat / most if most > 0 else heat)[..., :3]
    return (1 - OPACITY) * grey + OPACITY * colours


def _draw_sureness(sheet: Sheet, rows: Sequence[tuple[str, float, bool]]) -> None:
    left, room = 500, 170
    sheet.text(left, 34, "probability of each class")
    for place, (name, value, true) in enumerate(rows):
        top = 62 + 27 * place
        words = name if len(name) <= 24 else name[:23] + "…"
        sheet.text(left, top, words + (" (it is)" if true else ""), size=11)
        bar = top + 14
        sheet.box(left, bar, left + room, bar + 9, line=FAINT)
        sheet.box(left, bar, left + room * value, bar + 9, fill=BLUE if place == 0 else ORANGE)
        sheet.text(left + room + 8, bar + 4, f"{value:.3f}", anchor="lm", size=11)


# A run, while it goes on.


def run(history: History, *, epochs: int, name: str, title: str) -> View:
    """Draw the curves of a run so far, with the best epoch marked.

    Args:
        history: the finished epochs, one or more.
        epochs: how many there are to be.
        name: of the run.
        title: of the figure.

    Raises:
        ValueError: if no epoch is finished.
    """
    best, last = history.best, history.last
    figure = plots.curves({name: history.frame()}, title=title)
    for axes, value in zip(figure.axes, (best.val.loss, best.val.accuracy), strict=False):
        axes.set_xlim(0.5, max(epochs, last.epoch) + 0.5)
        look = {"marker": "*", "color": plots.RED, "markersize": 13, "linestyle": ""}
        axes.plot([best.epoch], [value], label="best epoch", **look)
    figure.axes[1].legend(fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=70 * canvas.SCALE)
    image = Image.open(file).convert("RGB")
    lines = (
        f"Epoch {last.epoch} of {epochs}: training {last.train}, validation {last.val}.",
        f"Best so far: epoch {best.epoch}, validation {best.val}.",
    )
    alt = (
        f"Loss and accuracy over {last.epoch} epochs, training dashed, validation solid; the best "
        f"epoch, {best.epoch}, has a star."
    )
    return View(image, alt, lines)
