"""A dashboard: start and stop a training run, and watch its curves meanwhile."""

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets
from torch import nn
from torch.utils.data import DataLoader

from tutorial_utils import training
from tutorial_utils._support.files import as_path
from tutorial_utils.history import History
from tutorial_utils.widgets import render_training
from tutorial_utils.widgets.controls import labelled
from tutorial_utils.widgets.interactive import InteractiveFigure


class Dashboard(InteractiveFigure):
    """Buttons to start and stop a training run, and its curves so far.

    The run has a thread of its own, so the notebook stays responsive; an exception in it is shown.
    torch's generators are shared by all threads: random numbers that other cells draw during the
    run are not reproducible.

    The arguments are those of `training_dashboard`.

    Attributes:
        history: of the run at work or the last one; before the first, the one given.
        network: what was trained last; None before the first run.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        train: DataLoader,
        *,
        history: History,
        epochs: int,
        name: str,
        checkpoint: str | Path | None,
        **options: Any,
    ):
        self.network: nn.Module | None = None
        self.history = history
        self._build, self._train, self._batches, self._name = build, train, len(train), name
        self._epochs, self._options = epochs, {"quiet": True, "progress": False} | options
        self._checkpoint = None if checkpoint is None else as_path(checkpoint)
        self._stop, self._thread = threading.Event(), None
        self._folder: Path | None = None  # of the run's checkpoint
        self.start_button = ipywidgets.Button(description="Start", button_style="primary")
        self.stop_button = ipywidgets.Button(description="Stop", disabled=True)
        self.bar = labelled(ipywidgets.IntProgress, "progress", max=epochs * len(train))
        buttons = ipywidgets.HBox([self.start_button, self.stop_button, self.bar])
        super().__init__("Training", [buttons])
        self.start_button.on_click(self.start)
        self.stop_button.on_click(self.stop)
        self._show_curves("An earlier run")

    @property
    def running(self) -> bool:
        """Whether a run is at work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, _: object = None) -> None:
        """Start a run, or resume one that was stopped and has a checkpoint."""
        if self.running:
            return
        self._stop.clear()
        self.start_button.disabled, self.stop_button.disabled = True, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self, _: object = None) -> None:
        """Stop the run before its next batch; the finished epochs stay."""
        self._stop.set()
        self.stop_button.disabled = True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the run has ended, `timeout_s` at most; return whether it has."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.running

    def _run(self) -> None:
        resume = self._folder is not None and self.history.stopped == "stopped"
        done = len(self.history.epochs) * self._batches if resume else 0
        self._start_s, self._first_batch, self._batch = time.monotonic(), done, done
        try:
            self.show_message("Starting.")
            if self._checkpoint is not None and not resume:
                runs = (self._checkpoint / f"run-{n}" for n in itertools.count(1))
                self._folder = next(run for run in runs if not run.exists())
            self.network = self._build()
            self.history = training.fit(
                self.network,
                self._train,
                epochs=self._epochs,
                checkpoint=self._folder,
                resume=resume,
                on_epoch=self._on_epoch,
                stop=self._on_batch,
                **self._options,
            )
            self._on_end()
        except Exception as error:
            self.show_error(error)
        finally:
            self.start_button.disabled, self.stop_button.disabled = False, True

    def _on_batch(self) -> bool:
        """Count a batch, show the time that is left, and return whether to stop."""
        total = self._epochs * self._batches
        self.bar.value = self._batch
        if done := self._batch - self._first_batch:
            left_s = (time.monotonic() - self._start_s) / done * (total - self._batch)
            self.show_message(f"Batch {self._batch + 1} of {total}, about {_format(left_s)} left.")
        self._batch += 1
        return self._stop.is_set()

    def _on_epoch(self, history: History) -> None:
        self.history = history
        self._show_curves("Training")

    def _on_end(self) -> None:
        stopped = self.history.stopped is not None
        self.start_button.description = "Resume" if stopped and self._folder else "Start again"
        text = f"{'Stopped' if stopped else 'Done'}: {len(self.history.epochs)} of {self._epochs} "
        text += "epochs are finished."
        if self._folder:
            text += f" The best and the last epoch are stored in {self._folder}."
        self.show_message(text)
        if not stopped:
            self.bar.value = self.bar.max

    def _show_curves(self, title: str) -> None:
        run = {"epochs": self._epochs, "name": self._name, "title": title}
        self.show_image(render_training.run_curves(self.history, **run))


def training_dashboard(
    build: Callable[[], nn.Module],
    train: DataLoader,
    *,
    val: DataLoader,
    history: History,
    epochs: int = 12,
    name: str = "this run",
    checkpoint: str | Path | None = None,
    **options: Any,
) -> Dashboard:
    """Return buttons that start and stop a run, with its curves. Used in lessons 06 and 08.

    Args:
        build: returns the network to train, for every run.
        train: gives batches of (inputs, labels (N,) int64).
        val: the same for the validation set.
        history: of an earlier run, shown before the first one starts.
        epochs: how many in all.
        name: of the run, in the legend.
        checkpoint: a folder; each run stores its best and its last epoch in a folder of its own
            there, and a stopped run can be resumed. None: a stopped run starts again.
        options: the others of `training.fit`, e.g. lr, seed, device.
    """
    run = {"history": history, "epochs": epochs, "name": name, "checkpoint": checkpoint}
    return Dashboard(build, train, val=val, **run, **options)


def _format(duration_s: float) -> str:
    return f"{duration_s / 60:.0f} minutes" if duration_s >= 100 else f"{duration_s:.0f} seconds"
