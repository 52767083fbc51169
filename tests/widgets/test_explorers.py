"""The explorers: what a move of each control changes. In a real browser: tests/browser.

Runs with ipywidgets 7.7 and 8 (`make test-widgets7`).
"""

import re

import ipywidgets
import pytest
import torch
from matplotlib import pyplot
from PIL import Image

from tutorial_utils import evaluation, layers, lesson, widgets
from tutorial_utils.widgets import canvas, explorers, render_training

CLASSES = ["ants", "bees"]


@pytest.fixture
def costs(network, dataset):
    images = torch.stack([image for image, _ in dataset])
    labels = torch.tensor([label for _, label in dataset])
    return layers.step_costs(network, images, labels, repeats=1)


@pytest.fixture
def make(network, dataset, raw, predictions, preset, request):
    """Return a function for each kind, all but the dashboard, that makes one."""
    given = (network, dataset, predictions, preset, CLASSES)
    return {
        "layers": lambda: widgets.layer_explorer(network, dataset, preset),
        "size": widgets.output_size_calculator,
        "freeze": lambda: widgets.freeze_slider(request.getfixturevalue("costs")),
        "augmentation": lambda: widgets.augmentation_playground(raw, preset),
        "mistakes": lambda: widgets.mistake_browser(*given),
        "own": lambda: widgets.own_image(network, preset, CLASSES, example=("ex", raw[0][0])),
    }


@pytest.fixture
def figures(make):
    """Return one of each kind."""
    return {name: one() for name, one in make.items()}


def leaves(widget) -> list[ipywidgets.Widget]:
    """Return a widget and all within it."""
    return [widget, *(leaf for child in getattr(widget, "children", ()) for leaf in leaves(child))]


# What all of them have in common.


def test_without_a_kernel_the_image_and_its_text_are_shown(figures):
    for figure in figures.values():
        bundle = figure.mime_bundle()
        assert bundle[lesson.LIVE]["model_id"] == figure.model_id
        assert re.search(
            r'<img alt="[^"]{20,}" src="data:image/(png|jpeg);base64,', bundle["text/html"]
        )
        assert figure.rendering.lines
        for line in figure.rendering.lines:
            assert line in bundle["text/plain"]


def test_every_control_has_a_label_and_an_accessible_name(figures):
    for figure in figures.values():
        for leaf in leaves(figure):
            if hasattr(leaf, "description") and not isinstance(leaf, ipywidgets.HTML):
                assert leaf.description
        labels = [leaf for leaf in leaves(figure) if type(leaf).__name__ == "Labels"]
        assert len(labels) == 1 and labels[0].title
        kinds = {type(leaf) for leaf in leaves(figure)}
        assert not kinds & {ipywidgets.Image, ipywidgets.Play, ipywidgets.ToggleButtons}


def test_each_control_is_named_after_what_it_changes(figures):
    found = {
        name: {key: control.description for key, control in figure.controls.items()}
        for name, figure in figures.items()
        if hasattr(figure, "controls")
    }
    same = ("brightness", "contrast", "saturation", "seed", "image")
    assert found["augmentation"] == {
        **{name: name for name in same}, "least_area": "least area", "flip": "mirrored"
    }  # fmt: skip
    sizes = {name: name for name in ("kernel", "stride", "padding")}
    assert found["size"] == sizes | {"size": "image (pixels)", "window": "window number"}
    assert found["layers"] == {"layer": "layer", "image": "image"}
    for name in ("layers", "augmentation"):
        chosen = figures[name].controls["image"].options
        assert list(chosen) == [(f"number {k + 1}", k) for k in (0, 1, 3, 4, 6, 7)]


def test_many_moves_leave_no_figure_open(figures):
    for name, control, values in (
        ("size", "size", [20, 21]),
        ("layers", "image", [1, 3]),
        ("layers", "layer", ["features.2", "classifier.1"]),
        ("freeze", "frozen", [1, 2]),
        ("augmentation", "seed", [1]),
        ("mistakes", "outcome", ["correct", "all"]),
    ):
        for value in values:
            figures[name].controls[control].value = value
            assert figures[name].error is None
    assert pyplot.get_fignums() == []


# One by one.


def test_the_calculator_follows_its_sliders():
    figure = widgets.output_size_calculator(size=32, kernel=5, stride=2, padding=1)
    assert figure.rendering.lines[0].endswith("= 15") and figure.controls["window"].max == 225
    figure.controls["stride"].value = 1
    assert figure.rendering.lines[0].endswith("= 30") and figure.controls["window"].max == 900
    before = figure._image.value
    figure.controls["window"].value = 900
    assert "row 30, column 30" in figure.rendering.lines[2] and figure._image.value != before
    figure.controls["size"].value = 5
    assert figure.controls["window"].value == figure.controls["window"].max == 9
    assert "row 3, column 3" in figure.rendering.lines[2]


def test_the_calculator_shows_an_error_when_the_kernel_does_not_fit_and_recovers():
    figure = widgets.output_size_calculator(size=5, kernel=5, stride=1, padding=0)
    figure.controls["kernel"].value = 6
    assert "a kernel of 6 does not fit into 5 pixels" in figure._message.value
    figure.controls["kernel"].value = 4
    assert figure.error is None and figure._message.value == ""
    with pytest.raises(ValueError, match="does not fit"):
        widgets.output_size_calculator(size=3, kernel=9, padding=0)


def test_the_layer_explorer_shows_every_layer_and_image(make):
    figure = make["layers"]()
    assert list(figure.controls["layer"].options) == ["features.0", "features.2", "classifier.1"]
    for layer in figure.controls["layer"].options:
        figure.controls["layer"].value = layer
        assert figure.rendering.lines[0].startswith(layer)
    before = figure._image.value
    figure.controls["image"].value = 3
    assert figure._image.value != before


def test_a_layer_of_an_image_that_was_traced_needs_no_pass(network, dataset, preset):
    figure = widgets.layer_explorer(network, dataset, preset)
    passes = []
    network.register_forward_hook(lambda _, given, __: passes.append(given[0].device.type))
    for layer in ("features.2", "features.0", "classifier.1"):
        figure.controls["layer"].value = layer
    assert passes == []
    figure.controls["image"].value = 1
    assert passes.count("cpu") == 1  # the layer table's copy, on the device meta, is no pass


def test_the_freeze_slider_gives_what_was_measured(make, costs):
    figure = make["freeze"]()
    for frozen in (0, 1, 2):
        figure.controls["frozen"].value = frozen
        trainable = costs["trainable"][frozen]
        assert f"{frozen} of 2 layers frozen: {trainable:,} of" in figure.rendering.lines[0]


@pytest.mark.parametrize("name", ["least_area", "flip", "brightness", "contrast", "saturation"])
def test_the_playground_passes_each_strength_and_the_seed_on(raw, preset, monkeypatch, name):
    figure = widgets.augmentation_playground(raw, preset)
    given, real = {}, render_training.augmentation

    def augmentation(image, preset, **strengths):
        given.update(strengths)
        return real(image, preset, **strengths)

    monkeypatch.setattr(render_training, "augmentation", augmentation)
    before = figure.values()
    figure.controls[name].value = 0.75
    assert given == {key: before[key] for key in given} | {name: 0.75}
    assert figure.error is None
    before = figure._image.value
    figure.controls["seed"].value = 5
    assert figure._image.value != before


def test_the_mistake_browser_filters_and_sorts(make, predictions):
    figure, losses = make["mistakes"](), predictions.losses
    for outcome, chosen in (("wrong", ~predictions.correct), ("correct", predictions.correct)):
        figure.controls["outcome"].value = outcome
        indices = chosen.nonzero().flatten().tolist()
        assert figure.controls["number"].max == len(indices)
        for number, index in enumerate(sorted(indices, key=lambda i: -losses[i]), 1):
            figure.controls["number"].value = number
            truth, said = (
                CLASSES[labels[index]] for labels in (predictions.labels, predictions.predicted)
            )
            title = f"Loss {losses[index]:.3f}: {truth}, predicted as {said}"
            assert figure.rendering.alt.startswith(title)
            assert f"It is {truth}: {outcome}" in figure.rendering.lines[1]
            assert f"Image {number} of {len(indices)}," in figure.rendering.lines[0]


def test_the_mistake_browser_draws_the_image_that_its_text_is_about(
    network, dataset, predictions, preset, monkeypatch
):
    given = []

    def explained(network, image, chances, preset, classes, **known):
        given.append((image, chances, known["truth"]))
        return canvas.Rendering(Image.new("RGB", (3, 3)), "an image", ())

    monkeypatch.setattr(explorers, "explained", explained)
    figure = widgets.mistake_browser(network, dataset, predictions, preset, CLASSES)
    figure.controls["outcome"].value = "all"
    for number, index in enumerate(evaluation.worst(predictions, count=9), 1):
        figure.controls["number"].value = number
        image, chances, truth = given[-1]
        assert torch.equal(image, dataset[index][0]) and truth == dataset[index][1]
        assert torch.equal(chances, predictions.probabilities[index])


def test_the_mistake_browser_shows_one_class(make, network, dataset, predictions, preset):
    figure = make["mistakes"]()
    figure.controls["outcome"].value = "all"
    figure.controls["label"].value = 1
    assert figure.controls["number"].max == int((predictions.labels == 1).sum())
    assert "It is bees" in figure.rendering.lines[1]
    with pytest.raises(ValueError, match="9 predictions do not fit 8 images"):
        widgets.mistake_browser(network, dataset[:8], predictions, preset, CLASSES)


def test_the_heat_map_explains_the_predicted_class(network, dataset, preset, monkeypatch):
    targets = []

    def grad_cam(network, images, target):
        targets.append(target)
        return torch.zeros(1, 32, 32)

    monkeypatch.setattr(explorers.attribution, "grad_cam", grad_cam)
    for predicted in (0, 1):
        chances = torch.eye(2)[predicted]
        explorers.explained(network, dataset[0][0], chances, preset, CLASSES, truth=0)
    assert targets == [0, 1]


def test_a_message_is_shown_when_no_image_matches(network, dataset, preset):
    logits = torch.tensor([[9.0, 0.0], [0.0, 9.0]] * 4 + [[9.0, 0.0]])
    all_correct = evaluation.Predictions(logits, torch.tensor([0, 1] * 4 + [0]))
    figure = widgets.mistake_browser(network, dataset, all_correct, preset, CLASSES)
    assert figure.controls["outcome"].value == "all"
    figure.controls["outcome"].value = "wrong"
    assert "There is no such image" in figure._message.value
    figure.controls["outcome"].value = "correct"
    assert figure._message.value == ""
