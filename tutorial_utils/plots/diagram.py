"""A network's architecture, drawn to scale from its layer table."""

from typing import NamedTuple

import numpy as np
import pandas
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tutorial_utils.plots.style import BLUE, GREEN, GREY, ORANGE, single_axes

KINDS = {  # of boxes: words of the legend and colour
    "image": ("image", GREY),
    "Conv2d": ("convolution", BLUE),
    "MaxPool2d": ("pooling", ORANGE),
    "AdaptiveAvgPool2d": ("pooling", ORANGE),
    "Linear": ("dense", GREEN),
}
SMALL_TEXT = {"ha": "center", "fontsize": 7, "zorder": 1000}
# In inches; the depth of a box is SLANT times its height.
WIDTH, HEIGHT, GAP, DENSE_GAP, DENSE_WIDTH, SLANT = 10.4, 2.4, 0.1, 0.5, 0.12, 0.2


class Box(NamedTuple):
    """An output that a layer makes; `side` is in pixels, 0 for a dense layer."""

    kind: str
    channels: int
    side: int


class Frame(NamedTuple):
    """Where a box is drawn, in inches."""

    left: float
    width: float
    height: float


def architecture(table: pandas.DataFrame, *, title: str) -> Figure:
    """Draw a network to scale from its layer table: a box for each output that a layer makes.

    Height and depth of a box are its pixels, its width is its channels, both on linear scales.
    Dense layers have no pixels: the height of their bars is the number of their neurons, on a
    scale of its own. Layers that change no shape (activations, dropout, a pooling to the size that
    is there already) have no box. Used in lessons 02 and 03.

    Args:
        table: what `layers.layer_table` returns.
        title: of the figure.
    """
    boxes = _boxes(table)
    frames = _layout(boxes)
    figure, axes = single_axes(11, 3.7)
    labelled = set()
    for order, (box, frame) in enumerate(zip(boxes, frames, strict=True), 2):
        name, colour = KINDS[box.kind]
        corner, label = (frame.left, -frame.height / 2), None if name in labelled else name
        front = Rectangle(corner, frame.width, frame.height, fc=colour, ec="white", lw=0.4)
        front.set(zorder=order, label=label)
        axes.add_patch(front)
        if box.side:
            axes.add_collection(_faces(frame, colour, zorder=order))
        middle = frame.left + frame.width / 2
        axes.text(middle, corner[1] - 0.05, box.channels, va="top", **SMALL_TEXT)
        labelled.add(name)
    for side in dict.fromkeys(box.side for box in boxes if box.side):
        group = [frame for frame, box in zip(frames, boxes, strict=True) if box.side == side]
        first, last = group[0], group[-1]
        middle = (first.left + last.left + last.width + SLANT * first.height) / 2
        top = (0.5 + SLANT) * first.height + 0.05
        axes.text(middle, top, f"{side}×{side}", va="bottom", **SMALL_TEXT)
    axes.set(xlim=(-0.2, WIDTH + 0.1), ylim=(-1.75, 2.05), title=title, xticks=[], yticks=[])
    axes.set_xlabel("above: pixels; below: channels of a box, neurons of a dense layer")
    axes.legend(loc="upper right", fontsize=8, ncols=4)
    return figure


def _boxes(table: pandas.DataFrame) -> list[Box]:
    channels, side = table["input"].iloc[0][:2]
    boxes = [Box("image", channels, side)]
    for row in table[table["kind"].isin(KINDS)].itertuples():
        if row.kind in ("Conv2d", "Linear") or row.input != row.output:
            channels, side = row.output[:2] if len(row.output) == 3 else (row.output[0], 0)
            boxes.append(Box(row.kind, int(channels), int(side)))
    return boxes


def _layout(boxes: list[Box]) -> list[Frame]:
    """Return where the boxes are drawn, side by side."""
    pixel = HEIGHT / max(box.side for box in boxes)
    neuron = 0.85 * HEIGHT / max([box.channels for box in boxes if not box.side], default=1)
    gaps = [GAP]
    for before, box in zip(boxes, boxes[1:], strict=False):
        # A box that is smaller than the one before leaves that one's side face visible.
        face = SLANT * before.side * pixel if box.side != before.side else 0.0
        gaps.append(GAP + face if box.side else DENSE_GAP)
    dense = DENSE_WIDTH * sum(not box.side for box in boxes)
    channel = (WIDTH - sum(gaps) - dense) / sum(box.channels for box in boxes if box.side)
    channel, left, frames = min(channel, 0.0045), 0.0, []
    for gap, box in zip(gaps, boxes, strict=True):
        width, height = DENSE_WIDTH, box.channels * neuron
        if box.side:
            width, height = box.channels * channel, box.side * pixel
        frames.append(Frame(left + gap, width, height))
        left += gap + width
    return frames


def _faces(frame: Frame, colour: str, *, zorder: int) -> PolyCollection:
    """Return the top and the side of a box seen from the upper right."""
    left, right = frame.left, frame.left + frame.width
    low, high, slant = -frame.height / 2, frame.height / 2, SLANT * frame.height
    back = (right + slant, high + slant)
    top = [(left, high), (left + slant, high + slant), back, (right, high)]
    side = [(right, low), (right + slant, low + slant), back, (right, high)]
    light, dark = (tuple(np.array(to_rgb(colour)) * k + 1 - k) for k in (0.55, 0.75))
    return PolyCollection(
        [top, side], facecolors=[light, dark], edgecolors="white", lw=0.4, zorder=zorder
    )
