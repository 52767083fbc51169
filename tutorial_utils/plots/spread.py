"""What several runs leave open: their values as circles, their mean, and two intervals of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutorial_utils.plots.style import (
    BASELINE,
    HIGHLIGHT,
    MEASURED,
    MISTAKE,
    plain,
    single_axes,
)

ROW_INCHES = (0.62, 0.42)  # of up to six rows, and of more
STEP = 0.13  # between stacked circles, in rows
ROOM = 0.55  # for the highest stack, in rows


class Spread(NamedTuple):
    """One row of `spreads`; an interval is (low, high).

    Attributes:
        values: one for each run.
        by_images: the interval of their mean that the images leave open, a wide bar.
        by_seeds: the one that the runs' seeds leave open, a thin bar; None for no such bar.
    """

    values: Sequence[float]
    by_images: tuple[float, float]
    by_seeds: tuple[float, float] | None = None


def spreads(
    rows: Mapping[str, Spread],
    *,
    title: str,
    xlabel: str,
    line: float | None = None,
    line_name: str = "",
    misses: bool = False,
) -> Figure:
    """Draw runs as circles, equal ones stacked, with their mean and its intervals.

    Used in lesson 13.

    Args:
        rows: {name: Spread}, the first on top.
        title: of the figure.
        xlabel: of the horizontal axis, with its unit.
        line: a value to draw as an upright grey line, and
        line_name: its name.
        misses: whether to mark the wide bars that do not contain the line, in red.
    """
    figure, axes = single_axes(8.5, 1.7 + ROW_INCHES[len(rows) > 6] * len(rows))
    if line is not None:
        axes.axvline(line, color=BASELINE, ls="-.", label=plain(line_name))
    for index, row in enumerate(rows.values()):
        missed = misses and line is not None and not row.by_images[0] <= line <= row.by_images[1]
        _draw_row(axes, index, row, missed)
    axes.set_yticks(range(len(rows)), [plain(name) for name in rows])
    axes.set_ylim(len(rows) - 0.55, -0.95)  # the first row on top, with room for its circles
    axes.set(title=plain(title), xlabel=plain(xlabel))
    axes.grid(axis="x", alpha=0.3)
    handles, names = axes.get_legend_handles_labels()
    first = dict(zip(reversed(names), reversed(handles), strict=True))  # of several, the first
    order = list(dict.fromkeys(names))
    look = {"loc": "outside lower center", "ncols": 3, "fontsize": 10}
    figure.legend([first[name] for name in order], order, **look)
    return figure


def _draw_row(axes: Axes, index: int, row: Spread, missed: bool) -> None:
    """Draw one row: intervals and mean at its height, the circles above them."""
    colour, words = (MISTAKE, ", misses the line") if missed else (MEASURED, "")
    wide = {"color": colour, "lw": 10, "alpha": 0.3, "solid_capstyle": "butt"}
    axes.plot(row.by_images, [index] * 2, label=f"95% interval, images{words}", **wide)
    if row.by_seeds is not None:
        axes.plot(row.by_seeds, [index] * 2, color=colour, lw=2.5, label="95% interval, seeds")
    mean = sum(row.values) / len(row.values)
    axes.plot(mean, index, "X" if missed else "D", color=colour, label=f"mean of the runs{words}")
    heights = stacked(row.values)
    step = min(STEP, ROOM / max(1, max(heights)))
    y = [index - 0.24 - step * height for height in heights]
    look = {"mec": HIGHLIGHT, "mfc": "none", "mew": 1.4, "ms": 6 if step == STEP else 4.5}
    axes.plot(row.values, y, "o", label="a run", **look)


def stacked(values: Sequence[float]) -> list[int]:
    """Return how many equal values come before each one: its height in a stack."""
    seen: dict[float, int] = {}
    heights = []
    for value in values:
        key = round(value, 9)
        heights.append(seen.get(key, 0))
        seen[key] = heights[-1] + 1
    return heights
