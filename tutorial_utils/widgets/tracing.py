"""One image's way through a network: what each layer gave, kept small, and drawn.

`trace` runs the image once and keeps, of every layer, a few maps as thumbnails; `layer` draws
one layer from that, without another pass: its filters or its strongest maps, where its strongest
value looks on the image, and where it stands in the architecture.

Source of the receptive field's place: Araujo, Norris and Sim, "Computing receptive fields of
convolutional neural networks" (2019), https://distill.pub/2019/computing-receptive-fields
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_utils import layers, plots
from tutorial_utils.models import Preset
from tutorial_utils.widgets.canvas import FAINT, Sheet, View

if TYPE_CHECKING:
    import pandas

KINDS = {"Conv2d": "convolution", "MaxPool2d": "max-pooling", "Linear": "dense layer"}
COLOURS = {"Conv2d": plots.BLUE, "MaxPool2d": plots.GREEN, "Linear": plots.PURPLE}
SHOWN = 16  # maps of a layer
SIDE = 96  # pixels of a kept map, at most


@dataclass(frozen=True, eq=False)
class Output:
    """What one layer gave for one image, after the ReLU behind it if there is one.

    Attributes:
        shape: (C, h, w), or (D,) of a dense layer.
        maps: up to 16 maps, (h, w) of float32 each, those of the highest mean first; of a dense
            layer one map of all its values, row by row.
        silent: the fraction of its values that are zero.
        strongest: row and column of the first map's highest value; None of a dense layer.
    """

    shape: tuple[int, ...]
    maps: list[np.ndarray]
    silent: float
    strongest: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Trace:
    """One image's way through a network.

    Attributes:
        image: (H, W, 3) of float in [0, 1], as the network was given it.
        table: what `layers.layer_table` says, convolutions, poolings and dense layers only.
        outputs: {name of the layer: what it gave}.
        filters: (C, 3, k, k), the weights of the first convolution.
    """

    image: np.ndarray
    table: "pandas.DataFrame"
    outputs: dict[str, Output]
    filters: Tensor


def trace(network: nn.Module, image: Tensor, preset: Preset) -> Trace:
    """Run one image through a network and keep what every layer gave.

    Args:
        network: layers in one line, as `models.build` makes them; its modes are left as they were.
        image: (3, H, W), normalised by the preset.
        preset: the weights' own, `weights.transforms()`.

    Raises:
        ValueError: if `image` is not one square image.
    """
    if image.ndim != 3 or image.shape[0] != 3 or image.shape[1] != image.shape[2]:
        raise ValueError(
            f"image must be one square image (3, H, H), not {tuple(image.shape)}: take one "
            f"of a batch, batch[0]"
        )
    table = layers.layer_table(network, size=image.shape[1])
    table = table[table["kind"].isin(KINDS)].reset_index(drop=True)
    outputs: dict[str, Output] = {}
    with _listening(network, outputs), torch.inference_mode():
        network(image[None].to(next(network.parameters()).device))
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    seen = plots.denormalise(image[None], preset)[0]
    return Trace(seen, table, outputs, first.weight.detach().cpu())


@contextmanager
def _listening(network: nn.Module, outputs: dict[str, Output]) -> Iterator[None]:
    """Note what every layer gives; a ReLU's output replaces that of the layer before it."""
    modes = {module: module.training for module in network.modules()}
    names = {module: name for name, module in network.named_modules()}
    before: list[str] = []

    def note(module: nn.Module, _: tuple, value: Tensor) -> None:
        if type(module).__name__ in KINDS:
            before.append(names[module])
        outputs[before[-1]] = _kept(value[0])

    heard = [m for m in network.modules() if type(m).__name__ in KINDS or isinstance(m, nn.ReLU)]
    hooks = [module.register_forward_hook(note) for module in heard]
    network.eval()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode


def _kept(value: Tensor) -> Output:
    """Return a layer's output, made small: thumbnails of its strongest maps."""
    silent = (value == 0).float().mean().item()
    value = value.detach().float().cpu()
    if value.ndim == 1:
        columns = math.ceil(math.sqrt(len(value)))
        whole = nn.functional.pad(
            value, (0, columns * math.ceil(len(value) / columns) - len(value))
        )
        return Output(tuple(value.shape), [whole.view(-1, columns).numpy()], silent, None)
    best = value.mean((1, 2)).argsort(descending=True)[:SHOWN]
    place = divmod(int(value[best[0]].argmax()), value.shape[2])
    maps = value[best]  # (16, h, w)
    if maps.shape[-1] > SIDE:
        maps = nn.functional.adaptive_avg_pool2d(maps, SIDE)
    return Output(tuple(value.shape), list(maps.numpy().copy()), silent, place)


def layer(trace: Trace, name: str) -> View:
    """Draw one layer of a trace.

    Args:
        trace: what `trace` returned.
        name: of a layer, as `trace.outputs` has it.

    Raises:
        ValueError: if there is no such layer.
    """
    if name not in trace.outputs:
        raise ValueError(f"there is no layer {name!r}; there are {', '.join(trace.outputs)}")
    row = trace.table[trace.table["layer"] == name].iloc[0]
    output = trace.outputs[name]
    sheet = Sheet(760, 445)
    _draw_architecture(sheet, trace, name)
    _draw_image(sheet, trace, row, output)
    first = name == trace.table["layer"][0]
    if first:
        _draw_tiles(sheet, 270, "its filters", _filter_tiles(trace.filters), 235, 8)
    left, room, columns = (525, 225, 4) if first else (270, 480, 6)
    if output.strongest is None:
        room, columns = 235, 1
    _draw_tiles(sheet, left, _title(output), [_bright(m) for m in output.maps], room, columns)
    lines = _words(row, output)
    alt = f"The architecture with {name} marked, the image, and what the layer gave for it."
    return View(sheet.image, alt, lines)


def _title(output: Output) -> str:
    if output.strongest is None:
        return f"its {output.shape[0]:,} values, row by row"
    return f"its {len(output.maps)} strongest maps" if output.shape[0] > SHOWN else "its maps"


def _words(row: "pandas.Series", output: Output) -> tuple[str, ...]:
    shape = "×".join(map(str, row["output"]))
    what = f"{row['layer']}, a {KINDS[row['kind']]}"
    if row["kind"] != "Linear":
        what += f" with windows of {row['kernel']}×{row['kernel']}, stride {row['stride']}"
        what += f", padding {row['padding']}"
    field = row["receptive_field"]
    sees = "the whole image" if row["kind"] == "Linear" else f"{field}×{field} pixels"
    if row["kind"] == "Linear":
        where = ""
    elif field > 1:
        where = " The frame on the image is what the strongest value of the first map sees."
    return (
        f"{what}: output {shape}, {row['parameters']:,} parameters.",
        f"One value sees {sees} (its receptive field). {output.silent:.0%} of the values are zero."
        + where,
    )


def _draw_architecture(sheet: Sheet, trace: Trace, name: str) -> None:
    """Draw every layer as a box: high for many pixels, wide for many channels."""
    table, left, middle = trace.table, 14.0, 76.0
    wide = [8 + 3.2 * math.log2(1 + shape[0]) for shape in table["output"]]
    gaps = max(len(wide) - 1, 1)
    squeeze = min(1.0, (732 - 3 * gaps) / sum(wide))
    gap = min(14.0, (732 - sum(wide) * squeeze) / gaps)
    for width, row in zip(wide, table.itertuples(), strict=True):
        side = row.output[1] if len(row.output) == 3 else 1
        half = 6 + 44 * math.log2(1 + side) / math.log2(1 + trace.image.shape[0])
        here = row.layer == name
        right = left + width * squeeze
        colour = plots.ORANGE if here else COLOURS[row.kind]
        sheet.box(left, middle - half, right, middle + half, fill=colour, line="black")
        if here:
            sheet.box(left - 2, middle - half - 2, right + 2, middle + half + 2, line="black")
            across = min(max((left + right) / 2, 50), sheet.width - 50)
            sheet.text(across, middle + 58, name, anchor="ma")
        left = right + gap
    place = 14.0
    for kind, words in KINDS.items():
        sheet.box(place, 4, place + 10, 14, fill=COLOURS[kind], line="black")
        sheet.text(place + 15, 9, words, anchor="lm", size=11)
        place += 120
    sheet.box(place, 4, place + 10, 14, fill=plots.ORANGE, line="black")
    sheet.text(place + 15, 9, "chosen", anchor="lm", size=11)


def _draw_image(sheet: Sheet, trace: Trace, row: "pandas.Series", output: Output) -> None:
    left, top, side = 14, 190, 235
    sheet.text(left, top - 22, "the image, as it was given")
    sheet.paste(trace.image, left, top, side, side)
    if output.strongest is None:
        return
    start, jump = _geometry(trace.table, row["layer"])
    field = int(row["receptive_field"])
    high, wide = (_seen(place, start, jump, field, side, trace) for place in output.strongest)
    for inset, colour, width in ((0, "black", 4), (1, plots.ORANGE, 2)):
        sheet.box(
            left + wide[0] + inset,
            top + high[0] + inset,
            left + wide[1] - inset,
            top + high[1] - inset,
            line=colour,
            width=width,
        )


def _seen(
    place: int, start: float, jump: int, field: int, side: float, trace: Trace
) -> tuple[float, float]:
    """Return the first and the last point, along one side, of what a value sees."""
    pixels = trace.image.shape[0]
    low = start + place * jump - (field - 1) / 2
    first, last = (min(max(edge, 0), pixels) * side / pixels for edge in (low, low + field))
    return first, max(last, first + 5)


def _geometry(table: "pandas.DataFrame", name: str) -> tuple[float, int]:
    """Return the pixel in the middle of a layer's first window, and the step between windows."""
    start, jump = 0.0, 1
    for row in table.itertuples():
        start += ((row.kernel - 1) / 2 - row.padding) * jump
        jump *= row.stride
        if row.layer == name:
            break
    return start, jump


def _draw_tiles(
    sheet: Sheet, left: float, title: str, tiles: list[np.ndarray], room: float, columns: int
) -> None:
    """Draw square tiles in rows, within so much room across."""
    side = room / columns
    sheet.text(left, 168, title)
    sheet.line((left - 8, 168), (left - 8, 440), colour=FAINT)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        x, y = left + column * side, 190 + row * side
        height = (side - 3) * min(tile.shape[0] / tile.shape[1], 1)
        sheet.paste(tile, x, y, side - 3, height, smooth=False)


def _filter_tiles(weight: Tensor) -> list[np.ndarray]:
    low, high = weight.amin((1, 2, 3), keepdim=True), weight.amax((1, 2, 3), keepdim=True)
    scaled = (weight - low) / (high - low).clamp(min=1e-12)
    return list(scaled[:64].permute(0, 2, 3, 1).numpy())


def _bright(values: np.ndarray) -> np.ndarray:
    low, high = min(values.min(), 0.0), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
