"""The figures of the lessons. Every function returns a matplotlib Figure and trains nothing.

`show(figure, alt)` puts a figure into a notebook with its alternative text, and closes it.
Colours are those of Okabe and Ito, told apart by colour-blind readers; lines also differ in
style and marker, bars in hatching.

Source of the palette: https://jfly.uni-koeln.de/color/
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas
import torch
from IPython.display import display
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#666666",
)
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
LINES, MARKERS, HATCHES = ("-", "--", ":", "-."), ("o", "s", "^", "D"), ("", "//", "..", "xx")


def show(figure: Figure, alt: str, *, dpi: int = 80) -> None:
    """Show a figure in a notebook with its alternative text.

    JupyterLab drops the alternative text of plain PNG outputs; an HTML image keeps it.

    Args:
        figure: what to show.
        alt: what a person who cannot see the figure should know; at least ten letters.
        dpi: pixels per inch.

    Raises:
        ValueError: if the alternative text says next to nothing.
    """
    if len(alt.strip()) < 10:
        raise ValueError(f"alt must describe the figure in a sentence, got {alt!r}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    image = Image.open(buffer).convert("RGB").quantize(192, dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, format="png", optimize=True)
    coded = base64.b64encode(min(buffer.getvalue(), small.getvalue(), key=len)).decode()
    tag = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{coded}">'
    display({"text/html": tag, "text/plain": f"[figure: {alt}]"}, raw=True)


def save(figure: Figure, path: Path | str, *, dpi: int = 100) -> None:
    """Write a figure as a PNG file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, bbox_inches="tight")


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 6,
    title: str = "",
    inches: float = 1.7,
) -> Figure:
    """Draw images in a grid, each in a cell of the same size, with captions beneath.

    Args:
        images: PIL images, or arrays (H, W, 3) of float in [0, 1].
        captions: one for each image.
        columns: how many side by side.
        title: of the whole sheet.
        inches: width of a cell.
    """
    if not images:
        raise ValueError("contact_sheet needs at least one image, got none")
    rows = -(-len(images) // columns)
    height = inches * (1.0 if captions is None else 1.22)
    figure = Figure(figsize=(columns * inches, rows * height + 0.4), layout="constrained")
    for place, image in enumerate(images):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(_thumbnail(image))
        axes.set_axis_off()
        if captions is not None:
            axes.set_title(captions[place], fontsize=8)
    if title:
        figure.suptitle(title)
    return figure


def denormalise(batch: Tensor, preset) -> list[np.ndarray]:
    """Undo the normalisation of `preset`, so that a person sees what the network is given.

    Args:
        batch: (N, 3, H, W) float32, normalised.
        preset: the weights' `transforms()`, with `mean` and `std`.

    Returns:
        N arrays (H, W, 3) of float in [0, 1].
    """
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preset.mean, preset.std))
    return list((batch.cpu() * std + mean).clamp(0, 1).permute(0, 2, 3, 1).numpy())


def class_balance(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw the number of images of each class in each split as bars.

    Args:
        counts: {split: {class: number}}.
    """
    figure, axes = _axes(5.5, 2.8)
    classes = list(next(iter(counts.values())))
    width = 0.8 / len(classes)
    for i, name in enumerate(classes):
        places = np.arange(len(counts)) + i * width
        heights = [split[name] for split in counts.values()]
        look = {"color": PALETTE[i % 7], "hatch": HATCHES[i % 4], "edgecolor": "white"}
        axes.bar_label(axes.bar(places, heights, width, label=name, **look))
    axes.set_xticks(np.arange(len(counts)) + 0.4 - width / 2, list(counts))
    axes.margins(y=0.12)
    axes.set(title="How many images of each class", ylabel="images")
    axes.margins(y=0.1)
    axes.legend()
    return figure


def sizes(by_class: Mapping[str, Sequence[tuple[int, int]]]) -> Figure:
    """Draw the width and height of every image as a point.

    Args:
        by_class: {class: [(width, height) in pixels, ...]}.
    """
    figure, axes = _axes(5.5, 4)
    for i, (name, pairs) in enumerate(by_class.items()):
        across, down = zip(*pairs, strict=True)
        axes.scatter(across, down, s=18, alpha=0.6, c=PALETTE[i], marker=MARKERS[i], label=name)
    axes.set(
        title="Width and height of every image", xlabel="width (pixels)", ylabel="height (pixels)"
    )
    axes.legend()
    return figure


def architecture(table: pandas.DataFrame, *, title: str) -> Figure:
    """Draw a network to scale from its layer table: a box for each output that a layer makes.

    Height and depth of a box are its pixels, its width is its channels, both on linear scales.
    Dense layers have no pixels: the height of their bars is the number of their neurons, on a
    scale of its own. What changes no shape (activations, dropout, a pooling to the size that is
    there already) has no box.

    Args:
        table: what `layers.layer_table` returns.
        title: of the figure.
    """
    boxes = _boxes(table)
    places = _layout([(channels, side) for _, channels, side in boxes])
    figure, axes = _axes(11, 3.7)
    labelled = set()
    for order, (box, (left, wide, tall)) in enumerate(zip(boxes, places, strict=True), 2):
        name, colour = _KIND_LOOKS[box[0]]
        front = Rectangle((left, -tall / 2), wide, tall, facecolor=colour, ec="white", lw=0.4)
        front.set(zorder=order, label=None if name in labelled else name)
        axes.add_patch(front)
        if box[2]:
            axes.add_collection(_faces(left, wide, tall, colour, zorder=order))
        axes.text(left + wide / 2, -tall / 2 - 0.05, box[1], va="top", **_SMALL)
        labelled.add(name)
    for side in dict.fromkeys(side for *_, side in boxes if side):
        group = [place for place, box in zip(places, boxes, strict=True) if box[2] == side]
        (left, _, tall), (last, wide, _) = group[0], group[-1]
        middle, top = (left + last + wide + _SLANT * tall) / 2, (0.5 + _SLANT) * tall + 0.05
        axes.text(middle, top, f"{side}×{side}", va="bottom", **_SMALL)
    axes.set(xlim=(-0.2, _WIDE + 0.1), ylim=(-1.75, 2.05), title=title, xticks=[], yticks=[])
    axes.set_xlabel("above: pixels; below: channels of a box, neurons of a dense layer")
    axes.legend(loc="upper right", fontsize=8, ncols=4)
    return figure


_KIND_LOOKS = {
    "image": ("image", GREY),
    "Conv2d": ("convolution", BLUE),
    "MaxPool2d": ("pooling", ORANGE),
    "AdaptiveAvgPool2d": ("pooling", ORANGE),
    "Linear": ("dense", GREEN),
}
_SMALL = {"ha": "center", "fontsize": 7, "zorder": 1000}
_WIDE, _TALL, _GAP, _SLANT = 10.4, 2.4, 0.1, 0.2  # inches; _SLANT is depth drawn over depth


def _boxes(table: pandas.DataFrame) -> list[tuple[str, int, int]]:
    """Return (kind, channels, side in pixels) per box; the side of a dense layer is 0."""
    channels, side = table["input"].iloc[0][:2]
    boxes = [("image", channels, side)]
    for row in table[table["kind"].isin(_KIND_LOOKS)].itertuples():
        if row.kind in ("Conv2d", "Linear") or row.input != row.output:
            shape = row.output if len(row.output) == 3 else (row.output[0], 0)
            boxes.append((row.kind, int(shape[0]), int(shape[1])))
    return boxes


def _layout(shapes: list[tuple[int, int]]) -> list[tuple[float, float, float]]:
    """Return (left, width, height) in inches of boxes that stand for (channels, side in pixels)."""
    pixel = _TALL / max(side for _, side in shapes)
    neuron = 0.85 * _TALL / max([channels for channels, side in shapes if not side], default=1)
    gaps = [_GAP]  # a box that shrinks leaves its neighbour's side face in sight
    for (_, before), (_, side) in zip(shapes, shapes[1:], strict=False):
        gaps.append(_GAP + (_SLANT * before * pixel if side != before else 0.0))
    gaps = [gap if side else 0.5 for gap, (_, side) in zip(gaps, shapes, strict=True)]
    thin = 0.12 * sum(not side for _, side in shapes)  # the width of all dense layers
    channel = (_WIDE - sum(gaps) - thin) / sum(channels for channels, side in shapes if side)
    channel, left, places = min(channel, 0.0045), 0.0, []
    for gap, (channels, side) in zip(gaps, shapes, strict=True):
        left += gap
        wide, tall = (channels * channel, side * pixel) if side else (0.12, channels * neuron)
        places.append((left, wide, tall))
        left += wide
    return places


def _faces(left: float, wide: float, tall: float, colour: str, *, zorder: int) -> PolyCollection:
    """Return the top and the side of a box seen from the upper right."""
    slant, low, high, right = _SLANT * tall, -tall / 2, tall / 2, left + wide
    top = [(left, high), (left + slant, high + slant), (right + slant, high + slant), (right, high)]
    side = [
        (right, low),
        (right + slant, low + slant),
        (right + slant, high + slant),
        (right, high),
    ]
    light, dark = (tuple(np.array(to_rgb(colour)) * k + 1 - k) for k in (0.55, 0.75))
    shades = [light, dark]
    return PolyCollection([top, side], facecolors=shades, edgecolors="white", lw=0.4, zorder=zorder)


def bars(
    values: Mapping[str, float], *, title: str, label: str, unit: str = "", log: bool = False
) -> Figure:
    """Draw named numbers as horizontal bars, the first on top.

    Args:
        values: {name: number}.
        title: of the figure.
        label: of the horizontal axis, with its unit.
        unit: written behind each number.
        log: a logarithmic axis.
    """
    figure, axes = _axes(7, 0.6 + 0.3 * max(len(values), 3))
    drawn = axes.barh(list(values), list(values.values()), color=BLUE)
    axes.bar_label(drawn, [f" {_short(v)}{unit}" for v in values.values()], fontsize=8)
    axes.set(title=title, xlabel=label, xscale="log" if log else "linear")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    return figure


def stacked(panels: Mapping[str, pandas.DataFrame], *, title: str) -> Figure:
    """Draw what things are made of: one panel for each unit, a bar a row, a piece a column.

    Args:
        panels: {label of the horizontal axis, with its unit: frame of numbers from 0 up}.
        title: of the figure.
    """
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (label, frame) in zip(axes, panels.items(), strict=True):
        left = np.zeros(len(frame))
        for i, name in enumerate(frame.columns):
            look = {"color": PALETTE[i % 7], "hatch": HATCHES[i % 4], "edgecolor": "white"}
            drawn = panel.barh(list(frame.index), frame[name], left=left, label=name, **look)
            left += frame[name].to_numpy()
        panel.bar_label(drawn, [f" {_short(total)}" for total in left], fontsize=9)
        panel.set(xlabel=label)
        panel.invert_yaxis()
        panel.margins(x=0.15)
        panel.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3)
    figure.suptitle(title)
    return figure


def filters(weight: Tensor | Mapping[str, Tensor], *, title: str, columns: int = 16) -> Figure:
    """Draw the filters of a first convolution as small colour images, each scaled by itself.

    Args:
        weight: (out, 3, kernel, kernel), or {name: such weights} to draw them side by side.
        title: of the figure.
        columns: how many side by side in each panel.
    """
    panels = weight if isinstance(weight, Mapping) else {"": weight}
    for values in panels.values():
        if values.ndim != 4 or values.shape[1] != 3:
            raise ValueError(f"filters takes weights (out, 3, k, k), got {tuple(values.shape)}")
    rows = max(-(-len(values) // columns) for values in panels.values())
    size = (len(panels) * columns * 0.5 + 0.2, rows * 0.5 + (0.75 if any(panels) else 0.45))
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, values) in zip(all_axes, panels.items(), strict=True):
        axes.imshow(_montage(values.detach().float().cpu(), columns), interpolation="nearest")
        axes.set_title(name, fontsize=10)
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def _montage(weight: Tensor, columns: int) -> np.ndarray:
    """Lay filters (out, 3, k, k) out in a grid with white lines, each stretched to 0 to 1."""
    low, high = weight.amin((1, 2, 3), keepdim=True), weight.amax((1, 2, 3), keepdim=True)
    tiles = ((weight - low) / (high - low + 1e-12)).permute(0, 2, 3, 1).numpy()
    step = weight.shape[-1] + 1
    sheet = np.ones((-(-len(tiles) // columns) * step - 1, columns * step - 1, 3))
    for place, tile in enumerate(tiles):
        down, across = place // columns * step, place % columns * step
        sheet[down : down + step - 1, across : across + step - 1] = tile
    return sheet


def feature_maps(maps: Tensor, *, title: str, count: int = 16, columns: int = 8) -> Figure:
    """Draw the strongest feature maps of one image, bright where a filter answers.

    Args:
        maps: (C, H, W) activations of one image.
        title: of the figure.
        count: how many, chosen by mean activation.
        columns: how many side by side.
    """
    maps = maps.detach().float().cpu()
    chosen = maps.mean((1, 2)).topk(min(count, len(maps))).indices.tolist()
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(columns * 1.2, rows * 1.4 + 0.4), layout="constrained")
    for place, channel in enumerate(chosen):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(maps[channel].numpy(), cmap="viridis")
        axes.set_title(f"channel {channel}", fontsize=7)
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def influence(grids: Mapping[str, Tensor], *, title: str) -> Figure:
    """Draw how much each pixel counts for one output, as panels of numbers.

    Args:
        grids: {name: (H, W) whole numbers}; pixels without influence are 0 and stay white.
        title: of the figure.
    """
    figure = Figure(figsize=(2.9 * len(grids), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(grids), squeeze=False)[0]
    for axes, (name, grid) in zip(all_axes, grids.items(), strict=True):
        values = grid.detach().cpu().numpy()
        shown = np.where(values == 0, np.nan, values)
        axes.imshow(shown, cmap="Blues", vmin=-0.4 * values.max(), vmax=1.6 * values.max())
        for (row, column), value in np.ndenumerate(values):
            if value:
                axes.text(column, row, f"{value:g}", ha="center", va="center", fontsize=7.5)
        axes.set(title=name, xlabel="column (pixels)")
        axes.set_xticks(range(values.shape[1]))
        axes.set_yticks(range(values.shape[0]))
    all_axes[0].set_ylabel("row (pixels)")
    figure.suptitle(title)
    return figure


def curves(histories: Mapping[str, pandas.DataFrame], *, title: str) -> Figure:
    """Draw loss and accuracy over the epochs, training and validation, of one run or several.

    Args:
        histories: {name: frame}, columns as `training.History.frame()` has them.
        title: of the figure.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    for i, (name, frame) in enumerate(histories.items()):
        for split, line, marker in (("train", "--", "s"), ("val", "-", "o")):
            shown = {"train": "training", "val": "validation"}[split]
            look = {"color": PALETTE[i % 7], "linestyle": line, "marker": marker, "markersize": 3.5}
            look["markerfacecolor"] = "white" if i % 2 else look["color"]  # also without colour
            for axes, what in zip(panels, ("loss", "accuracy"), strict=True):
                values = frame[f"{split}_{what}"]
                axes.plot(frame["epoch"], values, label=f"{name}, {shown}", **look)
    panels[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy per image")
    panels[1].set(title="Accuracy", xlabel="epoch", ylabel="fraction right")
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    if len(histories) < 3:
        panels[1].legend(fontsize=8)
    else:  # it would cover the lines
        lines = panels[1].get_legend_handles_labels()
        figure.legend(*lines, loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(title)
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str], *, title: str) -> Figure:
    """Draw a confusion matrix; rows are what the images are, columns what the network said.

    Args:
        matrix: (K, K) counts.
        classes: K names.
        title: of the figure.
    """
    side = max(3.2, 1.2 + 0.5 * len(classes))
    figure, axes = _axes(side + 0.6, side)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    for (row, column), number in np.ndenumerate(matrix):
        ink = "white" if number > matrix.max() / 2 else "black"
        size = 14 if len(classes) < 5 else 9
        axes.text(column, row, int(number), ha="center", va="center", color=ink, fontsize=size)
    crowded = sum(len(name) for name in classes) > 24
    turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks(range(len(classes)), classes, **turn)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(title=title, xlabel="the network said", ylabel="the image is")
    return figure


def comparison(rows: Sequence[Mapping], *, title: str) -> Figure:
    """Draw accuracies with their intervals, one row each.

    Args:
        rows: dicts with `name`, `accuracy`, and `low` and `high` where there is an interval.
            `published=True` marks figures that were not measured here.
        title: of the figure.
    """
    figure, axes = _axes(8, 0.8 + 0.42 * len(rows))
    for place, row in enumerate(rows):
        published = bool(row.get("published"))
        colour, marker = (GREY, "D") if published else (BLUE, "o")
        axes.plot(
            row["accuracy"], place, marker, color=colour, fillstyle="none" if published else "full"
        )
        if row.get("low") is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, alpha=0.6, lw=3)
        axes.annotate(
            f"{row['accuracy']:.3f}", (row["accuracy"], place), (0, 6), textcoords="offset points",
            ha="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set(title=title, xlabel="validation accuracy (fraction right), bar: 95% interval")
    axes.set_ylim(len(rows) - 0.4, -0.8)
    axes.grid(axis="x", alpha=0.3)
    return figure


def bands(rows: Sequence[Mapping], *, title: str) -> Figure:
    """Draw accuracy against the number of training images, a line a name, with intervals.

    Args:
        rows: dicts with `name` (of the line), `images` (trained on), `accuracy`, and `low` and
            `high`, the ends of its 95% interval, drawn as a band; `least` and `most`, where there
            are several seeds, as an upright bar; `share`, the fraction of all images, beneath
            their number.
        title: of the figure.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("bands needs at least one row to draw, got none")
    figure, axes = _axes(7.5, 4.2)
    for i, name in enumerate(dict.fromkeys(row["name"] for row in rows)):
        line = sorted((r for r in rows if r["name"] == name), key=lambda r: r["images"])
        across, up, low, high = (
            [row[key] for row in line] for key in ("images", "accuracy", "low", "high")
        )
        colour = PALETTE[i % 7]
        hatch = {"hatch": HATCHES[i % 4], "edgecolor": colour, "lw": 0.4}
        axes.fill_between(across, low, high, facecolor=to_rgb(colour) + (0.15,), **hatch)
        look = {"color": colour, "linestyle": LINES[i % 4], "marker": MARKERS[i % 4]}
        axes.plot(across, up, label=name, **look)
        ranges = [(row["images"], row["least"], row["most"]) for row in line if "least" in row]
        if ranges:
            axes.vlines(*zip(*ranges, strict=True), color=colour, lw=3, alpha=0.7)
    ticks = {row["images"]: f"\n{row['share']:.0%}" if "share" in row else "" for row in rows}
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(list(ticks), [f"{count}{share}" for count, share in ticks.items()])
    axes.set(title=title, xlabel="training images, log scale (band: 95% interval of one run)")
    axes.set_ylabel("validation accuracy (fraction right)")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)  # covers no band
    return figure


def reliability(calibration, *, title: str) -> Figure:
    """Draw how often a network is right against how sure it is, with the images in each bin.

    Args:
        calibration: what `evaluation.calibration` returned.
        title: of the figure; the expected calibration error is written beneath it.
    """
    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = (calibration.edges[:-1] + calibration.edges[1:]) / 2
    width = np.diff(calibration.edges) * 0.92
    upper.bar(middles, np.nan_to_num(calibration.accuracy), width, color=SKY, label="right")
    upper.plot([0, 1], [0, 1], ls="--", color=GREY, label="as often as it says")
    there = calibration.counts > 0
    upper.plot(
        calibration.confidence[there], calibration.accuracy[there], "o-", color=BLUE, label="bins"
    )
    lower.bar(middles, calibration.counts, width, color=ORANGE, hatch="//", edgecolor="white")
    upper.set(
        title=f"{title}\nexpected calibration error {calibration.error:.3f}",
        ylabel="accuracy (fraction right)",
        ylim=(0, 1.02),
    )
    lower.set(xlabel="how sure: the highest probability", ylabel="images", xlim=(0, 1))
    upper.legend(fontsize=8, loc="upper left")
    return figure


def _axes(width: float, height: float):
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _thumbnail(image: Image.Image | np.ndarray, side: int = 320) -> Image.Image | np.ndarray:
    if isinstance(image, Image.Image) and max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    return image


def _short(value: float) -> str:
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.3g}"


from tutorial_utils.plots.heat_maps import heat_overlay, image_rows, scatter  # noqa: E402, F401
