"""Draws ants and bees, seeded, so that the course has pictures where no photograph can be had.

A picture is a small scene in three dimensions. An insect is a list of parts (`Ball`, `Limb`,
`Wing`) in its own coordinates: x towards the head, y to its left, z up, one unit to a body
length. A camera turns them to the page, light shades them, their shadows fall on a ground of
leaf, petal, soil, bark or sand, and the picture is then treated as a small camera would: focus,
exposure, noise, JPEG.

Only the insects know which class they belong to: ground, light, clutter, view, number and size
are drawn from the same distributions for both, and the species share their colours.

Sources:
    Blinn, "Models of light reflection for computer synthesized pictures" (1977), the highlights:
    https://doi.org/10.1145/563858.563893
    AntWiki, "Morphology", the parts of an ant: https://www.antwiki.org/wiki/Morphology
"""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter

CLASSES = ("ants", "bees")
VERSION = 1  # raise whenever the same seed gives another picture

FEET = -0.19  # height of the ground, in body lengths from the middle of the body
FINE = 2  # the insects are painted this many times larger and reduced, which smooths edges
SHADES = 64  # colours along a coat

# head, middle, rear, legs, gloss. The colours of the two classes overlap on purpose.
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
# head, thorax, rear to front of the abdomen, legs, gloss of the abdomen, fur of the abdomen
BEES = (
    ("#3a2a1c", "#8a6232", "#2a1c14 #7d4c1e #21160f #b9772b #2a1a10 #c98a35", "#2a1d14", 0.4, 0.02),
    ("#241d18", "#4d3c2a", "#1c1613 #3a2c20 #18130f #5a4630 #1c1512 #54402c", "#1e1713", 0.5, 0.02),
    (
        "#1a1715",
        "#c8962c #1c1816 #1c1816",
        "#d8d0c0 #1b1715 #1b1715 #cf9a30 #1b1715",
        "#191513",
        0,
        0.05,
    ),
    ("#1a1614", "#1f1a18", "#b5481f #b5481f #1c1714 #1c1714 #1c1714", "#191513", 0.0, 0.05),
    ("#15141a", "#1d1b20", "#15141b #191822 #14131a", "#131216", 0.8, 0.0),
    ("#2a3a2c", "#34503a", "#203a28 #948a58 #24402c #948a58 #28452f", "#3a3020", 0.6, 0.015),
    ("#4a2c1a", "#9a5a28", "#6a3516 #a4551f #7d4019 #b8682a", "#3a2316", 0.2, 0.04),
    ("#2c2722", "#6e6250", "#26211e #9a8e78 #26211e #9a8e78 #26211e #9a8e78", "#2a241f", 0.4, 0.02),
    ("#33261a", "#a87c3c", "#33220f #d0a040 #3a250f #d8a944 #3d2710 #d8a944", "#4a331d", 0.3, 0.03),
)
# For each kind of ground: its colours (dark, middle, light), and the noises that make its texture
# (share, grain in pixels, stretch along the grain).
GROUNDS = {
    "leaf": (
        ("#2c4a1e #4f7a30 #86a856", "#3d5a34 #6d8c52 #a5b98a", "#5f6a20 #93993a #c3bf70",
         "#6a4320 #a06c30 #cf9f5a"),
        ((0.7, 60, 1), (0.3, 6, 1), (0.2, 1.6, 1)),
    ),
    "petal": (
        ("#b9627c #de93a8 #f5cbd4", "#b9a05a #e3c668 #f6e5a6", "#b7b2a8 #dcd8cf #f7f4ee",
         "#6f5a94 #9d86bd #cdbde0", "#b0581f #dd8a3a #f4bd7c"),
        ((0.7, 80, 1), (0.6, 5, 20), (0.15, 1.6, 1)),
    ),
    "soil": (
        ("#35261b #5f4732 #94755a", "#41362e #6b5d50 #a19282", "#4a2f20 #7d5238 #b07f5c"),
        ((0.5, 40, 1), (0.7, 9, 1), (0.7, 4, 1), (0.5, 1.6, 1)),
    ),
    "bark": (
        ("#3a3029 #71604f #a7957f", "#2f2a28 #645d57 #9c958c", "#4a3120 #8a6240 #bf9468"),
        ((0.4, 50, 1), (1.0, 8, 8), (0.5, 3, 4), (0.3, 1.6, 1)),
    ),
    "sand": (
        ("#97805a #c4ab7e #e6d4ae", "#8d8579 #b8b0a3 #dcd6ca", "#a56f45 #cc9a68 #e9c497"),
        ((0.4, 70, 1), (0.4, 14, 8), (0.6, 2.2, 1), (0.5, 1.5, 1)),
    ),
}  # fmt: skip
SEEDS = (
    "#1c1714",
    "#d9b45a #2a2018 #d9b45a #2a2018 #d9b45a",
    "#7a4a22",
    "#c99a3c",
    "#2b2420 #8d7a60",
)
TWIGS = ("#3a2a1e", "#7d5a38", "#b08d5a", "#1f1a17", "#6f7f3a")


class Ball(NamedTuple):
    """An ellipsoid with a coat: a head, a thorax, a segment, an eye, a pebble."""

    centre: np.ndarray  # (3,)
    axes: np.ndarray  # (3,) half lengths
    turn: np.ndarray  # (3, 3) rotation from the ball's axes to the insect's
    coat: np.ndarray  # (SHADES, 3) colours from rear to front, 0 to 1
    gloss: float  # 0 matt to 1 polished
    fur: float  # length of the hairs


class Limb(NamedTuple):
    """A jointed line that has thickness: a leg, an antenna, a jaw, a twig."""

    points: np.ndarray  # (K, 3)
    widths: np.ndarray  # (K,)
    colour: np.ndarray  # (3,)
    fur: float


class Wing(NamedTuple):
    """A flat translucent outline with veins."""

    outline: np.ndarray  # (K, 3)
    veins: list[np.ndarray]  # each (K, 3)
    colour: tuple[int, int, int, int]


Part = Ball | Limb | Wing


class Camera(NamedTuple):
    """An orthographic view: rows of `matrix` point right, down and to the viewer, in pixels."""

    matrix: np.ndarray  # (3, 3)
    origin: np.ndarray  # (2,)

    def see(self, points: np.ndarray) -> np.ndarray:
        """Gives pixels and depth, (K, 3), of points (K, 3)."""
        return points @ self.matrix.T + np.append(self.origin, 0)


class Light(NamedTuple):
    """Sun from one side, sky from all: `sun` points to the sun in the camera's directions."""

    sun: np.ndarray  # (3,)
    sky: float
    bounce: np.ndarray  # (3,) colour of the ground
    grain: np.ndarray  # (256, 256) roughness of what it falls on


def draw(label: str, *, seed: int, size: tuple[int, int] | None = None) -> Image.Image:
    """Draws one picture.

    Args:
        label: one of `CLASSES`.
        seed: 0 or more; the same label, seed and size give the same picture.
        size: width and height in pixels, at least 32 each; None lets the seed choose, with 300
            to 500 pixels on the long side.

    Returns:
        An RGB picture.

    Raises:
        ValueError: if the label is unknown, the seed negative or the size too small.
    """
    rng = _generator(label, seed)
    chosen = _size(rng)
    width, height = size or chosen
    if min(width, height) < 32:
        raise ValueError(f"size is {size}; give a width and a height of at least 32 pixels.")
    tilt = math.radians(_mixed(rng, (0.6, 60, 90), (0.2, 32, 60), (0.2, 10, 30)))
    view = _view(rng, tilt)
    page, colours = _ground(rng, (width, height), tilt)
    light = _light(rng, view, page)
    scene = _clutter(rng, page.size, view, colours) + _insects(rng, label, page.size, view)
    page = _shadows(rng, page, scene, light)
    page = page.resize((width * FINE, height * FINE), Image.Resampling.NEAREST)
    for parts, camera in scene:
        _paint(page, parts, camera, light, rng)
    return _develop(rng, page.reduce(FINE))


def jpeg_bytes(label: str, *, seed: int) -> bytes:
    """Draws one picture and gives it as the bytes of a JPEG file, always the same for a seed."""
    quality = int(np.random.default_rng((VERSION, 2, seed)).integers(60, 93))
    buffer = io.BytesIO()
    draw(label, seed=seed).save(buffer, "JPEG", quality=quality)
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
        train: pictures of each class; None for 123 ants and 121 bees, as in the photographs.
        val: the same for validation; None for 70 ants and 83 bees.
        seed: another seed draws another set, of which no picture is in this one.
        progress: called after each picture with the number done and the number in all.

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


def _jobs(folder: Path, counts: dict[str, dict[str, int]], seed: int):
    """Yields path, label and seed of every picture of a set, after checking all of them."""
    for split, (name, labels) in enumerate(counts.items()):
        for label, count in labels.items():
            _generator(label, seed)
            if count < 0:
                raise ValueError(f"{name} asks for {count} {label}; give 0 or more.")
            for index in range(count):
                path = folder / name / label / f"{label[:-1]}_{index:04d}.jpg"
                yield path, label, (2 * seed + split) * 100_000 + index


def _generator(label: str, seed: int) -> np.random.Generator:
    """Gives a picture's own random numbers."""
    if label not in CLASSES:
        raise ValueError(f"label is {label!r}; allowed are {', '.join(map(repr, CLASSES))}.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; give a whole number of 0 or more.")
    return np.random.default_rng((VERSION, CLASSES.index(label), seed))


# Chance, colours and turns


def _mixed(rng: np.random.Generator, *ranges: tuple[float, float, float]) -> float:
    """Draws from one of several ranges, each (its share, low, high)."""
    _, low, high = ranges[rng.choice(len(ranges), p=[share for share, _, _ in ranges])]
    return float(rng.uniform(low, high))


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Draws width and height in pixels."""
    long, ratio = rng.integers(300, 501), rng.uniform(0.66, 1)
    sides = (int(long), int(long * ratio))
    return sides if rng.random() < 0.7 else sides[::-1]


def _colour(text: str) -> np.ndarray:
    """Reads "#rrggbb" as (3,) values from 0 to 1."""
    return np.array(ImageColor.getrgb(text)) / 255


def _coat(text: str, tint: np.ndarray, soft: int = 4) -> np.ndarray:
    """Lays colours evenly from rear to front, soft at the seams, (SHADES, 3)."""
    colours = np.array([_colour(word) for word in text.split()])
    rows = colours[np.arange(SHADES + soft) * len(colours) // (SHADES + soft)]
    total = np.cumsum(rows, axis=0)
    return np.clip((total[soft:] - total[:-soft]) / soft * tint, 0, 1)


def _tint(rng: np.random.Generator, spread: float = 0.12) -> np.ndarray:
    """Draws a factor per colour channel: mostly brightness, a little hue."""
    return np.exp(rng.normal(0, 2 * spread) + rng.normal(0, spread / 2, 3))


def _rotation(yaw: float, pitch: float = 0, roll: float = 0) -> np.ndarray:
    """Gives the matrix that turns by yaw about z after pitch about y after roll about x."""
    (a, b, c), (s, t, u) = np.cos((yaw, pitch, roll)), np.sin((yaw, pitch, roll))
    about_z = np.array([[a, -s, 0], [s, a, 0], [0, 0, 1]])
    about_y = np.array([[b, 0, -t], [0, 1, 0], [t, 0, b]])
    return about_z @ about_y @ np.array([[1, 0, 0], [0, c, -u], [0, u, c]])


def _turned(parts: list[Part], about: tuple, matrix: np.ndarray) -> list[Part]:
    """Turns parts about a joint."""
    joint = np.array(about)

    def move(points: np.ndarray) -> np.ndarray:
        return (points - joint) @ matrix.T + joint

    turned = []
    for part in parts:
        if isinstance(part, Ball):
            part = part._replace(centre=move(part.centre), turn=matrix @ part.turn)
        elif isinstance(part, Limb):
            part = part._replace(points=move(part.points))
        else:
            part = Wing(move(part.outline), [move(vein) for vein in part.veins], part.colour)
        turned.append(part)
    return turned


def _ball(centre: tuple, axes: tuple, coat: np.ndarray, gloss: float = 0.3, fur: float = 0) -> Ball:
    return Ball(np.array(centre, float), np.array(axes, float), np.eye(3), coat, gloss, fur)


def _limb(points: list, widths: tuple, colour: np.ndarray, fur: float = 0) -> Limb:
    return Limb(np.array(points, float), np.array(widths, float), colour, fur)


# Anatomy


def _ant(rng: np.random.Generator) -> list[Part]:
    """Builds an ant: big head, slender middle, one or two waist nodes, egg-shaped gaster."""
    *colours, gloss = ANTS[rng.integers(len(ANTS))]
    tint = _tint(rng)
    head, middle, rear, legs = (_coat(text, tint) for text in colours)
    rear[[10, 22, 35, 47]] *= rng.uniform(0.6, 1.3)  # the seams of the gaster's plates
    slim, queen = rng.uniform(0.85, 1.15), rng.random() < 0.05
    parts = [
        _ball((0.13, 0, 0.01), (0.10, 0.07 * slim, 0.075), middle, gloss),
        _ball((-0.01, 0, -0.01), (0.11, 0.052 * slim, 0.062), middle, gloss),
    ]
    nodes = rng.integers(1, 3)
    for node in range(nodes):
        x = -0.125 - 0.045 * node
        parts.append(_ball((x, 0, -0.02), (0.022, 0.026, 0.042 - 0.01 * node), middle, gloss))
    waist = -0.14 - 0.045 * (nodes - 1)
    plump = rng.uniform(0.9, 1.2)
    gaster = [
        _ball((waist - 0.155, 0, 0), (0.15, 0.115 * plump, 0.11 * plump), rear, gloss),
        _ball((waist - 0.20, 0, -0.005), (0.135, 0.09 * plump, 0.088 * plump), rear, gloss),
    ]
    parts += _turned(gaster, (waist, 0, -0.02), _rotation(*rng.normal(0, (0.25, 0.15))))
    parts += _turned(
        _ant_head(rng, head, legs[0], gloss), (0.22, 0, 0), _rotation(*rng.normal(0, (0.25, 0.12)))
    )
    hips = ((0.14, 0.04), (0.07, 0.045), (0.0, 0.04))
    parts += _legs(rng, legs[0], hips, 0.021, fur=0, reach=1)
    return parts + (_wings(rng, 0.06, 0.8, rng.uniform(8, 25)) if queen else [])


def _ant_head(
    rng: np.random.Generator, coat: np.ndarray, leg: np.ndarray, gloss: float
) -> list[Part]:
    """Builds an ant's head: jaws, small eyes, elbowed antennae."""
    big = rng.uniform(0.9, 1.25)
    x, black = 0.22 + 0.105 * big, _coat("#0c0a0a", np.ones(3))
    parts = [_ball((x, 0, 0), (0.115 * big, 0.1 * big, 0.085 * big), coat, gloss)]
    jaw, lift = x + 0.09 * big, rng.uniform(-0.02, 0.06)
    for side in (-1, 1):
        parts.append(_ball((x + 0.01, side * 0.088 * big, 0.03), (0.024, 0.014, 0.022), black, 0.9))
        bite = rng.uniform(0.2, 1.0)
        hook = [(jaw, side * 0.05 * big, -0.02), (jaw + 0.055, side * 0.06, -0.03),
                (jaw + 0.095, side * 0.015 * bite, -0.035)]  # fmt: skip
        parts.append(_limb(hook, (0.034, 0.028, 0.008), coat[40] * 0.85))
        spread, bend = rng.uniform(0.11, 0.2), rng.uniform(-0.06, 0.08)
        wide = side * (spread + bend)
        feeler = [(x + 0.07, side * 0.035, 0.05), (x + 0.13, side * spread, 0.13 + lift),
                  (x + 0.23, wide, 0.07 + lift), (x + 0.33, wide, lift - 0.02)]  # fmt: skip
        parts.append(_limb(feeler, (0.016, 0.013, 0.015, 0.02), leg))
    return parts


def _bee(rng: np.random.Generator) -> list[Part]:
    """Builds a bee: furry thorax, broad banded abdomen without a waist, two pairs of wings."""
    head, thorax, rear, legs, gloss, fur = BEES[rng.integers(len(BEES))]
    tint = _tint(rng)
    head, thorax, rear, legs = (_coat(text, tint, 3) for text in (head, thorax, rear, legs))
    plump, shag = rng.uniform(0.88, 1.12), rng.uniform(0.03, 0.06)
    parts = [_ball((0.13, 0, 0.02), (0.17, 0.15 * plump, 0.15), thorax, 0.05, shag)]
    abdomen = [
        _ball((-0.21, 0, -0.01), (0.26, 0.16 * plump, 0.15 * plump), rear, gloss, fur),
        _ball(
            (-0.34, 0, -0.02),
            (0.17, 0.11 * plump, 0.10 * plump),
            rear[:40].repeat(2, 0)[:SHADES],
            gloss,
            fur,
        ),
    ]
    parts += _turned(abdomen, (-0.02, 0, 0), _rotation(*rng.normal(0, (0.1, 0.1))))
    parts += _turned(
        _bee_head(rng, head, legs[0]), (0.28, 0, 0.01), _rotation(*rng.normal(0, (0.15, 0.12)))
    )
    stand = _legs(
        rng, legs[0], ((0.2, 0.07), (0.12, 0.08), (0.03, 0.08)), 0.04, fur=0.03, reach=0.75
    )
    if rng.random() < 0.4:
        load = _coat(("#e0a020", "#d9812a", "#e8d060")[rng.integers(3)], tint)
        shins = [leg.points[2:4].mean(axis=0) for leg in stand[-2:]]
        parts += [_ball(tuple(shin), (0.06, 0.04, 0.05), load, 0, 0.015) for shin in shins]
    sweep = _mixed(rng, (0.3, 8, 22), (0.7, 30, 85))
    return parts + stand + _wings(rng, 0.16, 0.62, sweep)


def _bee_head(rng: np.random.Generator, coat: np.ndarray, leg: np.ndarray) -> list[Part]:
    """Builds a bee's head: broad, with big oval eyes at the sides and short antennae."""
    eye = _coat(("#120e0d", "#2d1a12", "#3a3a2e")[rng.integers(3)], np.ones(3))
    parts = [_ball((0.35, 0, -0.01), (0.085, 0.125, 0.115), coat, 0.2, 0.025)]
    for side in (-1, 1):
        parts.append(_ball((0.36, side * 0.098, 0.005), (0.062, 0.045, 0.092), eye, 0.9))
        spread = rng.uniform(0.05, 0.12)
        feeler = [
            (0.42, side * 0.03, 0.02),
            (0.475, side * (0.03 + spread / 2), 0.07),
            (0.56, side * (0.03 + spread), 0.0),
        ]
        parts.append(_limb(feeler, (0.016, 0.016, 0.02), leg))
    if rng.random() < 0.3:
        parts.append(
            _limb([(0.41, 0, -0.09), (0.45, 0, -0.17), (0.44, 0, -0.24)], (0.03, 0.018, 0.01), leg)
        )
    return parts


def _legs(
    rng: np.random.Generator,
    colour: np.ndarray,
    hips: tuple,
    width: float,
    *,
    fur: float,
    reach: float,
) -> list[Part]:
    """Builds six jointed legs on the ground, each at its own point of the step; the rear last."""
    legs = []
    for pair, (x, y) in enumerate(hips):
        ahead = (0.26, -0.06, -0.34)[pair] * reach
        for side in (-1, 1):
            step, wide = ahead + rng.normal(0, 0.045), rng.uniform(0.30, 0.42) * reach
            shares = np.array([(0, 0), (0.15, 0.12), (0.6, 0.6), (1.1, 0.95), (1.35, 1.15)])
            forward, aside = (shares * (step, wide)).T
            heights = (-0.04, -0.07, 0.07 * reach, FEET * 0.8, FEET)
            points = np.column_stack((x + forward, side * (y + aside), heights))
            widths = width * np.array((1.3, 1.3, 0.9, 0.6, 0.35))
            legs.append(Limb(points, widths, colour * rng.uniform(0.85, 1.1), fur))
    return legs


def _wings(rng: np.random.Generator, root: float, length: float, sweep: float) -> list[Part]:
    """Builds two pairs of wings, hind pair first; `sweep` is degrees from straight back."""
    tone = ((215, 215, 205), (150, 120, 90))[int(rng.random() < 0.25)] + (
        int(rng.integers(70, 130)),
    )
    lift, roll = np.radians(rng.uniform((4, -15), (30, 15)))
    wings = []
    for share, x, back in ((0.7, root - 0.1, 0.7), (1.0, root, 1.0)):
        for side in (-1, 1):
            aside = math.radians(180 - sweep * back + rng.normal(0, 3))
            turn = _rotation(aside, lift * share, roll)
            outline, *veins = (
                (line * length * share @ turn.T + (x, 0.08, 0.11)) * (1, side, 1)
                for line in _wing_lines()
            )
            wings.append(Wing(outline, veins, tone))
    return wings


def _wing_lines() -> list[np.ndarray]:
    """Gives the outline and the veins of a wing that spans x from 0 to 1, front edge at -y."""
    t = np.linspace(0, 1, 16)
    front = np.column_stack((t, -0.05 * np.sin(np.pi * t), 0 * t))
    back = np.column_stack((t, 0.36 * np.sin(np.pi * t**1.4) ** 0.8, 0 * t))
    veins = ("0,0 .5,-.02 .9,0", "0,0 .45,.08 .7,.1 .88,.12", "0,0 .4,.14 .62,.26",
             "0,0 .3,.15 .4,.27", ".45,.08 .4,.14", ".52,-.02 .55,.09 .53,.2", ".72,0 .7,.1 .66,.2")  # fmt: skip
    lines = [np.array([pair.split(",") for pair in vein.split()], float) for vein in veins]
    return [np.concatenate((front, back[::-1]))] + [
        np.pad(line, ((0, 0), (0, 1))) for line in lines
    ]


# The scene


def _view(rng: np.random.Generator, tilt: float) -> np.ndarray:
    """Gives a camera's directions, raised by `tilt` (radians) and held not quite level."""
    s, c = math.sin(tilt), math.cos(tilt)
    level = np.array([[1, 0, 0], [0, -s, -c], [0, -c, s]])
    return _rotation(rng.normal(0, 0.12)) @ level


def _light(rng: np.random.Generator, view: np.ndarray, page: Image.Image) -> Light:
    """Draws the sun's place and strength; the ground throws its own colour back."""
    around, above = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(35, 75))
    world = np.array(
        [math.cos(around) * math.cos(above), math.sin(around) * math.cos(above), math.sin(above)]
    )
    bounce = np.asarray(page.resize((1, 1), Image.Resampling.BOX), np.float32)[0, 0] / 255
    grain = _texture(rng, (128, 128), 2.5)
    sun = (view @ world).astype(np.float32)
    return Light(sun, np.float32(rng.uniform(0.25, 0.5)), bounce, grain)


def _clutter(
    rng: np.random.Generator, size: tuple[int, int], view: np.ndarray, colours: np.ndarray
) -> list:
    """Scatters pebbles, seeds and twigs, some of them dark, striped or thin as the insects are."""
    scene = []
    for _ in range(rng.poisson(2.2)):
        heading, shape = view @ _rotation(rng.uniform(0, 2 * math.pi)), rng.choice(3)
        long = rng.uniform(0.02, 0.09)
        if shape == 0:
            coat = colours * _tint(rng)
            part = _ball(
                (0, 0, FEET + long * 0.5), (long, long * rng.uniform(0.6, 1), long * 0.6), coat, 0.2
            )
        elif shape == 1:
            coat = _coat(SEEDS[rng.integers(len(SEEDS))], _tint(rng))
            part = _ball((0, 0, FEET + long * 0.3), (long * 1.2, long * 0.5, long * 0.4), coat, 0.2)
        else:
            ends = np.cumsum(
                rng.normal(0, 0.05, (4, 3)) * (1, 1, 0.1) + (rng.uniform(0.05, 0.35), 0, 0), axis=0
            )
            widths = rng.uniform(0.008, 0.035) * np.array((1, 0.9, 0.8, 0.6))
            part = Limb(
                ends + (0, 0, FEET + 0.02),
                widths,
                _colour(TWIGS[rng.integers(len(TWIGS))]) * _tint(rng),
                0,
            )
        scene.append(([part], Camera(heading * min(size), rng.uniform(0.02, 0.98, 2) * size)))
    return scene


def _insects(rng: np.random.Generator, label: str, size: tuple[int, int], view: np.ndarray) -> list:
    """Places one to six insects of a class, each with its camera."""
    number = int(rng.choice((1, 2, 3, 4, 5, 6), p=(0.6, 0.18, 0.1, 0.05, 0.04, 0.03)))
    low, high = ((0.55, 1.0), (0.4, 0.65), (0.3, 0.45))[min(number, 3) - 1]
    places: list[np.ndarray] = []
    scene = []
    for _ in range(number):
        length = rng.uniform(low, high) * min(size) * (1.1 if label == "ants" else 1)
        for _ in range(30):
            place = (
                rng.uniform(0.5 - 0.3 * (number > 1) - 0.12, 0.5 + 0.3 * (number > 1) + 0.12, 2)
                * size
            )
            if all(np.hypot(*(place - other)) > 0.75 * length for other in places):
                break
        places.append(place)
        heading = rng.uniform(0, 2 * math.pi)
        if view[2, 2] < 0.6:  # from the side an insect is known by its profile
            heading = rng.choice((0, math.pi)) + rng.normal(0, 0.45)
        parts = _ant(rng) if label == "ants" else _bee(rng)
        scene.append((parts, Camera(view @ _rotation(heading) * length, place)))
    return scene


def _texture(
    rng: np.random.Generator,
    size: tuple[int, int],
    grain: float,
    stretch: float = 1,
    angle: float = 0,
) -> np.ndarray:
    """Draws smooth noise (height, width) about 0: spots of `grain` pixels, stretched at an angle."""
    width, height = size
    if stretch > 1:
        width = height = math.ceil(math.hypot(*size)) + 1
    shape = (int(height / grain) + 2, int(width / grain / stretch) + 2)
    noise = Image.fromarray(rng.standard_normal(shape, np.float32))
    noise = noise.resize((width, height), Image.Resampling.BICUBIC)
    if stretch > 1:  # the grain ran along x; turn it and cut out the middle
        c, s = math.cos(angle), math.sin(angle)
        x, y = (width - c * size[0] - s * size[1]) / 2, (height + s * size[0] - c * size[1]) / 2
        noise = noise.transform(size, Image.Transform.AFFINE, (c, s, x, -s, c, y))
    return np.asarray(noise)


def _surface(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """Draws a leaf, petal, soil, bark or sand, and gives its colours from dark to light too."""
    kind = list(GROUNDS)[rng.integers(len(GROUNDS))]
    palettes, mix = GROUNDS[kind]
    colours = _coat(palettes[rng.integers(len(palettes))], _tint(rng), 24)
    angle = rng.uniform(0, math.pi)
    tone = sum(share * _texture(rng, size, grain, stretch, angle) for share, grain, stretch in mix)
    tone = np.clip((tone * rng.uniform(0.5, 1.1) / 4 + 0.5) * SHADES, 0, SHADES - 1)
    page = Image.fromarray(tone.astype(np.uint8))
    page.putpalette((colours * 255).astype(np.uint8).tobytes())
    page = page.convert("RGB")
    if kind in ("leaf", "petal"):
        _lines(rng, page, angle, kind == "leaf")
    return page, colours


def _lines(rng: np.random.Generator, page: Image.Image, angle: float, leaf: bool) -> None:
    """Draws a leaf's veins, or the edges of petals that lie one over another."""
    ink = ImageDraw.Draw(page, "RGBA")
    middle, far = rng.uniform(0.2, 0.8, 2) * page.size, 2 * max(page.size)
    along = np.array((math.cos(angle), math.sin(angle)))
    if leaf:
        tone, gap, lean = (
            (235, 240, 190, int(rng.integers(40, 120))),
            rng.uniform(25, 70),
            rng.uniform(0.5, 1.1),
        )
        ink.line([*(middle - along * far), *(middle + along * far)], tone, int(rng.integers(3, 9)))
        for at in np.arange(-far, far, gap):
            for side in (-1, 1):
                end = (math.cos(angle + side * lean), math.sin(angle + side * lean))
                start = middle + along * (at + 4 * side)
                ink.line([*start, *(start + np.array(end) * far)], tone, int(rng.integers(1, 4)))
        return
    for _ in range(rng.integers(2, 6)):
        centre, reach = rng.uniform(-0.3, 1.3, 2) * page.size, rng.uniform(0.4, 0.9) * far / 2
        ink.ellipse(
            [*(centre - reach), *(centre + reach)], (255, 255, 255, 28), (60, 30, 40, 90), 3
        )


def _ground(
    rng: np.random.Generator, size: tuple[int, int], tilt: float
) -> tuple[Image.Image, np.ndarray]:
    """Draws what lies below and, seen from the side, what stands far behind, out of focus."""
    page, colours = _surface(rng, size)
    soft = page.filter(ImageFilter.BoxBlur(rng.uniform(0.3, 2)))
    if tilt > 0.6:
        return soft, colours
    far = _surface(rng, (size[0] // 4, size[1] // 4))[0].filter(
        ImageFilter.GaussianBlur(rng.uniform(3, 6))
    )
    far = far.resize(size, Image.Resampling.BICUBIC)
    line = rng.uniform(0.25, 0.55) + rng.normal(0, 0.06) * np.linspace(-1, 1, size[0])
    depth = np.linspace(0, 1, size[1])[:, None] - line
    near = Image.fromarray((np.clip(depth / 0.3, 0, 1) * 255).astype(np.uint8))
    page = Image.composite(soft, soft.filter(ImageFilter.BoxBlur(4)), near)
    edge = Image.fromarray((np.clip(depth / 0.04 + 0.5, 0, 1) * 255).astype(np.uint8))
    return Image.composite(page, far, edge), colours


# Light and paint


def _shadows(rng: np.random.Generator, page: Image.Image, scene: list, light: Light) -> Image.Image:
    """Darkens the ground where the parts of the scene stand between it and the sun."""
    mask = Image.new("L", page.size)
    ink = ImageDraw.Draw(mask)
    for parts, camera in scene:
        scale = np.linalg.norm(camera.matrix[0])
        sun = camera.matrix.T @ light.sun / scale
        sun = sun / sun[2]
        fall = np.eye(3) - np.outer(sun, (0, 0, 1))  # along the sun onto z = 0
        flat = Camera(camera.matrix @ fall, camera.origin + (camera.matrix @ sun * FEET)[:2])
        for part in parts:
            if isinstance(part, Ball):
                ink.polygon(_rim(part, flat), 255)
            elif isinstance(part, Wing):
                ink.polygon(_pairs(flat.see(part.outline)), 90)
            else:
                ink.line(
                    _pairs(flat.see(part.points)), 230, max(1, round(part.widths.mean() * scale))
                )
    mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(1, 5)))
    strength = rng.uniform(0.35, 0.7)
    dark = page.point([int(value * (1 - strength)) for value in range(256)] * 3)
    return Image.composite(dark, page, mask)


def _pairs(points: np.ndarray) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points[:, :2]]


def _rim(ball: Ball, camera: Camera) -> list[tuple[float, float]]:
    """Gives the outline of a ball on the page as a polygon."""
    shape = (camera.matrix @ ball.turn * ball.axes)[:2]
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    corner = np.linalg.cholesky(shape @ shape.T + 1e-6 * np.eye(2))
    return _pairs(
        camera.see(ball.centre[None])[:, :2] + np.column_stack((np.cos(t), np.sin(t))) @ corner.T
    )


def _paint(
    page: Image.Image, parts: list[Part], camera: Camera, light: Light, rng: np.random.Generator
) -> None:
    """Paints the parts of one insect, the farthest first."""
    camera = Camera(camera.matrix * FINE, camera.origin * FINE)

    def depth(part: Part) -> float:
        points = part.centre[None] if isinstance(part, Ball) else part[0]
        return float(camera.see(points)[:, 2].mean())

    for part in sorted(parts, key=depth):
        if isinstance(part, Ball):
            _paint_ball(page, part, camera, light)
            if part.fur:
                _paint_fur(page, part, camera, light, rng)
        elif isinstance(part, Limb):
            _paint_limb(page, part, camera, light, rng)
        else:
            _paint_wing(page, part, camera, light)


def _shade(colour: np.ndarray, normal: np.ndarray, gloss: float, light: Light) -> np.ndarray:
    """Lights colours (K, 3), 0 to 1, on surfaces with unit normals (K, 3); gives 0 to 255."""
    lit = np.maximum(normal @ light.sun * np.float32(0.75) + np.float32(0.15), 0) + light.sky
    shaded = colour * (lit[:, None] + np.maximum(normal[:, 1:2], 0) * (0.35 * light.bounce))
    half = light.sun + np.float32((0, 0, 1))
    facing = np.maximum(normal @ (half / np.linalg.norm(half)), 0)
    rim = (1 - np.maximum(normal[:, 2], 0)) ** 3
    shine = 0.7 * facing ** np.float32(10 + 50 * gloss) + 0.15 * facing**4 + 0.25 * light.sky * rim
    return np.clip((shaded + np.float32(gloss) * shine[:, None]) * 255, 0, 255).astype(np.uint8)


def _paint_ball(page: Image.Image, ball: Ball, camera: Camera, light: Light) -> None:
    """Paints an ellipsoid: solves for its surface at each pixel, shades and textures it."""
    frame = camera.matrix @ ball.turn * ball.axes  # from the unit sphere to pixels
    inverse = np.linalg.inv(frame).astype(np.float32)
    metric = inverse.T @ inverse
    centre = camera.see(ball.centre[None])[0, :2]
    half = np.sqrt((frame[:2] ** 2).sum(axis=1))
    low = np.clip(np.floor(centre - half), 0, page.size).astype(int)
    high = np.clip(np.ceil(centre + half), 0, page.size).astype(int)
    x = np.arange(low[0], high[0], dtype=np.float32)[None] - np.float32(centre[0])
    y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(centre[1])
    slope = metric[0, 2] * x + metric[1, 2] * y
    rest = metric[0, 0] * x * x + 2 * metric[0, 1] * x * y + metric[1, 1] * y * y - 1
    depth = slope * slope - metric[2, 2] * rest
    row, column = np.nonzero(depth > 0)
    if len(row) == 0:
        return
    z = (np.sqrt(depth[row, column]) - slope[row, column]) / metric[2, 2]
    point = np.column_stack((x[0, column], y[row, 0], z)) @ inverse.T
    normal = point @ inverse
    normal /= np.sqrt(np.einsum("ij,ij->i", normal, normal))[:, None]
    grain = light.grain[row % len(light.grain), column % len(light.grain)]
    shade = np.clip((point[:, 0] + 1) * (SHADES / 2) + grain, 0, SHADES - 1).astype(np.intp)
    colour = ball.coat.astype(np.float32).take(shade, axis=0) * (1 + 0.12 * grain)[:, None]
    pixels = np.zeros((*depth.shape, 3), np.uint8)
    pixels[row, column] = _shade(colour, normal, ball.gloss, light)
    page.paste(Image.fromarray(pixels), tuple(low), Image.fromarray(depth > 0))


def _paint_fur(
    page: Image.Image, ball: Ball, camera: Camera, light: Light, rng: np.random.Generator
) -> None:
    """Paints hairs that stand on a ball and lean to the rear."""
    scale = np.linalg.norm(camera.matrix[0])
    spot = rng.normal(
        size=(int(np.clip(scale * scale * ball.axes[0] * ball.axes[1] / 18, 60, 700)), 3)
    )
    spot /= np.linalg.norm(spot, axis=1, keepdims=True)
    normal = spot / ball.axes @ ball.turn.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    facing = normal @ camera.matrix.T / scale
    seen = facing[:, 2] > -0.3
    spot, normal, facing = spot[seen], normal[seen], facing[seen]
    foot = ball.centre + spot * ball.axes @ ball.turn.T
    lean = normal - 0.5 * ball.turn[:, 0] + rng.normal(0, 0.3, normal.shape)
    tip = foot + ball.fur * lean * rng.uniform(0.5, 1.1, (len(lean), 1))
    rows = np.clip((spot[:, 0] + 1) * SHADES / 2, 0, SHADES - 1).astype(int)
    colour = ball.coat[rows] * rng.uniform(0.7, 1.5, (len(rows), 1)) + 0.03
    colour = _shade(colour, facing.astype(np.float32), 0, light)
    ends = np.hstack((camera.see(foot)[:, :2], camera.see(tip)[:, :2]))
    ink, width = ImageDraw.Draw(page), max(1, round(scale * 0.004))
    for end, tone in zip(ends.tolist(), colour.tolist(), strict=True):
        ink.line(end, tuple(tone), width)


def _paint_limb(
    page: Image.Image, limb: Limb, camera: Camera, light: Light, rng: np.random.Generator
) -> None:
    """Paints a jointed limb, tapered, lit as a row of cylinders, with hairs where it has any."""
    ink, scale = ImageDraw.Draw(page), np.linalg.norm(camera.matrix[0])
    seen, radii = camera.see(limb.points), np.maximum(limb.widths * scale / 2, 0.8)[:, None]
    start, end, axis = seen[:-1, :2], seen[1:, :2], np.diff(seen, axis=0)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True) + 1e-9
    lit = light.sky + 0.7 * np.sqrt(np.maximum(0, 1 - (axis @ light.sun) ** 2))
    tones = np.clip(limb.colour * lit[:, None] * 255, 0, 255)
    glows = np.minimum(tones * 1.35 + 22, 255)
    across = axis[:, :2] @ ((0, 1), (-1, 0))
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    a, b = across * radii[:-1], across * radii[1:]
    quads = np.hstack((start + a, end + b, end - b, start - a))
    balls = np.hstack((end - radii[1:], end + radii[1:]))
    side = 0.4 * np.sign(across @ light.sun[:2])[:, None]
    shines = np.hstack((start + a * side, end + b * side))
    for row, (tone, glow) in enumerate(
        zip(tones.astype(int).tolist(), glows.astype(int).tolist(), strict=True)
    ):
        ink.polygon(quads[row].tolist(), tuple(tone))
        ink.ellipse(balls[row].tolist(), tuple(tone))
        ink.line(shines[row].tolist(), tuple(glow), max(1, round(radii[row, 0] * 0.5)))
        if limb.fur:
            root = start[row] + (end[row] - start[row]) * rng.uniform(0, 1, (12, 1))
            way = across[row] * rng.choice((-1, 1), (12, 1)) + axis[row, :2] * 0.6
            for hair in np.hstack((root, root + way * limb.fur * scale)).tolist():
                ink.line(hair, tuple(glow), 1)


def _paint_wing(page: Image.Image, wing: Wing, camera: Camera, light: Light) -> None:
    """Paints a translucent wing, brighter where it mirrors the sun, then its veins."""
    ink, outline = ImageDraw.Draw(page, "RGBA"), camera.see(wing.outline)
    normal = np.cross(outline[5] - outline[0], outline[-6] - outline[0])
    half = light.sun + (0, 0, 1)
    mirror = abs(normal @ half) / (np.linalg.norm(normal) * np.linalg.norm(half) + 1e-9)
    *tone, alpha = wing.colour
    bright = [min(255, int(value * (0.7 + 0.5 * mirror**4))) for value in tone]
    ink.polygon(_pairs(outline), (*bright, alpha))
    width = max(1, round(np.linalg.norm(camera.matrix[0]) * 0.006))
    for vein in [wing.outline, *wing.veins]:
        ink.line(_pairs(camera.see(vein)), (60, 42, 28, 170), width)


def _develop(rng: np.random.Generator, page: Image.Image) -> Image.Image:
    """Treats the scene as a small camera would: focus, exposure, colour, uneven light, noise."""
    page = page.filter(ImageFilter.BoxBlur(_mixed(rng, (0.7, 0, 0.5), (0.3, 0.5, 1.5))))
    gains, gamma = np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.15)), rng.uniform(0.8, 1.15)
    curve = np.clip((np.arange(256) / 255) ** gamma * gains[:, None] * 255, 0, 255)
    values = np.asarray(page.point(curve.astype(int).ravel().tolist()), np.float32)
    width, height = page.size
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    slope, corner = rng.normal(0, 0.15, 2), rng.uniform(0, 0.2)
    field = 1 + slope[0] * x + slope[1] * y - corner * (x * x + y * y)
    noise = rng.standard_normal((height, width), np.float32) * rng.uniform(0, 6)
    values = values * field.astype(np.float32)[..., None] + noise.astype(np.float32)[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
