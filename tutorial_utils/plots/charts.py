"""Charts of counts, sizes, costs and points. Every function returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_utils.plots.style import (
    BASELINE,
    HIGHLIGHT,
    MEASURED,
    class_style,
    panel_axes,
    plain,
    series_style,
    single_axes,
    use_log_axis,
)


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
        axes.bar_label(axes.bar(lefts, heights, width, label=plain(name), **class_style(i).bar))
    axes.set_xticks(np.arange(len(counts)) + 0.4 - width / 2, [plain(name) for name in counts])
    axes.margins(y=0.1)
    axes.set(title="How many images of each class", ylabel="images")
    axes.legend()
    return figure


def image_sizes(sizes: Mapping[str, Sequence[tuple[int, int]]]) -> Figure:
    """Draw the width and height of every image as a point. Used in lesson 01.

    Of 100 images and more, the largest 1% lie outside the axes if they would squeeze the rest;
    the title has their number. Points are moved a little at random, so that images of the same
    size do not hide each other.

    Args:
        sizes: {class: [(width, height) in pixels, ...]}.
    """
    figure, axes = single_axes(6.5, 4.6)
    pairs = np.array([pair for one in sizes.values() for pair in one]).reshape(-1, 2)
    starts, ends = 0.8 * pairs.min(axis=0), np.array([_axis_end(one) for one in pairs.T])
    rng = np.random.default_rng(0)
    for i, (name, one) in enumerate(sizes.items()):
        style = class_style(i)
        points = np.array(one).reshape(-1, 2)  # a class without images has no points
        points = points + rng.uniform(-0.008, 0.008, points.shape) * ends
        look = {"c": style.colour, "marker": style.marker, "edgecolors": "black", "lw": 0.3}
        axes.scatter(*points.T, s=20, alpha=0.7, label=plain(name), **look)
    outside = int((pairs > ends).any(axis=1).sum())
    title = "Width and height of every image"
    title += f" ({outside} of {len(pairs)} outside the axes)" if outside else ""
    axes.set(title=title, xlim=(starts[0], 1.05 * ends[0]), ylim=(starts[1], 1.05 * ends[1]))
    axes.set(xlabel="width (pixels), spread a little", ylabel="height (pixels), spread a little")
    axes.legend(loc="lower right")
    return figure


def _axis_end(values: np.ndarray) -> float:
    """Return the largest value, or the 99th percentile if the largest is much larger."""
    ordered = np.sort(values)
    most = ordered[-1 - len(ordered) // 100]
    return float(ordered[-1] if ordered[-1] < 1.25 * most else most)


def bars(
    values: Mapping[str, float] | Mapping[str, Mapping[str, float]],
    *,
    title: str,
    label: str = "",
    unit: str = "",
    log: bool = False,
    marked: Sequence[str] = (),
    marked_label: str = "marked",
) -> Figure:
    """Draw named numbers as horizontal bars, the first on top. Used in lessons 03 to 05, 08 and 09.

    Args:
        values: {name: number}; or {panel: {name: number}}, panels side by side with the same
            names, where `panel` is the label of the panel's axis.
        title: of the figure.
        label: of the horizontal axis, with its unit.
        unit: written behind each number.
        log: use a logarithmic axis.
        marked: names whose bars are orange and hatched, in a legend.
        marked_label: the meaning of the mark.

    Raises:
        ValueError: if panels have different names, or a marked name is none of them.
    """
    panels = values if isinstance(next(iter(values.values())), Mapping) else {label: values}
    names = list(next(iter(panels.values())))
    if any(list(panel) != names for panel in panels.values()):
        raise ValueError(f"all panels of bars must have the same names, {names}")
    if unknown := set(marked) - set(names):
        raise ValueError(f"marked names must be among {names}, not {sorted(unknown)}")
    size = (7 if len(panels) == 1 else 10, 0.7 + 0.3 * max(len(names), 3))
    figure, all_axes = panel_axes(len(panels), *size, sharey=True)
    for axes, (words, panel) in zip(all_axes, panels.items(), strict=True):
        rows = axes.barh([plain(name) for name in names], list(panel.values()), color=MEASURED)
        axes.bar_label(rows, [f" {_short(value)}{plain(unit)}" for value in panel.values()])
        axes.set(xlabel=plain(words), xscale="log" if log else "linear")
        axes.margins(x=0.18)
        chosen = [row for row, name in zip(rows, names, strict=True) if name in marked]
        for row in chosen:
            row.set(fc=HIGHLIGHT, hatch="//", ec="black")
    all_axes[0].invert_yaxis()  # of all: they share it
    if marked:
        handles = {plain(marked_label): chosen[0]}
        figure.legend(handles.values(), handles, loc="outside lower center", fontsize=10)
    figure.suptitle(plain(title))
    return figure


def lines(
    panels: Mapping[str, Mapping[str, Sequence[float] | tuple | float]],
    *,
    title: str,
    xlabel: str,
    log: bool = False,
) -> Figure:
    """Draw line charts side by side. Used in lessons 05 to 07, 10 and 13.

    Args:
        panels: {label of the upright axis, with its unit: {series: values, or (x, values)}};
            without x, values are counted from 1. A series looks the same in all panels. One
            number alone is a baseline, drawn as a grey line.
        title: of the figure.
        xlabel: of the horizontal axes, with its unit.
        log: use logarithmic upright axes.
    """
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    figure, all_axes = panel_axes(len(panels), min(11, 2 + 4.5 * len(panels)), 3.9)
    for axes, (label, series) in zip(all_axes, panels.items(), strict=True):
        for name, values in series.items():
            if isinstance(values, int | float):
                axes.axhline(values, color=BASELINE, ls="-.", label=plain(name))
                continue
            x, y = values if isinstance(values, tuple) else (range(1, len(values) + 1), values)
            style = series_style(names.index(name))
            look = {"color": style.colour, "ls": style.line, "ms": 8 if len(x) == 1 else 4}
            look["marker"] = style.marker if len(x) < 200 else ""  # a curve has no points
            axes.plot(x, y, label=plain(name), markevery=max(1, len(x) // 12), **look)
        axes.set(xlabel=plain(xlabel), ylabel=plain(label))
        if log:
            use_log_axis(axes)
        axes.grid(alpha=0.3)
    handles = {h.get_label(): h for axes in all_axes for h in axes.lines}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=10)
    figure.suptitle(plain(title))
    return figure


def histograms(
    values: Mapping[str, Tensor],
    *,
    title: str,
    xlabel: str,
    bins: int = 60,
    classes: bool = False,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw how often values occur, as outlines on shared axes. Used in lessons 01 and 07.

    Args:
        values: {name: numbers of any shape}.
        title: of the figure.
        xlabel: what the numbers are, with their unit.
        bins: how many intervals of equal width the whole range has.
        classes: whether the names are the classes, in order; they have their colours then.
        ranges: {name: (low, high)}, e.g. intervals, drawn above the outlines.
    """
    flat = {name: np.asarray(torch.as_tensor(one)).ravel() for name, one in values.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(flat.values())), bins)
    figure, axes = single_axes(8, 3.6)
    for i, (name, numbers) in enumerate(flat.items()):
        share = np.histogram(numbers, edges)[0] / max(len(numbers), 1)
        style = class_style(i) if classes else series_style(i)
        look = {"ec": style.colour, "ls": style.line, "lw": 2}
        if classes:
            look |= {"fill": True, "fc": (*to_rgb(style.colour), 0.4), "ec": "black", "lw": 1.2}
        axes.stairs(share, edges, label=plain(name), **look)
    top = axes.get_ylim()[1]
    for i, (name, ends) in enumerate((ranges or {}).items(), start=len(flat)):
        style, height = series_style(i), top * (1 + 0.1 * (i - len(flat)))
        look = {"color": style.colour, "ls": style.line, "marker": "|", "ms": 12, "lw": 3}
        axes.plot(ends, (height, height), label=plain(name), **look)
    axes.set(title=plain(title), xlabel=plain(xlabel), ylabel="share of the values in each bin")
    axes.legend(fontsize=10)
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
        marked_label: the meaning of the ring.

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
    kind = plain(f"{method} axis (no unit)".strip())
    for axes, (name, points) in zip(all_axes, panels.items(), strict=True):
        points = np.asarray(points)
        for i, label in enumerate(classes):
            style = class_style(i)
            look = {"color": style.colour, "marker": style.marker, "label": plain(label)}
            look |= {"edgecolors": "black", "linewidths": 0.3}
            axes.scatter(*points[labels == i].T, s=24, alpha=0.8, **look)
        if ringed.any():
            ring = {"facecolors": "none", "edgecolors": "black", "label": plain(marked_label)}
            axes.scatter(*points[ringed].T, s=80, linewidths=1.0, **ring)
        axes.set(
            title=plain(name), xticks=[], yticks=[], xlabel=f"first {kind}", ylabel=f"second {kind}"
        )
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 6), fontsize=10)
    figure.suptitle(plain(title))
    return figure


def _short(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.3g}"
