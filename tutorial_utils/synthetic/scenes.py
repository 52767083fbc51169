"""A scene without pixels of its own: camera, light, clutter and where the insects stand."""

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import Image

from tutorial_utils.synthetic.grounds import texture
from tutorial_utils.synthetic.insects import ant, bee
from tutorial_utils.synthetic.parts import (
    FEET,
    Ball,
    Camera,
    Light,
    Limb,
    Part,
    colour_gradient,
    from_side,
    parse_colour,
    pick,
    random_tint,
    rotation,
)

SEEDS = ("#1c1714", "#d9b45a #2a2018 #d9b45a #2a2018 #d9b45a", "#7a4a22", "#c99a3c", "#2b2420")
TWIGS = ("#3a2a1e", "#7d5a38", "#b08d5a", "#1f1a17", "#6f7f3a")


def random_view(rng: Generator) -> Array:
    """Draw a camera's rows (3, 3): from above, tilted or from the side, and not quite level."""
    low, high = ((60, 90), (32, 60), (10, 30))[rng.choice(3, p=(0.6, 0.2, 0.2))]
    s, c = np.sin(np.radians(rng.uniform(low, high)) + np.array((0, np.pi / 2)))
    return rotation(rng.normal(0, 0.12)) @ np.array([[1, 0, 0], [0, -s, -c], [0, -c, s]])


def random_light(rng: Generator, view: Array, canvas: Image.Image) -> Light:
    """Draw the sun's direction and the sky's strength; the ground reflects its own colour."""
    sun = view @ rotation(rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(35, 75)))[:, 0]
    sky, bounce = rng.uniform(0.25, 0.5), canvas.resize((1, 1), Image.Resampling.BOX)
    bounce = np.asarray(bounce, np.float32)[0, 0] / 255
    return Light(sun.astype(np.float32), np.float32(sky), bounce, texture(rng, (128, 128), 2.5))


def scatter_clutter(rng: Generator, size: tuple[int, int], view: Array, colours: Array) -> list:
    """Scatter pebbles, seeds and twigs; some are dark, striped or thin, as the insects are."""
    scene: list[tuple[list[Part], Camera]] = []
    for kind in rng.integers(0, 3, rng.poisson(1.6)):
        long, tint = rng.uniform(0.02, 0.08), random_tint(rng)
        if kind == 2:
            steps = rng.normal((rng.uniform(0.05, 0.35), 0, 0), (0.05, 0.05, 0.005), (4, 3))
            widths = rng.uniform(0.008, 0.035) * np.array((1, 0.9, 0.8, 0.6))
            colour = parse_colour(pick(rng, TWIGS)) * tint
            part = Limb(np.cumsum(steps, axis=0) + (0, 0, FEET + 0.02), widths, colour)
        else:
            pebble = np.clip(colours * tint, 0, 1)
            coat = colour_gradient(pick(rng, SEEDS), tint) if kind else pebble
            axes = (1.2 * long, long * rng.uniform(0.5, 0.9), 0.45 * long)
            part = Ball((0, 0, FEET + 0.25 * long), axes, coat, 0.15 * kind)
        turn = view @ rotation(rng.uniform(0, 2 * np.pi)) * min(size)
        scene.append(([part], Camera(turn, rng.uniform(0.02, 0.98, 2) * size)))
    return scene


def place_insects(rng: Generator, label: str, size: tuple[int, int], view: Array) -> list:
    """Position one to four insects of a class, each with its own camera."""
    number = int(rng.choice(4, p=(0.75, 0.16, 0.07, 0.02))) + 1
    low, high = ((0.65, 1.1), (0.5, 0.7), (0.36, 0.5))[min(number, 3) - 1]
    spread = 0.08 if number == 1 else 0.38
    scene: list[tuple[list[Part], Camera]] = []
    for _ in range(number):
        length = rng.uniform(low, high) * min(size) * (1.1 if label == "ants" else 1)
        for _ in range(30):
            position = rng.uniform(0.5 - spread, 0.5 + spread, 2) * size
            if all(np.hypot(*(position - other.origin)) > 0.75 * length for _, other in scene):
                break
        heading = rng.uniform(0, 2 * np.pi)
        if from_side(view):  # in profile an insect is easier to recognise
            heading = np.pi * rng.integers(2) + rng.normal(0, 0.45)
        parts = ant(rng) if label == "ants" else bee(rng)
        scene.append((parts, Camera(view @ rotation(heading) * length, position)))
    return scene
