"""Explorers: sliders and lists around the functions of `render_layers` and `render_training`."""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import ipywidgets
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tutorial_utils import attribution, layers, plots
from tutorial_utils._support.presets import Preset
from tutorial_utils.evaluation import Predictions
from tutorial_utils.widgets import render_layers, render_training, tracing
from tutorial_utils.widgets.canvas import Rendering
from tutorial_utils.widgets.controls import dropdown, fraction_slider, labelled, whole_slider
from tutorial_utils.widgets.interactive import Explorer

if TYPE_CHECKING:
    import pandas

ALL = "all"
OUTCOMES = ("wrong", "correct", ALL)


def layer_explorer(
    network: nn.Module, dataset: Dataset, preset: Preset, *, count: int = 6
) -> Explorer:
    """Return an explorer of what a network's layers give for an image. Used in lessons 02 and 03.

    Args:
        network: as `models.build` makes it.
        dataset: gives pairs of a normalised tensor (3, H, H) and a label.
        preset: of the weights, `weights.transforms()`.
        count: how many images to choose from, spread over the data set.
    """

    @cache
    def traced(image: int) -> tracing.Trace:
        return tracing.trace(network, dataset[image][0], preset)

    def render(image: int, layer: str) -> Rendering:
        return render_layers.traced_layer(traced(image), layer)

    names = list(traced(0).outputs)
    controls = {
        "layer": labelled(ipywidgets.SelectionSlider, "layer", options=names, value=names[0]),
        "image": _image_list(dataset, count),
    }
    return Explorer("Layer explorer", controls, render)


def output_size_calculator(
    *, size: int = 32, kernel: int = 5, stride: int = 2, padding: int = 1, window: int = 1
) -> Explorer:
    """Return a calculator of a convolution's output size, with its window. Used in lesson 02.

    Args:
        size: of the image at the start, in pixels, 1 to 256.
        kernel: at the start, 1 to 16.
        stride: at the start, 1 to 8.
        padding: at the start, 0 to 8.
        window: number of the output value at the start, from 1.
    """
    controls = {
        "size": whole_slider("image (pixels)", size, 1, 256),
        "kernel": whole_slider("kernel", kernel, 1, 16),
        "stride": whole_slider("stride", stride, 1, 8),
        "padding": whole_slider("padding", padding, 0, 8),
        "window": whole_slider("window number", window, 1, max(window, 1)),
    }

    def render(window: int, **layer: int) -> Rendering:
        controls["window"].max = layers.output_size(**layer) ** 2
        return render_layers.output_size(**layer, window=window)

    return Explorer("Output size of a convolution", controls, render)


def freeze_slider(costs: "pandas.DataFrame", *, frozen: int = 0) -> Explorer:
    """Return a slider over the frozen layers, with the costs of a training step. Used in lesson 04.

    Args:
        costs: what `layers.step_costs` measured.
        frozen: the number at the start.
    """
    slider = whole_slider("frozen layers", frozen, 0, int(costs["frozen"].max()))
    render = partial(render_training.freezing, costs)
    return Explorer("How much is frozen?", {"frozen": slider}, render)


def augmentation_playground(dataset: Dataset, preset: Preset) -> Explorer:
    """Return sliders over the strength of each random change of an image. Used in lesson 01.

    Args:
        dataset: gives pairs of a PIL image and a label.
        preset: of the weights, `weights.transforms()`.
    """
    controls = {
        "image": _image_list(dataset, 6),
        "least_area": fraction_slider("least area", 0.5, 0.05),
        "flip": fraction_slider("mirrored", 0.5),
        "brightness": fraction_slider("brightness", 0.2),
        "contrast": fraction_slider("contrast", 0.2),
        "saturation": fraction_slider("saturation", 0.2),
        "seed": whole_slider("seed", 0, 0, 99),
    }
    opened = cache(lambda image: dataset[image][0])

    def render(image: int, **strengths: float) -> Rendering:
        return render_training.augmentation(opened(image), preset, **strengths)

    return Explorer("Augmentation", controls, render)


def mistake_browser(
    network: nn.Module,
    dataset: Dataset,
    predictions: Predictions,
    preset: Preset,
    classes: Sequence[str],
) -> Explorer:
    """Return a browser of predictions, those of the highest loss first. Used in lesson 07.

    Args:
        network: maps (N, 3, H, W) to logits (N, K): the one that made the predictions.
        dataset: gives pairs of a normalised tensor (3, H, W) and a label, in the order of the
            predictions.
        predictions: of the whole data set.
        preset: of the weights, `weights.transforms()`.
        classes: the K names.

    Raises:
        ValueError: if the predictions are not one for each image.
    """
    if len(dataset) != len(predictions):
        raise ValueError(f"{len(predictions)} predictions do not fit {len(dataset)} images")
    start = "wrong" if _select(predictions, "wrong", -1) else ALL
    names = [(ALL, -1), *((name, k) for k, name in enumerate(classes))]
    controls = {
        "outcome": dropdown("predictions", [(outcome, outcome) for outcome in OUTCOMES], start),
        "label": dropdown("true class", names, -1),
        "number": whole_slider("image number", 1, 1, 1),
    }
    controls["number"].continuous_update = False  # each image takes a pass of the network

    @cache
    def rendered(index: int) -> Rendering:
        tensor, truth = dataset[index]
        predicted = classes[int(predictions.predicted[index])]
        title = f"Loss {predictions.losses[index]:.3f}: {classes[truth]}, predicted as {predicted}"
        chances, known = predictions.probabilities[index], {"truth": truth, "title": title}
        return explained(network, tensor, chances, preset, classes, **known)

    def render(outcome: str, label: int, number: int) -> Rendering:
        found = _select(predictions, outcome, label)
        if not found:
            raise ValueError("There is no such image: choose other predictions or another class.")
        controls["number"].max = len(found)
        number = min(number, len(found))
        one = rendered(found[number - 1])
        count = f"Image {number} of {len(found)}, the highest loss first."
        return one._replace(lines=(count, *one.lines))

    return Explorer("Which mistakes?", controls, render)


def explained(
    network: nn.Module,
    image: Tensor,
    probabilities: Tensor,
    preset: Preset,
    classes: Sequence[str],
    *,
    truth: int | None = None,
    title: str = "",
) -> Rendering:
    """Return the rendering of a prediction, with the Grad-CAM heat map of the predicted class.

    Args:
        network: the one that made the prediction.
        image: (3, H, W), normalised by `preset`.
        probabilities: (K,); see `render_training.prediction`, also for the others.
    """
    batch = image[None]  # (1, 3, H, W)
    heat = attribution.grad_cam(network, batch, int(probabilities.argmax()))[0].numpy()
    seen = plots.denormalise(batch, preset)[0]
    return render_training.prediction(
        seen, heat, probabilities.tolist(), classes, truth=truth, title=title
    )


def _select(predictions: Predictions, outcome: str, label: int) -> list[int]:
    """Return the indices of predictions with an outcome and a true class, -1 for all, by loss."""
    chosen = torch.ones(len(predictions), dtype=torch.bool)
    if outcome != ALL:
        chosen &= predictions.correct == (outcome == "correct")
    if label >= 0:
        chosen &= predictions.labels == label
    order = predictions.losses.argsort(descending=True, stable=True)
    return order[chosen[order]].tolist()


def _image_list(dataset: Dataset, count: int) -> ipywidgets.Dropdown:
    """Return a list of `count` images, spread evenly over a data set; all of a small one."""
    count = min(count, len(dataset))
    indices = [k * len(dataset) // count for k in range(count)]
    return dropdown("image", [(f"number {index + 1}", index) for index in indices], indices[0])
