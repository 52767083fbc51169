"""The figure of the benchmark: seconds on a logarithmic axis, and peak memory."""

from matplotlib.figure import Figure
from summary import EPOCHS, TITLES

from tutorial_utils.plots import BLUE, GREY, HATCHES, ORANGE, RED

BINDER_GIB = 2.0
NAMES = ("the post's loop", "course, first time", "course, cache filled")
STYLES = [
    {"color": color, "hatch": hatch, "edgecolor": "white"}
    for color, hatch in zip((GREY, BLUE, ORANGE), HATCHES, strict=False)
]
SECONDS = ("seconds_post", "seconds", "seconds_cached")
MEMORY = ("peak_gib_post", "peak_gib", "peak_gib_cached")


def draw(results: dict, machine: dict) -> Figure:
    """Draw both panels for the networks that were measured.

    Args:
        results: by network, as `bench.py` writes them.
        machine: as `bench.describe` returns it.
    """
    archs = [arch for arch in TITLES if arch in results]
    page = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = page.subplots(1, 2)
    _bars(left, results, archs, SECONDS)
    left.set_yscale("log")
    lowest, highest = left.get_ylim()
    left.set_ylim(lowest / 3, highest * 3)
    left.set_ylabel("seconds (logarithmic)")
    left.set_title(f"{EPOCHS} epochs; above the bars: times the post's speed")
    for index, arch in enumerate(archs):
        for bar, key in ((1, "ratio_first"), (2, "ratio_cached")):
            height = results[arch][f"{SECONDS[bar]}_spread"][1]
            _label(left, index, bar, height, f"{results[arch][key]:.1f}x")
    _bars(right, results, archs, MEMORY)
    right.set_ylim(top=max(right.get_ylim()[1] * 1.1, BINDER_GIB * 1.15))
    style = {"color": RED, "linestyle": "--", "linewidth": 1.5}
    right.axhline(BINDER_GIB, label=f"Binder's {BINDER_GIB:g} GiB", zorder=0, **style)
    right.set_ylabel("peak memory of the process (GiB)")
    right.set_title("Memory")
    for index, arch in enumerate(archs):
        for bar, key in enumerate(MEMORY):
            value = results[arch][key]
            _label(right, index, bar, results[arch][f"{key}_spread"][1], f"{value:.2f}")
    handles, labels = right.get_legend_handles_labels()
    page.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    page.suptitle(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['date']}: medians, "
        f"lowest to highest; the post's {EPOCHS} epochs extrapolated",
        fontsize=10,
    )
    return page


def _bars(axes, results: dict, archs: list[str], keys: tuple[str, ...]) -> None:
    """Draw a group of three bars for each network, with their spreads."""
    for bar, (key, name, style) in enumerate(zip(keys, NAMES, STYLES, strict=True)):
        heights = [results[arch][key] for arch in archs]
        ends = [results[arch][f"{key}_spread"] for arch in archs]
        below = [height - low for height, (low, _) in zip(heights, ends, strict=True)]
        above = [high - height for height, (_, high) in zip(heights, ends, strict=True)]
        positions = [_x(index, bar) for index in range(len(archs))]
        axes.bar(positions, heights, 0.25, yerr=(below, above), capsize=3, label=name, **style)
    axes.set_xticks(range(len(archs)), [TITLES[arch] for arch in archs])


def _x(index: int, bar: int) -> float:
    return index + 0.27 * (bar - 1)


def _label(axes, index: int, bar: int, height: float, text: str) -> None:
    """Write above a bar and its spread."""
    above = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    above["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.annotate(text, (_x(index, bar), height), **above)
