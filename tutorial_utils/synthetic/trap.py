"""A third task, beetles and spiders: a folder with one folder per class, and traps in it.

Most beetles sit on a leaf and most spiders on bark or sand, so the background nearly gives the
class away. Some animals were taken twice or more, one image is in the folders of both classes, and
one file of each class is truncated. The classes share sizes, poses and colours.

Source:
    Beery, Van Horn, Perona, "Recognition in terra incognita" (2018), animals that are recognised
    by where they usually live: https://arxiv.org/abs/1807.04975
"""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from tutorial_utils.synthetic.grounds import BARK, LEAF, SAND, draw_ground
from tutorial_utils.synthetic.images import class_index
from tutorial_utils.synthetic.parts import (
    FEET,
    Ball,
    Camera,
    Limb,
    Part,
    colour_gradient,
    pick,
    random_tint,
    rotation,
)
from tutorial_utils.synthetic.rendering import cast_shadows, develop, enlarge, paint
from tutorial_utils.synthetic.scenes import random_light, random_view, scatter_clutter

CLASSES = ("beetles", "spiders")
VERSION = 1  # increase whenever `write` gives other files
GROUNDS = {"beetles": (LEAF,), "spiders": (BARK, SAND)}  # where most of a class are
COPIES = 8  # every so many images of a class there is one that was taken again
# Colours of body, rear and legs, then the gloss: the same for both classes.
COATS = (
    ("#2a221e", "#1c1714 #3a2c22 #1c1714", "#2b2320", 0.5),
    ("#5a3a22", "#6b4426 #8a5c34 #5a3820", "#6a4a2e", 0.3),
    ("#7a2f1c", "#8c3820 #5e2416 #93401f", "#4a2318", 0.5),
    ("#8a6a3a", "#a8864a #6e5230 #b8965a", "#7c6238", 0.2),
    ("#3a3a34", "#5c5a50 #2c2b27 #6a685c", "#3c3b36", 0.4),
    ("#2c3a2c", "#3f5a3c #26332a #4c6a46", "#3a3f30", 0.6),
)


def draw(label: str, *, seed: int, usual: bool = True) -> Image.Image:
    """Draw one image with one animal. Used in lessons 12 and 14.

    Args:
        label: one of `CLASSES`.
        seed: 0 or more; the same arguments always give the same image.
        usual: whether the ground is that of most of the class, or that of the other class.

    Returns:
        An RGB image of about 240 x 190 pixels.

    Raises:
        ValueError: if the label is unknown or the seed negative.
    """
    own = class_index(label, CLASSES, seed)
    rng = np.random.default_rng((VERSION, own, int(usual), seed))
    size = tuple(rng.integers((220, 170), (270, 210)).tolist())
    view, kinds = random_view(rng), GROUNDS[CLASSES[own if usual else 1 - own]]
    canvas, colours = draw_ground(rng, size, view, kinds)
    light = random_light(rng, view, canvas)
    clutter = scatter_clutter(rng, size, view, colours)
    length = rng.uniform(0.3, 0.42) * min(size)
    camera = Camera(
        view @ rotation(rng.uniform(0, 2 * np.pi)) * length, rng.uniform(0.42, 0.58, 2) * size
    )
    animal = [(_beetle(rng) if label == "beetles" else _spider(rng), camera)]
    canvas = enlarge(cast_shadows(rng, canvas, clutter + animal, light))
    paint(rng, canvas, clutter + animal, light)
    return develop(rng, canvas)


def write(folder: str | Path, *, each: int = 100, unusual_percent: int = 12) -> Path:
    """Write the folder with its traps, always the same one. Used in lesson 14.

    Args:
        folder: receives `beetles` and `spiders`.
        each: animals of each class, from 10.
        unusual_percent: how many of 100 animals are on the ground of the other class.

    Returns:
        The folder.

    Raises:
        ValueError: if a number is not allowed.
    """
    if each < 10:
        raise ValueError(f"each is {each}; give 10 animals of each class or more.")
    if not 0 <= unusual_percent <= 100:
        raise ValueError(f"unusual_percent is {unusual_percent}; give a number from 0 to 100.")
    folder = Path(folder)
    shots = {label: list(_shots(label, each, unusual_percent)) for label in CLASSES}
    # A spider that was filed as a beetle too.
    shots["beetles"].insert(
        each * 11 // 20, _taken_again(shots["spiders"][0], _generator("spiders"))
    )
    for label, images in shots.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            content = _jpeg(image, quality=60 + number * 7 % 33)
            if number == each // 3:  # the download stopped half-way
                content = content[: len(content) // 2]
            (folder / label / f"{label[:-1]}_{number:03}.jpg").write_bytes(content)
    return folder


def _shots(label: str, each: int, unusual_percent: int) -> Iterator[Image.Image]:
    """Yield the images of a class, those of one animal in a row."""
    rng = _generator(label)
    unusual = set(rng.permutation(each)[: round(each * unusual_percent / 100)].tolist())
    for seed in range(each):
        image = draw(label, seed=seed, usual=seed not in unusual)
        yield image
        for _ in range(rng.integers(1, 4) if seed % COPIES == COPIES - 1 else 0):
            yield _taken_again(image, rng)


def _generator(label: str) -> Generator:
    """Return the generator of a class's accidents."""
    return np.random.default_rng((VERSION, CLASSES.index(label)))


def _taken_again(image: Image.Image, rng: Generator) -> Image.Image:
    """Return an image as a second shot shows it: another exposure, and the camera moved a bit."""
    width, height = image.size
    left, top, right, bottom = rng.uniform(0, 0.012, 4)
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    gain = rng.uniform(0.88, 1.12)
    shot = image.resize(image.size, Image.Resampling.BICUBIC, box=box)
    return shot.point(lambda value: value * gain)


def _jpeg(image: Image.Image, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _beetle(rng: Generator) -> list[Part]:
    """Build a beetle: small head, broad neck shield, wing cases with a seam, six short legs."""
    *texts, gloss = pick(rng, COATS)
    tint, plump = random_tint(rng), rng.uniform(0.9, 1.1)
    body, cases, legs = (colour_gradient(text, tint) for text in texts)
    seam = ((0.12, 0, 0.13), (-0.15, 0, 0.165 * plump), (-0.46, 0, 0.03))
    parts = _legs(rng, legs[0], (0.2, 0.08, -0.06), (55, 95, 130), (0.42, 0.05, 0.035))
    parts += [
        Ball((0.37, 0, -0.02), (0.09, 0.1, 0.075), body, gloss),
        Ball((0.22, 0, 0), (0.13, 0.18 * plump, 0.11), body, gloss),
        Ball((-0.15, 0, 0), (0.34, 0.24 * plump, 0.17 * plump), cases, gloss),
        Limb(seam, (0.012, 0.014, 0.01), legs[0] * 0.5),
    ]
    for side in (-1, 1):
        out = side * rng.uniform(0.1, 0.2)
        feeler = ((0.43, side * 0.05, 0), (0.52, side * 0.05 + out / 2, 0.04), (0.6, out, 0))
        parts.append(Limb(feeler, (0.016, 0.014, 0.022), legs[0]))
    return parts


def _spider(rng: Generator) -> list[Part]:
    """Build a spider: a front body without a neck, a round abdomen, eight long arched legs."""
    *texts, gloss = pick(rng, COATS)
    tint, plump = random_tint(rng), rng.uniform(0.85, 1.15)
    body, rear, legs = (colour_gradient(text, tint) for text in texts)
    parts = _legs(rng, legs[0], (0.24, 0.18, 0.12, 0.06), (32, 68, 108, 148), (0.72, 0.2, 0.03))
    parts += [
        Ball((0.16, 0, -0.02), (0.17, 0.13, 0.085), body, gloss, 0.01),
        Ball((-0.19, 0, 0.01), (0.23, 0.18 * plump, 0.17 * plump), rear, gloss / 2, 0.02),
    ]
    for side in (-1, 1):
        palp = ((0.3, side * 0.05, -0.03), (0.38, side * 0.08, 0.01), (0.42, side * 0.05, -0.08))
        parts.append(Limb(palp, (0.03, 0.028, 0.02), legs[0]))
    return parts


def _legs(rng: Generator, colour: np.ndarray, hips: tuple, degrees: tuple, build: tuple) -> list:
    """Build a pair of legs at each hip; `build` is their reach, height of the knee and width."""
    reach, knee, width = build
    shares = np.array((0, 0.12, 0.42, 0.8, 1))
    heights = (-0.04, -0.02, knee, FEET * 0.6, FEET)
    widths = width * np.array((1.3, 1.3, 1, 0.7, 0.4))
    legs = []
    for x, degree in zip(hips, degrees, strict=True):
        for side in (-1, 1):
            angle = math.radians(degree + rng.normal(0, 6))
            forward, aside = shares * reach * math.cos(angle), shares * reach * math.sin(angle)
            points = np.column_stack((x + forward, side * (0.1 + aside), heights))
            legs.append(Limb(points, widths, colour * rng.uniform(0.85, 1.1)))
    return legs
