"""Images of a network's layers: a convolution's window, a layer's output.

Every function takes numbers and returns a `Rendering`; none of them knows about widgets, so the
same call makes the still image of a notebook without a kernel. They draw on a `canvas.Sheet`,
which is quick enough to follow a slider. Networks are not run here: their outputs are
arguments.

Colours are those of `plots`; what a colour shows, a position, a hatching or a word shows too.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

from tutorial_utils import layers, plots
from tutorial_utils._support.arguments import check_whole
from tutorial_utils.plots.diagram import KINDS
from tutorial_utils.plots.style import FRAME_GREY, GRID_GREY, HATCH_GREY, HIGHLIGHT
from tutorial_utils.widgets import tracing
from tutorial_utils.widgets.canvas import Rendering, Sheet
from tutorial_utils.widgets.tracing import MAPS, Output, Trace

if TYPE_CHECKING:
    import pandas

FILTERS = 64  # that are shown, at most


# A convolution's output size.


def output_size(size: int, kernel: int, stride: int, padding: int, window: int = 1) -> Rendering:
    """Draw a convolution's window on a padded image, and the output value that it gives.

    Args:
        size: side of the image, in pixels.
        kernel: side of the window.
        stride: the window's step.
        padding: width of the frame of zeros.
        window: number of the output value, from 1 in reading order; a number that is too large
            means the last.

    Raises:
        ValueError: if the numbers do not go together, see `layers.output_size`, or `window` is
            not a whole number from 1.

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """
    out = layers.output_size(size, kernel, stride, padding)
    check_whole("window", window, 1)
    window = min(window, out * out)
    row, column = divmod(window - 1, out)
    whole = size + 2 * padding
    steps, rest = (whole - kernel) / stride, (whole - kernel) % stride
    top, left = row * stride, column * stride
    sheet = Sheet(620, 330)
    _draw_input(sheet, size, padding, kernel, (top, left), rest)
    _draw_output(sheet, out, row, column)
    pixels = "1 pixel is" if rest == 1 else f"{rest} pixels are"
    left_over = f"{pixels} left over at the right and at the bottom, where no whole step fits."
    lines = (
        f"⌊({size} + 2·{padding} − {kernel}) / {stride}⌋ + 1 = ⌊{steps:.4g}⌋ + 1 = {out}",
        f"Output: {out}×{out} values. {left_over if rest else 'No pixel is left over.'}",
        f"Window {window} of {out * out} covers rows {top + 1} to {top + kernel} and "
        f"columns {left + 1} to {left + kernel} of the padded image, and gives the "
        f"output's value in row {row + 1}, column {column + 1}.",
    )
    alt = (
        f"Left: an image of {size} by {size} pixels with padding {padding} and a window "
        f"of {kernel} by {kernel} on it. Right: the output, {out} by {out}, with the window's "
        f"value marked in row {row + 1}, column {column + 1}."
    )
    return Rendering(sheet.image, alt, lines)


def _draw_input(
    sheet: Sheet, size: int, padding: int, kernel: int, start: tuple[int, int], rest: int
) -> None:
    left, top, side = 20, 40, 270
    right, bottom = left + side, top + side
    whole = size + 2 * padding
    unit = side / whole
    sheet.text(left, 12, f"image {size}×{size}, padding {padding}")
    sheet.box(left, top, right, bottom, fill=GRID_GREY)
    sheet.hatch(left, top, right, bottom, HATCH_GREY)
    inner = padding * unit
    sheet.box(left + inner, top + inner, right - inner, bottom - inner, fill="white")
    if unit >= 5:
        sheet.grid(left, top, side, whole)
    if rest:
        edge = rest * unit
        sheet.hatch(right - edge, top, right, bottom, "black")
        sheet.hatch(left, bottom - edge, right - edge, bottom, "black")
    sheet.box(left, top, right, bottom, line="black")
    y, x = top + start[0] * unit, left + start[1] * unit
    sheet.box(x, y, x + kernel * unit, y + kernel * unit, fill=HIGHLIGHT, line="black", width=2)


def _draw_output(sheet: Sheet, out: int, row: int, column: int) -> None:
    left, top, side = 340, 40, 250
    unit = side / out
    sheet.text(left, 12, f"output {out}×{out}")
    if unit >= 5:
        sheet.grid(left, top, side, out)
    sheet.box(left, top, left + side, top + side, line="black")
    y, x, mark = top + row * unit, left + column * unit, max(unit, 3)
    sheet.box(x, y, x + mark, y + mark, fill=HIGHLIGHT, line="black" if unit > 6 else None)
    middle = top + side / 2  # of the arrow from the image to the output
    sheet.line((300, middle), (328, middle), colour="black", width=2)
    for turn in (-6, 6):
        sheet.line((328, middle), (320, middle + turn), colour="black", width=2)


# A layer's output.


def traced_layer(trace: Trace, name: str) -> Rendering:
    """Draw one layer of a trace: its position in the network, its filters, its strongest maps.

    Args:
        trace: what `tracing.trace` returned.
        name: of a layer, one of `trace.outputs`.

    Raises:
        ValueError: if there is no such layer.

    Source of the receptive field's position:
        Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks"
        (2019), https://distill.pub/2019/computing-receptive-fields
    """
    if name not in trace.outputs:
        raise ValueError(f"there is no layer {name!r}; there are {', '.join(trace.outputs)}")
    row = trace.table[trace.table["layer"] == name].iloc[0]
    output = trace.outputs[name]
    sheet = Sheet(760, 445)
    _draw_network(sheet, trace, name)
    _draw_image(sheet, trace, row, output)
    left, room, columns = 270, 480, 6
    if name == trace.table["layer"][0]:
        tiles = list(plots.for_display(trace.filters[:FILTERS]))
        _draw_tiles(sheet, 270, "its filters", tiles, 235, 8)
        left, room, columns = 525, 225, 4
    title = f"its {len(output.maps)} strongest maps" if output.shape[0] > MAPS else "its maps"
    if output.strongest is None:
        room, columns, title = 235, 1, f"its {output.shape[0]:,} values, row by row"
    _draw_tiles(sheet, left, title, [_stretched(one) for one in output.maps], room, columns)
    alt = f"The architecture with {name} marked, the image, and what the layer gave for it."
    return Rendering(sheet.image, alt, _describe(row, output))


def _describe(row: "pandas.Series", output: Output) -> tuple[str, str]:
    shape = "×".join(map(str, row["output"]))
    layer, zeros = f"{row['layer']}, a {KINDS[row['kind']][0]}", f"{output.zeros:.0%}"
    field, frame = "the whole image", ""
    if row["kind"] != "Linear":
        kernel, field = row["kernel"], f"{row['receptive_field']}×{row['receptive_field']} pixels"
        layer += f" with windows of {kernel}×{kernel}, stride {row['stride']}"
        layer += f", padding {row['padding']}"
        frame = " The frame on the image is what the strongest value of the first map sees."
    return (
        f"{layer}: output {shape}, {row['parameters']:,} parameters.",
        f"One value sees {field} (its receptive field). {zeros} of the values are zero.{frame}",
    )


def _draw_network(sheet: Sheet, trace: Trace, name: str) -> None:
    """Draw every layer as a box: high for many pixels, wide for many channels."""
    table, left, middle = trace.table, 14.0, 76.0
    widths = [8 + 3.2 * math.log2(1 + shape[0]) for shape in table["output"]]
    gaps = max(len(widths) - 1, 1)
    squeeze = min(1.0, (732 - 3 * gaps) / sum(widths))
    gap = min(14.0, (732 - sum(widths) * squeeze) / gaps)
    for width, row in zip(widths, table.itertuples(), strict=True):
        side = row.output[1] if len(row.output) == 3 else 1
        half = 6 + 44 * math.log2(1 + side) / math.log2(1 + trace.image.shape[0])
        right = left + width * squeeze
        colour = KINDS[row.kind][1]
        sheet.box(left, middle - half, right, middle + half, fill=colour, line="black")
        if row.layer == name:
            for step, line, thick in ((4, "black", 1), (3, HIGHLIGHT, 3)):
                edges = (left - step, middle - half - step, right + step, middle + half + step)
                sheet.box(*edges, line=line, width=thick)
            across = min(max((left + right) / 2, 50), sheet.width - 50)
            sheet.text(across, middle + 58, name, anchor="ma")
        left = right + gap
    for i, (words, colour) in enumerate(
        [*(KINDS[kind] for kind in tracing.KINDS), ("chosen", HIGHLIGHT)]
    ):
        key = 14 + 120 * i
        sheet.box(key, 4, key + 10, 14, fill=colour, line="black")
        sheet.text(key + 15, 9, words, anchor="lm", size=11)


def _draw_image(sheet: Sheet, trace: Trace, row: "pandas.Series", output: Output) -> None:
    left, top, side = 14, 190, 235
    sheet.text(left, top - 22, "the network's input")
    sheet.paste(trace.image, left, top, side, side)
    if output.strongest is None:
        return
    pixels = trace.image.shape[0]
    spans = [_receptive_span(trace.table, row, index, pixels) for index in output.strongest]
    (y0, y1), (x0, x1) = (
        (low * side / pixels, max(high * side / pixels, low * side / pixels + 5))
        for low, high in spans
    )
    sheet.box(left + x0, top + y0, left + x1, top + y1, line="black", width=4)
    sheet.box(left + x0 + 1, top + y0 + 1, left + x1 - 1, top + y1 - 1, line=HIGHLIGHT, width=2)


def _receptive_span(
    table: "pandas.DataFrame", row: "pandas.Series", index: int, pixels: int
) -> tuple[float, float]:
    """Return the pixels, first and end, that a layer's value at `index` sees along one side."""
    middle, step = 0.0, 1  # of the layer's first window, and from window to window, in pixels
    for before in table.itertuples():
        middle += ((before.kernel - 1) / 2 - before.padding) * step
        step *= before.stride
        if before.layer == row["layer"]:
            break
    field = int(row["receptive_field"])
    low = middle + index * step - (field - 1) / 2
    return min(max(low, 0), pixels), min(max(low + field, 0), pixels)


def _draw_tiles(
    sheet: Sheet, left: float, title: str, tiles: Sequence[np.ndarray], room: float, columns: int
) -> None:
    """Draw square tiles in rows; `room` is the width of a row."""
    side = room / columns
    sheet.text(left, 168, title)
    sheet.line((left - 8, 168), (left - 8, 440), colour=FRAME_GREY)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        height = (side - 3) * min(tile.shape[0] / tile.shape[1], 1)
        x, y = left + column * side, 190 + row * side
        sheet.paste(tile, x, y, side - 3, height, smooth=False)


def _stretched(values: np.ndarray) -> np.ndarray:
    """Return a map in the colours of `plots.feature_maps`, from 0, or from the lowest below it."""
    low, high = min(values.min(), 0.0), values.max()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return matplotlib.colormaps["viridis"](scaled)[..., :3]
