"""Things to move in the lessons: ipywidgets around the plain functions of the floors below.

Each function returns an `Exhibit`: controls, an image, and its text. Where a notebook runs with
nobody watching, or is read on the web, the image and the text stand in its place. What goes wrong
after a move is said in the exhibit; what goes wrong when it is made is raised.

Works with ipywidgets 7.7 and 8.
"""

import html
import itertools
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
from IPython.display import display
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tutorial_utils import attribution, data, evaluation, layers, lesson, plots, training
from tutorial_utils.evaluation import Predictions
from tutorial_utils.history import History
from tutorial_utils.models import Preset
from tutorial_utils.widgets import drawings, tracing
from tutorial_utils.widgets.canvas import View
from tutorial_utils.widgets.controls import Drop, Labels

if TYPE_CHECKING:
    import pandas

ALL = "all"
OUTCOMES = ("wrong", "right", ALL)
EXPECTED = (ValueError, OSError)  # their texts are for people; of others the traceback helps


class Exhibit(ipywidgets.VBox):
    """Controls, an image and its text.

    Attributes:
        view: what is shown.
        error: what went wrong at the last move, None if nothing did.
    """

    def __init__(self, title: str, above: Sequence[ipywidgets.Widget]):
        self.view: View | None = None
        self.error: Exception | None = None
        self._image, self._message = ipywidgets.HTML(), ipywidgets.HTML()
        head = ipywidgets.HTML(f"<b>{html.escape(title)}</b>")
        super().__init__([head, *above, self._message, self._image, Labels(title=title)])

    def show(self, view: View) -> None:
        """Show a view in place of the one that is there."""
        self.view, self.error = view, None
        self._message.value = ""
        self._image.value = view.html()

    def say(self, text: str) -> None:
        """Say something in words, above the image."""
        self._message.value = f'<div role="status">{html.escape(text)}</div>' if text else ""

    def fail(self, error: Exception) -> None:
        """Say what went wrong; of an error that nobody expects, with its traceback."""
        self.error = error
        text = f"<div>{html.escape(str(error) or type(error).__name__)}</div>"
        if not isinstance(error, EXPECTED):
            trace = html.escape("".join(traceback.format_exception(error)))
            text = f"<div>{type(error).__name__}: {html.escape(str(error))}</div>"
            text += f"<details><summary>where it happened</summary><pre>{trace}</pre></details>"
        look = "border-left: 4px solid #D55E00; padding: .3em .8em"
        self._message.value = f'<div role="alert" style="{look}">{text}</div>'

    def bundle(self) -> dict[str, Any]:
        """Return what a notebook shows: the live exhibit, and its image and text without one."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        still = {"text/html": self.view.html(tight=True), "text/plain": self.view.plain()}
        return {lesson.LIVE: view} | still

    def _ipython_display_(self, **_: object) -> None:
        display(self.bundle(), raw=True)


class Explorer(Exhibit):
    """An exhibit that is drawn anew whenever one of its controls moves.

    Attributes:
        controls: {name of an argument of `draw`: the control that gives it}.
    """

    def __init__(
        self,
        title: str,
        controls: dict[str, ipywidgets.Widget],
        draw: Callable[..., View],
        *,
        more: Sequence[ipywidgets.Widget] = (),
    ):
        super().__init__(title, [_rows(list(controls.values())), *more])
        self.controls, self._draw, self._drawing = controls, draw, False
        for control in controls.values():
            control.observe(self.refresh, "value")
        self.show(draw(**self.values()))

    def values(self) -> dict[str, Any]:
        """Return what the controls say."""
        return {name: control.value for name, control in self.controls.items()}

    def refresh(self, _: object = None) -> None:
        """Draw again; a control that is moved by the drawing itself does not start another."""
        if self._drawing:
            return
        self._drawing = True
        try:
            self.show(self._draw(**self.values()))
        except Exception as error:
            self.fail(error)
        finally:
            self._drawing = False


def layer_explorer(
    network: nn.Module, dataset: Dataset, preset: Preset, *, count: int = 6
) -> Explorer:
    """Make something to walk through a network's layers with, and see what each gives.

    Args:
        network: as `models.build` makes it.
        dataset: gives pairs of a normalised tensor (3, H, H) and a label.
        preset: the weights' own, `weights.transforms()`.
        count: how many images to choose from, spread over the data set.
    """
    chosen = _spread(len(dataset), count)
    traces: dict[int, tracing.Trace] = {}

    def draw(image: int, layer: str) -> View:
        if image not in traces:
            traces[image] = tracing.trace(network, dataset[image][0], preset)
        return tracing.layer(traces[image], layer)

    traces[chosen[0]] = tracing.trace(network, dataset[chosen[0]][0], preset)
    names = list(traces[chosen[0]].outputs)
    controls = {
        "layer": _styled(ipywidgets.SelectionSlider, "layer", options=names, value=names[0]),
        "image": _choice("image", _numbered(chosen), chosen[0]),
    }
    return Explorer("Layer explorer", controls, draw)


def output_size_calculator(
    *, size: int = 32, kernel: int = 5, stride: int = 2, padding: int = 1, window: int = 1
) -> Explorer:
    """Make a calculator of a convolution's output size, with the window on the image.

    Args:
        size: of the image at the start, in pixels, 1 to 256; likewise the others.
        kernel: 1 to 16.
        stride: 1 to 8.
        padding: 0 to 8.
        window: which window, from 1.
    """

    controls = {
        "size": _slider("image (pixels)", size, 1, 256),
        "kernel": _slider("kernel", kernel, 1, 16),
        "stride": _slider("stride", stride, 1, 8),
        "padding": _slider("padding", padding, 0, 8),
        "window": _slider("window number", window, 1, max(window, 1)),
    }

    def draw(window: int, **layer: int) -> View:
        controls["window"].max = layers.output_size(**layer) ** 2
        return drawings.output_size(**layer, window=window)

    return Explorer("Output size of a convolution", controls, draw)


def freeze_slider(costs: "pandas.DataFrame", *, frozen: int = 0) -> Explorer:
    """Make a slider over the number of frozen layers, with what a training step costs then.

    Args:
        costs: what `stepcost.step_costs` measured.
        frozen: where the slider stands at the start.
    """
    slider = _slider("frozen layers", frozen, 0, int(costs["frozen"].max()))
    return Explorer("How much is frozen?", {"frozen": slider}, partial(drawings.freezing, costs))


def augmentation_playground(dataset: Dataset, preset: Preset) -> Explorer:
    """Make a place to turn each random change of an image up and down.

    Args:
        dataset: gives pairs of a PIL image and a label.
        preset: the weights' own, `weights.transforms()`.
    """
    chosen = _spread(len(dataset), 6)
    controls = {
        "image": _choice("image", _numbered(chosen), chosen[0]),
        "least_area": _fraction("least area", 0.5, 0.05),
        "flip": _fraction("mirrored", 0.5),
        "brightness": _fraction("brightness", 0.2),
        "contrast": _fraction("contrast", 0.2),
        "saturation": _fraction("saturation", 0.2),
        "seed": _slider("other nine", 0, 0, 99),
    }
    opened: dict[int, Image.Image] = {}

    def draw(image: int, **strengths: float) -> View:
        if image not in opened:
            opened[image] = dataset[image][0]
        return drawings.augmentation(opened[image], preset, **strengths)

    return Explorer("Augmentation", controls, draw)


def mistake_browser(
    network: nn.Module,
    dataset: Dataset,
    predictions: Predictions,
    preset: Preset,
    classes: Sequence[str],
) -> Explorer:
    """Make something to leaf through the answers with, those of the highest loss first.

    Args:
        network: maps (N, 3, H, W) to logits (N, K): the one that made the predictions.
        dataset: gives pairs of a normalised tensor (3, H, W) and a label, in the order of the
            predictions.
        predictions: of the whole data set.
        preset: the weights' own, `weights.transforms()`.
        classes: the K names.

    Raises:
        ValueError: if the predictions are not one for each image.
    """
    if len(dataset) != len(predictions):
        raise ValueError(f"{len(predictions)} predictions do not fit {len(dataset)} images")
    order = predictions.losses.argsort(descending=True, stable=True).tolist()
    controls = {
        "outcome": _choice("answers", [(outcome, outcome) for outcome in OUTCOMES], "wrong"),
        "label": _choice("it is", [(ALL, -1), *((name, k) for k, name in enumerate(classes))], -1),
        "number": _slider("image number", 1, 1, 1),
    }
    controls["number"].continuous_update = False  # each image takes a pass of the network
    seen: dict[int, View] = {}

    def draw(outcome: str, label: int, number: int) -> View:
        found = [place for place in order if _wanted(predictions, place, outcome, label)]
        if not found:
            raise ValueError("There is no such image: choose other answers or another class.")
        controls["number"].max = len(found)
        place = found[min(number, len(found)) - 1]
        if place not in seen:
            seen[place] = _explained(network, dataset, predictions, place, preset, classes)
        count = f"Image {min(number, len(found))} of {len(found)}, by falling loss."
        return seen[place]._replace(lines=(count, *seen[place].lines))

    if not any(_wanted(predictions, place, "wrong", -1) for place in order):
        controls["outcome"].value = ALL
    return Explorer("Which mistakes?", controls, draw)


def _wanted(predictions: Predictions, place: int, outcome: str, label: int) -> bool:
    right = bool(predictions.correct[place])
    return (outcome == ALL or right == (outcome == "right")) and label in (
        -1,
        int(predictions.labels[place]),
    )


def _explained(
    network: nn.Module,
    dataset: Dataset,
    predictions: Predictions,
    place: int,
    preset: Preset,
    classes: Sequence[str],
) -> View:
    tensor, truth = dataset[place]
    said = int(predictions.predicted[place])
    title = f"Loss {predictions.losses[place]:.3f}: {classes[truth]}, said to be {classes[said]}"
    return drawings.answer(
        plots.denormalise(tensor[None], preset)[0],
        attribution.grad_cam(network, tensor[None], said)[0].numpy(),
        predictions.probabilities[place].tolist(),
        classes,
        truth=truth,
        title=title,
    )


class OwnImage(Exhibit):
    """A place for an image of your own, and what a network says of it.

    Attributes:
        drop: the place to drop it on.
    """

    def __init__(self, ask: Callable[[Image.Image, str], View], example: tuple[str, Image.Image]):
        self.drop = Drop(self.take)
        super().__init__("Your own image", [self.drop])
        self._ask = ask
        self.show(ask(example[1], example[0]))

    def take(self, name: str, content: bytes) -> None:
        """Show what the network says of a file; if it is no image, say so."""
        try:
            self.show(self._ask(data.read_image(content, name), name))
        except Exception as error:
            self.fail(error)


def own_image(
    network: nn.Module,
    preset: Preset,
    classes: Sequence[str],
    *,
    example: tuple[str, Image.Image],
) -> OwnImage:
    """Make a place to drop an image on, and see the network's answer and where it looked.

    Args:
        network: maps (N, 3, H, W) to logits (N, K).
        preset: the weights' own, `weights.transforms()`.
        classes: the K names.
        example: name and image to begin with.
    """

    def ask(image: Image.Image, name: str) -> View:
        batch = preset(image)[None]  # (1, 3, H, W)
        chances = evaluation.predict(network, data.loader([(batch[0], 0)])).probabilities[0]
        heat = attribution.grad_cam(network, batch, int(chances.argmax()))[0].numpy()
        seen = plots.denormalise(batch, preset)[0]
        return drawings.answer(seen, heat, chances.tolist(), classes, title=name)

    return OwnImage(ask, example)


class Dashboard(Exhibit):
    """Buttons to start and stop a training run, and its curves while it goes on.

    The run has a thread of its own, so the notebook stays responsive; an exception in it is shown.
    torch's generators are shared by all threads: random numbers that other cells draw meanwhile
    are not those of another time.

    Attributes:
        history: of the run that goes on or has ended; before the first, the one given.
        network: what was trained last; None before the first run.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        fit: Callable[..., History],
        batches: int,
        *,
        epochs: int,
        checkpoint: Path | None,
        history: History,
        name: str,
    ):
        self.network: nn.Module | None = None
        self.history = history
        self._make, self._fit, self._batches, self._name = make, fit, batches, name
        self._epochs, self._checkpoint = epochs, checkpoint
        self._stop, self._thread = threading.Event(), None
        self._folder: Path | None = None  # of the run's checkpoint
        self.start_button = ipywidgets.Button(description="Start", button_style="primary")
        self.stop_button = ipywidgets.Button(description="Stop", disabled=True)
        self.bar = _styled(ipywidgets.IntProgress, "progress", max=epochs * batches)
        buttons = ipywidgets.HBox([self.start_button, self.stop_button, self.bar])
        super().__init__("Training", [buttons])
        self.start_button.on_click(self.start)
        self.stop_button.on_click(self.stop)
        self._draw("A run that ended before")

    def start(self, _: object = None) -> None:
        """Begin a run, or go on with one that was stopped and has a checkpoint."""
        if self.running:
            return
        self._stop.clear()
        self.start_button.disabled, self.stop_button.disabled = True, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self, _: object = None) -> None:
        """End the run after the batch that it is at; what was finished is kept."""
        self._stop.set()
        self.stop_button.disabled = True

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the run has ended, at most so many seconds; tell whether it has."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.running

    def _run(self) -> None:
        go_on = self._folder is not None and self.history.stopped == "stopped"
        done = len(self.history.epochs) * self._batches if go_on else 0
        self._begun, self._first, self._batch = time.monotonic(), done, done
        try:
            self.say("Starting.")
            if self._checkpoint is not None and not go_on:
                self._folder = _unused(self._checkpoint)
            self.network = self._make()
            watch = {"on_epoch": self._epoch_ended, "stop": self._asked}
            self.history = self._fit(self.network, checkpoint=self._folder, resume=go_on, **watch)
            self._end()
        except Exception as error:
            self.fail(error)
        finally:
            self.start_button.disabled, self.stop_button.disabled = False, True

    def _asked(self) -> bool:
        """Count a batch, say how long the rest will take, and whether to stop."""
        self.bar.value = self._batch
        done, left = self._batch - self._first, self._epochs * self._batches - self._batch
        if done:
            seconds = (time.monotonic() - self._begun) / done * left
            self.say(
                f"Batch {self._batch + 1} of {self._epochs * self._batches}, "
                f"about {_duration(seconds)} left."
            )
        self._batch += 1
        return self._stop.is_set()

    def _epoch_ended(self, history: History) -> None:
        self.history = history
        self._draw("Training")

    def _end(self) -> None:
        stopped = self.history.stopped is not None
        self.start_button.description = "Go on" if stopped and self._folder else "Start again"
        finished = f"{len(self.history.epochs)} of {self._epochs} epochs are finished"
        kept = f" The best and the last epoch are kept in {self._folder}." if self._folder else ""
        self.say(f"{'Stopped' if stopped else 'Done'}: {finished}.{kept}")
        if not stopped:
            self.bar.value = self.bar.max

    def _draw(self, title: str) -> None:
        said = self._message.value
        self.show(drawings.run(self.history, epochs=self._epochs, name=self._name, title=title))
        self._message.value = said


def training_dashboard(
    make: Callable[[], nn.Module],
    train: DataLoader,
    *,
    val: DataLoader,
    history: History,
    epochs: int = 12,
    name: str = "this run",
    checkpoint: str | Path | None = None,
    **options: Any,
) -> Dashboard:
    """Make buttons that start and stop a run, with its curves while it goes on.

    Args:
        make: builds the network to train, whenever a run begins.
        train: gives batches of (inputs, labels (N,) int64).
        val: the same for the validation set.
        history: of an earlier run, to be shown before the first one begins.
        epochs: how many in all.
        name: of the run, in the legend.
        checkpoint: a folder; each run keeps its best and its last epoch in one of its own there,
            and a run that was stopped can go on. Without one it begins anew.
        options: the others of `training.fit`, e.g. lr, seed, device.
    """
    folder = None if checkpoint is None else Path(checkpoint)

    def fit(network: nn.Module, **watch: Any) -> History:
        fixed = {"epochs": epochs, "quiet": True, "progress": False}
        return training.fit(network, train, val=val, **fixed, **watch, **options)

    return Dashboard(
        make, fit, len(train), epochs=epochs, checkpoint=folder, history=history, name=name
    )


def _unused(folder: Path) -> Path:
    """Return a folder for one run's checkpoint that is not there yet."""
    return next(run for n in itertools.count(1) if not (run := folder / f"run-{n}").exists())


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{seconds:.0f} seconds"


def _styled(kind: type, label: str, **traits: Any) -> ipywidgets.Widget:
    style, layout = {"description_width": "130px"}, ipywidgets.Layout(width="350px")
    return kind(description=label, style=style, layout=layout, **traits)


def _slider(label: str, value: int, low: int, high: int) -> ipywidgets.IntSlider:
    return _styled(ipywidgets.IntSlider, label, value=value, min=low, max=high)


def _fraction(label: str, value: float, low: float = 0.0) -> ipywidgets.FloatSlider:
    return _styled(ipywidgets.FloatSlider, label, value=value, min=low, max=1.0, step=0.05)


def _choice(label: str, options: list[tuple[str, Any]], value: Any) -> ipywidgets.Dropdown:
    return _styled(ipywidgets.Dropdown, label, options=options, value=value)


def _rows(controls: list[ipywidgets.Widget]) -> ipywidgets.Box:
    flow = ipywidgets.Layout(display="flex", flex_flow="row wrap", max_width="760px")
    return ipywidgets.Box(controls, layout=flow)


def _spread(length: int, count: int) -> list[int]:
    """Return `count` places, spread evenly over a data set; all of a small one."""
    count = min(count, length)
    return [k * length // count for k in range(count)]


def _numbered(chosen: Sequence[int]) -> list[tuple[str, int]]:
    return [(f"number {place + 1}", place) for place in chosen]
