"""Train a network and watch it: `fit` and `evaluate`.

`fit` is the plain loop of lesson 06 with what a long run needs around it: a line an epoch, the
same result for the same seed, a checkpoint that survives a crash (see `checkpoints`), a clear
word when the loss is lost. It trains whatever parameters are not frozen, on images or on
cached features alike.

Source:
    Kingma and Ba, "Adam: a method for stochastic optimization" (2014):
    https://arxiv.org/abs/1412.6980
"""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from tutorial_utils._support.precision import native_bf16
from tutorial_utils.checkpoints import Keeper, load_checkpoint, recipe_of
from tutorial_utils.history import Epoch, History, Score

__all__ = ["Epoch", "History", "Score", "evaluate", "fit", "interactive", "load_checkpoint"]

PRECISIONS = ("auto", "float32", "mixed")

MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def fit(
    network: nn.Module,
    train: DataLoader,
    *,
    val: DataLoader,
    epochs: int = 12,
    lr: float = 1e-4,
    seed: int = 0,
    device: str | torch.device | None = None,
    optimizer: MakeOptimizer | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    progress: bool | None = None,
    precision: str = "auto",
    on_epoch: Callable[[History], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> History:
    """Train the parameters that are not frozen, by cross-entropy, and print a line an epoch.

    Every epoch starts with `torch.manual_seed(seed + epoch)`, so shuffling and dropout depend on
    the seed and the epoch alone: the same seed gives the same history on the same machine, and a
    run that was resumed gives what an uninterrupted one gives. The caller's generators and the
    modes (train or eval) of the network's modules are left as they were.

    Args:
        network: maps a batch to logits (N, K). It ends with the weights of the last epoch.
        train: gives batches of (inputs, labels (N,) int64).
        val: the same for the validation set.
        epochs: how many in all, those done before a resume included.
        lr: the learning rate of Adam; not used if `optimizer` is given.
        seed: a whole number from 0.
        device: where to train; None stays where the network is. The network remains there.
        optimizer: makes another optimiser from the trainable parameters, e.g.
            `lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)`.
        checkpoint: a folder to keep the best and the last epoch in. It needs room for the trained
            tensors seven times over at most: 1.5 GB for AlexNet's dense layers, 3.4 GB for VGG16's.
        resume: go on from the checkpoint in the folder, if there is one.
        quiet: print nothing.
        progress: show a bar over the batches of an epoch; None shows it to a person only, see
            `interactive`, and not if quiet.
        precision: "float32"; "mixed", bfloat16 where autocast allows it, with the channels of
            images last in memory; or "auto", mixed on a device or processor that computes
            bfloat16 natively, else float32. Validation is in float32 in any case.
        on_epoch: called with the history after each epoch, when its checkpoint is kept.
        stop: asked before each training batch; at a true answer the training ends as by Ctrl-C.

    Returns:
        The history. If it was interrupted (Ctrl-C, the stop button), the finished epochs, with
        `stopped="interrupted"`; if `stop` ended it, the same with `stopped="stopped"`.

    Raises:
        ValueError: if an argument is not allowed, nothing is trainable, or the folder's checkpoint
            is another run's.
        FloatingPointError: if the loss is no longer finite. A checkpoint is kept as it was.
        OSError: if a checkpoint cannot be written. The one before it is kept as it was.
    """
    _check_numbers(epochs, lr, seed, resume=resume, checkpoint=checkpoint)
    _check_precision(precision)
    _check_loader(train, "train")
    _check_loader(val, "val")
    device = _place(network, device)
    optimizer = (optimizer or _adam(lr))(_trainable(network))
    optimizer.zero_grad()  # what a caller's own steps may have left
    keeper = None
    history = History()
    if checkpoint is not None:
        recipe = recipe_of(optimizer, train, val, seed)
        keeper = Keeper(Path(checkpoint), network, optimizer, recipe)
        history = keeper.start(resume=resume, epochs=epochs)
    say = (lambda line: None) if quiet else print
    if history.epochs:
        say(f"resumed after epoch {history.last.epoch} of {epochs}")
    bar = (interactive() and not quiet) if progress is None else progress
    mixed = precision == "mixed" or (precision == "auto" and native_bf16(device))
    run = _Run(network, train, val, optimizer, device, epochs, bar, mixed, stop)
    history.stopped = None  # it goes on
    try:
        with _as_it_was(network), _own_generators():
            for epoch in range(len(history.epochs) + 1, epochs + 1):
                torch.manual_seed(seed + epoch)
                history.epochs.append(run.epoch(epoch))
                if keeper is not None:
                    keeper.save(history)
                say(_line(history.last, epochs))
                if on_epoch is not None:
                    on_epoch(history)
    except (KeyboardInterrupt, _Stopped) as reason:
        history.stopped = "stopped" if isinstance(reason, _Stopped) else "interrupted"
        say(f"{history.stopped}: {len(history.epochs)} of {epochs} epochs are finished")
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}{keeper.kept() if keeper else ''}") from None
    return history


def evaluate(
    network: nn.Module, loader: DataLoader, *, device: str | torch.device | None = None
) -> Score:
    """Measure loss and accuracy in evaluation mode, without gradients.

    The modes of the network's modules and the caller's generators are left as they were.

    Args:
        network: maps a batch to logits (N, K).
        loader: gives batches of (inputs, labels (N,) int64).
        device: where to compute; None stays where the network is. The network remains there.

    Returns:
        Loss and accuracy per image; a short last batch counts for its images only.
    """
    _check_loader(loader, "loader", shuffles=False)
    device = _place(network, device)
    loss, correct, total = 0.0, 0, 0
    with _as_it_was(network), _own_generators(), torch.inference_mode():
        network.eval()
        for inputs, labels in loader:
            logits = _logits(network, inputs.to(device), labels)  # (n, K)
            labels = labels.to(device)
            loss += cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(1) == labels).sum())
            total += len(labels)
    return Score(loss / total, correct, total)


def interactive() -> bool:
    """Tell whether a person is watching, so that a progress bar makes sense.

    TUTORIAL_PROGRESS=1 or 0 decides. Otherwise: a terminal, a kernel that a Jupyter server
    started (it sets JPY_SESSION_NAME; papermill and nbval, which run notebooks in batch, do not),
    or Colab.
    """
    wish = os.environ.get("TUTORIAL_PROGRESS", "").strip()
    if wish in ("0", "1"):
        return wish == "1"
    if "JPY_SESSION_NAME" in os.environ or "COLAB_RELEASE_TAG" in os.environ:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


class _Stopped(Exception):
    """Somebody asked for the end of the training."""


@dataclass
class _Run:
    """What stays the same from epoch to epoch."""

    network: nn.Module
    train: DataLoader
    val: DataLoader
    optimizer: torch.optim.Optimizer
    device: torch.device
    epochs: int
    bar: bool
    mixed: bool
    stop: Callable[[], bool] | None = None

    def epoch(self, number: int) -> Epoch:
        """Train on every batch once, then validate."""
        start = time.perf_counter()
        train = self._train(number)
        val = evaluate(self.network, self.val)
        if not math.isfinite(val.loss):
            raise FloatingPointError(self._lost("validation", val.loss, number, "after its end"))
        return Epoch(number, train, val, time.perf_counter() - start)

    def _train(self, number: int) -> Score:
        self.network.train()
        loss_sum, correct, total = 0.0, 0, 0
        # tqdm.auto asks a loader for a second iterator, which would draw from the generator: it
        # gets one iterator, made here, and the numbers are those of a plain loop.
        batches = tqdm(
            enumerate(self.train, 1),
            total=len(self.train),
            desc=f"epoch {number}/{self.epochs}",
            leave=False,
            disable=not self.bar,
        )
        for batch, (inputs, labels) in batches:
            if self.stop is not None and self.stop():
                batches.close()
                raise _Stopped
            logits = self._forward(inputs.to(self.device), labels)  # (n, K)
            labels = labels.to(self.device)
            loss = cross_entropy(logits, labels)
            if not math.isfinite(loss.item()):
                batches.close()
                where = f"batch {batch} of {len(self.train)}"
                raise FloatingPointError(self._lost("training", loss.item(), number, where))
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()  # here, so that no gradient is held while none is needed
            loss_sum += loss.item() * len(labels)
            correct += int((logits.argmax(1) == labels).sum())
            total += len(labels)
        return Score(loss_sum / total, correct, total)

    def _forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        if not self.mixed:
            return _logits(self.network, inputs, labels)
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            return _logits(self.network, inputs, labels).float()

    def _lost(self, kind: str, loss: float, epoch: int, where: str) -> str:
        lr = self.optimizer.param_groups[0]["lr"]
        return (
            f"the {kind} loss is {loss} in epoch {epoch}, {where}, with lr {lr:g}: it must be a "
            f"finite number. Try a smaller lr, e.g. {lr / 10:g}, and check that the inputs are "
            f"finite (images come through the weights' own transforms)."
        )


def _adam(lr: float) -> MakeOptimizer:
    """Return a maker of Adam, fused where the device has it: one pass over each tensor."""

    def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        try:
            return torch.optim.Adam(parameters, lr=lr, fused=True)
        except RuntimeError:  # no fused Adam for this device or dtype
            return torch.optim.Adam(parameters, lr=lr)

    return make


def _logits(network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the network's (n, K) output, if it has a score for every label."""
    logits = network(inputs)
    if logits.ndim != 2:
        raise ValueError(f"the network's output has the shape {tuple(logits.shape)}, not (N, K)")
    if int(labels.max()) >= logits.shape[1]:
        raise ValueError(
            f"an image has the label {int(labels.max())}, and the network scores "
            f"{logits.shape[1]} classes, from 0: give it a head with more outputs"
        )
    return logits


def _line(epoch: Epoch, epochs: int) -> str:
    width = len(str(epochs))
    return (
        f"epoch {epoch.epoch:{width}}/{epochs}  training {epoch.train}  "
        f"validation {epoch.val}  {epoch.seconds:.1f} s"
    )


@contextmanager
def _as_it_was(network: nn.Module) -> Iterator[None]:
    """Put every module back in the mode, train or eval, that it was in."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _own_generators() -> torch.random.fork_rng:
    """Leave the caller's generators as they were, without waking CUDA up for it."""
    awake = torch.cuda.is_initialized()
    return torch.random.fork_rng(range(torch.cuda.device_count()) if awake else [])


def _place(network: nn.Module, device: str | torch.device | None) -> torch.device:
    if device is None:
        first = next(network.parameters(), None)
        return torch.device("cpu") if first is None else first.device
    network.to(device)
    return torch.device(device)


def _trainable(network: nn.Module) -> list[nn.Parameter]:
    parameters = [p for p in network.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            "nothing to train: every parameter is frozen; unfreeze some, e.g. the head, with "
            "models.unfreeze(network.classifier), or swap the head with models.swap_head"
        )
    return parameters


def _check_numbers(
    epochs: int, lr: float, seed: int, *, resume: bool, checkpoint: str | Path | None
) -> None:
    if not _whole(epochs) or epochs < 1:
        raise ValueError(f"epochs must be a whole number from 1, not {epochs!r}")
    if not _whole(seed) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, not {seed!r}")
    number = isinstance(lr, Real) and not isinstance(lr, bool)
    if not number or not math.isfinite(lr) or lr <= 0:
        raise ValueError(f"lr must be a finite number above 0, e.g. 1e-4, not {lr!r}")
    if resume and checkpoint is None:
        raise ValueError("resume=True needs a folder to resume from: give checkpoint=FOLDER")


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; allowed: {', '.join(PRECISIONS)}")


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_loader(loader: DataLoader, name: str, *, shuffles: bool = True) -> None:
    if not isinstance(loader, DataLoader):
        raise ValueError(
            f"{name} must be a DataLoader, not {type(loader).__name__}: wrap a data set in "
            f"torch.utils.data.DataLoader(dataset, batch_size=20)"
        )
    if len(loader) == 0:
        raise ValueError(f"{name} is empty: it gives no batch. Look at the data set's length")
    if shuffles and (loader.generator or getattr(loader.sampler, "generator", None)):
        raise ValueError(
            f"{name} has a generator of its own, so its order would not follow from the seed: "
            f"make the loader without generator="
        )
