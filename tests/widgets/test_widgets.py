"""The widgets: what a move changes, what goes wrong in words, what stands without a kernel.

Runs with ipywidgets 7.7 and 8 (`make test-widgets7`); in a real browser: tests/browser.
"""

import re
import threading

import ipywidgets
import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from nbclient import NotebookClient
from PIL import Image
from torch import nn

from tutorial_utils import data, evaluation, layers, lesson, models, training, widgets
from tutorial_utils.history import History

PRESET = models.preset(32)
CLASSES = ["ants", "bees"]


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, 2))

    def forward(self, x):
        return self.classifier(self.features(x))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Tiny()


def images(count: int) -> list[tuple[Image.Image, int]]:
    noise = np.random.default_rng(0).integers(0, 256, (count, 40, 50, 3), dtype=np.uint8)
    return [(Image.fromarray(one), number % 2) for number, one in enumerate(noise)]


@pytest.fixture
def dataset():
    return [(PRESET(image), label) for image, label in images(9)]


@pytest.fixture
def predictions(network, dataset):
    return evaluation.predict(network, data.loader(dataset, batch_size=4))


@pytest.fixture
def costs(network, dataset):
    images = torch.stack([image for image, _ in dataset])
    labels = torch.tensor([label for _, label in dataset])
    return layers.step_costs(network, images, labels, repeats=1)


@pytest.fixture
def exhibits(network, dataset, predictions, costs):
    """Return one of each kind, all but the dashboard."""
    return {
        "layers": widgets.layer_explorer(network, dataset, PRESET),
        "size": widgets.output_size_calculator(),
        "freeze": widgets.freeze_slider(costs),
        "augmentation": widgets.augmentation_playground(images(9), PRESET),
        "mistakes": widgets.mistake_browser(network, dataset, predictions, PRESET, CLASSES),
        "own": widgets.own_image(network, PRESET, CLASSES, example=("ex", images(1)[0][0])),
    }


def shown(exhibit) -> str:
    """Return what the exhibit shows as its image and text."""
    return exhibit._image.value


def said(exhibit) -> str:
    return exhibit._message.value


def leaves(widget) -> list[ipywidgets.Widget]:
    """Return a widget and all within it."""
    return [widget, *(leaf for child in getattr(widget, "children", ()) for leaf in leaves(child))]


# What all of them have in common.


def test_without_a_kernel_the_image_and_its_text_stand_there(exhibits):
    for exhibit in exhibits.values():
        bundle = exhibit.bundle()
        assert bundle[lesson.LIVE]["model_id"] == exhibit.model_id
        assert re.search(r'<img alt="[^"]{20,}" src="data:image/png;base64,', bundle["text/html"])
        for line in exhibit.view.lines:
            assert line in bundle["text/plain"]


def test_every_control_has_a_label(exhibits):
    for exhibit in exhibits.values():
        for leaf in leaves(exhibit):
            if hasattr(leaf, "description") and not isinstance(leaf, ipywidgets.HTML):
                assert leaf.description
        named = [leaf for leaf in leaves(exhibit) if type(leaf).__name__ == "Labels"]
        assert len(named) == 1 and named[0].title


def test_the_widgets_that_have_no_accessible_name_are_not_used(exhibits):
    for exhibit in exhibits.values():
        kinds = {type(leaf) for leaf in leaves(exhibit)}
        assert not kinds & {ipywidgets.Image, ipywidgets.Play, ipywidgets.ToggleButtons}


def test_a_hundred_moves_leave_no_figure_open(exhibits):
    for name, control, values in (
        ("size", "size", range(20, 45)),
        ("layers", "image", [0, 1, 3, 4, 6]),
        ("layers", "layer", ["features.2", "classifier.1", "features.0"] * 8),
        ("freeze", "frozen", [1, 2, 0] * 8),
        ("augmentation", "seed", range(1, 16)),
        ("mistakes", "outcome", ["right", "all", "wrong"] * 8),
    ):
        for value in values:
            exhibits[name].controls[control].value = value
            assert exhibits[name].error is None
    assert pyplot.get_fignums() == []


def test_what_nobody_expected_is_shown_with_its_traceback(costs):
    exhibit = widgets.freeze_slider(costs)

    def broken(frozen):
        raise KeyError("no such <thing>")

    exhibit._draw = broken
    exhibit.controls["frozen"].value = 1
    assert isinstance(exhibit.error, KeyError)
    assert "KeyError" in said(exhibit) and "no such &lt;thing&gt;" in said(exhibit)
    assert "in broken" in said(exhibit) and 'role="alert"' in said(exhibit)


def test_what_is_wrong_from_the_start_is_raised():
    with pytest.raises(ValueError, match="does not fit"):
        widgets.output_size_calculator(size=3, kernel=9, padding=0)


BOOK = """
from tutorial_utils import widgets
widgets.output_size_calculator(size=9, kernel=3, stride=1, padding=0)
"""


def test_a_notebook_that_nobody_watches_keeps_the_image(tmp_path):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BOOK)])
    NotebookClient(book, kernel_name="python3", store_widget_state=False, timeout=120).execute()
    (output,) = book.cells[0].outputs
    assert output.output_type == "display_data"
    assert "Output: 7×7 values" in output.data["text/html"]
    assert "= 7" in output.data["text/plain"]
    assert "widgets" not in book.metadata


# One by one.


def test_the_calculator_follows_its_sliders():
    exhibit = widgets.output_size_calculator(size=32, kernel=5, stride=2, padding=1)
    assert exhibit.view.lines[0].endswith("= 15") and exhibit.controls["window"].max == 225
    exhibit.controls["stride"].value = 1
    assert exhibit.view.lines[0].endswith("= 30") and exhibit.controls["window"].max == 900
    before = shown(exhibit)
    exhibit.controls["window"].value = 900
    assert "row 30, column 30" in exhibit.view.lines[2] and shown(exhibit) != before
    exhibit.controls["size"].value = 5
    assert exhibit.controls["window"].value == exhibit.controls["window"].max == 9
    assert "row 3, column 3" in exhibit.view.lines[2]


def test_the_calculator_says_when_the_kernel_does_not_fit_and_recovers():
    exhibit = widgets.output_size_calculator(size=5, kernel=5, stride=1, padding=0)
    exhibit.controls["kernel"].value = 6
    assert isinstance(exhibit.error, ValueError)
    assert "a kernel of 6 does not fit into 5 pixels" in said(exhibit)
    assert "Traceback" not in said(exhibit)
    exhibit.controls["kernel"].value = 4
    assert exhibit.error is None and said(exhibit) == ""


def test_the_layer_explorer_walks_through_layers_and_images(exhibits):
    exhibit = exhibits["layers"]
    assert list(exhibit.controls["layer"].options) == ["features.0", "features.2", "classifier.1"]
    for layer in exhibit.controls["layer"].options:
        exhibit.controls["layer"].value = layer
        assert exhibit.view.lines[0].startswith(layer)
    before = shown(exhibit)
    exhibit.controls["image"].value = 3
    assert shown(exhibit) != before


def test_a_layer_of_a_image_seen_before_needs_no_pass(network, dataset):
    exhibit = widgets.layer_explorer(network, dataset, PRESET)
    passes = []
    network.register_forward_hook(lambda _, given, __: passes.append(given[0].device.type))
    for layer in ("features.2", "features.0", "classifier.1"):
        exhibit.controls["layer"].value = layer
    assert passes == []
    exhibit.controls["image"].value = 1
    assert passes.count("cpu") == 1  # the layer table's twin, on the device meta, is no pass


def test_the_freeze_slider_says_what_was_measured(exhibits, costs):
    exhibit = exhibits["freeze"]
    for frozen in (0, 1, 2):
        exhibit.controls["frozen"].value = frozen
        trainable = costs["trainable"][frozen]
        assert f"{frozen} of 2 layers frozen: {trainable:,} of" in exhibit.view.lines[0]


def test_the_playground_turns_each_change_up(exhibits):
    exhibit = exhibits["augmentation"]
    for name in ("least_area", "flip", "brightness", "contrast", "saturation"):
        before = shown(exhibit)
        exhibit.controls[name].value = 1.0 if name != "least_area" else 0.05
        assert shown(exhibit) != before, name
    exhibit.controls["seed"].value = 5
    assert exhibit.error is None


def test_the_mistake_browser_filters_and_sorts(exhibits, predictions, network):
    exhibit, losses = exhibits["mistakes"], predictions.losses
    for outcome, keep in (("wrong", ~predictions.correct), ("right", predictions.correct)):
        exhibit.controls["outcome"].value = outcome
        places = keep.nonzero().flatten().tolist()
        assert exhibit.controls["number"].max == len(places)
        for number, place in enumerate(sorted(places, key=lambda p: -losses[p]), 1):
            exhibit.controls["number"].value = number
            assert exhibit.view.alt.startswith(f"Loss {losses[place]:.3f}: ")
            assert f"It is {CLASSES[predictions.labels[place]]}: {outcome}" in exhibit.view.lines[1]


def test_the_mistake_browser_takes_one_class(exhibits, predictions):
    exhibit = exhibits["mistakes"]
    exhibit.controls["outcome"].value = "all"
    exhibit.controls["label"].value = 1
    assert exhibit.controls["number"].max == int((predictions.labels == 1).sum())


def test_no_image_of_a_kind_is_said(network, dataset):
    logits = torch.tensor([[9.0, 0.0], [0.0, 9.0]] * 4 + [[9.0, 0.0]])
    all_right = evaluation.Predictions(logits, torch.tensor([0, 1] * 4 + [0]))
    exhibit = widgets.mistake_browser(network, dataset, all_right, PRESET, CLASSES)
    assert exhibit.controls["outcome"].value == "all"
    exhibit.controls["outcome"].value = "wrong"
    assert "There is no such image" in said(exhibit)
    exhibit.controls["outcome"].value = "right"
    assert said(exhibit) == ""


def test_predictions_of_another_set_are_refused(network, dataset, predictions):
    with pytest.raises(ValueError, match="9 predictions do not fit 8 images"):
        widgets.mistake_browser(network, dataset[:8], predictions, PRESET, CLASSES)


def png(image) -> bytes:
    from tutorial_utils.widgets import canvas

    return canvas.png(image)


def test_a_image_of_ones_own_is_answered(exhibits, network):
    exhibit = exhibits["own"]
    image = images(3)[2][0]
    exhibit.take("mine.png", png(image))
    chances = network.eval()(PRESET(image)[None]).softmax(1)[0]
    best = int(chances.argmax())
    assert exhibit.view.lines[0].startswith(
        f"The network says {CLASSES[best]}, probability {chances[best]:.3f}"
    )
    assert exhibit.view.alt.startswith("mine.png")


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"text", "not an image"), (b"", "0 bytes"), (b"\0\0\0\x18ftypheic" + b"0" * 9, "HEIC")],
)
def test_what_is_no_image_gets_a_word_and_no_traceback(exhibits, content, word):
    exhibit = exhibits["own"]
    before = shown(exhibit)
    exhibit.take("mine.jpg", content)
    assert word in said(exhibit) and "Traceback" not in said(exhibit)
    assert shown(exhibit) == before
    exhibit.take("mine.png", png(images(1)[0][0]))
    assert said(exhibit) == ""


# The dashboard.


def slow(gate: threading.Semaphore):
    """Return a network whose forward pass waits to be let through."""

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(6, 2)

        def forward(self, x):
            if self.training:
                assert gate.acquire(timeout=30)
            return self.dense(x)

    return Gated()


ROWS = [(torch.randn(6, generator=torch.Generator().manual_seed(n)), n % 2) for n in range(8)]


def dashboard(gate, *, make=None, checkpoint=None, epochs=3):
    train = data.loader(ROWS, batch_size=4)  # two batches an epoch
    first = training.fit(nn.Linear(6, 2), train, val=train, epochs=1, quiet=True)
    return widgets.training_dashboard(
        make or (lambda: slow(gate)),
        train,
        val=train,
        history=first,
        epochs=epochs,
        checkpoint=checkpoint,
        lr=1e-2,
    )


def test_the_dashboard_shows_an_earlier_run_until_it_begins():
    board = dashboard(threading.Semaphore(0))
    assert not board.running and board.stop_button.disabled
    assert "Epoch 1 of 3" in board.view.lines[0]
    assert "text/html" in board.bundle()


def test_the_dashboard_runs_to_the_end_and_leaves_the_caller_free():
    gate = threading.Semaphore(0)
    board = dashboard(gate)
    board.start_button.click()
    assert board.running and board.start_button.disabled and not board.stop_button.disabled
    gate.release(100)
    assert board.wait(30)
    assert len(board.history.epochs) == 3 and board.history.stopped is None
    assert "Done: 3 of 3 epochs" in said(board) and "Epoch 3 of 3" in board.view.lines[0]
    assert board.bar.value == board.bar.max == 6
    assert not board.start_button.disabled and board.stop_button.disabled
    assert pyplot.get_fignums() == []


def test_stop_keeps_what_was_finished(tmp_path):
    gate = threading.Semaphore(3)  # one epoch and a batch
    board = dashboard(gate, checkpoint=tmp_path)
    board.start()
    while "Batch 4 of 6" not in said(board):
        assert board.running
    board.stop_button.click()
    gate.release(100)
    assert board.wait(30)
    assert board.history.stopped == "stopped" and len(board.history.epochs) in (1, 2)
    assert "Stopped: " in said(board) and "are kept in" in said(board)
    kept = training.load_checkpoint(board.network, tmp_path / "run-1", which="best")
    assert kept == board.history.best
    assert board.start_button.description == "Go on"


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    gate = threading.Semaphore(3)
    board = dashboard(gate, checkpoint=tmp_path)
    board.start()
    while "Batch 4 of 6" not in said(board):
        assert board.running
    board.stop()
    gate.release(100)
    board.wait(30)
    first = board.history.epochs[0]
    board.start()
    assert board.wait(30)
    assert len(board.history.epochs) == 3 and board.history.epochs[0] == first
    assert [path.name for path in tmp_path.iterdir()] == ["run-1"]
    board.start()  # and a fresh one has a folder of its own
    assert board.wait(30) and sorted(p.name for p in tmp_path.iterdir()) == ["run-1", "run-2"]


def test_a_second_start_while_it_runs_does_nothing():
    gate, made = threading.Semaphore(0), []
    board = dashboard(gate, make=lambda: made.append(1) or slow(gate))
    board.start()
    board.start()
    gate.release(100)
    assert board.wait(30) and made == [1]


def test_an_exception_in_the_run_is_shown_and_the_buttons_come_back():
    def broken():
        raise RuntimeError("no memory left for <this>")

    board = dashboard(threading.Semaphore(0), make=broken)
    board.start()
    assert board.wait(30)
    assert "RuntimeError: no memory left for &lt;this&gt;" in said(board)
    assert not board.start_button.disabled and board.stop_button.disabled


def test_a_loss_that_is_lost_is_said_in_words():
    class Lost(nn.Linear):
        def forward(self, x):
            return super().forward(x) * torch.nan

    board = dashboard(threading.Semaphore(0), make=lambda: Lost(6, 2))
    board.start()
    assert board.wait(30)
    assert "the training loss is nan in epoch 1" in said(board)
    assert isinstance(board.error, FloatingPointError) and isinstance(board.history, History)
