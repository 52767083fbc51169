"""A diagram of a network's parts: what is frozen, trained, new or removed; the way backward."""

import textwrap
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tutorial_utils.plots.style import DATA, FROZEN_HATCH, GREY, HATCH_GREY, TRAINED, plain

State = Literal["data", "frozen", "trained", "new", "removed"]
LOOKS = {  # of each state: the word in the box, and how the box is drawn
    "data": ("", {"fc": DATA, "ec": GREY}),
    "frozen": ("frozen", {"fc": "white", "ec": "black"}),
    "trained": ("trained", {"fc": TRAINED, "ec": "black"}),
    "new": ("new, trained", {"fc": TRAINED, "ec": "black", "lw": 3}),
    "removed": ("removed", {"fc": "white", "ec": GREY, "ls": "--"}),
}
WIDTH, HEIGHT, GAP = 1.8, 1.15, 0.42  # of a box and between boxes, in inches


class Part(NamedTuple):
    """A box of `parts`."""

    name: str
    detail: str  # under the name, e.g. a shape or a number of parameters; may have several lines
    state: State


def parts(parts: Sequence[Part], *, title: str, backward_to: str | None = None) -> Figure:
    """Draw the parts of a network as boxes from left to right. Used in lessons 00, 04, 05 and 10.

    Args:
        parts: in the order in which an image passes them. A removed one is drawn above the part
            that follows it, its replacement.
        title: of the figure.
        backward_to: name of the part at which the backward pass stops, drawn as dashed arrows
            from the right end; None draws no backward pass.

    Raises:
        ValueError: if a state is unknown, the last part is removed, or no part that stays has the
            name `backward_to`.
    """
    _check(parts, backward_to)
    kept = [part for part in parts if part.state != "removed"]
    removed = len(kept) < len(parts)
    width = len(kept) * (WIDTH + GAP) - GAP
    top, bottom = HEIGHT * (2.25 if removed else 1.05), -0.75 if backward_to else -0.1
    figure = Figure(figsize=(width + 0.4, top - bottom + 0.5), layout="constrained")
    axes = figure.add_subplot(xlim=(-0.1, width + 0.1), ylim=(bottom, top), aspect="equal")
    axes.set_axis_off()
    axes.set_title(plain(title))
    column = 0
    for part in parts:
        _draw_box(axes, part, column * (WIDTH + GAP), 1.2 * HEIGHT * (part.state == "removed"))
        column += part.state != "removed"
    for i in range(1, len(kept)):
        right = i * (WIDTH + GAP)
        _arrow(axes, (right - GAP + 0.04, HEIGHT / 2), (right - 0.04, HEIGHT / 2), "-")
    if backward_to:
        _draw_backward(axes, [part.name for part in kept].index(backward_to), len(kept))
    return figure


def _check(parts: Sequence[Part], backward_to: str | None) -> None:
    states, names = get_args(State), [part.name for part in parts if part.state != "removed"]
    if unknown := {part.state for part in parts} - set(states):
        raise ValueError(f"the state of a part is one of {', '.join(states)}, not {unknown.pop()}")
    if not parts or parts[-1].state == "removed":
        raise ValueError("parts must end with a part that stays: it follows the removed one")
    if backward_to is not None and backward_to not in names:
        raise ValueError(f"backward_to must be one of {', '.join(names)}, not {backward_to!r}")


def _draw_box(axes: Axes, part: Part, left: float, low: float) -> None:
    word, look = LOOKS[part.state]
    axes.add_patch(Rectangle((left, low), WIDTH, HEIGHT, **look))
    if part.state == "frozen":  # lines in grey, so that words stay legible
        lines = Rectangle((left, low), WIDTH, HEIGHT, fc="none", ec=HATCH_GREY, lw=0)
        lines.set_hatch(FROZEN_HATCH)
        axes.add_patch(lines)
    if part.state == "removed":
        for start, end in ((low, low + HEIGHT), (low + HEIGHT, low)):
            axes.plot([left, left + WIDTH], [start, end], color=HATCH_GREY, lw=2, zorder=2)
    middle = left + WIDTH / 2
    lines = [row for line in part.detail.split("\n") for row in textwrap.wrap(line, 21)]
    lines += [word] if word else []
    write = {"ha": "center", "va": "center", "zorder": 3, "linespacing": 1.4}
    if part.state == "frozen":
        write["bbox"] = {"fc": "white", "ec": "none", "pad": 1.5}
    bold = {"fontweight": "bold"} | write
    name_at = low + HEIGHT * (0.78 if lines else 0.5)
    axes.text(middle, name_at, plain(part.name), fontsize=12 if len(part.name) < 16 else 10, **bold)
    axes.text(middle, low + HEIGHT * 0.36, plain("\n".join(lines)), fontsize=10, **write)


def _draw_backward(axes: Axes, last: int, count: int) -> None:
    """Draw the backward pass from the right end to the part with the number `last`, and a bar."""
    level, start = -0.3, count * (WIDTH + GAP) - GAP
    for i in range(count - 1, last - 1, -1):
        left = i * (WIDTH + GAP)
        _arrow(axes, (start, level), (left + 0.04, level), "--")
        start = left
    axes.plot([start, start], [level - 0.18, level + 0.18], color="black", lw=4)
    words = "backward pass: gradients, from the loss" + (" to here" if last else "")
    axes.text(start + 0.1, level - 0.12, words, fontsize=10, va="top")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], line: str) -> None:
    look = {"arrowstyle": "-|>", "lw": 1.5, "ls": line, "shrinkA": 0, "shrinkB": 0, "fc": "black"}
    axes.annotate("", end, start, arrowprops=look)
