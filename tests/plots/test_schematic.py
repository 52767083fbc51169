"""The diagram of a network's parts: a box for each part, its state in words, the way backward."""

import pytest
from matplotlib.patches import Rectangle

from tutorial_utils import plots
from tutorial_utils.plots import Part, style

TRANSFER = [
    Part("image", "224×224 pixels", "data"),
    Part("backbone", "2,469,696 parameters", "frozen"),
    Part("old layer", "1,000 classes", "removed"),
    Part("new layer", "2 classes\n8,194 parameters", "new"),
    Part("loss", "", "data"),
]


def boxes(axes):
    return [box for box in axes.patches if isinstance(box, Rectangle) and not box.get_hatch()]


def words(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def test_parts_have_a_box_each_with_name_detail_and_state():
    axes = plots.parts(TRANSFER, title="Transfer").axes[0]
    assert axes.get_title() == "Transfer"
    assert len(boxes(axes)) == len(TRANSFER)
    found = words(axes)
    for part in TRANSFER:
        assert part.name in found
    assert "2,469,696 parameters\nfrozen" in found
    assert "1,000 classes\nremoved" in found
    assert "2 classes\n8,194 parameters\nnew, trained" in found


def test_the_removed_part_stands_crossed_out_above_its_replacement():
    axes = plots.parts(TRANSFER, title="t").axes[0]
    image, backbone, old, new, loss = boxes(axes)
    assert old.get_x() == new.get_x() and old.get_y() > new.get_y() + new.get_height()
    assert [box.get_y() for box in (image, backbone, new, loss)] == [0] * 4
    assert image.get_x() < backbone.get_x() < new.get_x() < loss.get_x()
    cross = [line.get_xydata() for line in axes.lines]
    assert len(cross) == 2
    assert all(x in (old.get_x(), old.get_x() + old.get_width()) for one in cross for x, _ in one)


def test_frozen_parts_are_hatched_and_trained_ones_have_their_colour():
    axes = plots.parts([*TRANSFER[:2], Part("head", "", "trained")], title="t").axes[0]
    (hatched,) = (box for box in axes.patches if box.get_hatch())
    assert hatched.get_hatch() == style.FROZEN_HATCH
    _, frozen, trained = boxes(axes)
    assert hatched.get_x() == frozen.get_x()
    assert frozen.get_facecolor()[:3] == (1, 1, 1)
    assert trained.get_facecolor()[:3] == pytest.approx(style.to_rgb(style.TRAINED))
    assert "trained" in words(axes)


@pytest.mark.parametrize(("stop", "arrows", "end"), [("new layer", 2, 2), ("backbone", 3, 1)])
def test_the_backward_pass_goes_from_the_right_end_to_its_stop(stop, arrows, end):
    axes = plots.parts(TRANSFER, title="t", backward_to=stop).axes[0]
    drawn = [text.arrow_patch for text in axes.texts if getattr(text, "arrow_patch", None)]
    dashed = [arrow for arrow in drawn if arrow.get_linestyle() == "--"]
    assert (len(drawn) - len(dashed), len(dashed)) == (3, arrows)
    bar = axes.lines[-1].get_xydata()
    kept = [box for box in boxes(axes) if box.get_y() == 0]
    assert bar[0, 0] == bar[1, 0] == pytest.approx(kept[end].get_x())
    assert any("backward pass" in one for one in words(axes))
    assert not any("backward" in one for one in words(plots.parts(TRANSFER, title="t").axes[0]))


def test_texts_fit_into_their_boxes():
    figure = plots.parts(
        [*TRANSFER, Part("x", "a long detail of many words here", "new")], title="t"
    )
    figure.draw_without_rendering()
    axes, frames = figure.axes[0], [box.get_window_extent() for box in boxes(figure.axes[0])]
    for text in axes.texts:
        if text.get_text():
            inner = text.get_window_extent()
            assert any(f.x0 < inner.x0 and inner.x1 < f.x1 for f in frames), text.get_text()


@pytest.mark.parametrize(
    ("parts", "stop", "message"),
    [
        ([Part("a", "", "cold")], None, "one of data, frozen, trained, new, removed, not cold"),
        ([Part("a", "", "removed")], None, "must end with a part that stays"),
        ([], None, "must end with a part that stays"),
        (TRANSFER, "old layer", "one of image, backbone, new layer, loss, not 'old layer'"),
    ],
)
def test_parts_names_what_is_wrong(parts, stop, message):
    with pytest.raises(ValueError, match=message):
        plots.parts(parts, title="t", backward_to=stop)
