"""Figures of what a layer holds and gives: filters, feature maps, the influence of pixels."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tutorial_utils.plots.images import for_display
from tutorial_utils.plots.style import HATCH_GREY, HIGHLIGHT, panel_axes, plain, single_axes


def filters(weight: Tensor | Mapping[str, Tensor], *, title: str, columns: int = 16) -> Figure:
    """Draw a first convolution's filters, each scaled by itself. Used in lesson 02.

    Args:
        weight: (C, 3, k, k), or {name: such weights} to draw them side by side.
        title: of the figure.
        columns: how many side by side in each panel.

    Raises:
        ValueError: if the weights have another shape.
    """
    panels = weight if isinstance(weight, Mapping) else {"": weight}
    for values in panels.values():
        if values.ndim != 4 or values.shape[1] != 3:
            raise ValueError(f"filters takes weights (C, 3, k, k), got {tuple(values.shape)}")
    rows = max(-(-len(values) // columns) for values in panels.values())
    size = (len(panels) * columns * 0.5 + 0.2, rows * 0.5 + (0.75 if any(panels) else 0.45))
    figure, all_axes = panel_axes(len(panels), *size)
    for axes, (name, values) in zip(all_axes, panels.items(), strict=True):
        axes.imshow(_montage(for_display(values), columns), interpolation="nearest")
        axes.set_title(plain(name), fontsize=10)
        axes.set_axis_off()
    figure.suptitle(plain(title))
    return figure


def filter_changes(
    before: Tensor, after: Mapping[str, Tensor], *, title: str, columns: int = 8
) -> Figure:
    """Draw a first convolution's filters before and after, and their changes. Used in lesson 10.

    Above, each filter is scaled by itself. Below, grey is no change, and black and white are a
    change by the filter's largest weight before, or more.

    Args:
        before: (C, 3, k, k) weights.
        after: {name: such weights}.
        title: of the figure.
        columns: how many filters side by side in each panel.

    Raises:
        ValueError: if the weights have another shape.
    """
    for values in (before, *after.values()):
        if values.ndim != 4 or values.shape[1] != 3 or values.shape != before.shape:
            raise ValueError(
                f"filter_changes takes weights (C, 3, k, k), got {tuple(values.shape)}"
            )
    before, *others = (one.detach().float().cpu() for one in (before, *after.values()))
    scale = before.abs().amax((1, 2, 3), keepdim=True) + 1e-12
    rows = -(-len(before) // columns)
    width, height = 1 + len(others), 2 * (0.42 * rows + 0.3)
    figure = Figure(figsize=(width * columns * 0.42 + 0.2, height + 0.4), layout="constrained")
    grid = figure.subplots(2, width, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    note = "changes:\ngrey: none\nblack, white: by the\nfilter's largest weight"
    grid[1, 0].text(0.5, 0.5, note, ha="center", va="center", transform=grid[1, 0].transAxes)
    for axes, name, values in zip(grid[0], ("before", *after), (before, *others), strict=True):
        axes.imshow(_montage(for_display(values), columns), interpolation="nearest")
        axes.set_title(plain(name), fontsize=10)
    for axes, name, values in zip(grid[1, 1:], after, others, strict=True):
        change = (0.5 + (values - before) / (2 * scale)).clamp(0, 1).movedim(1, -1)
        axes.imshow(_montage(change.numpy(), columns, to_rgb(HIGHLIGHT)), interpolation="nearest")
        axes.set_title(f"{plain(name)}: change", fontsize=10)
    figure.suptitle(plain(title))
    return figure


def feature_maps(
    maps: Tensor,
    *,
    title: str,
    image: np.ndarray | None = None,
    filters: Tensor | None = None,
    count: int = 8,
) -> Figure:
    """Draw an image's strongest feature maps, bright where filters respond. Used in lesson 02.

    Args:
        maps: (C, H, W) activations of one image.
        title: of the figure.
        image: (H, W, 3) of float in [0, 1], drawn first.
        filters: (C, 3, k, k), the weights that made the maps, drawn to the left of their maps.
        count: how many, chosen by mean activation.

    Raises:
        ValueError: if the filters are not one for each map, or have not three channels.
    """
    if filters is not None and tuple(filters.shape[:2]) != (len(maps), 3):
        raise ValueError(f"filters must be ({len(maps)}, 3, k, k), not {tuple(filters.shape)}")
    maps = maps.detach().float().cpu()
    channels = maps.mean((1, 2)).topk(min(count, len(maps))).indices.tolist()
    columns = min(4, len(channels)) if filters is not None else min(8, len(channels))
    rows = -(-len(channels) // columns)
    figure = Figure(figsize=(11, 0.7 + rows * (1.9 if columns < 8 else 1.5)), layout="constrained")
    left, right = figure, figure
    if image is not None:
        left, right = figure.subfigures(1, 2, width_ratios=(1, 3.6))
        _bare(left.add_subplot(), image, "the image")
    pair = (0.45, 1.0) if filters is not None else (1.0,)
    grid = right.subplots(rows, columns * len(pair), squeeze=False, width_ratios=pair * columns)
    cells = iter(grid.flat)
    for channel in channels:
        if filters is not None:
            _bare(next(cells), for_display(filters[channel]), "filter")
        _bare(next(cells), maps[channel].numpy(), f"channel {channel}", cmap="viridis")
    for axes in cells:
        axes.set_axis_off()
    figure.suptitle(plain(title))
    figure.supxlabel("each on its own scale: dark lowest, bright highest", fontsize=9)
    return figure


def convolution_step(image: Tensor, kernel: Tensor, *, row: int, column: int, title: str) -> Figure:
    """Draw how a kernel on an image of numbers gives one value of the output. Used in lesson 02.

    Args:
        image: (H, W) numbers.
        kernel: (k, l) numbers; the stride is 1, and there is no padding.
        row: of the value in the output, from 0.
        column: of the value in the output, from 0.
        title: of the figure.

    Raises:
        ValueError: if the output has no such value.
    """
    image, kernel = (torch.as_tensor(one).detach().float().cpu() for one in (image, kernel))
    high, wide = kernel.shape
    rows, columns = image.shape[0] - high + 1, image.shape[1] - wide + 1
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(f"the output is {rows} by {columns}: it has no row {row}, column {column}")
    output = torch.nn.functional.conv2d(image[None, None], kernel[None, None])[0, 0]
    products = image[row : row + high, column : column + wide] * kernel + 0.0  # no -0
    panels = (  # name, numbers, (row, column, height, width) of the frame, what follows
        ("image", image, (row, column, high, wide), "×"),
        ("kernel", kernel, (0, 0, 0, 0), "="),
        (
            "products",
            products,
            (0, 0, high, wide),
            f"sum\n→\n{output[row, column]:.3g}".replace("-", "−"),
        ),
        ("output", output, (row, column, 1, 1), ""),
    )
    width = sum(max(values.shape[1], 2) + 1.2 for _, values, _, _ in panels) - 1.2
    size = (0.5 * width + 0.2, 0.5 * (len(image) + 1) + 0.5)
    figure, axes = single_axes(*size)
    left, middle = 0.0, len(image) / 2
    for name, values, frame, follows in panels:
        _draw_numbers(axes, left, middle - len(values) / 2, values.numpy(), frame, name)
        left += max(values.shape[1], 2) + 0.6
        axes.text(left, middle, follows, ha="center", va="center", fontsize=11)
        left += 0.6
    axes.set(aspect="equal", xlim=(-0.1, width + 0.1), ylim=(len(image) + 0.1, -0.9))
    axes.set_axis_off()
    axes.set_title(plain(title))
    return figure


def pixel_influence(grids: Mapping[str, Tensor], *, title: str) -> Figure:
    """Draw as numbers how much each pixel counts for one output. Used in lesson 03.

    Args:
        grids: {name: (H, W) whole numbers}; pixels without influence are 0 and stay white.
            All grids share one scale of shades.
        title: of the figure.
    """
    figure, all_axes = panel_axes(len(grids), 2.9 * len(grids), 3.6)
    most = max(grid.max().item() for grid in grids.values())
    for axes, (name, grid) in zip(all_axes, grids.items(), strict=True):
        values = grid.detach().cpu().numpy()
        shown = np.where(values == 0, np.nan, values)
        axes.imshow(shown, cmap="Blues", norm=LogNorm(0.3, 6 * most))  # pale: numbers stay legible
        for (row, column), value in np.ndenumerate(values):
            if value:
                axes.text(column, row, f"{value:g}", ha="center", va="center", fontsize=9)
        axes.set(title=plain(name), xlabel="column (pixels)")
        axes.set_xticks(range(values.shape[1]))
        axes.set_yticks(range(values.shape[0]))
    all_axes[0].set_ylabel("row (pixels)")
    figure.suptitle(plain(title))
    return figure


def _bare(axes: Axes, image: np.ndarray, title: str, **options: str) -> None:
    axes.imshow(image, interpolation="nearest", **options)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _draw_numbers(
    axes: Axes, left: float, top: float, values: np.ndarray, frame: tuple[int, ...], name: str
) -> None:
    """Draw numbers in cells of side 1; `frame` is (row, column, height, width) of the marked."""
    for (row, column), value in np.ndenumerate(values):
        corner = (left + column, top + row)
        axes.add_patch(Rectangle(corner, 1, 1, fc="white", ec=HATCH_GREY))
        middle = (corner[0] + 0.5, corner[1] + 0.5)
        axes.text(
            *middle,
            f"{value:.3g}".replace("-", "−"),
            ha="center",
            va="center",
            fontsize=10,
            zorder=3,
        )
    row, column, high, wide = frame
    fill = {"fc": (*to_rgb(HIGHLIGHT), 0.35), "ec": HIGHLIGHT, "lw": 3, "zorder": 2}
    if high:
        axes.add_patch(Rectangle((left + column, top + row), wide, high, **fill))
    words = f"{name} {values.shape[0]}×{values.shape[1]}"
    axes.text(left + values.shape[1] / 2, top - 0.15, words, ha="center", fontsize=10)


def _montage(
    tiles: np.ndarray, columns: int, line: tuple[float, float, float] = (1, 1, 1)
) -> np.ndarray:
    """Return tiles (C, k, k, 3) in one grid with lines between them."""
    step = tiles.shape[1] + 1
    sheet = np.full((-(-len(tiles) // columns) * step - 1, columns * step - 1, 3), line, float)
    for i, tile in enumerate(tiles):
        top, left = i // columns * step, i % columns * step
        sheet[top : top + step - 1, left : left + step - 1] = tile
    return sheet
