"""Draws ants and bees, seeded, so that the course has images where no photograph can be had.

An image is a small scene in three dimensions. An insect is a list of parts (`Ball`, `Limb`,
`Wing`) in its own coordinates: x towards the head, y to its left, z up, one unit to a body
length. A camera turns them to the page, light shades them, their shadows fall on a ground of
leaf, petal, soil, bark or sand, and the image is then treated as a small camera would: focus,
exposure, noise, JPEG.

Only the insects know which class they belong to: ground, light, clutter, view, number and size
are drawn from the same distributions for both, and the species share their colours.

Sources:
    Blinn, "Models of light reflection for computer synthesized images" (1977), the highlights:
    https://doi.org/10.1145/563858.563893
    AntWiki, "Morphology", the parts of an ant: https://www.antwiki.org/wiki/Morphology
"""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import Image, ImageColor, ImageDraw, ImageFilter

CLASSES = ("ants", "bees")
VERSION = 2  # raise whenever the same seed gives another image

FEET = -0.19  # height of the ground, in body lengths from the middle of the body
FINE = 2  # the insects are painted this many times larger and reduced, which smooths edges
SHADES = 64  # colours along a coat
STEP = 100_000  # between the seeds of a set's first training and its first validation image

# Colours of head, middle, rear and legs, then the gloss. Both classes have dark, brown, reddish,
# yellowish and two-coloured species, on purpose.
ANTS = (
    ("#241d1b", "#201a18", "#1b1716", "#2c211c", 0.55),  # black garden ant
    ("#7a2f18", "#93381a", "#1d1614", "#4a2317", 0.45),  # red wood ant
    ("#5b3a22", "#6a4427", "#3d2819", "#7a5330", 0.35),  # brown pavement ant
    ("#c08a3a", "#cf9a45", "#b98032", "#d3a65a", 0.35),  # yellow meadow ant
    ("#17151a", "#5c2418", "#141218", "#33201b", 0.60),  # carpenter ant
    ("#b5602a", "#c26a2e", "#a04e20", "#c98045", 0.40),  # weaver ant
    ("#8c3b22", "#7d3520", "#3a1f19", "#8a4a2c", 0.50),  # fire ant
    ("#3a3430", "#4a423b", "#77706a", "#2b2623", 0.70),  # silvery desert ant
)
# Colours of head, thorax and legs, of the abdomen from its tip on; its gloss and length of fur.
BEES = (
    ("#3a2a1c", "#8a6232", "#2a1d14", "#2a1c14 #7d4c1e #21160f #b9772b #2a1a10 #c98a35", 0.4, 0.02),
    ("#241d18", "#4d3c2a", "#1e1713", "#1c1613 #3a2c20 #18130f #5a4630 #1c1512 #54402c", 0.5, 0.02),
    ("#1a1715", "#c8962c #1c1816 #1c1816", "#191513", "#d8d0c0 #1b1715 #1b1715 #cf9a30 #1b1715",
     0, 0.04),
    ("#1a1614", "#1f1a18", "#191513", "#b5481f #b5481f #1c1714 #1c1714 #1c1714", 0, 0.04),
    ("#15141a", "#1d1b20", "#131216", "#15141b #191822 #14131a", 0.7, 0),
    ("#2a3a2c", "#34503a", "#3a3020", "#203a28 #948a58 #24402c #948a58 #28452f", 0.6, 0.015),
    ("#4a2c1a", "#9a5a28", "#3a2316", "#6a3516 #a4551f #7d4019 #b8682a", 0.2, 0.03),
    ("#2c2722", "#6e6250", "#2a241f", "#26211e #9a8e78 #26211e #9a8e78 #26211e #9a8e78", 0.4, 0.02),
    ("#33261a", "#a87c3c", "#4a331d", "#33220f #d0a040 #3a250f #d8a944 #3d2710 #d8a944", 0.3, 0.02),
)  # fmt: skip
# Colours of each kind of ground (dark, middle, light), and the noises that make its texture:
# (share, grain in pixels, stretch).
LEAF, PETAL, SOIL, BARK, SAND = range(5)
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
SEEDS = ("#1c1714", "#d9b45a #2a2018 #d9b45a #2a2018 #d9b45a", "#7a4a22", "#c99a3c", "#2b2420")
TWIGS = ("#3a2a1e", "#7d5a38", "#b08d5a", "#1f1a17", "#6f7f3a")


class Ball(NamedTuple):
    """An ellipsoid: a head, a thorax, a segment, an eye, a pebble."""

    centre: Array  # (3,)
    axes: Array  # (3,) half lengths
    coat: Array  # (SHADES, 3) colours from rear to front, 0 to 1
    gloss: float = 0.3  # 0 matt to 1 polished
    fur: float = 0  # length of the hairs
    turn: Array = np.eye(3)  # rotation from the ball's axes to the insect's


class Limb(NamedTuple):
    """A jointed line that has thickness: a leg, an antenna, a jaw, a twig."""

    points: Array  # (K, 3)
    widths: Array  # (K,)
    colour: Array  # (3,) 0 to 1
    fur: float = 0


class Wing(NamedTuple):
    """A flat translucent outline with veins."""

    points: Array  # (K, 3)
    veins: list[Array]  # each (K, 3)
    colour: tuple[int, int, int, int]


Part = Ball | Limb | Wing


class Camera(NamedTuple):
    """A view without perspective: rows of `matrix` point right, down and to the viewer."""

    matrix: Array  # (3, 3) pixels to a body length
    origin: Array  # (2,) pixels

    @property
    def scale(self) -> float:
        """Pixels to a body length."""
        return float(np.linalg.norm(self.matrix[0]))

    def see(self, points: Array) -> Array:
        """Gives pixels and depth, (K, 3), of points (K, 3)."""
        seen = np.atleast_2d(points) @ self.matrix.T
        seen[:, :2] += self.origin
        return seen


class Light(NamedTuple):
    """Sun from one side, sky from above, and what it falls on."""

    sun: Array  # (3,) to the sun, in the camera's directions
    sky: float
    bounce: Array  # (3,) colour of the ground, 0 to 1
    grain: Array  # (128, 128) roughness of every surface


def draw(label: str, *, seed: int, size: tuple[int, int] | None = None) -> Image.Image:
    """Draws one image.

    Args:
        label: one of `CLASSES`.
        seed: 0 or more; the same label, seed and size give the same image.
        size: width and height in pixels, at least 32 each; None lets the seed choose, with 300
            to 500 pixels on the long side.

    Returns:
        An RGB image.

    Raises:
        ValueError: if the label is unknown, the seed negative or the size too small.
    """
    return _image(label, seed, size)


def background(
    label: str, *, seed: int, size: tuple[int, int] | None = None, shadows: bool = False
) -> Image.Image:
    """Draws the same image as `draw` without its insects: ground, clutter, light and camera.

    With `shadows` the two images differ where an insect is, and nowhere else: their difference
    is the insects' outline. Without, what the insects' shadows darkened is gone too.

    Args:
        label: one of `CLASSES`.
        seed: 0 or more.
        size: width and height in pixels, as for `draw`.
        shadows: keep the shadows of the insects, which have their shape.

    Returns:
        An RGB image.

    Raises:
        ValueError: as `draw`.
    """
    return _image(label, seed, size, insects=False, shadows=shadows)


def origin(path: str | Path) -> tuple[str, int]:
    """Gives the label and the seed that an image of the set was drawn with, by its place.

    Args:
        path: as `write` with seed 0 lays it out, ending with e.g. `val/bees/bee_0007.jpg`.

    Raises:
        ValueError: if `write` gives no image such a place.
    """
    path = Path(path)
    label, (name, _, number) = path.parent.name, path.stem.partition("_")
    split = {"train": 0, "val": 1}.get(path.parent.parent.name)
    if split is None or label not in CLASSES or name != label[:-1] or not number.isdecimal():
        raise ValueError(
            f"{path} is no image of the synthetic set; expected is a path that ends with e.g. "
            f"val/bees/bee_0007.jpg. Give a path from data.load('synthetic')"
        )
    return label, split * STEP + int(number)


def _image(
    label: str,
    seed: int,
    size: tuple[int, int] | None,
    *,
    insects: bool = True,
    shadows: bool = True,
) -> Image.Image:
    """Draws an image; one without insects takes the same random numbers as one with them."""
    rng = _generator(label, seed)
    long, ratio = rng.uniform(300, 501), rng.uniform(0.66, 1)
    chosen = (int(long), int(long * ratio))[:: 1 if rng.random() < 0.7 else -1]
    width, height = size or chosen
    if min(width, height) < 32:
        raise ValueError(f"size is {size}; give a width and a height of at least 32 pixels.")
    view = _view(rng)
    page, colours = _ground(rng, (width, height), view)
    light = _light(rng, view, page)
    clutter = _clutter(rng, page.size, view, colours)
    living = _insects(rng, label, page.size, view)
    page = _shadows(rng, page, clutter + living if shadows else clutter, light)
    page = page.resize((width * FINE, height * FINE), Image.Resampling.NEAREST)
    for parts, camera in clutter:
        _paint(rng, page, parts, Camera(camera.matrix * FINE, camera.origin * FINE), light)
    sheet = page if insects else page.copy()
    for parts, camera in living:
        _paint(rng, sheet, parts, Camera(camera.matrix * FINE, camera.origin * FINE), light)
    return _develop(rng, page.reduce(FINE))


def jpeg_bytes(label: str, *, seed: int) -> bytes:
    """Draws one image and gives it as the bytes of a JPEG file, always the same for a seed."""
    image, buffer = draw(label, seed=seed), io.BytesIO()
    quality = int(np.random.default_rng((VERSION, len(CLASSES), seed)).integers(60, 93))
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write(
    folder: str | Path,
    *,
    train: dict[str, int] | None = None,
    val: dict[str, int] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a whole set, laid out as torchvision's `ImageFolder` reads it.

    Args:
        folder: gets `train/ants`, `train/bees`, `val/ants` and `val/bees`.
        train: images of each class; None for 123 ants and 121 bees, as in the photographs.
        val: the same for validation; None for 70 ants and 83 bees.
        seed: another seed draws another set, of which no image is in this one.
        progress: called after each image with the number done and the number in all.

    Returns:
        The folder.

    Raises:
        ValueError: if a label is unknown or a count or the seed is negative.
    """
    counts = {
        "train": {"ants": 123, "bees": 121} if train is None else train,
        "val": {"ants": 70, "bees": 83} if val is None else val,
    }
    jobs = list(_jobs(Path(folder), counts, seed))
    for done, (path, label, number) in enumerate(jobs, start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(label, seed=number))
        if progress:
            progress(done, len(jobs))
    return Path(folder)


def _jobs(
    folder: Path, counts: dict[str, dict[str, int]], seed: int
) -> Iterator[tuple[Path, str, int]]:
    """Yields path, label and seed of every image of a set, and refuses what cannot be drawn."""
    for split, (name, labels) in enumerate(counts.items()):
        for label, count in labels.items():
            _generator(label, seed)
            if count < 0:
                raise ValueError(f"{name} asks for {count} {label}; give 0 or more.")
            for index in range(count):
                path = folder / name / label / f"{label[:-1]}_{index:04d}.jpg"
                yield path, label, (2 * seed + split) * STEP + index


def _generator(label: str, seed: int) -> Generator:
    """Gives an image's own random numbers."""
    if label not in CLASSES:
        raise ValueError(f"label is {label!r}; allowed are {', '.join(map(repr, CLASSES))}.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; give a whole number of 0 or more.")
    return np.random.default_rng((VERSION, CLASSES.index(label), seed))


# Colours and turns


def _colour(text: str) -> Array:
    """Reads "#rrggbb" as (3,) values from 0 to 1."""
    return np.array(ImageColor.getrgb(text)) / 255


def _coat(text: str, tint: Array | float = 1, soft: int = 4) -> Array:
    """Lays colours evenly from rear to front, soft at the seams, (SHADES, 3)."""
    colours = np.array([_colour(word) for word in text.split()])
    rows = colours[np.arange(SHADES + soft) * len(colours) // (SHADES + soft)]
    total = np.cumsum(rows, axis=0)
    return np.clip((total[soft:] - total[:-soft]) / soft * tint, 0, 1)


def _tint(rng: Generator) -> Array:
    """Draws a factor per colour channel: mostly brightness, a little hue."""
    return np.exp(rng.normal(0, 0.24) + rng.normal(0, 0.06, 3))


def _pick(rng: Generator, things: tuple):
    return things[rng.integers(len(things))]


def _rotation(yaw: float, pitch: float = 0, roll: float = 0) -> Array:
    """Gives the matrix that turns by yaw about z after pitch about y after roll about x."""
    (a, b, c), (s, t, u) = np.cos((yaw, pitch, roll)), np.sin((yaw, pitch, roll))
    about_z = np.array([[a, -s, 0], [s, a, 0], [0, 0, 1]])
    about_y = np.array([[b, 0, -t], [0, 1, 0], [t, 0, b]])
    return about_z @ about_y @ np.array([[1, 0, 0], [0, c, -u], [0, u, c]])


def _bent(rng: Generator, parts: list[Part], joint: tuple, spread: tuple) -> list[Part]:
    """Turns balls and limbs about a joint, by a random yaw and pitch."""
    turn = _rotation(*rng.normal(0, spread))
    return [
        part._replace(centre=turn @ np.subtract(part.centre, joint) + joint, turn=turn)
        if isinstance(part, Ball)
        else part._replace(points=np.subtract(part.points, joint) @ turn.T + joint)
        for part in parts
    ]


# Anatomy


def _ant(rng: Generator) -> list[Part]:
    """Builds an ant: big head, slender middle, one or two waist nodes, egg-shaped gaster."""
    *texts, gloss = _pick(rng, ANTS)
    tint, slim, plump = _tint(rng), rng.uniform(0.85, 1.15), rng.uniform(0.9, 1.2)
    head, middle, rear, legs = (_coat(text, tint) for text in texts)
    rear[[10, 22, 35, 47]] *= rng.uniform(0.6, 1.3)  # the seams of the gaster's plates
    nodes = rng.integers(1, 3)
    waist = -0.095 - 0.045 * nodes
    parts = [
        Ball((0.13, 0, 0.01), (0.10, 0.07 * slim, 0.075), middle, gloss),
        Ball((-0.01, 0, -0.01), (0.11, 0.052 * slim, 0.062), middle, gloss),
        Ball((-0.125, 0, -0.02), (0.022, 0.026, 0.042), middle, gloss),
        Ball((waist + 0.01, 0, -0.02), (0.022, 0.026, 0.034), middle, gloss),
    ]
    gaster = [
        Ball((waist - 0.155, 0, 0), (0.15, 0.115 * plump, 0.11 * plump), rear, gloss),
        Ball((waist - 0.19, 0, 0), (0.138, 0.097 * plump, 0.094 * plump), rear, gloss),
    ]
    parts += _bent(rng, gaster, (waist, 0, -0.02), (0.25, 0.15))
    parts += _bent(rng, _ant_head(rng, head, legs[0], gloss), (0.22, 0, 0), (0.25, 0.12))
    parts += _legs(rng, legs[0], ((0.14, 0.04), (0.07, 0.045), (0, 0.04)), (0.024, 0, 1))
    queen = rng.random() < 0.03
    return parts + (_wings(rng, 0.06, 0.8, rng.uniform(8, 25)) if queen else [])


def _ant_head(rng: Generator, coat: Array, leg: Array, gloss: float) -> list[Part]:
    """Builds an ant's head: jaws, small eyes, elbowed antennae."""
    big, lift = rng.uniform(0.9, 1.25), rng.uniform(-0.02, 0.06)
    x, jaw, black = 0.22 + 0.105 * big, 0.22 + 0.195 * big, _coat("#0c0a0a")
    parts = [Ball((x, 0, 0), (0.115 * big, 0.1 * big, 0.085 * big), coat, gloss)]
    for side in (-1, 1):
        parts.append(Ball((x + 0.01, side * 0.088 * big, 0.03), (0.024, 0.014, 0.022), black, 0.9))
        bite, spread, bend = side * rng.uniform((0.003, 0.11, -0.06), (0.015, 0.2, 0.08))
        hook = ((jaw, side * 0.05, -0.02), (jaw + 0.055, side * 0.06, -0.03))
        parts.append(Limb((*hook, (jaw + 0.095, bite, -0.035)), (0.034, 0.028, 0.008), coat[40]))
        scape = ((x + 0.07, side * 0.035, 0.05), (x + 0.13, spread, 0.13 + lift))
        whip = ((x + 0.23, spread + bend, 0.07 + lift), (x + 0.33, spread + bend, lift - 0.02))
        parts.append(Limb(scape + whip, (0.016, 0.013, 0.015, 0.02), leg))
    return parts


def _bee(rng: Generator) -> list[Part]:
    """Builds a bee: furry thorax, broad banded abdomen without a waist, two pairs of wings."""
    *texts, gloss, fur = _pick(rng, BEES)
    tint, plump, shag = _tint(rng), rng.uniform(0.88, 1.12), rng.uniform(0.025, 0.045)
    head, thorax, legs, rear = (_coat(text, tint, 3) for text in texts)
    tip = rear[:40].repeat(2, axis=0)[:SHADES]
    abdomen = [
        Ball((-0.21, 0, -0.01), (0.26, 0.16 * plump, 0.15 * plump), rear, gloss, fur),
        Ball((-0.34, 0, -0.02), (0.17, 0.11 * plump, 0.10 * plump), tip, gloss, fur),
    ]
    parts = _bent(rng, abdomen, (-0.02, 0, 0), (0.1, 0.1))
    parts.append(Ball((0.13, 0, 0.02), (0.17, 0.15 * plump, 0.15), thorax, 0.05, shag))
    parts += _bent(rng, _bee_head(rng, head, legs[0]), (0.28, 0, 0.01), (0.15, 0.12))
    stand = _legs(rng, legs[0], ((0.2, 0.07), (0.12, 0.08), (0.03, 0.08)), (0.04, 0.03, 0.75))
    if rng.random() < 0.4:
        load = _coat(_pick(rng, ("#e0a020", "#d9812a", "#e8d060")), tint)
        shins = [leg.points[2:4].mean(axis=0) for leg in stand[-2:]]
        parts += [Ball(shin, (0.06, 0.04, 0.05), load, 0, 0.015) for shin in shins]
    sweep = rng.uniform(10, 24) if rng.random() < 0.25 else rng.uniform(32, 85)
    return parts + stand + _wings(rng, 0.16, 0.62, sweep)


def _bee_head(rng: Generator, coat: Array, leg: Array) -> list[Part]:
    """Builds a bee's head: broad, with big oval eyes at the sides and short antennae."""
    eye = _coat(_pick(rng, ("#120e0d", "#2d1a12", "#3a3a2e")))
    parts = [Ball((0.35, 0, -0.01), (0.085, 0.125, 0.115), coat, 0.2, 0.02)]
    for side in (-1, 1):
        parts.append(Ball((0.36, side * 0.098, 0.005), (0.062, 0.045, 0.092), eye, 0.9))
        out = side * rng.uniform(0.02, 0.06)
        y = side * 0.03 + out
        feeler = ((0.42, y - out, 0.02), (0.475, y, 0.07), (0.56, y + out, 0))
        parts.append(Limb(feeler, (0.016, 0.016, 0.02), leg))
    if rng.random() < 0.3:
        tongue = ((0.41, 0, -0.09), (0.45, 0, -0.17), (0.44, 0, -0.24))
        parts.append(Limb(tongue, (0.03, 0.018, 0.01), leg))
    return parts


def _legs(rng: Generator, colour: Array, hips: tuple, build: tuple) -> list[Limb]:
    """Builds six jointed legs on the ground; `build` is their width, fur and reach."""
    width, fur, reach = build
    shares = np.array([(0, 0), (0.15, 0.12), (0.6, 0.6), (1.1, 0.95), (1.35, 1.15)])
    heights = (-0.04, -0.07, 0.07 * reach, FEET * 0.8, FEET)
    widths = width * np.array((1.3, 1.3, 0.9, 0.6, 0.35))
    legs = []
    for (x, y), ahead in zip(hips, (0.26, -0.06, -0.34), strict=True):
        for side in (-1, 1):
            step = ahead * reach + rng.normal(0, 0.045)
            forward, aside = (shares * (step, rng.uniform(0.3, 0.42) * reach)).T
            points = np.column_stack((x + forward, side * (y + aside), heights))
            legs.append(Limb(points, widths, colour * rng.uniform(0.85, 1.1), fur))
    return legs


def _wings(rng: Generator, root: float, length: float, sweep: float) -> list[Wing]:
    """Builds two pairs of wings, hind pair first; `sweep` is degrees from straight back."""
    red, green, blue = (150, 120, 90) if rng.random() < 0.25 else (215, 215, 205)
    colour = (red, green, blue, int(rng.integers(70, 130)))
    lift, roll = np.radians(rng.uniform((4, -15), (30, 15)))
    wings = []
    for share, x in ((0.7, root - 0.1), (1.0, root)):
        for side in (-1, 1):
            turn = _rotation(math.radians(180 - sweep * share + rng.normal(0, 3)), lift, roll)
            lines = [line * length * share @ turn.T + (x, 0.08, 0.11) for line in _wing_lines()]
            outline, *veins = (line * (1, side, 1) for line in lines)
            wings.append(Wing(outline, veins, colour))
    return wings


def _wing_lines() -> list[Array]:
    """Gives the outline and the veins of a wing that spans x from 0 to 1, front edge at -y."""
    t = np.linspace(0, 1, 16)
    front = np.column_stack((t, -0.05 * np.sin(np.pi * t), 0 * t))
    back = np.column_stack((t, 0.34 * np.abs(np.sin(np.pi * t**1.4)) ** 0.65, 0 * t))
    veins = ("0,0 .5,-.02 .9,0", "0,0 .45,.08 .7,.1 .88,.12", "0,0 .4,.14 .62,.26",
             "0,0 .3,.15 .4,.27", ".45,.08 .4,.14", ".52,-.02 .55,.09 .53,.2",
             ".72,0 .7,.1 .66,.2")  # fmt: skip
    lines = [[(*map(float, pair.split(",")), 0) for pair in vein.split()] for vein in veins]
    return [np.concatenate((front, back[::-1])), *map(np.array, lines)]


# The scene


def _view(rng: Generator) -> Array:
    """Draws a camera's directions: from above, aslant or from the side, and not quite level."""
    low, high = ((60, 90), (32, 60), (10, 30))[rng.choice(3, p=(0.6, 0.2, 0.2))]
    s, c = np.sin(np.radians(rng.uniform(low, high)) + np.array((0, np.pi / 2)))
    return _rotation(rng.normal(0, 0.12)) @ np.array([[1, 0, 0], [0, -s, -c], [0, -c, s]])


def _from_side(view: Array) -> bool:
    return view[2, 2] < 0.55


def _light(rng: Generator, view: Array, page: Image.Image) -> Light:
    """Draws the sun's place and strength; the ground throws its own colour back."""
    sun = view @ _rotation(rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(35, 75)))[:, 0]
    sky, bounce = rng.uniform(0.25, 0.5), page.resize((1, 1), Image.Resampling.BOX)
    bounce = np.asarray(bounce, np.float32)[0, 0] / 255
    return Light(sun.astype(np.float32), np.float32(sky), bounce, _texture(rng, (128, 128), 2.5))


def _clutter(rng: Generator, size: tuple[int, int], view: Array, colours: Array) -> list:
    """Scatters pebbles, seeds and twigs, some of them dark, striped or thin as the insects are."""
    scene: list[tuple[list[Part], Camera]] = []
    for kind in rng.integers(0, 3, rng.poisson(1.6)):
        long, tint = rng.uniform(0.02, 0.08), _tint(rng)
        if kind == 2:
            steps = rng.normal((rng.uniform(0.05, 0.35), 0, 0), (0.05, 0.05, 0.005), (4, 3))
            widths = rng.uniform(0.008, 0.035) * np.array((1, 0.9, 0.8, 0.6))
            colour = _colour(_pick(rng, TWIGS)) * tint
            part = Limb(np.cumsum(steps, axis=0) + (0, 0, FEET + 0.02), widths, colour)
        else:
            coat = _coat(_pick(rng, SEEDS), tint) if kind else np.clip(colours * tint, 0, 1)
            axes = (1.2 * long, long * rng.uniform(0.5, 0.9), 0.45 * long)
            part = Ball((0, 0, FEET + 0.25 * long), axes, coat, 0.15 * kind)
        turn = view @ _rotation(rng.uniform(0, 2 * np.pi)) * min(size)
        scene.append(([part], Camera(turn, rng.uniform(0.02, 0.98, 2) * size)))
    return scene


def _insects(rng: Generator, label: str, size: tuple[int, int], view: Array) -> list:
    """Places one to four insects of a class, each with its camera."""
    number = int(rng.choice(4, p=(0.75, 0.16, 0.07, 0.02))) + 1
    low, high = ((0.65, 1.1), (0.5, 0.7), (0.36, 0.5))[min(number, 3) - 1]
    spread = 0.08 if number == 1 else 0.38
    scene: list[tuple[list[Part], Camera]] = []
    for _ in range(number):
        length = rng.uniform(low, high) * min(size) * (1.1 if label == "ants" else 1)
        for _ in range(30):
            place = rng.uniform(0.5 - spread, 0.5 + spread, 2) * size
            if all(np.hypot(*(place - other.origin)) > 0.75 * length for _, other in scene):
                break
        heading = rng.uniform(0, 2 * np.pi)
        if _from_side(view):  # from the side an insect is known by its profile
            heading = np.pi * rng.integers(2) + rng.normal(0, 0.45)
        parts = _ant(rng) if label == "ants" else _bee(rng)
        scene.append((parts, Camera(view @ _rotation(heading) * length, place)))
    return scene


def _texture(rng: Generator, size: tuple, grain: float, stretch=1.0, angle=0.0) -> Array:
    """Draws smooth noise (height, width), spots of `grain` pixels, stretched at an angle."""
    width, height = size if stretch == 1 else (math.ceil(math.hypot(*size)) + 1,) * 2
    shape = (int(height / grain) + 2, int(width / grain / stretch) + 2)
    noise = Image.fromarray(rng.standard_normal(shape, np.float32))
    noise = noise.resize((width, height), Image.Resampling.BICUBIC)
    if stretch != 1:  # so far the grain runs along x: turn it and cut out the middle
        c, s = math.cos(angle), math.sin(angle)
        x, y = (width - c * size[0] - s * size[1]) / 2, (height + s * size[0] - c * size[1]) / 2
        noise = noise.transform(size, Image.Transform.AFFINE, (c, s, x, -s, c, y))
    return np.asarray(noise)


def _surface(rng: Generator, size: tuple[int, int]) -> tuple[Image.Image, Array]:
    """Draws a leaf, petal, soil, bark or sand, and gives its colours from dark to light too."""
    kind, angle = rng.integers(len(GROUNDS)), rng.uniform(0, np.pi)
    palettes, mix = GROUNDS[kind]
    colours = _coat(_pick(rng, palettes), _tint(rng), 24)
    tone = sum(share * _texture(rng, size, grain, stretch, angle) for share, grain, stretch in mix)
    tone = np.clip((tone * rng.uniform(0.5, 1.1) / 4 + 0.5) * SHADES, 0, SHADES - 1)
    page = Image.fromarray(tone.astype(np.uint8))
    page.putpalette((colours * 255).astype(np.uint8).tobytes())
    page = page.convert("RGB")
    if kind == LEAF:
        _veins(rng, page, angle)
    elif kind == PETAL:
        _folds(rng, page)
    return page, colours


def _veins(rng: Generator, page: Image.Image, angle: float) -> None:
    """Draws the veins of a leaf: one along, the others branching off it on both sides."""
    ink, far = ImageDraw.Draw(page, "RGBA"), 2 * max(page.size)
    tone = (235, 240, 190, int(rng.integers(40, 120)))
    lean, middle = rng.uniform(0.5, 1.1), rng.uniform(0.2, 0.8, 2) * page.size
    ways = angle + np.array((0, -lean, lean))
    along, left, right = np.column_stack((np.cos(ways), np.sin(ways))) * far
    ink.line([*(middle - along), *(middle + along)], tone, int(rng.integers(3, 9)))
    for share in np.arange(-1, 1, rng.uniform(25, 70) / far):
        for side in (left, right):
            start = middle + along * share
            ink.line([*start, *(start + side)], tone, int(rng.integers(1, 4)))


def _folds(rng: Generator, page: Image.Image) -> None:
    """Draws the edges of petals that lie one over another."""
    ink = ImageDraw.Draw(page, "RGBA")
    for _ in range(rng.integers(1, 5)):
        centre, reach = rng.uniform(-0.3, 1.3, 2) * page.size, rng.uniform(150, 400)
        ends = [*(centre - reach), *(centre + reach)]
        ink.ellipse(ends, (255, 255, 255, 28), (60, 30, 40, 70), 3)


def _ground(rng: Generator, size: tuple[int, int], view: Array) -> tuple[Image.Image, Array]:
    """Draws what lies below and, seen from the side, what stands far behind, out of focus."""
    page, colours = _surface(rng, size)
    page = page.filter(ImageFilter.BoxBlur(rng.uniform(0.3, 2)))
    if not _from_side(view):
        return page, colours
    far = _surface(rng, (size[0] // 4, size[1] // 4))[0]
    far = far.filter(ImageFilter.GaussianBlur(rng.uniform(3, 6))).resize(size)
    line = rng.uniform(0.25, 0.55) + rng.normal(0, 0.06) * np.linspace(-1, 1, size[0])
    below = np.linspace(0, 1, size[1])[:, None] - line
    sharp, edge = (
        Image.fromarray((np.clip(share, 0, 1) * 255).astype(np.uint8))
        for share in (below / 0.3, below / 0.04 + 0.5)
    )
    page = Image.composite(page, page.filter(ImageFilter.BoxBlur(4)), sharp)
    return Image.composite(page, far, edge), colours


# Light and paint


def _shadows(rng: Generator, page: Image.Image, scene: list, light: Light) -> Image.Image:
    """Darkens the ground where the parts of the scene stand between it and the sun."""
    mask = Image.new("L", page.size)
    ink = ImageDraw.Draw(mask)
    for parts, camera in scene:
        sun = camera.matrix.T @ light.sun
        sun = sun / sun[2]
        fall = np.eye(3) - np.outer(sun, (0, 0, 1))  # along the sun onto z = 0
        flat = Camera(camera.matrix @ fall, camera.origin + (camera.matrix @ sun * FEET)[:2])
        for part in parts:
            if isinstance(part, Ball):
                ink.polygon(_rim(part, flat), 255)
            elif isinstance(part, Wing):
                ink.polygon(_flat(flat.see(part.points)), 90)
            else:
                width = max(1, round(np.mean(part.widths) * camera.scale))
                ink.line(_flat(flat.see(part.points)), 230, width)
    mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(1, 5)))
    strength = 1 - rng.uniform(0.35, 0.7)
    return Image.composite(page.point(lambda value: value * strength), page, mask)


def _flat(points: Array) -> list[float]:
    return points[:, :2].ravel().tolist()


def _rim(ball: Ball, camera: Camera) -> list[float]:
    """Gives the outline of a ball on the page as a polygon."""
    shape, t = (camera.matrix @ ball.turn * ball.axes)[:2], np.linspace(0, 2 * np.pi, 24)
    corner = np.linalg.cholesky(shape @ shape.T + 1e-6 * np.eye(2))
    circle = np.column_stack((np.cos(t), np.sin(t)))
    return _flat(camera.see(ball.centre)[:, :2] + circle @ corner.T)


def _paint(
    rng: Generator, page: Image.Image, parts: list[Part], camera: Camera, light: Light
) -> None:
    """Paints the parts of one insect, the farthest first."""
    for part in sorted(parts, key=lambda part: camera.see(part[0])[:, 2].mean()):
        if isinstance(part, Limb):
            _paint_limb(rng, page, part, camera, light)
        elif isinstance(part, Wing):
            _paint_wing(page, part, camera, light)
        else:
            _paint_ball(page, part, camera, light)
            if part.fur:
                _paint_fur(rng, page, part, camera, light)


def _shade(colour: Array, normal: Array, gloss: float, light: Light) -> Array:
    """Lights colours (K, 3), 0 to 1, on surfaces with unit normals (K, 3); gives 0 to 255."""
    lit = np.maximum(normal @ light.sun * np.float32(0.75) + np.float32(0.15), 0) + light.sky
    shaded = colour * (lit[:, None] + np.maximum(normal[:, 1:2], 0) * (0.35 * light.bounce))
    half = light.sun + np.float32((0, 0, 1))
    facing = np.maximum(normal @ (half / np.linalg.norm(half)), 0)
    rim = (1 - np.maximum(normal[:, 2], 0)) ** 3
    shine = 0.7 * facing ** np.float32(10 + 50 * gloss) + 0.15 * facing**4 + 0.25 * light.sky * rim
    return np.clip((shaded + np.float32(gloss) * shine[:, None]) * 255, 0, 255).astype(np.uint8)


def _paint_ball(page: Image.Image, ball: Ball, camera: Camera, light: Light) -> None:
    """Paints an ellipsoid: solves for its surface at each pixel, shades and textures it.

    Only its outline is worked out at the page's fineness, its shading is not.
    """
    frame = camera.matrix @ ball.turn * ball.axes  # from the unit sphere to pixels
    inverse = np.linalg.inv(frame).astype(np.float32)
    metric = inverse.T @ inverse
    centre, half = camera.see(ball.centre)[0, :2], np.sqrt((frame[:2] ** 2).sum(axis=1))
    low = np.clip(np.floor((centre - half) / FINE) * FINE, 0, page.size).astype(int)
    high = np.clip(np.ceil((centre + half) / FINE) * FINE, 0, page.size).astype(int)
    if (high <= low).any():
        return
    x, y = (
        np.arange(*ends, dtype=np.float32) for ends in zip(low - centre, high - centre, strict=True)
    )
    x, y = x[None], y[:, None]
    slope = metric[0, 2] * x + metric[1, 2] * y
    rest = metric[0, 0] * (x * x) + 2 * metric[0, 1] * x * y + metric[1, 1] * (y * y) - 1
    inside = slope * slope - metric[2, 2] * rest  # the discriminant of the quadratic for z
    z = ((np.sqrt(np.maximum(inside, 0)) - slope) / metric[2, 2])[::FINE, ::FINE]
    point = np.stack((x[:, ::FINE] + 0 * z, y[::FINE] + 0 * z, z), axis=-1).reshape(-1, 3)
    point = point @ inverse.T
    normal = point @ inverse
    normal /= np.sqrt(np.einsum("ij,ij->i", normal, normal))[:, None]
    grain = np.tile(light.grain, (z.shape[0] // 128 + 1, z.shape[1] // 128 + 1))
    grain = grain[: z.shape[0], : z.shape[1]].ravel()
    shade = np.clip((point[:, 0] + 1) * (SHADES / 2) + grain, 0, SHADES - 1).astype(np.intp)
    colour = ball.coat.astype(np.float32).take(shade, axis=0)
    colour *= (1 + 0.12 * (1 - ball.gloss) ** 2 * grain)[:, None].astype(np.float32)
    pixels = Image.fromarray(_shade(colour, normal, ball.gloss, light).reshape(*z.shape, 3))
    pixels = pixels.resize(inside.shape[::-1], Image.Resampling.NEAREST)
    page.paste(pixels, tuple(low), Image.fromarray(inside > 0))


def _paint_fur(rng: Generator, page: Image.Image, ball: Ball, camera: Camera, light: Light) -> None:
    """Paints hairs that stand on a ball and lean to the rear."""
    area = camera.scale**2 * ball.axes[0] * ball.axes[1]
    spot = rng.normal(size=(int(np.clip(area / 11, 60, 800)), 3))
    spot /= np.linalg.norm(spot, axis=1, keepdims=True)
    normal = spot / ball.axes @ ball.turn.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    facing = normal @ camera.matrix.T / camera.scale
    seen = facing[:, 2] > -0.3
    spot, normal, facing = spot[seen], normal[seen], facing[seen].astype(np.float32)
    foot = ball.centre + spot * ball.axes @ ball.turn.T
    lean = normal - 0.5 * ball.turn[:, 0] + rng.normal(0, 0.3, normal.shape)
    tip = foot + ball.fur * lean * rng.uniform(0.5, 1.1, (len(lean), 1))
    colour = ball.coat[np.clip((spot[:, 0] + 1) * SHADES / 2, 0, SHADES - 1).astype(int)]
    colour = _shade(colour * rng.uniform(0.7, 1.5, (len(foot), 1)) + 0.03, facing, 0, light)
    ends = np.hstack((camera.see(foot)[:, :2], camera.see(tip)[:, :2]))
    ink, width = ImageDraw.Draw(page), max(1, round(camera.scale * 0.004))
    for end, tone in zip(ends.tolist(), colour.tolist(), strict=True):
        ink.line(end, tuple(tone), width)


def _paint_limb(
    rng: Generator, page: Image.Image, limb: Limb, camera: Camera, light: Light
) -> None:
    """Paints a jointed limb, tapered, lit as a row of cylinders, with hairs where it has any."""
    ink, seen = ImageDraw.Draw(page), camera.see(limb.points)
    radii = np.maximum(np.multiply(limb.widths, camera.scale / 2), 0.8)[:, None]
    start, end, axis = seen[:-1, :2], seen[1:, :2], np.diff(seen, axis=0)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True) + 1e-9
    lit = light.sky + 0.7 * np.sqrt(np.maximum(0, 1 - (axis @ light.sun) ** 2))
    tones = np.clip(limb.colour * lit[:, None] * 255, 0, 255)
    glows = np.minimum(tones * 1.35 + 22, 255)
    across = axis[:, :2] @ ((0, 1), (-1, 0))
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    a, b = across * radii[:-1], across * radii[1:]
    side = 0.4 * np.sign(across @ light.sun[:2])[:, None]
    quads = np.hstack((start + a, end + b, end - b, start - a)).tolist()
    balls = np.hstack((end - radii[1:], end + radii[1:])).tolist()
    shines = np.hstack((start + a * side, end + b * side)).tolist()
    colours = np.hstack((tones, glows)).astype(int).tolist()
    for row, (*tone, red, green, blue) in enumerate(colours):
        ink.polygon(quads[row], tuple(tone))
        ink.ellipse(balls[row], tuple(tone))
        ink.line(shines[row], (red, green, blue), max(1, round(radii[row, 0] * 0.5)))
        if limb.fur:
            root = start[row] + (end[row] - start[row]) * rng.uniform(0, 1, (12, 1))
            way = across[row] * rng.choice((-1, 1), (12, 1)) + axis[row, :2] * 0.6
            for hair in np.hstack((root, root + way * limb.fur * camera.scale)).tolist():
                ink.line(hair, (red, green, blue), 1)


def _paint_wing(page: Image.Image, wing: Wing, camera: Camera, light: Light) -> None:
    """Paints a translucent wing, brighter where it mirrors the sun, then its veins."""
    ink, outline = ImageDraw.Draw(page, "RGBA"), camera.see(wing.points)
    normal = np.cross(outline[5] - outline[0], outline[-6] - outline[0])
    half = light.sun + (0, 0, 1)
    mirror = abs(normal @ half) / (np.linalg.norm(normal) * np.linalg.norm(half) + 1e-9)
    *tone, alpha = wing.colour
    bright = [min(255, int(value * (0.7 + 0.5 * mirror**4))) for value in tone]
    ink.polygon(_flat(outline), (*bright, alpha))
    for vein in (wing.points, *wing.veins):
        ink.line(_flat(camera.see(vein)), (60, 42, 28, 170), max(1, round(camera.scale * 0.006)))


def _develop(rng: Generator, page: Image.Image) -> Image.Image:
    """Treats the scene as a small camera would: focus, exposure, colour, uneven light, noise."""
    blur = rng.uniform(0, 0.5) if rng.random() < 0.75 else rng.uniform(0.5, 1.3)
    gains, gamma = np.exp(rng.normal(0, 0.06, 3) + rng.normal(0.04, 0.13)), rng.uniform(0.8, 1.1)
    curve = np.clip((np.arange(256) / 255) ** gamma * gains[:, None] * 255, 0, 255)
    page = page.filter(ImageFilter.BoxBlur(blur)).point(curve.astype(int).ravel().tolist())
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in page.size)
    slope, corner = rng.normal(0, 0.15, 2), rng.uniform(0, 0.2)
    field = (1 + slope[0] * x - corner * x * x) + (slope[1] * y - corner * y * y)[:, None]
    noise = rng.standard_normal(field.shape, np.float32) * np.float32(rng.uniform(0, 6))
    values = np.asarray(page) * field.astype(np.float32)[..., None] + noise[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
