"""Figures of training runs and predictions. Every function returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutorial_utils._support.intervals import interval
from tutorial_utils.plots.style import (
    BASELINE,
    HIGHLIGHT,
    MEASURED,
    MISTAKE,
    panel_axes,
    plain,
    series_style,
    single_axes,
    use_log_axis,
)

if TYPE_CHECKING:
    from tutorial_utils.evaluation import Calibration


def curves(
    histories: Mapping[str, pandas.DataFrame],
    *,
    title: str,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    marks: bool = False,
    log: bool = False,
) -> Figure:
    """Draw loss and accuracy over the epochs, of one run or several. Used in lesson 07.

    Args:
        histories: {name: frame}, columns as `History.frame()` has them.
        title: of the figure.
        baselines: {"loss": {name: value}, "accuracy": {name: value}}, drawn as grey lines.
        marks: whether to mark the first run's best epoch (highest validation accuracy, of equal
            ones the lowest loss) and the gap between its last two losses.
        log: use a logarithmic axis for the loss.
    """
    figure, panels = panel_axes(2, 10, 3.8)
    for i, (name, frame) in enumerate(histories.items()):
        for axes, metric in zip(panels, ("loss", "accuracy"), strict=True):
            _draw_run(axes, frame, metric, i, name=f"{plain(name)}, ")
    panels[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy per image")
    panels[1].set(title="Accuracy", xlabel="epoch", ylabel="fraction correct")
    if log:
        use_log_axis(panels[0])
    for axes, metric in zip(panels, ("loss", "accuracy"), strict=True):
        _draw_baselines(axes, (baselines or {}).get(metric, {}))
    if marks:
        _mark_best_and_gap(panels, next(iter(histories.values())))
    lines = panels[1].get_legend_handles_labels()
    look = {"ncols": 2 if len(histories) == 2 else 4, "fontsize": 9}
    figure.legend(*lines, loc="outside lower center", **look)  # inside it would cover lines
    figure.suptitle(plain(title))
    return figure


def fits(
    histories: Mapping[str, pandas.DataFrame],
    *,
    title: str,
    baselines: Mapping[str, float] | None = None,
    marks: bool = False,
    log: bool = False,
) -> Figure:
    """Draw the losses of several runs, a panel each, on shared axes. Used in lesson 07.

    Args:
        histories: {name: frame}, columns as `History.frame()` has them.
        title: of the figure.
        baselines: {name: loss}, drawn as grey lines.
        marks: whether to mark the gap between each run's last two losses.
        log: use logarithmic upright axes.
    """
    size = (min(11, 3.6 * len(histories)), 3.8)
    figure, panels = panel_axes(len(histories), *size, sharex=True, sharey=True)
    for axes, (name, frame) in zip(panels, histories.items(), strict=True):
        _draw_run(axes, frame, "loss", 0)
        for baseline, loss in (baselines or {}).items():
            axes.axhline(loss, color=BASELINE, ls="-.", lw=1, label=plain(baseline))
        axes.set(title=plain(name), xlabel="epoch")
        if marks:
            _mark_gap(axes, frame)
    panels[0].set_ylabel("cross-entropy per image")
    if log:
        use_log_axis(panels[0])
    else:
        panels[0].set_ylim(bottom=0)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=10)
    figure.suptitle(plain(title))
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str], *, title: str) -> Figure:
    """Draw a confusion matrix: a row for each true class. Used in lessons 07 and 12.

    Args:
        matrix: (K, K) counts.
        classes: K names; of more than 30 classes, the cells have shades and no numbers.
        title: of the figure.
    """
    side = min(max(3.2, 1.2 + 0.5 * len(classes)), 14)  # inches: 200 classes must fit into memory
    figure, axes = single_axes(side + 0.6, side)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    for (row, column), number in np.ndenumerate(matrix if len(classes) <= 30 else matrix[:0]):
        ink = "white" if number > matrix.max() / 2 else "black"
        size = 14 if len(classes) < 5 else 9
        axes.text(column, row, int(number), ha="center", va="center", color=ink, fontsize=size)
    crowded = sum(len(name) for name in classes) > 24
    turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    names, step = [plain(name) for name in classes], -(-len(classes) // 60)  # some of very many
    axes.set_xticks(range(0, len(names), step), names[::step], **turn)
    axes.set_yticks(range(0, len(names), step), names[::step])
    axes.set(title=plain(title), xlabel="predicted class", ylabel="true class")
    return figure


def comparison(
    rows: Sequence[Mapping], *, title: str, label: str = "validation accuracy (fraction correct)"
) -> Figure:
    """Draw accuracies with their intervals, one row each. Used in lessons 00, 08 and 12.

    Args:
        rows: dicts with `name`, `accuracy`, and `low` and `high` where there is an interval.
            `published=True` marks figures that were not measured here, `baseline=True` baselines.
        title: of the figure.
        label: of the horizontal axis.
    """
    figure, axes = single_axes(8, 0.8 + 0.42 * len(rows))
    for y, row in enumerate(rows):
        colour, marker, fill = MEASURED, "o", "full"
        if row.get("published") or row.get("baseline"):
            colour, marker, fill = BASELINE, "D" if row.get("published") else "s", "none"
        accuracy = row["accuracy"]
        axes.plot(accuracy, y, marker, color=colour, fillstyle=fill)
        if row.get("low") is not None:
            axes.plot([row["low"], row["high"]], [y, y], color=colour, alpha=0.6, lw=3)
        above = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
        axes.annotate(f"{accuracy:.3f}", (accuracy, y), (0, 6), **above)
    axes.set_yticks(range(len(rows)), [plain(row["name"]) for row in rows])
    axes.set(title=plain(title), xlabel=f"{plain(label)}, bar: 95% interval")
    axes.set_ylim(len(rows) - 0.4, -0.8)
    axes.grid(axis="x", alpha=0.3)
    return figure


def validation_curves(
    runs: Mapping[str, Sequence[pandas.DataFrame]],
    *,
    title: str,
    baselines: Mapping[str, tuple[str, float]],
) -> Figure:
    """Draw validation loss and accuracy of several ways, thin for each seed. Used in lesson 10.

    The mean over a way's seeds is a thick line, with the way's name and last value at its end.

    Args:
        runs: {way: a frame for each seed}, columns as `History.frame()` has them, all of a way
            with the same epochs.
        title: of the figure.
        baselines: {"loss" or "accuracy": (name, value)}, drawn as grey lines.

    Raises:
        ValueError: if there is no run.
    """
    if not any(runs.values()):
        raise ValueError("validation_curves needs at least one run to draw, got none")
    figure, panels = panel_axes(2, 11, 4)
    for axes, metric in zip(panels, ("loss", "accuracy"), strict=True):
        ends = {}
        for i, (name, frames) in enumerate(runs.items()):
            colour, line, marker, _ = series_style(i)
            epochs, seeds = frames[0]["epoch"], [frame[f"val_{metric}"] for frame in frames]
            for values in seeds:
                axes.plot(epochs, values, color=colour, ls=line, lw=0.7, alpha=0.6)
            mean = np.mean(seeds, axis=0)
            axes.plot(epochs, mean, color=colour, ls=line, lw=2.2, marker=marker, ms=5)
            ends[f"{name} {mean[-1]:.3f}"] = (float(mean[-1]), colour)
        if metric in baselines:
            name, value = baselines[metric]
            axes.axhline(value, color=BASELINE, ls="-.")
            ends[f"{name} {value:.3f}"] = (value, BASELINE)
        _label_ends(axes, ends)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    panels[0].set(title="Validation loss", xlabel="epoch", ylabel="cross-entropy per image")
    panels[1].set(title="Validation accuracy", xlabel="epoch", ylabel="fraction correct")
    figure.suptitle(plain(title))
    return figure


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write {label: (height, colour)} to the right of the axes, none on top of another."""
    low, high = axes.get_ylim()
    gap, at = 0.065 * (high - low), -np.inf
    heights = []
    for value, _ in sorted(ends.values()):
        at = max(value, at + gap)
        heights.append(at)
    down = max(0.0, heights[-1] - high)  # all labels stay beside the axes
    for (label, (_, colour)), height in zip(
        sorted(ends.items(), key=lambda end: end[1]), heights, strict=True
    ):
        y = (height - down - low) / (high - low)
        look = {"color": colour, "va": "center", "fontsize": 10, "fontweight": "bold"}
        axes.text(1.02, y, plain(label), transform=axes.transAxes, **look)


def data_efficiency(
    rows: Sequence[Mapping], *, title: str, baseline: tuple[str, float] | None = None
) -> Figure:
    """Draw accuracy against the number of training images, a line for each name. Used in lesson 10.

    The lines are moved a little to the left and right, so that their bars stand side by side.

    Args:
        rows: dicts with `name` (of the line), `images` (trained on), `accuracy`, and `low` and
            `high`, the ends of its 95% interval, drawn as a thin bar; `least` and `most` over
            several seeds, if there are any, drawn as a thick bar; `share`, the fraction of all
            images, written beneath their number.
        title: of the figure.
        baseline: name and accuracy of a baseline, drawn as a grey line.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("data_efficiency needs at least one row to draw, got none")
    figure, axes = single_axes(8.5, 4.4)
    names = list(dict.fromkeys(row["name"] for row in rows))
    for i, name in enumerate(names):
        points = sorted((row for row in rows if row["name"] == name), key=lambda r: r["images"])
        moved = 1.09 ** (i - (len(names) - 1) / 2)  # a factor: the axis is logarithmic
        images = np.array([row["images"] * moved for row in points])
        accuracy, low, high = ([row[key] for row in points] for key in ("accuracy", "low", "high"))
        colour, line, marker, _ = series_style(i)
        axes.plot(images, accuracy, color=colour, ls=line, marker=marker, label=plain(name))
        axes.vlines(images, low, high, color=colour, lw=1.2)
        seeds = [(x, row) for x, row in zip(images, points, strict=True) if "least" in row]
        if seeds:
            ends = [(x, row["least"], row["most"]) for x, row in seeds]
            axes.vlines(*zip(*ends, strict=True), color=colour, lw=5, alpha=0.5)
    if baseline is not None:
        axes.axhline(baseline[1], color=BASELINE, ls="-.", label=plain(baseline[0]))
    ticks = {row["images"]: f"\n{row['share']:.0%}" if "share" in row else "" for row in rows}
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(list(ticks), [f"{count}{share}" for count, share in ticks.items()])
    axes.set(title=plain(title), xlabel="training images, log scale; bars are side by side")
    axes.set_ylabel("validation accuracy (fraction correct)")
    axes.grid(axis="y", alpha=0.3)
    legend = {"title": "thin bar: 95% interval\nthick bar: range of the seeds", "fontsize": 9}
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), **legend)
    return figure


def reliability(calibration: "Calibration", *, title: str, lowest: float = 0.0) -> Figure:
    """Draw accuracy against confidence, and the images in each bin. Used in lesson 07.

    The upright bars are the 95% intervals (Wilson) of the bins' accuracies.

    Args:
        calibration: what `evaluation.calibration` returned.
        title: of the figure; the expected calibration error is written beneath it.
        lowest: the lowest possible confidence, 1 / K for K classes, where the axis starts.
    """
    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = (calibration.edges[:-1] + calibration.edges[1:]) / 2
    width = np.diff(calibration.edges) * 0.92
    heights = np.nan_to_num(calibration.accuracy)
    upper.bar(middles, heights, width, color=MEASURED, alpha=0.35, label="accuracy")
    upper.plot([0, 1], [0, 1], ls="--", color=BASELINE, label="perfectly calibrated")
    filled = calibration.counts > 0
    counts, accuracy = calibration.counts[filled], calibration.accuracy[filled]
    ends = [interval(round(a * n), int(n)) for a, n in zip(accuracy, counts, strict=True)]
    upper.vlines(calibration.confidence[filled], *zip(*ends, strict=True), color=MEASURED, lw=2)
    upper.plot(
        calibration.confidence[filled], accuracy, "o", color=MEASURED, label="at mean confidence"
    )
    lower.bar(middles, calibration.counts, width, color=MEASURED, hatch="..", edgecolor="white")
    upper.set(
        title=f"{plain(title)}\nexpected calibration error {calibration.error:.3f}",
        ylabel="accuracy (fraction correct), line: 95% interval",
        ylim=(0, 1.02),
    )
    lower.set(xlabel="confidence: the highest probability", ylabel="images", xlim=(lowest, 1.01))
    upper.legend(fontsize=8, loc="lower right")
    return figure


def intervals(
    ends: np.ndarray, truth: float, *, title: str, estimates: Sequence[float] | None = None
) -> Figure:
    """Draw intervals side by side, those that miss the true value in red. Used in lesson 07.

    Args:
        ends: (N, 2), the ends of each interval.
        truth: the true accuracy.
        title: of the figure.
        estimates: (N,), the measured accuracies, drawn as points.
    """
    figure, axes = single_axes(10, 3.6)
    ends = np.asarray(ends, float)
    numbers = np.arange(1, len(ends) + 1)
    missed = (ends[:, 0] > truth) | (ends[:, 1] < truth)
    axes.axhline(truth, color=BASELINE, ls="-.", label=f"true accuracy {truth:g}")
    looks = (
        (~missed, {"color": MEASURED, "lw": 1.5}, ".", "contains it"),
        (missed, {"color": MISTAKE, "lw": 3}, "x", "misses it"),
    )
    for chosen, look, marker, words in looks:
        name = f"{words}: {chosen.sum()}"
        axes.vlines(numbers[chosen], ends[chosen, 0], ends[chosen, 1], label=name, **look)
        if estimates is not None:
            points = np.asarray(estimates)[chosen]
            axes.plot(numbers[chosen], points, marker, color=look["color"], ms=6)
    axes.set(title=plain(title), xlabel="interval number", ylabel="accuracy (fraction correct)")
    figure.legend(loc="outside lower center", ncols=3, fontsize=10)
    return figure


def _draw_run(axes: Axes, frame: pandas.DataFrame, metric: str, index: int, name: str = "") -> None:
    """Draw one metric of a run: training dashed with squares, validation solid with circles."""
    colour = series_style(index).colour
    look = {"color": colour, "markersize": 3.5}
    look["markerfacecolor"] = "white" if index % 2 else colour  # runs also differ without colour
    for split, line, marker in (("train", "--", "s"), ("val", "-", "o")):
        label = f"{name}{'training' if split == 'train' else 'validation'}"
        look |= {"ls": line, "marker": marker, "label": label}
        axes.plot(frame["epoch"], frame[f"{split}_{metric}"], **look)
    axes.grid(alpha=0.3)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _draw_baselines(axes: Axes, values: Mapping[str, float]) -> None:
    """Draw grey lines with their names on them, at the right edge."""
    for name, value in values.items():
        axes.axhline(value, color=BASELINE, ls="-.", lw=1)
        look = {"color": BASELINE, "fontsize": 9, "ha": "right", "va": "bottom"}
        axes.text(0.99, value, plain(name), transform=axes.get_yaxis_transform(), **look)


def _mark_best_and_gap(panels: Sequence[Axes], frame: pandas.DataFrame) -> None:
    """Mark the best epoch in both panels, and the gap between the last two losses."""
    order = frame.sort_values(["val_accuracy", "val_loss"], ascending=[False, True])
    best = int(order["epoch"].iloc[0])
    for axes in panels:
        axes.axvline(best, color=HIGHLIGHT, ls=":", lw=2, label=f"best epoch: {best}", zorder=0)
    _mark_gap(panels[0], frame)


def _mark_gap(axes: Axes, frame: pandas.DataFrame) -> None:
    """Mark the gap between the last two losses by a bar beside them, with its number."""
    last, span = frame.iloc[-1], len(frame)
    edge = last["epoch"] + 0.04 * span
    axes.vlines(edge, *sorted((last["train_loss"], last["val_loss"])), color=HIGHLIGHT, lw=3)
    gap = last["val_loss"] - last["train_loss"]
    words = {"rotation": 90, "ha": "left", "va": "bottom", "fontsize": 9}
    axes.text(
        edge + 0.02 * span, 0.03, f"gap {gap:.3f}", transform=axes.get_xaxis_transform(), **words
    )
    axes.set_xlim(right=edge + 0.1 * span)
