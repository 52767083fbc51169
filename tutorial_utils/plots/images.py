"""Figures of images: in a grid, in rows, with heat maps. Each returns a matplotlib Figure.

Sources of the colour maps:
    viridis, by van der Walt and Smith: https://bids.github.io/colormap/
    PuOr, by Brewer: https://colorbrewer2.org
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from tutorial_utils._support.presets import Preset
from tutorial_utils.plots.style import HEAT_OPACITY, LUMINANCE, MISTAKE, plain

OWN_SCALE = "share of the map's\n"  # the colour bar's label without a shared scale, and then
OWN_TOPS = ("highest heat", "largest change")  # the second if some of the heat is below zero
FULL_FROM = 1.6  # heat is as opaque as it gets from 1 / 1.6 of the highest value
THUMBNAIL = 320  # pixels of the longer side


def denormalise(batch: Tensor, preset: Preset) -> list[np.ndarray]:
    """Undo a preset's normalisation. Used in lessons 01, 02, 05, 09 and 11.

    Args:
        batch: (N, 3, H, W) float32, normalised.
        preset: the weights' `transforms()`, with `mean` and `std`.

    Returns:
        N arrays (H, W, 3) of float in [0, 1].
    """
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preset.mean, preset.std))
    return list((batch.cpu() * std + mean).clamp(0, 1).permute(0, 2, 3, 1).numpy())


def for_display(images: Tensor) -> np.ndarray:
    """Stretch each image, or filter, to 0 to 1 by its own minimum and maximum. Used in lesson 01.

    A normalised image has values below 0 and above 1: cut off there, it would show black and
    white patches that the network does not see.

    Args:
        images: (3, H, W), or (N, 3, H, W).

    Returns:
        (H, W, 3), or (N, H, W, 3), of float in [0, 1].
    """
    images = images.detach().float().cpu()
    low = images.amin((-3, -2, -1), keepdim=True)
    high = images.amax((-3, -2, -1), keepdim=True)
    return ((images - low) / (high - low + 1e-12)).movedim(-3, -1).numpy()


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 6,
    title: str = "",
    inches: float = 1.7,
    wrong: Sequence[bool] | None = None,
    same_scale: bool = False,
) -> Figure:
    """Draw images in a grid, with captions. Used in lessons 00, 01, 05, 07 to 09, 11, 12 and 14.

    Args:
        images: PIL images, or arrays (H, W, 3) of float in [0, 1].
        captions: one for each image.
        columns: how many side by side.
        title: of the whole sheet.
        inches: width of a cell.
        wrong: for each image whether it was classified wrongly; those get a frame and the word.
        same_scale: whether a pixel has the same size in all images.

    Raises:
        ValueError: if there are no images.
    """
    if not len(images):
        raise ValueError("contact_sheet needs at least one image, got none")
    rows = -(-len(images) // columns)
    lines = 1 + max(caption.count("\n") for caption in captions) if captions is not None else 0
    size = (columns * inches, rows * (inches + 0.19 * lines) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    sides = [_sides(image) for image in images]
    most = tuple(max(side) for side in zip(*sides, strict=True))
    for i, image in enumerate(images):
        axes = figure.add_subplot(rows, columns, i + 1)
        if isinstance(image, Image.Image) and max(image.size) > THUMBNAIL:
            image = image.copy()
            image.thumbnail((THUMBNAIL, THUMBNAIL))
        axes.imshow(image, extent=(0, sides[i][0], sides[i][1], 0))
        if same_scale:
            axes.set(xlim=(0, most[0]), ylim=(most[1], 0))
        axes.set_axis_off()
        if captions is not None:
            axes.set_title(plain(captions[i]), fontsize=9)
        if wrong is not None and wrong[i]:
            _mark(axes, *sides[i])
    if title:
        figure.suptitle(plain(title))
    return figure


def heat_overlay(
    images: Sequence[np.ndarray],
    maps: Tensor | np.ndarray,
    captions: Sequence[str],
    *,
    title: str,
    label: str | None = None,
    outlines: Tensor | np.ndarray | None = None,
    columns: int = 3,
    inches: float = 2.0,
) -> Figure:
    """Draw rows of images, and below each its heat over its grey copy. Used in lesson 11.

    Low heat is transparent, so that what lies below can be seen.

    Args:
        images: N arrays (H, W, 3) of float in [0, 1], e.g. from `plots.denormalise`.
        maps: (N, H, W) heat. If some of it is below zero, the colours go both ways from zero.
        captions: one for each image.
        title: of the figure.
        label: of the colour bar, with the unit; all maps share one scale then. None: every map
            has a scale of its own, up to its highest value, or to its largest one without sign.
        outlines: (N, H, W) bool, drawn as a thin line around what is True, e.g. the insect.
        columns: how many images side by side.
        inches: width of an image.

    Raises:
        ValueError: if there are no images, or the numbers or the sizes do not match.
    """
    values = np.asarray(maps, dtype=float)
    _check_overlay(images, values, captions, outlines)
    signed = bool(values.min() < 0)
    if label is None:
        tops = np.abs(values).max(axis=(1, 2), keepdims=True)
        values = values / np.where(tops > 0, tops, 1.0)
        label = OWN_SCALE + OWN_TOPS[signed]
    most = float(np.abs(values).max()) or 1.0
    scale = {"cmap": _fading(signed=signed), "norm": Normalize(-most * signed, most)}
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (inches * columns + 0.9, rows * (2 * inches + 0.25) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    upper, lower = (list(grid[start::2].flat) for start in (0, 1))
    for i, image in enumerate(images):
        upper[i].imshow(image)
        upper[i].set_title(plain(captions[i]), fontsize=9)
        lower[i].imshow(image @ LUMINANCE, cmap="gray", vmin=0, vmax=1)
        lower[i].imshow(values[i], **scale)
        if outlines is not None and np.asarray(outlines[i]).any():
            edge = np.asarray(outlines[i], dtype=float)
            lower[i].contour(edge, levels=[0.5], colors="white", linewidths=0.6)
    for axes in grid.flat:
        axes.set_axis_off()
    bar = figure.colorbar(ScalarMappable(**scale), ax=grid.ravel().tolist(), pad=0.01, aspect=30)
    bar.set_label(plain(label), fontsize=9)
    bar.ax.tick_params(labelsize=9)
    figure.suptitle(plain(title))
    return figure


def image_rows(
    groups: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]],
    *,
    title: str,
    heads: Sequence[str] = (),
    marked: Sequence[Sequence[bool]] | None = None,
    mark: str = "wrong",
    inches: float = 1.35,
) -> Figure:
    """Draw rows of images, e.g. a query, a gap and its neighbours. Used in lesson 11.

    Args:
        groups: R rows of images, (H, W, 3) of float in [0, 1], each row as long as the first.
        captions: one for each image, in the same rows.
        title: of the figure.
        heads: headings of the first column and of the others; empty for none.
        marked: for each image whether it gets a frame and a word; in the same rows.
        mark: that word.
        inches: width of an image.

    Raises:
        ValueError: if there are no rows, or rows or captions differ in length.
    """
    lengths, captioned = [len(group) for group in groups], [len(row) for row in captions]
    flags = lengths if marked is None else [len(row) for row in marked]
    if not lengths or 0 in lengths or len(set(lengths)) > 1 or not lengths == captioned == flags:
        raise ValueError(
            f"image_rows needs rows of equal length with a caption for each image, got rows of "
            f"{lengths} images and {captioned} captions"
            + ("" if marked is None else f", {flags} of them marked or not")
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
            axes.set_title(plain(f"{head}{captions[i][j]}"), fontsize=9)
            if marked is not None and marked[i][j]:
                _mark(axes, *_sides(image), word=mark)
    figure.suptitle(plain(title))
    return figure


def _sides(image: Image.Image | np.ndarray) -> tuple[int, int]:
    """Return width and height in pixels."""
    return image.size if isinstance(image, Image.Image) else image.shape[1::-1]


def _fading(*, signed: bool) -> ListedColormap:
    """Return the colours of heat: from transparent to opaque, with the distance from zero."""
    name = "PuOr_r" if signed else "viridis"
    steps = np.linspace(-1 if signed else 0, 1, 256)
    colours = colormaps[name](np.linspace(0, 1, 256))  # (256, 4)
    colours[:, 3] = HEAT_OPACITY * np.minimum(1, FULL_FROM * np.abs(steps))
    return ListedColormap(colours, name=name)


def _mark(axes: Axes, width: int, height: int, *, word: str = "wrong") -> None:
    axes.add_patch(Rectangle((0, 0), width, height, fill=False, ec=MISTAKE, lw=5))
    badge = {"fc": MISTAKE, "ec": "none", "pad": 2}
    write = {"color": "white", "fontsize": 9, "fontweight": "bold", "va": "bottom", "bbox": badge}
    axes.text(0.04 * width, 0.96 * height, plain(word), **write)


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
