"""Train a network, watch it, keep it: `fit`, `evaluate`, `History`, checkpoints.

`fit` is the plain loop of lesson 06 with what a long run needs around it: a line an epoch, the
same result for the same seed, a checkpoint that survives a crash, a clear word when the loss is
lost. It trains whatever parameters are not frozen, on pictures or on cached features alike.

A checkpoint is a folder. `checkpoint.json` names the other files and is written last, in one
step, so the folder holds one whole checkpoint at every moment. Nothing in it is a pickle.

Sources:
    Kingma and Ba, "Adam: a method for stochastic optimization" (2014):
    https://arxiv.org/abs/1412.6980
    safetensors, the file format of the weights: https://huggingface.co/docs/safetensors
"""

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from pathlib import Path

import pandas
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

MANIFEST = "checkpoint.json"
FORMAT = 1  # of the checkpoint folder
FILES = ("best", "last", "optimizer")
COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")
# How an optimiser computes, not what: another machine may differ in these and still resume.
IMPLEMENTATION = {"params", "foreach", "fused", "capturable", "differentiable"}

MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Score:
    """How a network does on a set of pictures.

    Attributes:
        loss: cross-entropy in nats, mean per picture.
        correct: pictures classified rightly.
        total: pictures seen.
    """

    loss: float
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """The fraction classified rightly, correct over total."""
        return self.correct / self.total

    def __str__(self) -> str:
        """Return e.g. `loss 0.3910 accuracy 0.850 (130/153)`."""
        return f"loss {self.loss:.4f} accuracy {self.accuracy:.3f} ({self.correct}/{self.total})"


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures, and the validation after it.

    Attributes:
        epoch: its number, from 1.
        train: measured while the network trained: dropout on, the weights on the move.
        val: measured at the end of the epoch, in evaluation mode.
        seconds: how long both took.
    """

    epoch: int
    train: Score
    val: Score
    seconds: float


@dataclass
class History:
    """What `fit` measured.

    Attributes:
        epochs: the finished epochs, in order.
        stopped: None if the run went to its end, "interrupted" if it was stopped by hand.
    """

    epochs: list[Epoch] = field(default_factory=list)
    stopped: str | None = None

    @property
    def best(self) -> Epoch:
        """The epoch of highest validation accuracy; among equals the lowest validation loss."""
        self._need_one()
        return max(self.epochs, key=lambda epoch: (epoch.val.accuracy, -epoch.val.loss))

    @property
    def last(self) -> Epoch:
        """The last finished epoch."""
        self._need_one()
        return self.epochs[-1]

    @property
    def seconds(self) -> float:
        """How long all the epochs took together."""
        return sum(epoch.seconds for epoch in self.epochs)

    def frame(self) -> pandas.DataFrame:
        """Return one row an epoch, with the columns `COLUMNS`."""
        rows = [
            (e.epoch, e.train.loss, e.train.accuracy, e.val.loss, e.val.accuracy, e.seconds)
            for e in self.epochs
        ]
        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def save(self, path: str | Path) -> None:
        """Write the history as JSON; a file that is there is replaced in one step."""
        _write_json(Path(path), asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read a history that `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file holds something else.
        """
        return cls._from_dict(_read_json(Path(path), "history"), Path(path))

    @classmethod
    def _from_dict(cls, content: dict, path: Path) -> "History":
        try:
            epochs = [
                Epoch(e["epoch"], Score(**e["train"]), Score(**e["val"]), e["seconds"])
                for e in content["epochs"]
            ]
            return cls(epochs, content["stopped"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no history: {error!r}; give a file that History.save wrote"
            ) from error

    def _need_one(self) -> None:
        if not self.epochs:
            raise ValueError("the history is empty: no epoch was finished, so none is best or last")


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

    Returns:
        The history. If it was interrupted (Ctrl-C, the stop button), the finished epochs, with
        `stopped="interrupted"`.

    Raises:
        ValueError: if an argument is not allowed, nothing is trainable, or the folder's checkpoint
            is another run's.
        FloatingPointError: if the loss is no longer finite. A checkpoint is kept as it was.
        OSError: if a checkpoint cannot be written. The one before it is kept as it was.
    """
    _check_numbers(epochs, lr, seed, resume=resume, checkpoint=checkpoint)
    _check_loader(train, "train")
    _check_loader(val, "val")
    device = _place(network, device)
    optimizer = (optimizer or _adam(lr))(_trainable(network))
    keeper = None
    history = History()
    if checkpoint is not None:
        recipe = _recipe(optimizer, train, val, seed)
        keeper = _Keeper(Path(checkpoint), network, optimizer, recipe)
        history = keeper.start(resume=resume, epochs=epochs)
    say = (lambda line: None) if quiet else print
    if history.epochs:
        say(f"resumed after epoch {history.last.epoch} of {epochs}")
    bar = (interactive() and not quiet) if progress is None else progress
    run = _Run(network, train, val, optimizer, device, epochs, bar)
    try:
        with _as_it_was(network), _own_generators():
            for epoch in range(len(history.epochs) + 1, epochs + 1):
                torch.manual_seed(seed + epoch)
                history.epochs.append(run.epoch(epoch))
                if keeper is not None:
                    keeper.save(history)
                say(_line(history.last, epochs))
    except KeyboardInterrupt:
        history.stopped = "interrupted"
        say(f"interrupted: {len(history.epochs)} of {epochs} epochs are finished")
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
        Loss and accuracy per picture; a short last batch counts for its pictures only.
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


def load_checkpoint(network: nn.Module, folder: str | Path, *, which: str = "best") -> Epoch:
    """Load the weights that `fit` kept into a network built the same way.

    A checkpoint holds what was trained and not what was frozen: build the network with the same
    weights and swap the same head first. Nothing is loaded unless everything fits.

    Args:
        network: its trained tensors are overwritten.
        folder: what `fit` was given as `checkpoint`.
        which: "best" or "last".

    Returns:
        The epoch that the weights are from.

    Raises:
        FileNotFoundError: if there is no checkpoint, or one of its files is missing.
        ValueError: if a file is damaged or no safetensors file, or the network is another one.
    """
    if which not in ("best", "last"):
        raise ValueError(f"which must be 'best' or 'last', not {which!r}")
    folder = Path(folder)
    manifest = _read_manifest(folder)
    _load_weights(network, folder / manifest["files"][which], manifest["frozen"])
    history = History._from_dict(manifest["history"], folder / MANIFEST)
    return getattr(history, which)


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
            logits = _logits(self.network, inputs.to(self.device), labels)  # (n, K)
            labels = labels.to(self.device)
            loss = cross_entropy(logits, labels)
            if not math.isfinite(loss.item()):
                batches.close()
                where = f"batch {batch} of {len(self.train)}"
                raise FloatingPointError(self._lost("training", loss.item(), number, where))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.item() * len(labels)
            correct += int((logits.argmax(1) == labels).sum())
            total += len(labels)
        return Score(loss_sum / total, correct, total)

    def _lost(self, kind: str, loss: float, epoch: int, where: str) -> str:
        lr = self.optimizer.param_groups[0]["lr"]
        return (
            f"the {kind} loss is {loss} in epoch {epoch}, {where}, with lr {lr:g}: it must be a "
            f"finite number. Try a smaller lr, e.g. {lr / 10:g}, and check that the inputs are "
            f"finite (pictures come through the weights' own transforms)."
        )


class _Keeper:
    """Keeps a run's best and last epoch in a folder, one whole checkpoint at every moment."""

    def __init__(
        self, folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, recipe: dict
    ) -> None:
        self.folder, self.network, self.optimizer = folder, network, optimizer
        self.recipe = recipe
        self.frozen = _fingerprint(network, _to_keep(network))
        self.files: dict[str, str] = {}
        self.done = 0  # the epoch of the checkpoint in the folder

    def start(self, *, resume: bool, epochs: int) -> History:
        """Return an empty history, or that of the checkpoint after loading it."""
        self._make_room()
        if not (self.folder / MANIFEST).exists():
            return History()
        if not resume:
            raise ValueError(
                f"{self.folder} holds a checkpoint already, which would be lost: use resume=True "
                f"to go on from it, give another folder, or delete this one"
            )
        manifest = _read_manifest(self.folder)
        history = History._from_dict(manifest["history"], self.folder / MANIFEST)
        _check_recipe(self.folder, manifest["recipe"], self.recipe)
        if history.last.epoch > epochs:
            raise ValueError(
                f"the checkpoint in {self.folder} has {history.last.epoch} epochs and epochs="
                f"{epochs} were asked for: epochs counts those done before too, ask for more"
            )
        self.files, self.done = manifest["files"], history.last.epoch
        state = self._optimizer_state(manifest["optimizer"])
        path = self.folder / self.files["last"]
        _load_weights(self.network, path, manifest["frozen"], exactly=set(_to_keep(self.network)))
        self.optimizer.load_state_dict(state)
        return history

    def _make_room(self) -> None:
        draft = self.folder / (MANIFEST + ".draft")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_text("", encoding="utf-8")
            draft.unlink()
        except OSError as error:
            raise OSError(
                f"the checkpoint folder {self.folder} cannot be written ({error}): give a folder "
                f"that can be, with room for the weights"
            ) from error

    def save(self, history: History) -> None:
        """Write new files beside the old ones, then the manifest, then drop the old ones."""
        epoch = history.last.epoch
        names = {"last": f"weights-{epoch:04}.safetensors", "best": self.files.get("best")}
        names["optimizer"] = f"optimizer-{epoch:04}.safetensors"
        if history.best.epoch == epoch:
            names["best"] = names["last"]
        tensors, others = _split_state(self.optimizer.state_dict()["state"])
        manifest = {"format": FORMAT, "recipe": self.recipe, "frozen": self.frozen, "files": names}
        manifest |= {"optimizer": others, "history": asdict(history)}
        try:
            _write_tensors(self.folder / names["last"], _to_keep(self.network))
            _write_tensors(self.folder / names["optimizer"], tensors)
            _write_json(self.folder / MANIFEST, manifest)
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"the checkpoint of epoch {epoch} could not be written: {error}.{self.kept()}"
            ) from error
        self.files, self.done = names, epoch
        self._tidy()

    def kept(self) -> str:
        """Say which checkpoint there is."""
        if not self.done:
            return f" There is no checkpoint in {self.folder} yet."
        return f" The checkpoint of epoch {self.done} is kept in {self.folder}."

    def _tidy(self) -> None:
        for pattern in ("weights-*", "optimizer-*"):
            for path in self.folder.glob(pattern):
                if path.name not in self.files.values():
                    path.unlink(missing_ok=True)

    def _optimizer_state(self, others: dict) -> dict:
        """Return the optimiser's state as `load_state_dict` takes it."""
        state = {int(index): dict(values) for index, values in others.items()}
        for name, tensor in _read_tensors(self.folder / self.files["optimizer"]).items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
        return {"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]}


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
            f"a picture has the label {int(labels.max())}, and the network scores "
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


def _recipe(
    optimizer: torch.optim.Optimizer, train: DataLoader, val: DataLoader, seed: int
) -> dict:
    """Return what must be the same for a resumed run to be the same run, as JSON holds it."""
    groups = [
        {key: value for key, value in group.items() if key not in IMPLEMENTATION}
        | {"tensors": len(group["params"])}
        for group in optimizer.param_groups
    ]
    recipe = {"seed": int(seed), "optimizer": type(optimizer).__name__}
    for number, group in enumerate(groups):
        prefix = f"group {number} " if len(groups) > 1 else ""
        recipe |= {prefix + key: value for key, value in group.items()}
    for name, loader in (("train", train), ("val", val)):
        recipe[f"{name} pictures"] = len(loader.dataset)
        recipe[f"{name} batch size"] = loader.batch_size
        recipe[f"{name} order"] = type(loader.sampler).__name__
    return json.loads(json.dumps(recipe, default=str))


def _check_recipe(folder: Path, there: dict, here: dict) -> None:
    unlike = [
        f"{key} {there.get(key)!r} there, {here.get(key)!r} here"
        for key in sorted(there | here)
        if there.get(key) != here.get(key)
    ]
    if unlike:
        raise ValueError(
            f"the checkpoint in {folder} is another run's: {'; '.join(unlike)}. Use the same "
            f"recipe to resume, or give another folder to start anew"
        )


def _own(network: nn.Module) -> dict[str, Tensor]:
    """Return all that a state dict holds; a tensor with two names only once."""
    saved = network.state_dict()
    buffers = {name: buffer for name, buffer in network.named_buffers() if name in saved}
    return dict(network.named_parameters()) | buffers


def _to_keep(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that training can change: trainable parameters, and all buffers."""
    return {
        name: tensor
        for name, tensor in _own(network).items()
        if tensor.requires_grad or not isinstance(tensor, nn.Parameter)
    }


def _fingerprint(network: nn.Module, without: Iterable[str]) -> str:
    """Return a hash of the other tensors' names and values, "" if there are none."""
    rest = {name: t for name, t in _own(network).items() if name not in set(without)}
    digest = hashlib.sha256()
    for name in sorted(rest):
        digest.update(name.encode())
        values = rest[name].detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(values.numpy())
    return digest.hexdigest() if rest else ""


def _load_weights(
    network: nn.Module, path: Path, frozen: str, *, exactly: set[str] | None = None
) -> None:
    """Copy a file's tensors into a network, after checking that every one of them fits."""
    tensors = _read_tensors(path)
    own = _own(network)
    strangers = sorted(set(tensors) - set(own))
    if strangers:
        raise ValueError(
            f"the checkpoint {path} is another network's: it has {', '.join(strangers[:4])}, "
            f"which this network has not. Build the network that was trained"
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)} in the checkpoint {path} and "
                f"{tuple(own[name].shape)} in this network: build the same network, with a head "
                f"for the same number of classes"
            )
    if exactly is not None and exactly != set(tensors):
        unlike = ", ".join(sorted(exactly ^ set(tensors))[:4])
        raise ValueError(
            f"other tensors were trained in the checkpoint {path} than are trainable here: "
            f"{unlike}. Freeze the same layers to resume, or give another folder"
        )
    if _fingerprint(network, tensors) != frozen:
        raise ValueError(
            f"the checkpoint {path} holds only what was trained, and this network's other layers "
            f"are not those it was trained with: build it with the same weights"
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def _split_state(state: dict[int, dict]) -> tuple[dict[str, Tensor], dict[str, dict]]:
    """Split an optimiser's state into tensors, named "index.key", and the rest for JSON."""
    tensors: dict[str, Tensor] = {}
    others: dict[str, dict] = {}
    for index, values in state.items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                others.setdefault(str(index), {})[key] = value
    return tensors, others


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _replace(path, lambda draft: save_file(whole, draft))


def _write_json(path: Path, content: dict) -> None:
    text = json.dumps(content, indent=1) + "\n"
    _replace(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a draft beside the file, make sure it is on the disk, and put it in its place."""
    draft = path.with_name(path.name + ".draft")
    try:
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the checkpoint is not whole, train again")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} ({path.stat().st_size:,} bytes) is no whole safetensors file: {error}. It was "
            f"cut short, or is of another kind, such as a pickle, which is never opened because "
            f"that would run code. Train again, or fetch the file again"
        ) from error


def _read_manifest(folder: Path) -> dict:
    if folder.is_file():
        raise ValueError(
            f"{folder} is a file; a checkpoint is a folder, as fit(checkpoint=FOLDER) writes it. "
            f"A pickle, such as torch.save writes, is never opened, because that would run code"
        )
    path = folder / MANIFEST
    manifest = _read_json(path, "checkpoint")
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path} has the format {manifest.get('format')!r}; this version reads {FORMAT}"
        )
    parts = ("files", "frozen", "history", "optimizer", "recipe")
    files = manifest.get("files", {})
    for name in [n for n in parts if n not in manifest] + [n for n in FILES if n not in files]:
        raise ValueError(f"{path} is no whole checkpoint: {name!r} is missing; train again")
    for file in files.values():
        if Path(file).name != file:
            raise ValueError(f"{path} names the file {file!r}, which is not beside it; train again")
    return manifest


def _read_json(path: Path, kind: str) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {kind} at {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no {kind}: it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no {kind}: it holds a JSON {type(content).__name__}")
    return content
