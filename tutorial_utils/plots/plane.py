"""A sketch in three dimensions: paths of weights, and the plane that two features span."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D
from torch import Tensor

from tutorial_utils.plots.style import DATA, FRAME_GREY, plain, series_style

ON_PLANE = 1e-3  # a path whose end is nearer to the plane has no line down to it


def plane(vectors: Mapping[str, Tensor], paths: Mapping[str, Tensor], *, title: str) -> Figure:
    """Draw paths that start at one point, and the plane of two vectors. Used in lesson 09.

    The plane is drawn through the start of the paths. A dotted line leads from the end of a path
    that left the plane straight down to it.

    Args:
        vectors: {name: (3,)}, two that are not parallel. They are drawn as arrows from the start.
        paths: {name: (steps, 3)}, all with the same first row.
        title: of the figure.

    Raises:
        ValueError: if there are not two vectors of three numbers, they are parallel, or the paths
            do not start at one point.
    """
    arrows = {name: np.asarray(vector, dtype=float) for name, vector in vectors.items()}
    lines = {name: np.asarray(path, dtype=float) for name, path in paths.items()}
    _check(list(arrows.values()), list(lines.values()))
    lines = {name: path - path[0] for name, path in lines.items()}
    turn = _turn(*arrows.values(), np.concatenate(list(lines.values())))
    arrows = {name: turn @ vector for name, vector in arrows.items()}
    lines = {name: path @ turn.T for name, path in lines.items()}
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot(projection="3d", computed_zorder=False)  # the plane lies behind
    _draw_plane(axes, np.concatenate([*lines.values(), list(arrows.values())]))
    for name, (x, y, z) in arrows.items():
        axes.quiver(0, 0, 0, x, y, z, color="black", lw=1.5, arrow_length_ratio=0.12)
        axes.text(x, y, z, f" {plain(name)}", fontsize=11)
    axes.text(0, 0, 0, "start  ", fontsize=11, ha="right", va="top")
    for i, (name, path) in enumerate(lines.items()):
        style = series_style(i)
        look = {"color": style.colour, "ls": style.line, "marker": style.marker, "ms": 4}
        axes.plot(*path.T, label=plain(name), markevery=max(1, len(path) // 12), **look)
        x, y, z = path[-1]
        if abs(z) > ON_PLANE:
            axes.plot([x, x], [y, y], [z, 0], color=style.colour, ls=":", lw=1.5)
    axes.set(xticks=[], yticks=[], xlabel="in the plane", ylabel="in the plane")
    axes.set_zlabel("distance from the plane")
    axes.view_init(elev=20, azim=-60)
    axes.set_box_aspect((4, 4, 3), zoom=1.1)
    figure.legend(loc="outside lower center", ncols=len(lines), fontsize=10)
    figure.suptitle(plain(title))
    return figure


def _check(vectors: list[np.ndarray], paths: list[np.ndarray]) -> None:
    shapes = [vector.shape for vector in vectors]
    if shapes != [(3,), (3,)]:
        raise ValueError(f"plane needs two vectors of three numbers, not of the shapes {shapes}")
    area, sides = np.linalg.norm(np.cross(*vectors)), np.linalg.norm(vectors, axis=1)
    if area <= 1e-6 * sides.prod():
        raise ValueError("the two vectors are parallel, or one is zero: they span no plane")
    if not paths or any(path.ndim != 2 or path.shape[1] != 3 for path in paths):
        raise ValueError("plane needs at least one path, each of the shape (steps, 3)")
    starts = np.stack([path[0] for path in paths])
    if not np.allclose(starts, starts[0]):
        raise ValueError(f"the paths must start at one point, not at {starts.tolist()}")


def _turn(first: np.ndarray, second: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) that lays the plane flat, with the farthest point above it."""
    across = second - (second @ first) / (first @ first) * first
    normal = np.cross(first, across)
    heights = points @ normal
    if heights[np.abs(heights).argmax()] < 0:
        across, normal = -across, -normal
    return np.stack([axis / np.linalg.norm(axis) for axis in (first, across, normal)])


def _draw_plane(axes: Axes3D, points: np.ndarray) -> None:
    """Draw the plane at height 0, a little larger than the points (N, 3) above it."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    (left, near), (right, far) = low - 0.15 * (high - low), high + 0.15 * (high - low)
    x, y = np.meshgrid([left, right], [near, far])
    axes.plot_surface(x, y, np.zeros_like(x), color=DATA, edgecolor=FRAME_GREY, alpha=0.6)
