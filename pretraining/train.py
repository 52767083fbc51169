"""Train AlexNet's or VGG16's convolutions from scratch and pack them as demo weights.

Each convolution is trained with a batch norm behind it, see `networks`; the head is a global mean
and one or two dense layers, and is thrown away. The learning rate, the size of the images and the
augmentation follow the share of the budget that is spent, see `recipe`.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import checkpoint
import networks
import packing
import torch
from augment import augment, normalise, resize
from dataset import Dataset
from recipe import RECIPES, Recipe
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from tutorial_utils import models
from tutorial_utils._support import arguments, precision
from tutorial_utils.history import Score

CALIBRATION = 500  # images to set the norms with, where a training starts from existing weights
PACKING = {"alexnet": "float16", "vgg16": "int8"}  # together 20 MB


@dataclass(frozen=True)
class Outcome:
    """The result of a pretraining.

    Attributes:
        trained: on the validation set, of the trained network with its norms.
        packed: the same with the weights from the file, norms folded in and values rounded.
        size: pixels of a side at which both were measured.
        epochs: passes over the training set, the last one possibly partial.
        seconds: of training, over all sessions.
        path: the file.
        sha256: of the file.
        by_size: as `packed`, at other sizes.
    """

    trained: Score
    packed: Score
    size: int
    epochs: float
    seconds: float
    path: Path
    sha256: str
    by_size: dict[int, Score]


def pretrain(
    arch: str,
    data: Dataset,
    out: str | Path,
    *,
    epochs: float | None = None,
    minutes: float | None = None,
    recipe: Recipe | None = None,
    start: str | Path | None = None,
    checkpoint_path: str | Path | None = None,
    resume: bool = False,
    every_s: float = 180.0,
    device: str | torch.device | None = None,
    compiled: bool = False,
    log_s: float = 0.0,
    sizes: Sequence[int] = (),
    log: Callable[[str], object] | None = print,
    progress: bool = False,
) -> Outcome:
    """Train a network's convolutions and write them into a file of weights.

    The images are held on the device, and no step waits for a GPU.

    Args:
        arch: one of `models.ARCHS`.
        data: from `dataset.load`.
        out: the file to write, with each checkpoint and at the end.
        epochs: the budget in passes over the training set; a fraction is allowed.
        minutes: the budget in minutes, those of measuring included, over all sessions; give one
            of the two.
        recipe: None for the network's own in `RECIPES`.
        start: a file of weights to start from, e.g. the one that ships; None for random weights.
        checkpoint_path: a file for the state, so that a run that was cut off can resume.
        resume: resume from the checkpoint, if there is one.
        every_s: seconds between two checkpoints.
        device: None for a GPU if there is one.
        compiled: train with `torch.compile`; see `speed`.
        log_s: measure at the end of an epoch if so many seconds have passed since the last time.
        sizes: pixels of a side at which the packed file is measured as well.
        log: receives a line per measured epoch; None for none.
        progress: show a bar over the steps of an epoch.

    Returns:
        Accuracies, time and the file's SHA-256.

    Raises:
        ValueError: if an argument is not allowed, the checkpoint is of another run, or the file
            to start from is of another network.
        FloatingPointError: if the loss is no longer finite; the checkpoint stays as it was.
        OSError: if a checkpoint or the file cannot be written; an older one stays as it was.
    """
    arguments.check_choice("arch", arch, models.ARCHS)
    recipe = recipe or RECIPES[arch]
    _check_sizes(arch, recipe)
    if recipe.frozen and start is None:
        raise ValueError("frozen layers would stay random: give a file of weights to start from")
    budget, out = _check_budget(epochs, minutes), Path(out)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write {out} into")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run = Run(arch, data, recipe, budget, device)
    run.log = log or (lambda line: None)
    run.progress, run.every_s, run.log_s, run.out = progress, every_s, log_s, out
    run.checkpoint_path = None if checkpoint_path is None else Path(checkpoint_path)
    run.begin(None if start is None else Path(start), resume=resume)
    if compiled:
        run.compile()
    while run.spent < 1:
        run.epoch()
    return run.finish(sizes)


class Run:
    """One pretraining: the network, its optimizer, and how far it is."""

    log: Callable[[str], object] = print
    progress = False
    checkpoint_path: Path | None = None
    out: Path | None = None
    every_s = 180.0
    log_s = 0.0

    def __init__(
        self,
        arch: str,
        data: Dataset,
        recipe: Recipe,
        budget: tuple[str, float],
        device: torch.device,
    ) -> None:
        """Build the network; the caller's random generator is left alone."""
        self.arch, self.data, self.recipe = arch, data.to(device), recipe
        self.budget, self.device = budget, device
        self.step, self.seconds = 0, 0.0
        self.clock = self.saved = time.monotonic()
        self.logged = -math.inf
        with torch.random.fork_rng([]):
            torch.manual_seed(recipe.seed)
            network = networks.build(
                models.build_on_meta(arch).features,
                len(data.classes),
                dropout=recipe.dropout,
                hidden=recipe.hidden,
            )
        self.network = network.to(device, memory_format=torch.channels_last)
        self.in_training = self.network
        self.frozen = networks.first_layers(self.network.features, recipe.frozen)
        self.frozen.requires_grad_(False)
        self.optimizer = _optimizer(self.network, recipe)
        self.mixed = precision.native_bf16(device)
        self.steps = math.ceil(len(data.train) / recipe.batch_size)  # per epoch

    @property
    def spent(self) -> float:
        """The share of the budget that is spent."""
        kind, amount = self.budget
        return (self.step / self.steps if kind == "epochs" else self.seconds / 60) / amount

    def begin(self, start: Path | None, *, resume: bool) -> None:
        """Resume from the checkpoint, or start a new training that overwrites none."""
        path = self.checkpoint_path
        if path is None or not path.exists():
            if start is not None:
                self._start_from(start)
            return
        if not resume:
            raise ValueError(f"{path} exists and would be lost: resume from it, or delete it")
        state = checkpoint.read(path)
        checkpoint.check_same(path, state["run"], self._description())
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.log(f"resumed after {self.step / self.steps:.2f} epochs, {self.seconds / 60:.0f} min")

    def _start_from(self, path: Path) -> None:
        plain = models.build_on_meta(self.arch).features
        packing.unpack(path, plain)
        train = self.data.train.images
        images = train[:: max(1, len(train) // CALIBRATION)].cpu().float().div_(255)
        generator = torch.Generator().manual_seed(self.recipe.seed)
        images = augment(images, self.recipe.image_size(0.0), generator)
        networks.copy_weights(self.network.cpu(), plain, normalise(images))
        self.network.to(self.device)
        self.log(f"starts from {path}")

    def compile(self) -> None:
        """Train whole batches with a compiled network, which shares the weights."""
        self.in_training = torch.compile(self.network, dynamic=False)

    def epoch(self) -> None:
        """Train to the end of the epoch, or of the budget, and measure."""
        number = self.step // self.steps
        generator = torch.Generator().manual_seed(_seed(self.recipe.seed, number, 0))
        order = torch.randperm(len(self.data.train), generator=generator).to(self.device)
        before, first, size = time.monotonic(), self.step, 0
        loss_sum = torch.zeros((), device=self.device)
        bar = tqdm(total=self.steps, initial=self.step % self.steps, disable=not self.progress)
        while self.step < (number + 1) * self.steps and self.spent < 1:
            start = self.step % self.steps * self.recipe.batch_size
            size = self.recipe.image_size(self.spent)
            loss_sum += self.train_step(order[start : start + self.recipe.batch_size], size)
            self.step += 1
            self._tick()
            bar.update()
            if self.clock - self.saved > self.every_s:
                self._save(loss_sum)
        bar.close()
        self._check_finite(loss_sum)  # waits for a GPU
        self._tick()
        speed = (self.step - first) * self.recipe.batch_size / max(self.clock - before, 1e-9)
        if self.spent >= 1 or self.clock - self.saved > self.every_s / 2:
            self._save(loss_sum)
        if self.spent >= 1 or self.clock - self.logged >= self.log_s:
            score = self.measure(self.network, self.recipe.test_size or size)
            self.logged = time.monotonic()
            self.log(
                f"epoch {self.step / self.steps:.2f}  {size}x{size}  training loss "
                f"{loss_sum.item() / max(self.step - first, 1):.3f}  validation {score}  "
                f"{speed:.0f} images/s"
            )

    def _check_finite(self, loss_sum: Tensor) -> None:
        if not math.isfinite(loss_sum.item()):
            raise FloatingPointError(
                f"the loss is {loss_sum.item()} by step {self.step}: try a smaller lr than "
                f"{self.recipe.lr:g}. The last checkpoint is unchanged"
            )

    def _tick(self) -> None:
        """Count the time since the last call."""
        now = time.monotonic()
        self.seconds += now - self.clock
        self.clock = now

    def train_step(self, chosen: Tensor, size: int) -> Tensor:
        """Train on one batch, without waiting for a GPU, and return its loss."""
        recipe, train = self.recipe, self.data.train
        generator = torch.Generator(self.device).manual_seed(_seed(recipe.seed, self.step, 1))
        images = train.images[chosen].float().div_(255)
        images = normalise(augment(images, size, generator, **recipe.augmentation(self.spent)))
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate(self.spent)
        self.network.train()
        self.frozen.eval()  # or its norms would keep changing
        whole = len(chosen) == recipe.batch_size  # another size would be compiled again
        with torch.random.fork_rng([] if self.device.type == "cpu" else [self.device]):
            torch.manual_seed(_seed(recipe.seed, self.step, 2))  # for the dropout
            loss = functional.cross_entropy(
                self._forward(self.in_training if whole else self.network, images),
                train.labels[chosen],
                label_smoothing=recipe.smoothing,
            )
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def _forward(self, network: nn.Module, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            return network(images).float()

    def measure(self, network: nn.Module, size: int) -> Score:
        """Return loss and accuracy on the validation set, without label smoothing."""
        network.eval()
        losses, right, val, batch = [], [], self.data.val, self.recipe.batch_size
        with torch.inference_mode():
            for images, labels in zip(
                val.images.split(batch), val.labels.split(batch), strict=True
            ):
                logits = network(normalise(resize(images.float().div_(255), size)))
                losses.append(functional.cross_entropy(logits, labels, reduction="sum"))
                right.append((logits.argmax(1) == labels).sum())
        loss, correct = (sum(torch.stack(parts).tolist()) for parts in (losses, right))
        return Score(loss / len(val), correct, len(val))

    def finish(self, sizes: Sequence[int] = ()) -> Outcome:
        """Fold and pack the network, measure it before and after, and print both."""
        size, out = self.recipe.test_size or self.recipe.image_size(1.0), self.out
        trained = self.measure(self.network, size)
        folded, digest = self._pack()
        packing.unpack(out, folded.features)
        folded = folded.to(self.device)
        packed = self.measure(folded, size)
        self.log(f"validation at {size}x{size}: trained {trained}; from {out.name} {packed}")
        by_size = {other: self.measure(folded, other) for other in sizes}
        for other, score in by_size.items():
            self.log(f"{out.name} at {other}x{other}: {score}")
        self.log(f"{out.name}: {out.stat().st_size:,} bytes, SHA-256 {digest}")
        epochs = self.step / self.steps
        return Outcome(trained, packed, size, epochs, self.seconds, out, digest, by_size)

    def _pack(self) -> tuple[nn.Sequential, str]:
        folded = networks.fold(self.network)
        return folded, packing.pack(folded.features, self.out, packing=PACKING[self.arch])

    def _description(self) -> dict:
        """Return what must be the same for a run to resume."""
        recipe = asdict(self.recipe) | {"sizes": [list(pair) for pair in self.recipe.sizes]}
        return {
            "arch": self.arch,
            "classes": self.data.classes,
            "images": [len(self.data.train), self.data.train.images.shape[-1]],
            "recipe": recipe,
            "budget": list(self.budget),
        }

    def _save(self, loss_sum: Tensor) -> None:
        """Write a checkpoint and the packed file, unless the loss is no longer finite."""
        self._check_finite(loss_sum)
        self.saved = time.monotonic()
        if self.checkpoint_path is None:
            return
        state = {"run": self._description(), "step": self.step, "seconds": self.seconds}
        state |= {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        checkpoint.write(self.checkpoint_path, state)
        self._pack()


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return torch.optim.SGD(
        [{"params": weights}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate(0.0),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )


def _check_sizes(arch: str, recipe: Recipe) -> None:
    features = models.build_on_meta(arch).features
    for size in [size for _, size in recipe.sizes] + [recipe.test_size or recipe.image_size(1.0)]:
        try:
            features(torch.empty(1, 3, size, size, device="meta"))
        except RuntimeError as error:
            raise ValueError(
                f"images of {size}x{size} are too small for {models.TITLES[arch]}: AlexNet needs "
                f"63 pixels, VGG16 32"
            ) from error


def _check_budget(epochs: float | None, minutes: float | None) -> tuple[str, float]:
    if (epochs is None) == (minutes is None):
        raise ValueError("give the budget either as epochs or as minutes")
    kind, amount = ("epochs", epochs) if minutes is None else ("minutes", minutes)
    if not arguments.is_finite(amount) or amount <= 0:
        raise ValueError(f"{kind} must be a finite number above 0, not {amount!r}")
    return kind, float(amount)


def _seed(*numbers: int) -> int:
    """Return a seed derived from several numbers."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7], "big")
