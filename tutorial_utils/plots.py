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
KIND_COLOURS = {"Conv2d": BLUE, "MaxPool2d": ORANGE, "AdaptiveAvgPool2d": ORANGE, "Linear": GREEN}


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
    picture = Image.open(buffer).convert("RGB").quantize(192, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, format="png", optimize=True)
    coded = base64.b64encode(min(buffer.getvalue(), small.getvalue(), key=len)).decode()
    tag = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{coded}">'
    display({"text/html": tag, "text/plain": f"[figure: {alt}]"}, raw=True)


def save(figure: Figure, path: Path | str, *, dpi: int = 100) -> None:
    """Write a figure as a PNG file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, bbox_inches="tight")


def contact_sheet(
    pictures: Sequence[Image.Image | np.ndarray],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 6,
    title: str = "",
    inches: float = 1.7,
) -> Figure:
    """Draw pictures in a grid, each in a cell of the same size, with captions beneath.

    Args:
        pictures: PIL images, or arrays (H, W, 3) of float in [0, 1].
        captions: one for each picture.
        columns: how many side by side.
        title: of the whole sheet.
        inches: width of a cell.
    """
    if not pictures:
        raise ValueError("contact_sheet needs at least one picture, got none")
    rows = -(-len(pictures) // columns)
    height = inches * (1.0 if captions is None else 1.22)
    figure = Figure(figsize=(columns * inches, rows * height + 0.4), layout="constrained")
    for place, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(_thumbnail(picture))
        axes.set_axis_off()
        if captions is not None:
            axes.set_title(captions[place], fontsize=8)
    if title:
        figure.suptitle(title)
    return figure


def as_seen(batch: Tensor, preset) -> list[np.ndarray]:
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
    """Draw the number of pictures of each class in each split as bars.

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
    axes.set(title="How many pictures of each class", ylabel="pictures")
    axes.legend()
    return figure


def sizes(by_class: Mapping[str, Sequence[tuple[int, int]]]) -> Figure:
    """Draw the width and height of every picture as a point.

    Args:
        by_class: {class: [(width, height) in pixels, ...]}.
    """
    figure, axes = _axes(5.5, 4)
    for i, (name, pairs) in enumerate(by_class.items()):
        across, down = zip(*pairs, strict=True)
        axes.scatter(across, down, s=18, alpha=0.6, c=PALETTE[i], marker=MARKERS[i], label=name)
    axes.set(title="No two sizes alike", xlabel="width (pixels)", ylabel="height (pixels)")
    axes.legend()
    return figure


def architecture(table: pandas.DataFrame, *, title: str) -> Figure:
    """Draw a network to scale from its layer table: a box for each layer that holds or shrinks.

    The height of a box is the height of its output in pixels (square root scale), its width the
    number of its channels (square root scale); dense layers have no height, only neurons.

    Args:
        table: what `models.layer_table` returns.
        title: of the figure.
    """
    rows = table[table["kind"].isin(KIND_COLOURS)]
    figure, axes = _axes(11, 3.6)
    left, labelled = 0.0, set()
    for row in rows.to_dict("records"):
        shape = [int(n) for n in row["output"]][-3:]
        channels, height = (shape[0], shape[1]) if len(shape) == 3 else (shape[-1], 1)
        wide, tall = max(0.25, channels**0.5 / 18), height**0.5
        colour = KIND_COLOURS[row["kind"]]
        label = None if colour in labelled else _KIND_NAMES[colour]
        labelled.add(colour)
        box = Rectangle((left, -tall / 2), wide, tall, facecolor=colour, ec="white", label=label)
        axes.add_patch(box)
        text = (
            f"{channels}" if height == 1 and len(shape) == 1 else f"{channels}\n{height}×{height}"
        )
        axes.text(left + wide / 2, tall / 2 + 0.3, text, ha="center", va="bottom", fontsize=6.5)
        left += wide + 0.32
    axes.set(xlim=(-0.3, left), ylim=(-8.5, 10.5), title=title)
    axes.set_xlabel("the picture goes in on the left, the scores come out on the right")
    axes.set_yticks([])
    axes.set_xticks([])
    axes.legend(loc="lower right", fontsize=8, ncols=3)
    return figure


_KIND_NAMES = {BLUE: "convolution", ORANGE: "pooling", GREEN: "dense"}


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


def filters(weight: Tensor, *, title: str, columns: int = 16) -> Figure:
    """Draw the filters of a first convolution as small colour pictures, each scaled by itself.

    Args:
        weight: (out, 3, kernel, kernel).
        title: of the figure.
        columns: how many side by side.
    """
    if weight.ndim != 4 or weight.shape[1] != 3:
        raise ValueError(f"filters takes weights (out, 3, k, k), got {tuple(weight.shape)}")
    flat = weight.detach().float().cpu().flatten(1)
    low, high = flat.min(1).values, flat.max(1).values
    scaled = (flat - low[:, None]) / (high - low + 1e-12)[:, None]
    tiles = scaled.view(weight.shape).permute(0, 2, 3, 1).numpy()
    return contact_sheet(list(tiles), columns=columns, title=title, inches=0.55)


def feature_maps(maps: Tensor, *, title: str, count: int = 16, columns: int = 8) -> Figure:
    """Draw the strongest feature maps of one picture, bright where a filter answers.

    Args:
        maps: (C, H, W) activations of one picture.
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
            for axes, what in zip(panels, ("loss", "accuracy"), strict=True):
                values = frame[f"{split}_{what}"]
                axes.plot(frame["epoch"], values, label=f"{name}, {shown}", **look)
    panels[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy per picture")
    panels[1].set(title="Accuracy", xlabel="epoch", ylabel="fraction right")
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[1].legend(fontsize=8)
    figure.suptitle(title)
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str], *, title: str) -> Figure:
    """Draw a confusion matrix; rows are what the pictures are, columns what the network said.

    Args:
        matrix: (K, K) counts.
        classes: K names.
        title: of the figure.
    """
    figure, axes = _axes(3.8, 3.2)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    for (row, column), number in np.ndenumerate(matrix):
        ink = "white" if number > matrix.max() / 2 else "black"
        axes.text(column, row, int(number), ha="center", va="center", color=ink, fontsize=14)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(title=title, xlabel="the network said", ylabel="the picture is")
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


def _axes(width: float, height: float):
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _thumbnail(picture: Image.Image | np.ndarray, side: int = 320) -> Image.Image | np.ndarray:
    if isinstance(picture, Image.Image) and max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side))
    return picture


def _short(value: float) -> str:
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.3g}"
