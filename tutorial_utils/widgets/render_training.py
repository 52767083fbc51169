"""Images of training: frozen layers, augmented images, a run's curves, a prediction.

As in `render_layers`, every function takes numbers and returns a `Rendering`; none of them knows
about widgets, and none runs a network.
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

from tutorial_utils import data, plots
from tutorial_utils._support.presets import Preset
from tutorial_utils.history import History
from tutorial_utils.plots.style import (
    FRAME_GREY,
    HEAT_OPACITY,
    HIGHLIGHT,
    LUMINANCE,
    MEASURED,
    MISTAKE,
    PALETTE,
    TRAINED,
)
from tutorial_utils.widgets import canvas
from tutorial_utils.widgets.canvas import Rendering, Sheet

if TYPE_CHECKING:
    import pandas

VARIATIONS = 9  # of one image
VARIATION_SIDE = 135  # pixels: they are shown small, and have to be quick
CLASSES = 8  # that are shown of a prediction, the most probable ones


# What freezing saves.


def freezing(costs: "pandas.DataFrame", frozen: int) -> Rendering:
    """Draw which layers are frozen, and what a training step costs then.

    Args:
        costs: what `layers.step_costs` measured; one row for each number of frozen layers.
        frozen: how many layers are frozen, counted from the image's side.

    Raises:
        ValueError: if there is no such row.
    """
    if frozen not in set(costs["frozen"]):
        raise ValueError(
            f"frozen must be a whole number from 0 to {len(costs) - 1}, the layers that were "
            f"measured, not {frozen!r}"
        )
    names, trained = costs["layer"].tolist()[1:], costs["trainable"].tolist()
    sizes = [more - less for more, less in zip(trained, trained[1:], strict=False)]
    index = costs.index[costs["frozen"] == frozen][0]
    times_s = costs[["forward_s", "backward_s", "update_s"]]
    memory_mb = costs[["saved_bytes", "gradient_bytes", "state_bytes"]] / 1e6
    sheet = Sheet(700, max(250, 24 * len(names) + 70))
    _draw_layers(sheet, names, sizes, frozen)
    parts = ("forward", "backward", "update", "activations", "gradients", "Adam")
    colours = list(zip(parts, PALETTE, strict=False))  # a colour means one of the six
    _draw_parts(sheet, 60, "one step, seconds", times_s, index, colours[:3])
    _draw_parts(sheet, 160, "memory, MB", memory_mb, index, colours[3:])
    now, total = trained[costs.index.get_loc(index)], trained[0]
    lines = (
        f"{frozen} of {len(names)} layers frozen: {now:,} of {total:,} parameters "
        f"are trained ({now / total:.1%}).",
        f"A step takes {times_s.loc[index].sum():.2f} s (all trained: "
        f"{times_s.iloc[0].sum():.2f} s); its backward pass takes "
        f"{times_s['backward_s'][index]:.2f} s.",
        f"Besides the weights, training needs {memory_mb.loc[index].sum():,.0f} MB of memory (all "
        f"trained: {memory_mb.iloc[0].sum():,.0f} MB).",
    )
    alt = f"Bars of {len(names)} layers, the first {frozen} hatched as frozen, and a step's costs."
    return Rendering(sheet.image, alt, lines)


def _draw_layers(sheet: Sheet, names: Sequence[str], sizes: Sequence[int], frozen: int) -> None:
    left, room = 110, 190
    most = math.log10(max(sizes) + 1)
    sheet.text(left, 12, "parameters of each layer (logarithmic)")
    for i, (name, size) in enumerate(zip(names, sizes, strict=True)):
        top = 38 + 24 * i
        right = left + room * math.log10(size + 1) / most
        sheet.text(left - 8, top + 8, name, anchor="rm", size=11)
        fill, note = ("white", " frozen") if i < frozen else (TRAINED, " trained")
        sheet.box(left, top, right, top + 17, fill=fill, line="black")
        if i < frozen:
            sheet.hatch(left + 1, top + 1, right - 1, top + 16, FRAME_GREY)
        sheet.text(right + 6, top + 8, f"{size:,}{note}", anchor="lm", size=11)


def _draw_parts(
    sheet: Sheet,
    top: float,
    title: str,
    table: "pandas.DataFrame",
    index: int,
    colours: Sequence[tuple[str, str]],
) -> None:
    """Draw one row as a stacked bar, on the scale of the row with the highest sum."""
    left, room = 450, 180
    most = max(table.sum(axis=1).max(), 1e-12)
    values = table.loc[index].tolist()
    sheet.text(left, top - 40, title)
    sheet.box(left, top - 18, left + room, top, line=FRAME_GREY)
    x = left
    for i, ((name, colour), value) in enumerate(zip(colours, values, strict=True)):
        sheet.box(x, top - 18, x + room * value / most, top, fill=colour, line="black")
        x += room * value / most
        key = left + 82 * i
        sheet.box(key, top + 9, key + 9, top + 18, fill=colour, line="black")
        sheet.text(key + 13, top + 14, name, anchor="lm", size=10)
        sheet.text(key + 13, top + 29, f"{value:.3g}", anchor="lm", size=10)
    sheet.text(left + room + 8, top - 9, f"{sum(values):.3g}", anchor="lm")


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
) -> Rendering:
    """Draw nine random variations of an image, before and after the normalisation.

    They have 135x135 pixels, whatever the preset's size, to be quick.

    Args:
        image: as read from its file.
        preset: of the weights, `weights.transforms()`.
        least_area: see `data.augmented`, also for the next four.
        flip: the probability of a horizontal flip.
        brightness: the largest relative change; so are `contrast` and `saturation`.
        seed: of the variations. The caller's generator is left as it was.
    """
    small = copy.copy(preset)
    small.crop_size = [VARIATION_SIDE]
    colours = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    vary = data.augmented(small, least_area=least_area, flip=flip, **colours)
    reduced = image.convert("RGB")
    reduced.thumbnail((3 * VARIATION_SIDE, 3 * VARIATION_SIDE))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        batch = torch.stack([vary(reduced) for _ in range(VARIATIONS)])  # (9, 3, H, W)
    low, high = batch.min(), batch.max()  # of all nine: their brightness must stay comparable
    given = list(((batch - low) / (high - low + 1e-12)).permute(0, 2, 3, 1).numpy())
    sheet = Sheet(760, 345)
    sheet.text(10, 12, "the original")
    sheet.paste(image, 10, 36, 150, 150 * image.height / image.width)
    _draw_nine(sheet, 180, "nine variations", plots.denormalise(batch, preset))
    _draw_nine(sheet, 475, "as the network is given them, stretched", given)
    lines = (
        f"Every variation has {least_area:.0%} to 100% of the area and is mirrored with "
        f"probability {flip:.0%}; brightness changes by up to {brightness:.0%}, contrast by up to "
        f"{contrast:.0%}, saturation by up to {saturation:.0%}.",
        f"The network is given numbers from {low:.2f} to {high:.2f}, mean {batch.mean():.2f}; at "
        f"the right, {low:.2f} is drawn as 0 and {high:.2f} as 1.",
    )
    alt = "An image, nine variations of it as a person sees them, and the same nine normalised."
    return Rendering(sheet.image, alt, lines)


def _draw_nine(sheet: Sheet, left: float, title: str, images: Sequence[np.ndarray]) -> None:
    side = 90
    sheet.text(left, 12, title, size=12)
    for i, image in enumerate(images):
        row, column = divmod(i, 3)
        sheet.paste(image, left + column * (side + 6), 36 + row * (side + 6), side, side)


# A prediction and its heat map.


def prediction(
    image: np.ndarray,
    heat: np.ndarray | None,
    probabilities: Sequence[float],
    classes: Sequence[str],
    *,
    truth: int | None = None,
    title: str = "",
) -> Rendering:
    """Draw an image, its heat map, and the probability of each class.

    Args:
        image: (H, W, 3) of float in [0, 1], as the network was given it, e.g. by
            `plots.denormalise`.
        heat: (H, W), zero or more, e.g. by `attribution.grad_cam`; None if there is none.
        probabilities: (K,), one for each class.
        classes: the K names.
        truth: the true class, if it is known.
        title: above the image, e.g. the name of the file.

    Raises:
        ValueError: if the numbers of classes differ, or the heat map has not the image's size.
    """
    if len(probabilities) != len(classes) or not len(classes):
        raise ValueError(f"{len(probabilities)} probabilities do not fit the classes {classes}")
    if heat is not None and np.shape(heat) != np.shape(image)[:2]:
        raise ValueError(
            f"the heat map is {np.shape(heat)} and the image {np.shape(image)[:2]}: give the "
            f"map in the image's size, as attribution makes it"
        )
    order = np.argsort(-np.asarray(probabilities, dtype=float), kind="stable")
    sheet = Sheet(760, 300)
    sheet.text(10, 8, title)
    sheet.paste(image, 10, 34, 225, 225)
    sheet.text(10, 268, "the network's input", size=11)
    if heat is not None:
        sheet.paste(_overlay(image, np.asarray(heat, dtype=float)), 245, 34, 225, 225)
        sheet.text(245, 268, "heat map (Grad-CAM), yellow highest", size=11)
    rows = [(classes[k], float(probabilities[k]), k == truth) for k in order[:CLASSES]]
    _draw_probabilities(sheet, rows)
    line = f"The network predicts {rows[0][0]}, probability {rows[0][1]:.3f}."
    if truth is not None:
        line += f" It is {classes[truth]}: {'correct' if rows[0][2] else 'wrong'}."
    return Rendering(sheet.image, f"{title or 'An image'}. {line}", (line,))


def _overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return a heat map, half transparent, over the grey copy of its image."""
    grey = (image @ LUMINANCE)[..., None]
    most = heat.max()
    colours = matplotlib.colormaps["viridis"](heat / most if most > 0 else heat)[..., :3]
    return (1 - HEAT_OPACITY) * grey + HEAT_OPACITY * colours


def _draw_probabilities(sheet: Sheet, rows: Sequence[tuple[str, float, bool]]) -> None:
    """Draw a bar for each (class, probability, whether it is the true class)."""
    left, room = 500, 170
    missed = any(true for _, _, true in rows) and not rows[0][2]
    sheet.text(left, 34, "probability of each class")
    for i, (name, value, true) in enumerate(rows):
        top = 62 + 27 * i
        words = name if len(name) <= 24 else name[:23] + "…"
        sheet.text(left, top, words + (" (true class)" if true else ""), size=11)
        bar = top + 14
        sheet.box(left, bar, left + room, bar + 9, line=FRAME_GREY)
        colour = MISTAKE if i == 0 and missed else MEASURED
        sheet.box(left, bar, left + room * value, bar + 9, fill=colour)
        sheet.text(left + room + 8, bar + 4, f"{value:.3f}", anchor="lm", size=11)


# A training run.


def run_curves(history: History, *, epochs: int, name: str, title: str) -> Rendering:
    """Draw the curves of a run so far, with the best epoch marked.

    Args:
        history: of the finished epochs, one or more.
        epochs: how many the run will have.
        name: of the run.
        title: of the figure.

    Raises:
        ValueError: if no epoch is finished.
    """
    best, last = history.best, history.last
    figure = plots.curves({name: history.frame()}, title=title)
    for axes in figure.axes:
        axes.set_xlim(0.5, max(epochs, last.epoch) + 0.5)
    star = {"marker": "*", "color": HIGHLIGHT, "mec": "black", "markersize": 14, "linestyle": ""}
    label = "best epoch: highest validation accuracy"
    figure.axes[1].plot([best.epoch], [best.val.accuracy], label=label, **star)
    figure.axes[1].legend(fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=70 * canvas.SCALE)
    lines = (
        f"Epoch {last.epoch} of {epochs}: training {last.train}, validation {last.val}.",
        f"Best so far: epoch {best.epoch}, validation {best.val}.",
    )
    alt = (
        f"Loss and accuracy over {last.epoch} epochs, training dashed, validation solid; the epoch "
        f"of the highest validation accuracy, {best.epoch}, has a star."
    )
    return Rendering(Image.open(file).convert("RGB"), alt, lines)
