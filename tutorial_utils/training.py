"""Train a network: `fit` and `evaluate`.

`fit` is the plain loop of lesson 06, with what a long run needs: one printed line per epoch, the
same result for the same seed, checkpoints that survive a crash (see `checkpoints`), and an error
as soon as the loss is no longer finite. It trains the parameters that are not frozen, on images
or on cached features.

Source:
    Kingma and Ba, "Adam: a method for stochastic optimization" (2014):
    https://arxiv.org/abs/1412.6980
"""

import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from tutorial_utils._support import inference
from tutorial_utils._support.arguments import check_choice, check_whole, is_finite
from tutorial_utils._support.precision import native_bf16
from tutorial_utils._support.torch_state import preserve_generators, preserve_modes
from tutorial_utils.checkpoints import CheckpointWriter, load_checkpoint, recipe_of
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
    """Train the parameters that are not frozen, by cross-entropy, and print one line per epoch.

    Every epoch starts with `torch.manual_seed(seed + epoch)`, so shuffling and dropout depend on
    the seed and the epoch alone: the same seed gives the same history on the same machine, and a
    resumed run gives what an uninterrupted one gives. The caller's random generators and the modes
    (train or eval) of the network's modules are left as they were.

    Used in lessons 06 to 12.

    Args:
        network: maps a batch to logits (N, K). It ends with the weights of the last epoch.
        train: gives batches of (inputs, labels (N,) int64).
        val: the same for the validation set.
        epochs: how many in total, including those done before a resume.
        lr: the learning rate of Adam; not used if `optimizer` is given.
        seed: a whole number from 0.
        device: where to train; None leaves the network where it is. It stays there afterwards.
        optimizer: makes another optimiser from the trainable parameters, e.g.
            `lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)`.
        checkpoint: a folder for the checkpoints of the best and the last epoch. It needs up to
            seven times the size of the trained tensors: 1.5 GB for AlexNet's dense layers, 3.4 GB
            for VGG16's.
        resume: continue from the checkpoint in the folder, if there is one.
        quiet: print nothing.
        progress: whether to show a bar over the batches of an epoch; None shows it if
            `interactive()` and not quiet.
        precision: of training on images (N, C, H, W): "float32"; "mixed", bfloat16 where autocast
            allows it, with the channels last in memory; or "auto", mixed if the device computes
            bfloat16 natively, else float32. Training on features is always in float32, in
            which dense layers are faster on a CPU. So is validation.
        on_epoch: called with the history after each epoch, when its checkpoint is written.
        stop: called before each training batch; if it returns true, training ends as by Ctrl-C.

    Returns:
        The history. After Ctrl-C or the notebook's stop button it holds the finished epochs, with
        `stopped="interrupted"`; if `stop` ended the training, the same with `stopped="stopped"`.

    Raises:
        ValueError: if an argument is not allowed, nothing is trainable, or the folder's checkpoint
            is from another run.
        FloatingPointError: if the loss is no longer finite. The last checkpoint stays as it was.
        OSError: if a checkpoint cannot be written, or another run is writing to the folder. The
            checkpoint before it stays as it was.
    """
    _check_arguments(epochs, lr, seed, precision, resume=resume, checkpoint=checkpoint)
    _check_loader(train, "train")
    _check_loader(val, "val")
    device = inference.move_to(network, device)
    optimizer = (optimizer or _adam(lr))(_trainable(network))
    optimizer.zero_grad()  # gradients of the caller's own steps
    log = (lambda line: None) if quiet else print
    writer, history = None, History()
    if checkpoint is not None:
        recipe = recipe_of(optimizer, train, val, seed)
        writer = CheckpointWriter(checkpoint, network, optimizer, recipe)
        history = writer.open(resume=resume, epochs=epochs)
    if history.epochs:
        log(f"resumed after epoch {history.last.epoch} of {epochs}")
    show_bar = (interactive() and not quiet) if progress is None else progress
    mixed = precision == "mixed" or (precision == "auto" and native_bf16(device))
    run = _Run(network, train, val, optimizer, device, epochs, show_bar, mixed, stop)
    history.stopped = None
    try:
        with preserve_modes(network), preserve_generators():
            for epoch in range(len(history.epochs) + 1, epochs + 1):
                torch.manual_seed(seed + epoch)
                history.epochs.append(run.epoch(epoch))
                if writer is not None:
                    writer.save(history)
                log(_format(history.last, epochs))
                if on_epoch is not None:
                    on_epoch(history)
    except (KeyboardInterrupt, _Stopped) as reason:
        history.stopped = "stopped" if isinstance(reason, _Stopped) else "interrupted"
        log(f"{history.stopped}: {len(history.epochs)} of {epochs} epochs are finished")
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}{writer.status() if writer else ''}") from None
    finally:
        if writer is not None:
            writer.close()
    return history


def evaluate(
    network: nn.Module, loader: DataLoader, *, device: str | torch.device | None = None
) -> Score:
    """Return loss and accuracy in evaluation mode, computed without gradients.

    The modes of the network's modules and the caller's random generators are left as they were.

    Used in lessons 06, 07 and 12.

    Args:
        network: maps a batch to logits (N, K).
        loader: gives batches of (inputs, labels (N,) int64).
        device: where to compute; None leaves the network where it is. It stays there afterwards.

    Returns:
        Loss and accuracy per image; a short last batch counts for its images only.

    Raises:
        ValueError: if the loader is empty, or the logits do not fit the labels.
    """
    inference.check_loader(loader, "loader")
    device = inference.move_to(network, device)
    loss, correct, total = 0.0, 0, 0
    with inference.scored_batches(network, loader, device=device) as batches:
        for logits, labels in batches:
            loss += cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(1) == labels).sum())
            total += len(labels)
    return Score(loss / total, correct, total)


def interactive() -> bool:
    """Return whether somebody watches the output, so that a progress bar makes sense.

    TUTORIAL_PROGRESS=1 or 0 decides. Otherwise it is true in a terminal, in Colab, and in a kernel
    that a Jupyter server started: the server sets JPY_SESSION_NAME; papermill and nbval, which run
    notebooks in batch, do not.
    """
    choice = os.environ.get("TUTORIAL_PROGRESS", "").strip()
    if choice in ("0", "1"):
        return choice == "1"
    if "JPY_SESSION_NAME" in os.environ or "COLAB_RELEASE_TAG" in os.environ:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


class _Stopped(Exception):
    """The caller's `stop` returned true."""


@dataclass
class _Run:
    """What stays the same from epoch to epoch."""

    network: nn.Module
    train: DataLoader
    val: DataLoader
    optimizer: torch.optim.Optimizer
    device: torch.device
    epochs: int
    show_bar: bool
    mixed: bool
    stop: Callable[[], bool] | None = None

    def epoch(self, number: int) -> Epoch:
        """Train on every batch once, then validate."""
        start = time.perf_counter()
        train = self._train(number)
        val = evaluate(self.network, self.val)
        self._check_finite("validation", val.loss, number, "after its last batch")
        return Epoch(number, train, val, time.perf_counter() - start)

    def _train(self, number: int) -> Score:
        self.network.train()
        loss_sum, correct, total = 0.0, 0, 0
        # Given the loader itself, tqdm.auto would make a second iterator, which draws from the
        # random generator. With one iterator the numbers are those of a plain loop.
        bar = tqdm(
            enumerate(self.train, 1),
            total=len(self.train),
            desc=f"epoch {number}/{self.epochs}",
            leave=False,
            disable=not self.show_bar,
        )
        with bar:
            for batch, (inputs, labels) in bar:
                if self.stop is not None and self.stop():
                    raise _Stopped
                logits = self._forward(inputs.to(self.device), labels)  # (n, K)
                labels = labels.to(self.device)
                loss = cross_entropy(logits, labels)
                self._check_finite(
                    "training", loss.item(), number, f"batch {batch} of {len(self.train)}"
                )
                loss.backward()
                self.optimizer.step()
                self.optimizer.zero_grad()  # frees the gradients until the next backward pass
                loss_sum += loss.item() * len(labels)
                correct += int((logits.argmax(1) == labels).sum())
                total += len(labels)
        return Score(loss_sum / total, correct, total)

    def _forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        if not self.mixed or inputs.ndim != 4:
            return inference.compute_logits(self.network, inputs, labels)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            return inference.compute_logits(self.network, inputs, labels).float()

    def _check_finite(self, kind: str, loss: float, epoch: int, position: str) -> None:
        if math.isfinite(loss):
            return
        lr = self.optimizer.param_groups[0]["lr"]
        raise FloatingPointError(
            f"the {kind} loss is {loss} in epoch {epoch}, {position}, with lr {lr:g}: it must be a "
            f"finite number. Try a smaller lr, e.g. {lr / 10:g}, and check that the inputs are "
            f"finite (images are prepared by the weights' own transforms)."
        )


def _adam(lr: float) -> MakeOptimizer:
    """Return a maker of Adam, fused where the device has it: one pass over each tensor."""

    def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        try:
            return torch.optim.Adam(parameters, lr=lr, fused=True)
        except RuntimeError:  # no fused Adam for this device or dtype
            return torch.optim.Adam(parameters, lr=lr)

    return make


def _format(epoch: Epoch, epochs: int) -> str:
    width = len(str(epochs))
    return (
        f"epoch {epoch.epoch:{width}}/{epochs}  training {epoch.train}  "
        f"validation {epoch.val}  {epoch.seconds:.1f} s"
    )


def _trainable(network: nn.Module) -> list[nn.Parameter]:
    parameters = [p for p in network.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            "nothing to train: every parameter is frozen; unfreeze some, e.g. the head, with "
            "models.unfreeze(network.classifier), or swap the head with models.swap_head"
        )
    return parameters


def _check_arguments(
    epochs: int,
    lr: float,
    seed: int,
    precision: str,
    *,
    resume: bool,
    checkpoint: str | Path | None,
) -> None:
    check_whole("epochs", epochs, 1)
    check_whole("seed", seed, 0, 2**32 - 1)
    check_choice("precision", precision, PRECISIONS)
    if not is_finite(lr) or lr <= 0:
        raise ValueError(f"lr must be a finite number above 0, e.g. 1e-4, not {lr!r}")
    if resume and checkpoint is None:
        raise ValueError("resume=True needs a folder to resume from: give checkpoint=FOLDER")


def _check_loader(loader: DataLoader, name: str) -> None:
    inference.check_loader(loader, name)
    if loader.generator or getattr(loader.sampler, "generator", None):
        raise ValueError(
            f"{name} has a generator of its own, so its order would not depend on the seed: make "
            f"the loader without generator="
        )
