"""One synthetic image: `draw`, its `background`, and its `jpeg_bytes`."""

import io

import numpy as np
from numpy.random import Generator
from PIL import Image

from tutorial_utils.synthetic.grounds import draw_ground
from tutorial_utils.synthetic.rendering import cast_shadows, develop, enlarge, paint
from tutorial_utils.synthetic.scenes import (
    place_insects,
    random_light,
    random_view,
    scatter_clutter,
)

CLASSES = ("ants", "bees")
VERSION = 2  # increase whenever the same seed gives another image


def draw(label: str, *, seed: int, size: tuple[int, int] | None = None) -> Image.Image:
    """Draw one image. Used in lesson 11.

    Args:
        label: one of `CLASSES`.
        seed: 0 or more; the same label, seed and size always give the same image.
        size: width and height in pixels, at least 32 each; None lets the seed choose, with 300
            to 500 pixels on the long side.

    Returns:
        An RGB image.

    Raises:
        ValueError: if the label is unknown, the seed negative or the size too small.
    """
    return _render(label, seed, size)


def background(
    label: str, *, seed: int, size: tuple[int, int] | None = None, shadows: bool = False
) -> Image.Image:
    """Draw the image of `draw` without its insects: ground, clutter, light and camera.

    With `shadows`, the two images differ only where an insect is, so their difference is the
    insects' outline. Without, the insects' shadows are missing too. Used in lesson 11.

    Args:
        label: one of `CLASSES`.
        seed: 0 or more.
        size: width and height in pixels, as for `draw`.
        shadows: keep the insects' shadows, which have the insects' shape.

    Returns:
        An RGB image.

    Raises:
        ValueError: as `draw`.
    """
    return _render(label, seed, size, insects=False, shadows=shadows)


def jpeg_bytes(label: str, *, seed: int) -> bytes:
    """Return one image as the bytes of a JPEG file, always the same for a seed.

    Args:
        label: one of `CLASSES`.
        seed: 0 or more.

    Raises:
        ValueError: as `draw`.
    """
    image, buffer = draw(label, seed=seed), io.BytesIO()
    quality = int(np.random.default_rng((VERSION, len(CLASSES), seed)).integers(60, 93))
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def make_generator(label: str, seed: int) -> Generator:
    """Return an image's own random generator.

    Raises:
        ValueError: if the label is unknown or the seed negative.
    """
    return np.random.default_rng((VERSION, class_index(label, CLASSES, seed), seed))


def class_index(label: str, classes: tuple[str, ...], seed: int) -> int:
    """Return a label's index, after checking the label and the seed of an image.

    Raises:
        ValueError: if the label is unknown or the seed negative.
    """
    if label not in classes:
        raise ValueError(f"label is {label!r}; allowed are {', '.join(map(repr, classes))}.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; give a whole number of 0 or more.")
    return classes.index(label)


def _render(
    label: str,
    seed: int,
    size: tuple[int, int] | None,
    *,
    insects: bool = True,
    shadows: bool = True,
) -> Image.Image:
    """Draw an image; one without insects uses the same random numbers as one with them."""
    rng = make_generator(label, seed)
    long, ratio = rng.uniform(300, 501), rng.uniform(0.66, 1)
    chosen = (int(long), int(long * ratio))[:: 1 if rng.random() < 0.7 else -1]
    width, height = size or chosen
    if min(width, height) < 32:
        raise ValueError(f"size is {size}; give a width and a height of at least 32 pixels.")
    view = random_view(rng)
    canvas, colours = draw_ground(rng, (width, height), view)
    light = random_light(rng, view, canvas)
    clutter = scatter_clutter(rng, canvas.size, view, colours)
    living = place_insects(rng, label, canvas.size, view)
    canvas = cast_shadows(rng, canvas, clutter + living if shadows else clutter, light)
    canvas = enlarge(canvas)
    paint(rng, canvas, clutter, light)
    paint(rng, canvas if insects else canvas.copy(), living, light)
    return develop(rng, canvas)
