"""Ants and bees: their body parts, colours and proportions, drawn at random.

Source:
    AntWiki, "Morphology", the parts of an ant: https://www.antwiki.org/wiki/Morphology
"""

import math

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from tutorial_utils.synthetic.parts import (
    FEET,
    SHADES,
    Ball,
    Limb,
    Part,
    Wing,
    colour_gradient,
    pick,
    random_tint,
    rotation,
)

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


def ant(rng: Generator) -> list[Part]:
    """Build an ant: big head, slender middle, one or two waist nodes, egg-shaped gaster."""
    *texts, gloss = pick(rng, ANTS)
    tint, slim, plump = random_tint(rng), rng.uniform(0.85, 1.15), rng.uniform(0.9, 1.2)
    head, middle, rear, legs = (colour_gradient(text, tint) for text in texts)
    rear[[10, 22, 35, 47]] *= rng.uniform(0.6, 1.3)  # the seams between the gaster's plates
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
    parts += _bend(rng, gaster, (waist, 0, -0.02), (0.25, 0.15))
    parts += _bend(rng, _ant_head(rng, head, legs[0], gloss), (0.22, 0, 0), (0.25, 0.12))
    parts += _legs(rng, legs[0], ((0.14, 0.04), (0.07, 0.045), (0, 0.04)), (0.024, 0, 1))
    queen = rng.random() < 0.03
    return parts + (_wings(rng, 0.06, 0.8, rng.uniform(8, 25)) if queen else [])


def bee(rng: Generator) -> list[Part]:
    """Build a bee: furry thorax, broad banded abdomen without a waist, two pairs of wings."""
    *texts, gloss, fur = pick(rng, BEES)
    tint, plump, shag = random_tint(rng), rng.uniform(0.88, 1.12), rng.uniform(0.025, 0.045)
    head, thorax, legs, rear = (colour_gradient(text, tint, 3) for text in texts)
    tip = rear[:40].repeat(2, axis=0)[:SHADES]
    abdomen = [
        Ball((-0.21, 0, -0.01), (0.26, 0.16 * plump, 0.15 * plump), rear, gloss, fur),
        Ball((-0.34, 0, -0.02), (0.17, 0.11 * plump, 0.10 * plump), tip, gloss, fur),
    ]
    parts = _bend(rng, abdomen, (-0.02, 0, 0), (0.1, 0.1))
    parts.append(Ball((0.13, 0, 0.02), (0.17, 0.15 * plump, 0.15), thorax, 0.05, shag))
    parts += _bend(rng, _bee_head(rng, head, legs[0]), (0.28, 0, 0.01), (0.15, 0.12))
    stand = _legs(rng, legs[0], ((0.2, 0.07), (0.12, 0.08), (0.03, 0.08)), (0.04, 0.03, 0.75))
    if rng.random() < 0.4:
        load = colour_gradient(pick(rng, ("#e0a020", "#d9812a", "#e8d060")), tint)
        shins = [leg.points[2:4].mean(axis=0) for leg in stand[-2:]]
        parts += [Ball(shin, (0.06, 0.04, 0.05), load, 0, 0.015) for shin in shins]
    sweep = rng.uniform(10, 24) if rng.random() < 0.25 else rng.uniform(32, 85)
    return parts + stand + _wings(rng, 0.16, 0.62, sweep)


def _ant_head(rng: Generator, coat: Array, leg: Array, gloss: float) -> list[Part]:
    """Build an ant's head: jaws, small eyes, elbowed antennae."""
    big, lift = rng.uniform(0.9, 1.25), rng.uniform(-0.02, 0.06)
    x, jaw, black = 0.22 + 0.105 * big, 0.22 + 0.195 * big, colour_gradient("#0c0a0a")
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


def _bee_head(rng: Generator, coat: Array, leg: Array) -> list[Part]:
    """Build a bee's head: broad, with big oval eyes at the sides and short antennae."""
    eye = colour_gradient(pick(rng, ("#120e0d", "#2d1a12", "#3a3a2e")))
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
    """Build six jointed legs on the ground; `build` is their width, fur and reach."""
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
    """Build two pairs of wings, hind pair first; `sweep` is degrees from straight back."""
    red, green, blue = (150, 120, 90) if rng.random() < 0.25 else (215, 215, 205)
    colour = (red, green, blue, int(rng.integers(70, 130)))
    lift, roll = np.radians(rng.uniform((4, -15), (30, 15)))
    wings = []
    for share, x in ((0.7, root - 0.1), (1.0, root)):
        for side in (-1, 1):
            turn = rotation(math.radians(180 - sweep * share + rng.normal(0, 3)), lift, roll)
            lines = [line * length * share @ turn.T + (x, 0.08, 0.11) for line in _wing_lines()]
            outline, *veins = (line * (1, side, 1) for line in lines)
            wings.append(Wing(outline, veins, colour))
    return wings


def _wing_lines() -> list[Array]:
    """Return the outline and the veins of a wing that spans x from 0 to 1, front edge at -y."""
    t = np.linspace(0, 1, 16)
    front = np.column_stack((t, -0.05 * np.sin(np.pi * t), 0 * t))
    back = np.column_stack((t, 0.34 * np.abs(np.sin(np.pi * t**1.4)) ** 0.65, 0 * t))
    veins = ("0,0 .5,-.02 .9,0", "0,0 .45,.08 .7,.1 .88,.12", "0,0 .4,.14 .62,.26",
             "0,0 .3,.15 .4,.27", ".45,.08 .4,.14", ".52,-.02 .55,.09 .53,.2",
             ".72,0 .7,.1 .66,.2")  # fmt: skip
    lines = [[(*map(float, pair.split(",")), 0) for pair in vein.split()] for vein in veins]
    return [np.concatenate((front, back[::-1])), *map(np.array, lines)]


def _bend(rng: Generator, parts: list[Part], joint: tuple, spread: tuple) -> list[Part]:
    """Return balls and limbs rotated about a joint by a random yaw and pitch."""
    turn = rotation(*rng.normal(0, spread))
    return [
        part._replace(centre=turn @ np.subtract(part.centre, joint) + joint, turn=turn)
        if isinstance(part, Ball)
        else part._replace(points=np.subtract(part.points, joint) @ turn.T + joint)
        for part in parts
    ]
