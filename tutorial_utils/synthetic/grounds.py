"""The ground below the insects: leaf, petal, soil, bark or sand, and a blurred one far behind."""

import math

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from tutorial_utils.synthetic.parts import SHADES, colour_gradient, from_side, pick, random_tint

# Colours of each kind of ground (dark, middle, light), and the noises that make its texture:
# (share, grain in pixels, stretch).
KINDS = LEAF, PETAL, SOIL, BARK, SAND = tuple(range(5))
GROUNDS = (
    (("#2c4a1e #4f7a30 #86a856", "#3d5a34 #6d8c52 #a5b98a", "#5f6a20 #93993a #c3bf70",
      "#6a4320 #a06c30 #cf9f5a"), ((0.7, 60, 1), (0.3, 6, 1), (0.2, 1.6, 1))),
    (("#b9627c #de93a8 #f5cbd4", "#b9a05a #e3c668 #f6e5a6", "#b7b2a8 #dcd8cf #f7f4ee",
      "#6f5a94 #9d86bd #cdbde0", "#b0581f #dd8a3a #f4bd7c"),
     ((0.7, 80, 1), (0.6, 5, 20), (0.15, 1.6, 1))),
    (("#35261b #5f4732 #94755a", "#41362e #6b5d50 #a19282", "#4a2f20 #7d5238 #b07f5c"),
     ((0.5, 40, 1), (0.7, 9, 1), (0.7, 4, 1), (0.5, 1.6, 1))),
    (("#3a3029 #71604f #a7957f", "#2f2a28 #645d57 #9c958c", "#4a3120 #8a6240 #bf9468"),
     ((0.4, 50, 1), (1.0, 8, 8), (0.5, 3, 4), (0.3, 1.6, 1))),
    (("#97805a #c4ab7e #e6d4ae", "#8d8579 #b8b0a3 #dcd6ca", "#a56f45 #cc9a68 #e9c497"),
     ((0.4, 70, 1), (0.4, 14, 8), (0.6, 2.2, 1), (0.5, 1.5, 1))),
)  # fmt: skip


def draw_ground(
    rng: Generator, size: tuple[int, int], view: Array, kinds: tuple[int, ...] = KINDS
) -> tuple[Image.Image, Array]:
    """Draw the ground and its colours; from the side, also a blurred background far behind.

    Both are of one of `kinds`, at random.
    """
    canvas, colours = _surface(rng, size, kinds)
    canvas = canvas.filter(ImageFilter.BoxBlur(rng.uniform(0.3, 2)))
    if not from_side(view):
        return canvas, colours
    far = _surface(rng, (size[0] // 4, size[1] // 4), kinds)[0]
    far = far.filter(ImageFilter.GaussianBlur(rng.uniform(3, 6))).resize(size)
    line = rng.uniform(0.25, 0.55) + rng.normal(0, 0.06) * np.linspace(-1, 1, size[0])
    below = np.linspace(0, 1, size[1])[:, None] - line
    sharp, edge = (
        Image.fromarray((np.clip(share, 0, 1) * 255).astype(np.uint8))
        for share in (below / 0.3, below / 0.04 + 0.5)
    )
    canvas = Image.composite(canvas, canvas.filter(ImageFilter.BoxBlur(4)), sharp)
    return Image.composite(canvas, far, edge), colours


def texture(rng: Generator, size: tuple, grain: float, stretch=1.0, angle=0.0) -> Array:
    """Draw smooth noise (height, width) with spots of `grain` pixels, stretched at an angle."""
    width, height = size if stretch == 1 else (math.ceil(math.hypot(*size)) + 1,) * 2
    shape = (int(height / grain) + 2, int(width / grain / stretch) + 2)
    noise = Image.fromarray(rng.standard_normal(shape, np.float32))
    noise = noise.resize((width, height), Image.Resampling.BICUBIC)
    if stretch != 1:  # the grain runs along x: rotate the noise and crop its middle
        c, s = math.cos(angle), math.sin(angle)
        x, y = (width - c * size[0] - s * size[1]) / 2, (height + s * size[0] - c * size[1]) / 2
        noise = noise.transform(size, Image.Transform.AFFINE, (c, s, x, -s, c, y))
    return np.asarray(noise)


def _surface(
    rng: Generator, size: tuple[int, int], kinds: tuple[int, ...]
) -> tuple[Image.Image, Array]:
    """Draw a leaf, petal, soil, bark or sand; return it with its colours from dark to light."""
    kind, angle = pick(rng, kinds), rng.uniform(0, np.pi)
    palettes, mix = GROUNDS[kind]
    colours = colour_gradient(pick(rng, palettes), random_tint(rng), 24)
    tone = sum(share * texture(rng, size, grain, stretch, angle) for share, grain, stretch in mix)
    tone = np.clip((tone * rng.uniform(0.5, 1.1) / 4 + 0.5) * SHADES, 0, SHADES - 1)
    canvas = Image.fromarray(tone.astype(np.uint8))
    canvas.putpalette((colours * 255).astype(np.uint8).tobytes())
    canvas = canvas.convert("RGB")
    if kind == LEAF:
        _veins(rng, canvas, angle)
    elif kind == PETAL:
        _folds(rng, canvas)
    return canvas, colours


def _veins(rng: Generator, canvas: Image.Image, angle: float) -> None:
    """Draw the veins of a leaf: one along it, the others branching off on both sides."""
    ink, far = ImageDraw.Draw(canvas, "RGBA"), 2 * max(canvas.size)
    tone = (235, 240, 190, int(rng.integers(40, 120)))
    lean, middle = rng.uniform(0.5, 1.1), rng.uniform(0.2, 0.8, 2) * canvas.size
    ways = angle + np.array((0, -lean, lean))
    along, left, right = np.column_stack((np.cos(ways), np.sin(ways))) * far
    ink.line([*(middle - along), *(middle + along)], tone, int(rng.integers(3, 9)))
    for share in np.arange(-1, 1, rng.uniform(25, 70) / far):
        for side in (left, right):
            start = middle + along * share
            ink.line([*start, *(start + side)], tone, int(rng.integers(1, 4)))


def _folds(rng: Generator, canvas: Image.Image) -> None:
    """Draw the edges of overlapping petals."""
    ink = ImageDraw.Draw(canvas, "RGBA")
    for _ in range(rng.integers(1, 5)):
        centre, reach = rng.uniform(-0.3, 1.3, 2) * canvas.size, rng.uniform(150, 400)
        ends = [*(centre - reach), *(centre + reach)]
        ink.ellipse(ends, (255, 255, 255, 28), (60, 30, 40, 70), 3)
