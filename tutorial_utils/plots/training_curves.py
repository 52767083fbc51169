"""Figures of training runs and predictions. Every function returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tutorial_utils.plots.style import (
    BASELINE,
    MEASURED,
    panel_axes,
    plain,
    series_style,
    single_axes,
)

if TYPE_CHECKING:
    from tutorial_utils.evaluation import Calibration


def curves(histories: Mapping[str, pandas.DataFrame], *, title: str) -> Figure:
    """Draw loss and accuracy over the epochs, of one run or several. Used in lessons 07, 08 and 10.

    Args:
        histories: {name: frame}, columns as `History.frame()` has them.
        title: of the figure.
    """
    figure, panels = panel_axes(2, 10, 3.8)
    for i, (name, frame) in enumerate(histories.items()):
        colour = series_style(i).colour
        look = {"color": colour, "markersize": 3.5}
        look["markerfacecolor"] = "white" if i % 2 else colour  # runs also differ without colour
        for split, line, marker in (("train", "--", "s"), ("val", "-", "o")):
            look |= {"linestyle": line, "marker": marker}
            label = f"{plain(name)}, {'training' if split == 'train' else 'validation'}"
            for axes, metric in zip(panels, ("loss", "accuracy"), strict=True):
                axes.plot(frame["epoch"], frame[f"{split}_{metric}"], label=label, **look)
    panels[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy per image")
    panels[1].set(title="Accuracy", xlabel="epoch", ylabel="fraction correct")
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    if len(histories) < 3:
        panels[1].legend(fontsize=9)
    else:  # it would cover the lines
        lines = panels[1].get_legend_handles_labels()
        figure.legend(*lines, loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(plain(title))
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str], *, title: str) -> Figure:
    """Draw a confusion matrix: a row for each true class. Used in lessons 07 and 12.

    Args:
        matrix: (K, K) counts.
        classes: K names; of more than 30 classes, the cells have shades and no numbers.
        title: of the figure.
    """
    side = min(max(3.2, 1.2 + 0.5 * len(classes)), 14)  # inches: 200 classes must fit into memory
    figure, axes = single_axes(side + 0.6, side)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    for (row, column), number in np.ndenumerate(matrix if len(classes) <= 30 else matrix[:0]):
        ink = "white" if number > matrix.max() / 2 else "black"
        size = 14 if len(classes) < 5 else 9
        axes.text(column, row, int(number), ha="center", va="center", color=ink, fontsize=size)
    crowded = sum(len(name) for name in classes) > 24
    turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    names, step = [plain(name) for name in classes], -(-len(classes) // 60)  # some of very many
    axes.set_xticks(range(0, len(names), step), names[::step], **turn)
    axes.set_yticks(range(0, len(names), step), names[::step])
    axes.set(title=plain(title), xlabel="predicted class", ylabel="true class")
    return figure


def comparison(rows: Sequence[Mapping], *, title: str) -> Figure:
    """Draw accuracies with their intervals, one row each. Used in lessons 00, 08 and 12.

    Args:
        rows: dicts with `name`, `accuracy`, and `low` and `high` where there is an interval.
            `published=True` marks figures that were not measured here, `baseline=True` baselines.
        title: of the figure.
    """
    figure, axes = single_axes(8, 0.8 + 0.42 * len(rows))
    for y, row in enumerate(rows):
        colour, marker, fill = MEASURED, "o", "full"
        if row.get("published") or row.get("baseline"):
            colour, marker, fill = BASELINE, "D" if row.get("published") else "s", "none"
        accuracy = row["accuracy"]
        axes.plot(accuracy, y, marker, color=colour, fillstyle=fill)
        if row.get("low") is not None:
            axes.plot([row["low"], row["high"]], [y, y], color=colour, alpha=0.6, lw=3)
        above = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
        axes.annotate(f"{accuracy:.3f}", (accuracy, y), (0, 6), **above)
    axes.set_yticks(range(len(rows)), [plain(row["name"]) for row in rows])
    axes.set(title=plain(title), xlabel="validation accuracy (fraction correct), bar: 95% interval")
    axes.set_ylim(len(rows) - 0.4, -0.8)
    axes.grid(axis="x", alpha=0.3)
    return figure


def data_efficiency(rows: Sequence[Mapping], *, title: str) -> Figure:
    """Draw accuracy against the number of training images, a line for each name. Used in lesson 10.

    Args:
        rows: dicts with `name` (of the line), `images` (trained on), `accuracy`, and `low` and
            `high`, the ends of its 95% interval, drawn as a band; `least` and `most` over several
            seeds, if there are any, drawn as an upright bar; `share`, the fraction of all images,
            written beneath their number.
        title: of the figure.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("data_efficiency needs at least one row to draw, got none")
    figure, axes = single_axes(7.5, 4.2)
    for i, name in enumerate(dict.fromkeys(row["name"] for row in rows)):
        points = sorted((row for row in rows if row["name"] == name), key=lambda r: r["images"])
        images, accuracy, low, high = (
            [row[key] for row in points] for key in ("images", "accuracy", "low", "high")
        )
        colour, line, marker, hatch = series_style(i)
        band = {"hatch": hatch, "edgecolor": colour, "lw": 0.4}
        axes.fill_between(images, low, high, facecolor=to_rgb(colour) + (0.15,), **band)
        axes.plot(images, accuracy, color=colour, linestyle=line, marker=marker, label=plain(name))
        ranges = [(row["images"], row["least"], row["most"]) for row in points if "least" in row]
        if ranges:
            axes.vlines(*zip(*ranges, strict=True), color=colour, lw=3, alpha=0.7)
    ticks = {row["images"]: f"\n{row['share']:.0%}" if "share" in row else "" for row in rows}
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(list(ticks), [f"{count}{share}" for count, share in ticks.items()])
    axes.set(
        title=plain(title), xlabel="training images, log scale (band: 95% interval of one run)"
    )
    axes.set_ylabel("validation accuracy (fraction correct)")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)  # beside the bands
    return figure


def reliability(calibration: "Calibration", *, title: str) -> Figure:
    """Draw accuracy against confidence, and the images in each bin. Used in lesson 07.

    Args:
        calibration: what `evaluation.calibration` returned.
        title: of the figure; the expected calibration error is written beneath it.
    """
    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = (calibration.edges[:-1] + calibration.edges[1:]) / 2
    width = np.diff(calibration.edges) * 0.92
    upper.bar(
        middles,
        np.nan_to_num(calibration.accuracy),
        width,
        color=MEASURED,
        alpha=0.35,
        label="accuracy",
    )
    upper.plot([0, 1], [0, 1], ls="--", color=BASELINE, label="perfectly calibrated")
    filled = calibration.counts > 0
    points = calibration.confidence[filled], calibration.accuracy[filled]
    upper.plot(*points, "o-", color=MEASURED, label="mean confidence of a bin")
    lower.bar(middles, calibration.counts, width, color=MEASURED, hatch="..", edgecolor="white")
    upper.set(
        title=f"{plain(title)}\nexpected calibration error {calibration.error:.3f}",
        ylabel="accuracy (fraction correct)",
        ylim=(0, 1.02),
    )
    lower.set(xlabel="confidence: the highest probability", ylabel="images", xlim=(0, 1))
    upper.legend(fontsize=8, loc="upper left")
    return figure
