"""Images of training: costs, augmentation, predictions and curves; their numbers and texts."""

import numpy as np
import pandas
import pytest
import torch
from matplotlib import pyplot
from PIL import Image

from tutorial_utils import plots
from tutorial_utils.history import Epoch, History, Score
from tutorial_utils.plots import style
from tutorial_utils.widgets import render_training


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))


def count(image: Image.Image, colour: str) -> int:
    return int((np.asarray(image) == rgb(colour)).all(axis=2).sum())


def costs() -> pandas.DataFrame:
    """Return made-up costs of a network with 10, 100, 1000 parameters in its layers."""
    sizes = (10, 100, 1000)
    left = np.arange(3, -1, -1)  # layers that are not frozen
    trained = np.array([sum(sizes[n:]) for n in range(4)])
    times = {"forward_s": 0.5, "backward_s": 0.2 * left, "update_s": 0.1 * left}
    memory = {"saved_bytes": 1e6 * left, "gradient_bytes": 4 * trained, "state_bytes": 8 * trained}
    table = {"frozen": range(4), "layer": ["", "layer1", "layer2", "layer3"], "trainable": trained}
    return pandas.DataFrame(table | times | memory)


def test_freezing_gives_what_was_measured():
    shown = render_training.freezing(costs(), 1)
    assert shown.lines == (
        "1 of 3 layers frozen: 1,100 of 1,110 parameters are trained (99.1%).",
        "A step takes 1.10 s (all trained: 1.40 s); its backward pass takes 0.40 s.",
        "Besides the weights, training needs 2 MB of memory (all trained: 3 MB).",
    )
    assert "the first 1 hatched" in shown.alt


def test_the_first_layers_are_the_frozen_ones():
    for frozen in range(4):
        image = render_training.freezing(costs(), frozen).image
        rows = [image.crop((165, round(1.5 * y), 480, round(1.5 * (y + 17)))) for y in (38, 62, 86)]
        assert [count(row, style.TRAINED) > 0 for row in rows] == [k >= frozen for k in range(3)]
        assert [count(row, style.FRAME_GREY) > 40 for row in rows] == [k < frozen for k in range(3)]


def widths(image: Image.Image, row: float, colours) -> list[float]:
    """Return how many points wide each colour is in one row of pixels, right of the middle."""
    pixels = np.asarray(image)[round(1.5 * row), round(1.5 * 440) :]
    return [(pixels == rgb(colour)).all(axis=1).sum() / 1.5 for colour in colours]


def test_bars_are_as_long_as_their_numbers():
    image = np.asarray(render_training.freezing(costs(), 0).image)
    for row, size in enumerate((10, 100, 1000)):  # on a logarithmic scale
        green = (image[round(1.5 * (40 + 24 * row))] == rgb(style.TRAINED)).all(axis=1).sum() / 1.5
        assert green == pytest.approx(190 * np.log10(size + 1) / np.log10(1001), abs=3)


@pytest.mark.parametrize("frozen", range(4))
def test_the_parts_of_a_step_have_the_colours_of_their_names_and_the_lengths_of_their_costs(frozen):
    table = costs()
    image = render_training.freezing(table, frozen).image
    for top, columns, colours in (
        (60, ["forward_s", "backward_s", "update_s"], style.PALETTE[:3]),
        (160, ["saved_bytes", "gradient_bytes", "state_bytes"], style.PALETTE[3:6]),
    ):
        longest = table[columns].sum(axis=1).max()
        lengths = [180 * table[name][frozen] / longest for name in columns]
        assert widths(image, top - 9, colours) == pytest.approx(lengths, abs=4)  # outlines
        keys = [
            image.getpixel((round(1.5 * (454 + 82 * i)), round(1.5 * (top + 13)))) for i in range(3)
        ]
        assert keys == [rgb(colour) for colour in colours]


@pytest.mark.parametrize("frozen", [-1, 4, 1.5, "x"])
def test_freezing_takes_measured_numbers_only(frozen):
    with pytest.raises(ValueError, match="from 0 to 3, the layers that were measured"):
        render_training.freezing(costs(), frozen)


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def test_augmentation_follows_its_seed_and_leaves_torchs_generator(image, preset):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = render_training.augmentation(image, preset, seed=3).image.tobytes()
    assert torch.equal(torch.rand(3), expected)
    assert render_training.augmentation(image, preset, seed=3).image.tobytes() == first
    assert render_training.augmentation(image, preset, seed=4).image.tobytes() != first


def tiles(image: Image.Image, left: float) -> list[Image.Image]:
    """Return the nine variations, of 90 points with 6 points between, whose first is at `left`."""
    corners = [(left + 96 * (i % 3), 36 + 96 * (i // 3)) for i in range(9)]
    return [
        image.crop((round(1.5 * x), round(1.5 * y), round(1.5 * x) + 135, round(1.5 * y) + 135))
        for x, y in corners
    ]


def test_the_nine_differ_and_stand_beside_the_same_nine_as_the_network_is_given_them(image, preset):
    shown = render_training.augmentation(image, preset).image
    assert len({tile.tobytes() for tile in tiles(shown, 180)}) == 9
    for seen, given in zip(tiles(shown, 180), tiles(shown, 475), strict=True):
        pixels = [np.asarray(tile.convert("L"), float).ravel() for tile in (seen, given)]
        assert np.corrcoef(*pixels)[0, 1] > 0.95 and seen.tobytes() != given.tobytes()
    dark = render_training.augmentation(Image.new("RGB", (90, 90), "black"), preset).image
    assert tiles(dark, 180)[4].getpixel((60, 60)) == (0, 0, 0)
    assert tiles(dark, 475)[4].getpixel((60, 60)) == (0, 67, 255)  # lowest: red, highest: blue


def test_without_any_strength_all_nine_are_equal(image, preset):
    none = dict.fromkeys(("flip", "brightness", "contrast", "saturation"), 0.0)
    square = image.crop((0, 0, 80, 80))
    shown = render_training.augmentation(square, preset, least_area=1.0, **none)
    assert len({tile.tobytes() for tile in tiles(shown.image, 180)}) == 1
    assert len(tiles(shown.image, 180)[0].getcolors(20_000)) > 100
    assert "100% to 100% of the area" in shown.lines[0] and "probability 0%" in shown.lines[0]


def test_augmentation_gives_the_range_of_the_networks_input(preset):
    shown = render_training.augmentation(Image.new("RGB", (90, 90), "black"), preset)
    assert "from -2.12 to -1.80" in shown.lines[1]  # -0.485 / 0.229 and -0.406 / 0.225
    assert "-2.12 is drawn as 0 and -1.80 as 1" in shown.lines[1]


@pytest.mark.parametrize("wrong", [{"flip": 2}, {"least_area": 0}, {"contrast": -0.1}])
def test_a_strength_out_of_range_is_an_error(image, preset, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a number"):
        render_training.augmentation(image, preset, **wrong)


def prediction(**changed):
    given = {
        "image": np.full((20, 20, 3), 0.5),
        "heat": np.eye(20),
        "probabilities": [0.2, 0.8],
        "classes": ["ants", "bees"],
    }
    return render_training.prediction(**(given | changed))


@pytest.mark.parametrize(
    ("truth", "text"), [(None, ""), (0, " It is ants: wrong."), (1, " It is bees: correct.")]
)
def test_a_prediction_has_its_probability_and_is_compared_with_the_true_class(truth, text):
    shown = prediction(title="a.jpg", truth=truth)
    assert shown.lines == (f"The network predicts bees, probability 0.800.{text}",)
    assert shown.alt.startswith("a.jpg. The network predicts bees")
    upper, lower = (shown.image.crop((740, y, 1010, y + 20)) for y in (110, 150))
    colour = style.MISTAKE if truth == 0 else style.MEASURED  # bars as long as the probabilities
    assert count(upper, colour) == pytest.approx(4 * count(lower, style.MEASURED), rel=0.1)


def test_of_many_classes_the_most_probable_have_bars():
    chances = [0.02] * 49 + [0.2]
    names = [f"a very long name {'x' * 40} {k}" for k in range(50)]
    shown = prediction(probabilities=chances, classes=names)
    assert shown.lines[0] == f"The network predicts {names[49]}, probability 0.200."
    column = (np.asarray(shown.image)[:, 751] == rgb(style.MEASURED)).all(axis=1)  # in every bar
    assert np.count_nonzero(np.diff(column.astype(int)) == 1) == render_training.CLASSES


def test_the_heat_map_is_yellow_where_the_heat_is_high():
    heat = np.zeros((20, 20))
    heat[5, 15] = 3.0
    image = prediction(heat=heat).image
    part = np.asarray(image.crop((368, 51, 368 + 337, 51 + 337)).convert("L")).astype(int)
    row, column = np.unravel_index(part.argmax(), part.shape)
    assert (row / 16.9, column / 16.9) == pytest.approx((5.5, 15.5), abs=0.6)
    assert part.max() > np.median(part) + 50


def test_without_heat_there_is_no_heat_map():
    none, flat = (
        prediction(heat=heat).image.crop((380, 60, 680, 380)).getcolors()
        for heat in (None, np.zeros((20, 20)))
    )
    assert none == [(300 * 320, (255, 255, 255))] and len(flat) == 1


def test_sizes_that_do_not_fit_are_errors():
    with pytest.raises(ValueError, match=r"the heat map is \(5, 5\) and the image \(20, 20\)"):
        prediction(heat=np.zeros((5, 5)))
    with pytest.raises(ValueError, match="2 probabilities do not fit"):
        prediction(classes=["ants"])


def history(*correct: int) -> History:
    epochs = [
        Epoch(n, Score(1 / n, right, 10), Score(1.5 / n, right - 1, 10), 1.0)
        for n, right in enumerate(correct, 1)
    ]
    return History(epochs)


def test_a_runs_curves_have_a_star_and_a_text_of_the_last_and_the_best_epoch(monkeypatch):
    figures, real = [], plots.curves

    def curves(*args, **options):
        figures.append(real(*args, **options))
        return figures[-1]

    monkeypatch.setattr(plots, "curves", curves)
    shown = render_training.run_curves(history(5, 9, 8), epochs=12, name="r", title="Training")
    assert shown.lines[0].startswith("Epoch 3 of 12: training loss 0.3333 accuracy 0.800 (8/10)")
    assert "epoch 2, validation loss 0.7500 accuracy 0.800 (8/10)" in shown.lines[1]
    assert "2, has a star" in shown.alt
    assert pyplot.get_fignums() == []
    loss, accuracy = figures[0].axes  # the best epoch is chosen by accuracy: no star on the loss
    assert [line.get_marker() for line in loss.lines] == ["s", "o"]
    assert accuracy.lines[-1].get_xydata().tolist() == [[2, 0.8]]
    assert accuracy.lines[-1].get_marker() == "*"
    assert "highest validation accuracy" in accuracy.lines[-1].get_label()
    with pytest.raises(ValueError, match="no epoch"):
        render_training.run_curves(History(), epochs=12, name="r", title="Training")
