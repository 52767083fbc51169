"""Charts of counts, sizes, costs and points. Every function returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_utils.plots.style import BLUE, panel_axes, series_style, single_axes


def class_balance(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw the number of images of each class in each split as bars. Used in lesson 01.

    Args:
        counts: {split: {class: number}}.
    """
    figure, axes = single_axes(5.5, 2.8)
    classes = list(next(iter(counts.values())))
    width = 0.8 / len(classes)
    for i, name in enumerate(classes):
        heights = [split[name] for split in counts.values()]
        lefts = np.arange(len(counts)) + i * width
        axes.bar_label(axes.bar(lefts, heights, width, label=name, **series_style(i).bar))
    axes.set_xticks(np.arange(len(counts)) + 0.4 - width / 2, list(counts))
    axes.margins(y=0.1)
    axes.set(title="How many images of each class", ylabel="images")
    axes.legend()
    return figure


def image_sizes(sizes: Mapping[str, Sequence[tuple[int, int]]]) -> Figure:
    """Draw the width and height of every image as a point. Used in lesson 01.

    Args:
        sizes: {class: [(width, height) in pixels, ...]}.
    """
    figure, axes = single_axes(5.5, 4)
    for i, (name, pairs) in enumerate(sizes.items()):
        style = series_style(i)
        points = np.array(pairs).reshape(-1, 2).T  # a class without images has no points
        axes.scatter(*points, s=18, alpha=0.6, c=style.colour, marker=style.marker, label=name)
    axes.set(
        title="Width and height of every image", xlabel="width (pixels)", ylabel="height (pixels)"
    )
    axes.legend()
    return figure


def bars(
    values: Mapping[str, float], *, title: str, label: str, unit: str = "", log: bool = False
) -> Figure:
    """Draw named numbers as horizontal bars, the first on top. Used in lessons 03 and 09.

    Args:
        values: {name: number}.
        title: of the figure.
        label: of the horizontal axis, with its unit.
        unit: written behind each number.
        log: use a logarithmic axis.
    """
    figure, axes = single_axes(7, 0.6 + 0.3 * max(len(values), 3))
    rows = axes.barh(list(values), list(values.values()), color=BLUE)
    axes.bar_label(rows, [f" {_short(value)}{unit}" for value in values.values()], fontsize=8)
    axes.set(title=title, xlabel=label, xscale="log" if log else "linear")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    return figure


def stacked_bars(panels: Mapping[str, pandas.DataFrame], *, title: str) -> Figure:
    """Draw a panel for each unit, with a stacked bar for each row. Used in lesson 04.

    Args:
        panels: {label of the horizontal axis, with its unit: frame of numbers from 0 up}.
        title: of the figure.
    """
    figure, all_axes = panel_axes(len(panels), 10, 2.9)
    for axes, (label, frame) in zip(all_axes, panels.items(), strict=True):
        left = np.zeros(len(frame))
        for i, name in enumerate(frame.columns):
            style = series_style(i).bar
            parts = axes.barh(list(frame.index), frame[name], left=left, label=name, **style)
            left += frame[name].to_numpy()
        axes.bar_label(parts, [f" {_short(total)}" for total in left], fontsize=9)
        axes.set(xlabel=label)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3)
    figure.suptitle(title)
    return figure


def scatter(
    panels: Mapping[str, Tensor | np.ndarray],
    labels: Tensor | Sequence[int],
    classes: Sequence[str],
    *,
    title: str,
    method: str = "",
    marked: Tensor | Sequence[bool] | None = None,
    marked_label: str = "marked",
) -> Figure:
    """Draw images as points in several planes, a colour and a marker a class. Used in lesson 11.

    Args:
        panels: {name: (N, 2) coordinates}. They have no unit, so the axes have no ticks.
        labels: (N,) classes from 0.
        classes: the names of the classes.
        title: of the figure.
        method: what made the coordinates, for the labels of the axes, e.g. "t-SNE".
        marked: (N,) bool, points to draw a ring around, e.g. those that were classified wrongly.
        marked_label: what the ring stands for.

    Raises:
        ValueError: if there is no panel, or the numbers do not match.
    """
    labels, ringed = np.asarray(labels), np.asarray([] if marked is None else marked, bool)
    for name, points in panels.items():
        if tuple(np.shape(points)) != (len(labels), 2):
            raise ValueError(
                f"each panel of scatter must have the shape ({len(labels)}, 2), a point for each "
                f"label; {name!r} has {tuple(np.shape(points))}"
            )
    if not panels or labels.max() >= len(classes):
        raise ValueError(f"scatter needs a panel, and a name for each class, got {list(classes)}")
    figure, all_axes = panel_axes(len(panels), 4.4 * len(panels), 4.2)
    kind = f"{method} axis (no unit)".strip()
    for axes, (name, points) in zip(all_axes, panels.items(), strict=True):
        points = np.asarray(points)
        for i, label in enumerate(classes):
            colour, _, marker, _ = series_style(i)
            look = {"color": colour, "marker": marker, "label": label}
            axes.scatter(*points[labels == i].T, s=22, alpha=0.75, linewidths=0, **look)
        if ringed.any():
            ring = {"facecolors": "none", "edgecolors": "black", "label": marked_label}
            axes.scatter(*points[ringed].T, s=80, linewidths=1.0, **ring)
        axes.set(title=name, xticks=[], yticks=[], xlabel=f"first {kind}", ylabel=f"second {kind}")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=9)
    figure.suptitle(title)
    return figure


def _short(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.3g}"
