"""Figures of images: in a grid, in rows, with heat maps. Each returns a matplotlib Figure.

Sources of the colour maps:
    viridis, by van der Walt and Smith: https://bids.github.io/colormap/
    PuOr, by Brewer: https://colorbrewer2.org
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from tutorial_utils._support.presets import Preset
from tutorial_utils.plots.style import HEAT_OPACITY, LUMINANCE

OWN_SCALE = "share of the map's\nhighest heat"  # label of the colour bar without a shared scale
THUMBNAIL = 320  # pixels of the longer side


def denormalise(batch: Tensor, preset: Preset) -> list[np.ndarray]:
    """Undo a preset's normalisation. Used in lessons 01, 02, 05, 07, 09 and 11.

    Args:
        batch: (N, 3, H, W) float32, normalised.
        preset: the weights' `transforms()`, with `mean` and `std`.

    Returns:
        N arrays (H, W, 3) of float in [0, 1].
    """
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preset.mean, preset.std))
    return list((batch.cpu() * std + mean).clamp(0, 1).permute(0, 2, 3, 1).numpy())


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 6,
    title: str = "",
    inches: float = 1.7,
) -> Figure:
    """Draw images in a grid, with captions. Used in lessons 00, 01, 02, 05, 07, 09, 11 and 12.

    Args:
        images: PIL images, or arrays (H, W, 3) of float in [0, 1].
        captions: one for each image.
        columns: how many side by side.
        title: of the whole sheet.
        inches: width of a cell.

    Raises:
        ValueError: if there are no images.
    """
    if not images:
        raise ValueError("contact_sheet needs at least one image, got none")
    rows = -(-len(images) // columns)
    height = inches * (1.0 if captions is None else 1.22)
    figure = Figure(figsize=(columns * inches, rows * height + 0.4), layout="constrained")
    for i, image in enumerate(images):
        axes = figure.add_subplot(rows, columns, i + 1)
        if isinstance(image, Image.Image) and max(image.size) > THUMBNAIL:
            image = image.copy()
            image.thumbnail((THUMBNAIL, THUMBNAIL))
        axes.imshow(image)
        axes.set_axis_off()
        if captions is not None:
            axes.set_title(captions[i], fontsize=8)
    if title:
        figure.suptitle(title)
    return figure


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
    """Draw images in a row, and below each the heat over its grey copy. Used in lesson 11.

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
    _check_overlay(images, values, captions, outlines)
    if label is None:
        tops = values.max(axis=(1, 2), keepdims=True)
        values = values / np.where(tops > 0, tops, 1.0)
    signed = values.min() < 0
    most = float(np.abs(values).max()) or 1.0
    scale = {"cmap": "PuOr_r" if signed else "viridis", "norm": Normalize(-most * signed, most)}
    figure = Figure(figsize=(inches * len(images) + 0.8, 2 * inches + 0.75), layout="constrained")
    grid = figure.subplots(2, len(images), squeeze=False)
    for i, (upper, lower) in enumerate(grid.T):
        upper.imshow(images[i])
        upper.set_title(captions[i], fontsize=8)
        lower.imshow(images[i] @ LUMINANCE, cmap="gray", vmin=0, vmax=1)
        lower.imshow(values[i], alpha=HEAT_OPACITY, **scale)
        if outlines is not None and np.asarray(outlines[i]).any():
            edge = np.asarray(outlines[i], dtype=float)
            lower.contour(edge, levels=[0.5], colors="white", linewidths=0.9)
    for axes in grid.flat:
        axes.set_axis_off()
    bar = figure.colorbar(ScalarMappable(**scale), ax=grid[1, :].tolist(), pad=0.01, aspect=12)
    bar.set_label(label or OWN_SCALE, fontsize=8)
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
    """Draw rows of images, e.g. a query, a gap and its neighbours. Used in lesson 11.

    Args:
        groups: R rows of images, (H, W, 3) of float in [0, 1], each row as long as the first.
        captions: one for each image, in the same rows.
        title: of the figure.
        heads: headings of the first column and of the others; empty for none.
        inches: width of an image.

    Raises:
        ValueError: if there are no rows, or rows or captions differ in length.
    """
    lengths, captioned = [len(group) for group in groups], [len(row) for row in captions]
    if not lengths or 0 in lengths or len(set(lengths)) > 1 or captioned != lengths:
        raise ValueError(
            f"image_rows needs rows of equal length with a caption for each image, got rows of "
            f"{lengths} images and {captioned} captions"
        )
    count = lengths[0]
    size = (inches * (count + 0.2), 1.2 * inches * len(groups) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    ratios = [1.0, 0.15, *[1.0] * (count - 1)][: count + (count > 1)]
    grid = figure.subplots(len(groups), len(ratios), squeeze=False, width_ratios=ratios)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, group in enumerate(groups):
        for j, image in enumerate(group):
            axes = grid[i, j + (j > 0)]  # the second column is the gap
            axes.imshow(image)
            head = f"{heads[j]}\n" if heads and i == 0 and j < 2 else ""
            axes.set_title(f"{head}{captions[i][j]}", fontsize=8)
    figure.suptitle(title)
    return figure


def _check_overlay(
    images: Sequence[np.ndarray],
    values: np.ndarray,
    captions: Sequence[str],
    outlines: Tensor | np.ndarray | None,
) -> None:
    sizes = {tuple(np.shape(image)[:2]) for image in images}
    if not len(images) or values.ndim != 3 or len(captions) != len(images):
        raise ValueError(
            f"heat_overlay needs N images, N maps (N, H, W) and N captions, N from 1, got "
            f"{len(images)} images, maps {values.shape} and {len(captions)} captions"
        )
    if len(values) != len(images) or sizes != {values.shape[1:]}:
        raise ValueError(
            f"the {len(images)} images are {sorted(sizes)} high and wide, and the maps "
            f"{values.shape}: give maps of the images' size, as attribution makes them"
        )
    if outlines is not None and tuple(np.shape(outlines)) != values.shape:
        raise ValueError(
            f"outlines must have the shape of the maps, {values.shape}, not "
            f"{tuple(np.shape(outlines))}"
        )
