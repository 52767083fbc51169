"""The sketch of a plane: what lies in it is drawn at height 0, what left it above, with a line."""

import numpy as np
import pytest
import torch
from legends import names

from tutorial_utils import plots

FIRST, SECOND = torch.tensor([1.0, 0.2, 0.4]), torch.tensor([0.2, 1.0, 0.6])
START = torch.tensor([-0.5, 0.5, 0.5])
NORMAL = torch.linalg.cross(FIRST, SECOND) / torch.linalg.cross(FIRST, SECOND).norm()
VECTORS = {"x_1": FIRST, "_x": SECOND}


def sketch(sign=1.0):
    inside = torch.stack([START, START + FIRST, START + FIRST - 2 * SECOND])
    outside = torch.stack([START, START + FIRST, START + FIRST + 0.7 * sign * NORMAL])
    return plots.plane(VECTORS, {"in": inside, "out": outside}, title="$t").axes[0]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_path_in_the_plane_is_flat_and_one_that_leaves_it_goes_up(sign):
    inside, outside, down = (np.stack(line.get_data_3d()) for line in sketch(sign).lines)
    np.testing.assert_allclose(inside[2], 0, atol=1e-6)
    np.testing.assert_allclose(outside[2], [0, 0, 0.7], atol=1e-6)
    np.testing.assert_allclose(down[:, 0], outside[:, -1], atol=1e-6)
    np.testing.assert_allclose(down[:, 1], [*outside[:2, -1], 0], atol=1e-6)


def test_lengths_and_angles_are_kept():
    inside = np.stack(sketch().lines[0].get_data_3d()).T
    steps = np.diff(inside, axis=0)
    expected = torch.stack([FIRST, -2 * SECOND])
    np.testing.assert_allclose(steps @ steps.T, expected @ expected.T, atol=1e-5)


def test_everything_has_a_name():
    axes = sketch()
    assert [text.get_text().strip().strip("\u200b") for text in axes.texts] == [
        "x_1",
        "_x",
        "start",
    ]
    assert names(axes.figure) == ["in", "out"]
    assert axes.get_zlabel() == "distance from the plane"
    assert axes.figure.get_suptitle() == r"\$t"


@pytest.mark.parametrize(
    ("vectors", "paths", "message"),
    [
        ({"a": FIRST}, {"p": [[0, 0, 0]]}, "needs two vectors of three numbers, not .*3"),
        ({"a": FIRST, "b": FIRST[:2]}, {"p": [[0, 0, 0]]}, r"shapes \[\(3,\), \(2,\)\]"),
        ({"a": FIRST, "b": -2 * FIRST}, {"p": [[0, 0, 0]]}, "parallel, or one is zero"),
        ({"a": FIRST, "b": 0 * FIRST}, {"p": [[0, 0, 0]]}, "parallel, or one is zero"),
        (VECTORS, {}, "at least one path"),
        (VECTORS, {"p": [[0, 0]]}, r"of the shape \(steps, 3\)"),
        (VECTORS, {"p": [[0, 0, 0]], "q": [[0, 0, 1]]}, "must start at one point"),
    ],
)
def test_what_spans_no_plane_raises(vectors, paths, message):
    with pytest.raises(ValueError, match=message):
        plots.plane(vectors, paths, title="t")
