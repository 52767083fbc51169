"""The parts that insects and clutter are made of, the camera, the light, colours and rotations.

A part lies in its owner's coordinates: x towards the head, y to its left, z up, one unit to a
body length.
"""

from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import ImageColor

FEET = -0.19  # height of the ground, in body lengths from the middle of the body
SHADES = 64  # colours along a `Ball`


class Ball(NamedTuple):
    """An ellipsoid: a head, a thorax, a segment, an eye, a pebble."""

    centre: Array  # (3,)
    axes: Array  # (3,) half lengths
    coat: Array  # (SHADES, 3) colours from rear to front, 0 to 1
    gloss: float = 0.3  # 0 matt to 1 polished
    fur: float = 0  # length of the hairs
    turn: Array = np.eye(3)  # rotation from the ball's axes to the insect's


class Limb(NamedTuple):
    """A jointed line with a thickness: a leg, an antenna, a jaw, a twig."""

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
    """An orthographic view: the rows of `matrix` point right, down and to the viewer."""

    matrix: Array  # (3, 3) pixels per body length
    origin: Array  # (2,) pixels

    @property
    def scale(self) -> float:
        """Return the pixels per body length."""
        return float(np.linalg.norm(self.matrix[0]))

    def project(self, points: Array) -> Array:
        """Return the pixel coordinates and the depth, (K, 3), of points (K, 3)."""
        seen = np.atleast_2d(points) @ self.matrix.T
        seen[:, :2] += self.origin
        return seen


class Light(NamedTuple):
    """Sun from one side, sky from above, and the ground and grain that it falls on."""

    sun: Array  # (3,) to the sun, in the camera's directions
    sky: float
    bounce: Array  # (3,) colour of the ground, 0 to 1
    grain: Array  # (128, 128) roughness of every surface


def from_side(view: Array) -> bool:
    """Return whether a camera with these rows (3, 3) sees the scene from the side."""
    return view[2, 2] < 0.55


def parse_colour(text: str) -> Array:
    """Return "#rrggbb" as (3,) values from 0 to 1."""
    return np.array(ImageColor.getrgb(text)) / 255


def colour_gradient(text: str, tint: Array | float = 1, soft: int = 4) -> Array:
    """Return equal bands of colours from rear to front, blended at their seams, (SHADES, 3)."""
    colours = np.array([parse_colour(word) for word in text.split()])
    rows = colours[np.arange(SHADES + soft) * len(colours) // (SHADES + soft)]
    total = np.cumsum(rows, axis=0)
    return np.clip((total[soft:] - total[:-soft]) / soft * tint, 0, 1)


def random_tint(rng: Generator) -> Array:
    """Draw a factor for each colour channel: mostly brightness, a little hue."""
    return np.exp(rng.normal(0, 0.24) + rng.normal(0, 0.06, 3))


def pick(rng: Generator, things: tuple):
    """Return one of the things, all equally likely."""
    return things[rng.integers(len(things))]


def rotation(yaw: float, pitch: float = 0, roll: float = 0) -> Array:
    """Return the matrix of a roll about x, then a pitch about y, then a yaw about z."""
    (a, b, c), (s, t, u) = np.cos((yaw, pitch, roll)), np.sin((yaw, pitch, roll))
    about_z = np.array([[a, -s, 0], [s, a, 0], [0, 0, 1]])
    about_y = np.array([[b, 0, -t], [0, 1, 0], [t, 0, b]])
    return about_z @ about_y @ np.array([[1, 0, 0], [0, c, -u], [0, u, c]])
