"""The figure of runs: equal ones stacked, two intervals, and those that miss a line."""

from legends import names
from matplotlib.colors import to_hex

from tutorial_utils import plots
from tutorial_utils.plots import style

ROWS = {
    "lr 0.001": plots.Spread([0.9, 0.9, 0.95, 0.9], (0.85, 0.97), (0.88, 0.94)),
    "$lr 0.01": plots.Spread([0.7, 0.8], (0.68, 0.82)),
}


def drawn(**more):
    options = {"title": "Runs", "xlabel": "accuracy"} | more
    figure = plots.spreads(ROWS, **options)
    return figure, figure.axes[0]


def circles(axes):
    return [line for line in axes.lines if line.get_marker() == "o"]


def test_a_row_has_its_runs_their_mean_and_both_intervals():
    figure, axes = drawn()
    assert [list(line.get_xdata()) for line in circles(axes)] == [
        [0.9, 0.9, 0.95, 0.9],
        [0.7, 0.8],
    ]
    means = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"]
    assert means == [3.65 / 4, 0.75]
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "None"]
    assert bars == [(0.85, 0.97), (0.88, 0.94), (0.68, 0.82)]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["lr 0.001", r"\$lr 0.01"]
    assert axes.yaxis.get_inverted()
    assert names(figure) == [
        "95% interval, images",
        "95% interval, seeds",
        "mean of the runs",
        "a run",
    ]


def test_equal_runs_are_stacked_above_their_row():
    _, axes = drawn()
    heights = circles(axes)[0].get_ydata()
    assert len({float(height) for height in heights}) == 3  # three equal runs; the other as low
    assert heights[0] == heights[2] and max(heights) < 0
    many = {"one": plots.Spread([0.5] * 40, (0.4, 0.6))}
    tall = circles(plots.spreads(many, title="Runs", xlabel="accuracy").axes[0])[0].get_ydata()
    assert len(set(tall)) == 40 and min(tall) > -0.95


def test_a_bar_that_misses_the_line_is_red_and_has_another_marker():
    figure, axes = drawn(line=0.9, line_name="truth", misses=True)
    marks = {
        line.get_marker(): (to_hex(line.get_color()), line.get_ydata()[0])
        for line in axes.lines
        if line.get_marker() in ("D", "X")
    }  # the interval of the first row contains 0.9, that of the second does not
    assert marks == {"D": (style.MEASURED.lower(), 0), "X": (style.MISTAKE.lower(), 1)}
    assert names(figure)[0] == "truth"
    assert "95% interval, images, misses the line" in names(figure)
    _, axes = drawn(line=0.9, line_name="truth")
    assert not [line for line in axes.lines if line.get_marker() == "X"]
