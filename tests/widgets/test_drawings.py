"""What the widgets show: numbers that agree with real layers, and words that say them."""

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from tutorial_utils import models, plots
from tutorial_utils.history import Epoch, History, Score
from tutorial_utils.widgets import drawings

PRESET = models.preset(64)
ORANGE = tuple(int(plots.ORANGE[k : k + 2], 16) for k in (1, 3, 5))


def costs(layers: int = 3) -> pandas.DataFrame:
    """Return made-up costs of a network with 10, 100, 1000 parameters in its layers."""
    sizes = [10**k for k in range(1, layers + 1)]
    rows = [
        {
            "frozen": n,
            "layer": f"layer{n}" if n else "",
            "trainable": sum(sizes[n:]),
            "forward_s": 0.5,
            "backward_s": 0.2 * (layers - n),
            "update_s": 0.1 * (layers - n),
            "saved_bytes": 1e6 * (layers - n),
            "gradient_bytes": 4 * sum(sizes[n:]),
            "state_bytes": 8 * sum(sizes[n:]),
        }
        for n in range(layers + 1)
    ]
    return pandas.DataFrame(rows)


def history(*correct: int) -> History:
    epochs = [
        Epoch(n, Score(1 / n, right, 10), Score(1.5 / n, right, 10), 1.0)
        for n, right in enumerate(correct, 1)
    ]
    return History(epochs)


@given(
    size=st.integers(1, 40),
    kernel=st.integers(1, 11),
    stride=st.integers(1, 5),
    padding=st.integers(0, 3),
    window=st.integers(1, 2000),
)
def test_the_window_lies_where_a_real_layer_takes_its_value_from(
    size, kernel, stride, padding, window
):
    if kernel > size + 2 * padding:
        with pytest.raises(ValueError, match="does not fit"):
            drawings.output_size(size, kernel, stride, padding, window)
        return
    view = drawings.output_size(size, kernel, stride, padding, window)
    layer = nn.Conv2d(1, 1, kernel, stride, padding, device="meta")
    out = layer(torch.empty(1, 1, size, size, device="meta")).shape[-1]
    assert view.lines[0].endswith(f"= {out}")
    assert f"{out}×{out} values" in view.lines[1]
    number = min(window, out * out)
    row, column = (number - 1) // out, (number - 1) % out
    first, left = row * stride + 1, column * stride + 1
    assert f"Window {number} of {out * out} " in view.lines[2]
    assert f"rows {first} to {first + kernel - 1} " in view.lines[2]
    assert f"columns {left} to {left + kernel - 1} " in view.lines[2]


def test_the_formula_is_filled_in_with_the_papers_numbers():
    view = drawings.output_size(227, 11, 4, 0)
    assert view.lines[0] == "⌊(227 + 2·0 − 11) / 4⌋ + 1 = ⌊54⌋ + 1 = 55"
    assert "come out even" in view.lines[1]


@pytest.mark.parametrize(
    ("size", "said"), [(227, "come out even"), (228, "1 pixel is left"), (230, "3 pixels are left")]
)
def test_what_is_left_over_is_said(size, said):
    assert said in drawings.output_size(size, 11, 4, 0).lines[1]


def test_another_window_is_another_image():
    images = {drawings.output_size(12, 3, 2, 1, n).image.tobytes() for n in range(1, 37)}
    assert len(images) == 36


@pytest.mark.parametrize("window", [0, -1, 1.5, True])
def test_a_window_that_cannot_be_is_refused(window):
    with pytest.raises(ValueError, match="window must be a whole number from 1"):
        drawings.output_size(12, 3, 2, 1, window)


def test_freezing_says_what_was_measured():
    view = drawings.freezing(costs(), 1)
    assert view.lines[0] == "1 of 3 layers frozen: 1,100 of 1,110 parameters are trained (99.1%)."
    assert "1.10 s (all trained: 1.40 s), of which the backward pass 0.40 s" in view.lines[1]
    assert "2 MB for training (all trained: 3 MB)" in view.lines[2]
    assert "the first 1 hatched" in view.alt


def test_frozen_layers_lose_their_colour():
    orange = []
    for frozen in range(4):
        bars = drawings.freezing(costs(), frozen).image.crop((0, 0, 600, 400))
        orange.append(int((np.asarray(bars) == ORANGE).all(axis=2).sum()))
    assert orange == sorted(orange, reverse=True) and len(set(orange)) == 4 and orange[3] == 0


@pytest.mark.parametrize("frozen", [-1, 4, 1.5, "x"])
def test_a_number_of_layers_that_was_not_measured_is_refused(frozen):
    with pytest.raises(ValueError, match="from 0 to 3, the layers that were measured"):
        drawings.freezing(costs(), frozen)


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def test_augmentation_follows_its_seed_and_leaves_torchs_generator(image):
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    first = drawings.augmentation(image, PRESET, seed=3).image.tobytes()
    assert torch.equal(torch.rand(3), wanted)
    assert drawings.augmentation(image, PRESET, seed=3).image.tobytes() == first
    assert drawings.augmentation(image, PRESET, seed=4).image.tobytes() != first


def test_without_any_strength_all_nine_are_alike(image):
    none = dict.fromkeys(("flip", "brightness", "contrast", "saturation"), 0.0)
    square = image.crop((0, 0, 80, 80))
    view = drawings.augmentation(square, PRESET, least_area=1.0, **none)
    again = drawings.augmentation(square, PRESET, least_area=1.0, seed=1, **none)
    assert view.image.tobytes() == again.image.tobytes()
    assert "100% to 100% of the area" in view.lines[0] and "probability 0%" in view.lines[0]


def test_augmentation_says_what_the_network_is_given():
    view = drawings.augmentation(Image.new("RGB", (90, 90), "black"), PRESET)
    assert "from -2.12 to -1.80" in view.lines[1]  # -0.485 / 0.229 and -0.406 / 0.225


@pytest.mark.parametrize("bad", [{"flip": 2}, {"least_area": 0}, {"contrast": -0.1}])
def test_a_strength_out_of_range_is_refused(image, bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be a number"):
        drawings.augmentation(image, PRESET, **bad)


def answer(**changed):
    given = {
        "image": np.full((20, 20, 3), 0.5),
        "heat": np.eye(20),
        "probabilities": [0.2, 0.8],
        "classes": ["ants", "bees"],
    }
    return drawings.answer(**(given | changed))


def test_an_answer_is_said_with_its_probability():
    view = answer(title="a.jpg")
    assert view.lines == ("The network says bees, probability 0.800.",)
    assert view.alt.startswith("a.jpg. The network says bees")


@pytest.mark.parametrize(("truth", "said"), [(0, "It is ants: wrong."), (1, "It is bees: right.")])
def test_an_answer_is_held_against_the_truth(truth, said):
    assert answer(truth=truth).lines[0].endswith(said)


def test_many_classes_and_long_names_have_room():
    view = answer(probabilities=[0.02] * 50, classes=["a very long name of a class " * 3] * 50)
    assert view.image.size == answer().image.size


def test_no_heat_at_all_and_heat_of_zero_are_drawn():
    assert answer(heat=None).image.tobytes() != answer(heat=np.zeros((20, 20))).image.tobytes()


def test_heat_of_another_size_and_classes_too_few_are_refused():
    with pytest.raises(ValueError, match=r"the heat map is \(5, 5\) and the image \(20, 20\)"):
        answer(heat=np.zeros((5, 5)))
    with pytest.raises(ValueError, match="2 probabilities do not fit"):
        answer(classes=["ants"])


def test_a_run_says_its_last_and_its_best_epoch():
    view = drawings.run(history(5, 9, 8), epochs=12, name="run", title="Training")
    assert view.lines[0].startswith("Epoch 3 of 12: training loss 0.3333 accuracy 0.800 (8/10)")
    assert "epoch 2, validation loss 0.7500 accuracy 0.900 (9/10)" in view.lines[1]
    assert "2, has a star" in view.alt


def test_a_run_without_an_epoch_is_refused():
    with pytest.raises(ValueError, match="no epoch was finished"):
        drawings.run(History(), epochs=12, name="run", title="Training")


def test_no_figure_stays_open():
    from matplotlib import pyplot

    drawings.run(history(1, 2), epochs=2, name="run", title="Training")
    assert pyplot.get_fignums() == []


def test_every_view_has_an_alternative_text_and_lines(image):
    shown = [
        drawings.output_size(9, 3, 1, 0),
        drawings.freezing(costs(), 0),
        drawings.augmentation(image, PRESET),
        answer(),
        drawings.run(history(1), epochs=1, name="run", title="Training"),
    ]
    assert all(len(view.alt) > 20 and view.lines for view in shown)
