"""A network's architecture, drawn to scale from its layer table."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tutorial_utils.plots.style import CONVOLUTION, DATA, DENSE, GREY, POOLING, plain

KINDS = {  # of layers: words of a legend and colour, here and in the widgets
    "image": ("image", DATA),
    "Conv2d": ("convolution", CONVOLUTION),
    "MaxPool2d": ("pooling", POOLING),
    "AvgPool2d": ("pooling", POOLING),
    "AdaptiveAvgPool2d": ("pooling", POOLING),
    "Linear": ("dense layer", DENSE),
}
SMALL_TEXT = {"ha": "center", "fontsize": 9, "zorder": 1000}
# In inches; the depth of a box is SLANT times its height, SLOT is the room of its labels.
WIDTH, HEIGHT, GAP, DENSE_WIDTH, SLANT, SLOT, CHANNEL = 11.0, 2.1, 0.1, 0.16, 0.2, 0.66, 0.004


class Box(NamedTuple):
    """An output that a layer makes; `side` is in pixels, 0 for a dense layer."""

    kind: str
    channels: int
    side: int
    window: str  # kernel and stride, of convolutions and poolings
    count: int = 1  # of equal layers that follow one another


class Frame(NamedTuple):
    """Where a box is drawn, the first of equal ones, in inches."""

    left: float
    width: float
    height: float


def architecture(table: pandas.DataFrame | Mapping[str, pandas.DataFrame], *, title: str) -> Figure:
    """Draw a network to scale from its layer table: a box for each output that a layer makes.

    Height and depth of a box are its pixels, its width is its channels, both on linear scales.
    Dense layers have no pixels: the height of their bars is the number of their neurons, on a
    scale of its own. Layers that change no shape (activations, dropout, a pooling to the size that
    is there already) have no box. Used in lessons 02 and 03.

    Args:
        table: what `layers.layer_table` returns; or {name: table} to draw networks one above the
            other, each on its own scale.
        title: of the figure.
    """
    tables = table if isinstance(table, Mapping) else {"": table}
    size = (WIDTH + 0.3, 0.9 + 3.25 * len(tables))
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(len(tables), 1, squeeze=False)[:, 0]
    for axes, (name, one) in zip(all_axes, tables.items(), strict=True):
        _draw_network(axes, _boxes(one))
        axes.set_title(plain(name), loc="left", fontsize=12, fontweight="bold")
    handles, words = all_axes[-1].get_legend_handles_labels()
    note = "above: pixels; below: channels or neurons, kernel, /stride if it is not 1"
    note += "; each network on its own scale" if any(tables) else ""
    look = {"ncols": 4, "fontsize": 10, "title_fontsize": 10, "frameon": False}
    figure.legend(handles, words, loc="outside lower center", title=note, **look)
    figure.suptitle(plain(title))
    return figure


def _draw_network(axes: Axes, boxes: list[Box]) -> None:
    frames, labelled = _layout(boxes), set()
    for order, (box, frame) in enumerate(zip(boxes, frames, strict=True), 2):
        name, colour = KINDS[box.kind]
        low = -frame.height / 2
        for i in range(box.count):
            one = frame._replace(left=frame.left + i * (frame.width + GAP))
            front = Rectangle((one.left, low), one.width, one.height, fc=colour, ec=GREY, lw=0.5)
            front.set(zorder=order, label=None if name in labelled else name)
            axes.add_patch(front)
            labelled.add(name)
            if box.side:
                axes.add_collection(_faces(one, colour, zorder=order))
        words = f"{box.channels}{' each' if box.count > 1 else ''}\n{box.window}"
        middle = (frame.left + one.left + one.width) / 2
        axes.text(middle, low - 0.05, words, va="top", **SMALL_TEXT)
    for side in dict.fromkeys(box.side for box in boxes if box.side):
        group = [(frame, box) for frame, box in zip(frames, boxes, strict=True) if box.side == side]
        (first, _), (last, box) = group[0], group[-1]
        right = last.left + box.count * (last.width + GAP) - GAP
        middle, top = (first.left + right + SLANT * first.height) / 2, (0.5 + SLANT) * first.height
        axes.text(middle, top + 0.05, f"{side}×{side}", va="bottom", **SMALL_TEXT)
    axes.set(xlim=(-0.2, WIDTH + 0.1), ylim=(-1.55, 1.7))
    axes.set_axis_off()


def _boxes(table: pandas.DataFrame) -> list[Box]:
    channels, side = table["input"].iloc[0][:2]
    boxes = [Box("image", channels, side, "")]
    for row in table[table["kind"].isin(KINDS)].itertuples():
        if row.kind in ("Conv2d", "Linear") or row.input != row.output:
            channels, side = row.output[:2] if len(row.output) == 3 else (row.output[0], 0)
            window = "" if pandas.isna(row.kernel) else f"{row.kernel}×{row.kernel}"
            window += f"\n/{row.stride}" if window and row.stride > 1 else ""
            box, last = Box(row.kind, int(channels), int(side), window), boxes[-1]
            if box == last._replace(count=1):
                boxes[-1] = last._replace(count=last.count + 1)
            else:
                boxes.append(box)
    return boxes


def _layout(boxes: list[Box]) -> list[Frame]:
    """Return where the boxes are drawn, side by side, over the whole width."""
    pixel = HEIGHT / max(box.side for box in boxes)
    faces = [0.0]  # a box that is smaller than the one before leaves that one's side face visible
    for before, box in zip(boxes, boxes[1:], strict=False):
        faces.append(SLANT * before.side * pixel if box.side != before.side else 0.0)
    channel, spare = CHANNEL / 0.97, -1.0
    while spare < 0 and channel > CHANNEL / 100:
        channel *= 0.97
        widths = [box.channels * channel if box.side else DENSE_WIDTH for box in boxes]
        drawn = [box.count * (w + GAP) - GAP for box, w in zip(boxes, widths, strict=True)]
        spare = WIDTH - sum(faces) - sum(max(width + GAP, SLOT) for width in drawn)
    neuron = 0.85 * HEIGHT / max([box.channels for box in boxes if not box.side], default=1)
    left, frames = 0.0, []
    for box, face, width, whole in zip(boxes, faces, widths, drawn, strict=True):
        room = max(whole + GAP, SLOT) + spare / len(boxes)
        height = box.side * pixel or box.channels * neuron
        frames.append(Frame(left + face + (room - whole) / 2, width, height))
        left += face + room
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
        [top, side], facecolors=[light, dark], edgecolors=GREY, lw=0.5, zorder=zorder
    )
