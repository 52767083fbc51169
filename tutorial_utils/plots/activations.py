"""Figures of what a layer holds and gives: filters, feature maps, the influence of pixels."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_utils.plots.style import panel_axes


def filters(weight: Tensor | Mapping[str, Tensor], *, title: str, columns: int = 16) -> Figure:
    """Draw a first convolution's filters, each scaled by itself. Used in lessons 02 and 10.

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
        axes.imshow(_montage(scaled_filters(values), columns), interpolation="nearest")
        axes.set_title(name, fontsize=10)
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def scaled_filters(weight: Tensor) -> np.ndarray:
    """Return filters (C, 3, k, k) as images (C, k, k, 3), each stretched to 0 to 1 by itself."""
    weight = weight.detach().float().cpu()
    low, high = weight.amin((1, 2, 3), keepdim=True), weight.amax((1, 2, 3), keepdim=True)
    return ((weight - low) / (high - low + 1e-12)).permute(0, 2, 3, 1).numpy()


def feature_maps(maps: Tensor, *, title: str, count: int = 16, columns: int = 8) -> Figure:
    """Draw an image's strongest feature maps, bright where filters respond. Used in lesson 02.

    Args:
        maps: (C, H, W) activations of one image.
        title: of the figure.
        count: how many, chosen by mean activation.
        columns: how many side by side.
    """
    maps = maps.detach().float().cpu()
    channels = maps.mean((1, 2)).topk(min(count, len(maps))).indices.tolist()
    rows = -(-len(channels) // columns)
    figure = Figure(figsize=(columns * 1.2, rows * 1.4 + 0.4), layout="constrained")
    for i, channel in enumerate(channels, 1):
        axes = figure.add_subplot(rows, columns, i)
        axes.imshow(maps[channel].numpy(), cmap="viridis")
        axes.set_title(f"channel {channel}", fontsize=7)
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def pixel_influence(grids: Mapping[str, Tensor], *, title: str) -> Figure:
    """Draw as numbers how much each pixel counts for one output. Used in lesson 03.

    Args:
        grids: {name: (H, W) whole numbers}; pixels without influence are 0 and stay white.
        title: of the figure.
    """
    figure, all_axes = panel_axes(len(grids), 2.9 * len(grids), 3.6)
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


def _montage(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Return tiles (C, k, k, 3) in one grid with white lines between them."""
    step = tiles.shape[1] + 1
    sheet = np.ones((-(-len(tiles) // columns) * step - 1, columns * step - 1, 3))
    for i, tile in enumerate(tiles):
        top, left = i // columns * step, i % columns * step
        sheet[top : top + step - 1, left : left + step - 1] = tile
    return sheet
