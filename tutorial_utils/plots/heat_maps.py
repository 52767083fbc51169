"""The figures of what a network looks at. Every function returns a matplotlib Figure.

`overlay` lays heat maps over their images, `rows` shows images beside those most alike,
`scatter` draws points in a plane by class. They are shown by `plots.show`, with its palette's
habits: colours that colour-blind readers tell apart, and markers beside them.

Source of the colour maps: viridis, by van der Walt and Smith, https://bids.github.io/colormap/,
and PuOr, by Brewer, https://colorbrewer2.org
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_utils.plots import MARKERS, PALETTE

__all__ = ["heat_overlay", "image_rows", "scatter"]

GREY = np.array((0.299, 0.587, 0.114))  # how bright the eye finds red, green and blue
OPACITY = 0.6
EVERY_OWN = "share of the map's\nhighest heat"


def heat_overlay(
    images: Sequence[np.ndarray],
    maps: Tensor | np.ndarray,
    captions: Sequence[str],
    *,
    title: str,
    label: str | None = None,
    outlines: Tensor | np.ndarray | None = None,
    inches: float = 1.45,
) -> Figure:
    """Draw images in a row, and below each the heat over its grey copy, with a colour bar.

    Args:
        images: N arrays (H, W, 3) of float in [0, 1], e.g. from `plots.denormalise`.
        maps: (N, H, W) heat. If some of it is below zero, the colours go both ways from zero.
        captions: one for each image.
        title: of the figure.
        label: of the colour bar, with the unit; all maps share one scale then. None: every map
            has a scale of its own, from 0 to its highest value.
        outlines: (N, H, W) bool, drawn as a line around what is True, e.g. the insect.
        inches: width of an image.

    Raises:
        ValueError: if there are no images, or the numbers or the sizes do not match.
    """
    values = np.asarray(maps, dtype=float)
    _check(images, values, captions, outlines)
    if label is None:
        tops = values.max(axis=(1, 2), keepdims=True)
        values = values / np.where(tops > 0, tops, 1.0)
    signed = values.min() < 0
    most = float(np.abs(values).max()) or 1.0
    look = {"cmap": "PuOr_r" if signed else "viridis", "norm": Normalize(-most * signed, most)}
    figure = Figure(figsize=(inches * len(images) + 0.8, 2 * inches + 0.75), layout="constrained")
    grid = figure.subplots(2, len(images), squeeze=False)
    for place, (upper, lower) in enumerate(grid.T):
        upper.imshow(images[place])
        upper.set_title(captions[place], fontsize=8)
        lower.imshow(images[place] @ GREY, cmap="gray", vmin=0, vmax=1)
        lower.imshow(values[place], alpha=OPACITY, **look)
        if outlines is not None and np.asarray(outlines[place]).any():
            edge = np.asarray(outlines[place], dtype=float)
            lower.contour(edge, levels=[0.5], colors="white", linewidths=0.9)
    for axes in grid.flat:
        axes.set_axis_off()
    bar = figure.colorbar(ScalarMappable(**look), ax=grid[1, :].tolist(), pad=0.01, aspect=12)
    bar.set_label(label or EVERY_OWN, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(title)
    return figure


def image_rows(
    groups: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]],
    *,
    title: str,
    heads: Sequence[str] = (),
    inches: float = 1.35,
) -> Figure:
    """Draw rows of images; the first of each row stands apart from those that belong to it.

    Args:
        groups: R rows of images, (H, W, 3) of float in [0, 1], each row as long as the first.
        captions: one for each image, in the same rows.
        title: of the figure.
        heads: what stands above the first column and above the others; empty for nothing.
        inches: width of an image.

    Raises:
        ValueError: if there are no rows, or rows or captions differ in length.
    """
    shape = [len(group) for group in groups]
    if not shape or 0 in shape or len(set(shape)) > 1 or [len(row) for row in captions] != shape:
        raise ValueError(
            f"rows needs rows of equal length with a caption for each image, got rows of "
            f"{shape} images and {[len(row) for row in captions]} captions"
        )
    count = shape[0]
    size = (inches * (count + 0.2), 1.2 * inches * len(groups) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    ratios = [1.0, 0.15, *[1.0] * (count - 1)][: count + (count > 1)]
    grid = figure.subplots(len(groups), len(ratios), squeeze=False, width_ratios=ratios)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, group in enumerate(groups):
        for place, image in enumerate(group):
            axes = grid[line, place + (place > 0)]  # the second column is the gap
            axes.imshow(image)
            head = f"{heads[min(place, 1)]}\n" if heads and line == 0 and place < 2 else ""
            axes.set_title(f"{head}{captions[line][place]}", fontsize=8)
    figure.suptitle(title)
    return figure


def scatter(
    panels: Mapping[str, Tensor | np.ndarray],
    labels: Tensor | Sequence[int],
    classes: Sequence[str],
    *,
    title: str,
    marked: Tensor | Sequence[bool] | None = None,
    marked_label: str = "marked",
) -> Figure:
    """Draw the same images as points in several planes, a colour and a marker for each class.

    Args:
        panels: {name: (N, 2) places}. The axes of t-SNE have no unit, so none is drawn.
        labels: (N,) classes from 0.
        classes: the names of the classes.
        title: of the figure.
        marked: (N,) bool, points to draw a ring around, e.g. those that were classified wrongly.
        marked_label: what the ring stands for.

    Raises:
        ValueError: if there is no panel, or the numbers do not match.
    """
    labels, ringed = np.asarray(labels), np.asarray([] if marked is None else marked, bool)
    for name, points in panels.items():
        if tuple(np.shape(points)) != (len(labels), 2):
            raise ValueError(
                f"scatter needs places (N, 2), one for each of the {len(labels)} labels; those of "
                f"{name!r} have the shape {tuple(np.shape(points))}"
            )
    if not panels or labels.max() >= len(classes):
        raise ValueError(f"scatter needs a panel, and a name for each class, got {list(classes)}")
    figure = Figure(figsize=(4.4 * len(panels), 4.2), layout="constrained")
    for axes, (name, points) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        points = np.asarray(points)
        for number, label in enumerate(classes):
            look = {"color": PALETTE[number % 7], "marker": MARKERS[number % 4], "label": label}
            axes.scatter(*points[labels == number].T, s=22, alpha=0.75, linewidths=0, **look)
        if ringed.any():
            ring = {"facecolors": "none", "edgecolors": "black", "label": marked_label}
            axes.scatter(*points[ringed].T, s=80, linewidths=1.0, **ring)
        axes.set(title=name, xticks=[], yticks=[])
        axes.set(xlabel="first t-SNE axis (no unit)", ylabel="second t-SNE axis (no unit)")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=9)
    figure.suptitle(title)
    return figure


def _check(
    images: Sequence[np.ndarray],
    values: np.ndarray,
    captions: Sequence[str],
    outlines: Tensor | np.ndarray | None,
) -> None:
    """Refuse images, maps, captions and outlines that do not belong together."""
    shapes = {tuple(np.shape(image)[:2]) for image in images}
    if not len(images) or values.ndim != 3 or len(captions) != len(images):
        raise ValueError(
            f"overlay needs N images, N maps (N, H, W) and N captions, N from 1, got "
            f"{len(images)} images, maps {values.shape} and {len(captions)} captions"
        )
    if len(values) != len(images) or shapes != {values.shape[1:]}:
        raise ValueError(
            f"the {len(images)} images are {sorted(shapes)} high and wide, and the maps "
            f"{values.shape}: give maps of the images' size, as attribution makes them"
        )
    if outlines is not None and tuple(np.shape(outlines)) != values.shape:
        raise ValueError(
            f"outlines must have the shape of the maps, {values.shape}, not "
            f"{tuple(np.shape(outlines))}"
        )
