"""Write a training run's best and last epoch to a folder, resume from it, load its weights.

A checkpoint is a folder. `checkpoint.json`, the manifest, names the other files and is written
last, in one step, so the folder holds one whole checkpoint at every moment. Each file has a
checksum in it, which is checked on reading. Nothing is a pickle.

Source:
    safetensors, the file format of the weights: https://huggingface.co/docs/safetensors
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import filelock
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tutorial_utils._support import checksums
from tutorial_utils._support.arguments import check_choice
from tutorial_utils._support.files import as_path, naming, read_json, write_json
from tutorial_utils.history import Epoch, History

MANIFEST = "checkpoint.json"
FORMAT = 1  # of the checkpoint folder
FILES = ("best", "last", "optimizer")
PARTS = ("files", "frozen", "history", "optimizer", "recipe")  # of the manifest
LOCK = "checkpoint.lock"  # held while a run writes; it is never deleted
CURE = "Copy the checkpoint again from where it is whole, or train again into another folder"
# Weights, optimiser states and temporary files, as opposed to the user's own files.
OWN_FILES = re.compile(r"(weights|optimizer)-.*|\.(weights-|optimizer-|checkpoint\.json).*\.tmp")
# How an optimiser computes, not what: another machine may differ in these and still resume.
IMPLEMENTATION = {"params", "foreach", "fused", "capturable", "differentiable"}


def load_checkpoint(network: nn.Module, folder: str | Path, *, which: str = "best") -> Epoch:
    """Load the weights of a checkpoint into a network that was built the same way.

    A checkpoint holds the trained tensors and not the frozen ones: build the network with the same
    weights and swap the same head first. Nothing is loaded unless everything fits.

    Args:
        network: its trained tensors are overwritten.
        folder: the folder that `fit` was given as `checkpoint`.
        which: "best" or "last".

    Returns:
        The epoch that the weights are from.

    Raises:
        FileNotFoundError: if there is no checkpoint, or one of its files is missing.
        ValueError: if a file is damaged or no safetensors file, or the network is another one.
    """
    check_choice("which", which, ("best", "last"))
    folder = as_path(folder)
    manifest = _read_manifest(folder)
    _load_weights(network, folder / manifest["files"][which], manifest)
    history = History.from_dict(manifest["history"], folder / MANIFEST)
    return getattr(history, which)


class CheckpointWriter:
    """Writes a run's best and last epoch to a folder."""

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: dict,
    ) -> None:
        """Prepare for a run; `open` must be called before anything is trained.

        Args:
            folder: made if it does not exist.
            network: its trainable parameters and all its buffers are written.
            optimizer: its state is written too.
            recipe: what `recipe_of` returned.
        """
        self.folder, self.network, self.optimizer = as_path(folder), network, optimizer
        self.recipe = recipe
        self.frozen = _fingerprint(network, _trained(network))
        self.files: dict[str, str] = {}
        self.epoch = 0  # of the checkpoint in the folder
        self.lock = filelock.FileLock(self.folder / LOCK)

    def open(self, *, resume: bool, epochs: int) -> History:
        """Return an empty history, or load the folder's checkpoint and return its history.

        Args:
            resume: whether to load a checkpoint that is there.
            epochs: how many the run will have in total.

        Raises:
            ValueError: if there is a checkpoint and `resume` is false, or it is from another run.
            OSError: if the folder cannot be written, or another run is writing to it.
        """
        self._check_writable()
        self._acquire()
        try:
            return self._open(resume, epochs)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other runs write to the folder."""
        self.lock.release()

    def _open(self, resume: bool, epochs: int) -> History:
        if not (self.folder / MANIFEST).exists():
            return History()
        if not resume:
            raise ValueError(
                f"{self.folder} already holds a checkpoint, which would be lost: use resume=True "
                f"to continue from it, give another folder, or delete this one"
            )
        manifest = _read_manifest(self.folder)
        history = History.from_dict(manifest["history"], self.folder / MANIFEST)
        _check_recipe(self.folder, manifest["recipe"], self.recipe)
        if history.last.epoch > epochs:
            raise ValueError(
                f"the checkpoint in {self.folder} has {history.last.epoch} epochs, more than "
                f"epochs={epochs}: epochs includes those before a resume, so give a higher number"
            )
        self.files, self.epoch = manifest["files"], history.last.epoch
        state = self._optimizer_state(manifest)
        path = self.folder / self.files["last"]
        _load_weights(self.network, path, manifest, exactly=set(_trained(self.network)))
        self.optimizer.load_state_dict(state)
        return history

    def save(self, history: History) -> None:
        """Write new files beside the old ones, then the manifest, then delete the old ones.

        Raises:
            OSError: if a file cannot be written. The checkpoint before stays as it was.
        """
        epoch = history.last.epoch
        names = {"last": f"weights-{epoch:04}.safetensors", "best": self.files.get("best")}
        names["optimizer"] = f"optimizer-{epoch:04}.safetensors"
        if history.best.epoch == epoch:
            names["best"] = names["last"]
        tensors, others = _split_state(self.optimizer.state_dict()["state"])
        manifest = {"format": FORMAT, "recipe": self.recipe, "frozen": self.frozen, "files": names}
        manifest |= {"optimizer": others, "history": asdict(history)}
        manifest[checksums.KEY] = checksums.json_digest(manifest)
        try:
            checksums.write_tensors(self.folder / names["last"], _trained(self.network))
            checksums.write_tensors(self.folder / names["optimizer"], tensors)
            write_json(self.folder / MANIFEST, manifest)
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"the checkpoint of epoch {epoch} could not be written: {error}.{self.status()}"
            ) from error
        self.files, self.epoch = names, epoch
        self._delete_old_files()

    def status(self) -> str:
        """Return a sentence about the folder's checkpoint, with a space before it."""
        if not self.epoch:
            return f" There is no checkpoint in {self.folder} yet."
        return f" The checkpoint of epoch {self.epoch} is in {self.folder}."

    def _check_writable(self) -> None:
        with naming(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass

    def _acquire(self) -> None:
        """Lock the folder; the lock of a process that was killed is free."""
        try:
            self.lock.acquire(timeout=0)
        except filelock.Timeout:
            raise OSError(
                f"another run is writing its checkpoints to {self.folder}: wait until it has "
                f"ended, or give another folder"
            ) from None
        except (OSError, NotImplementedError):
            pass  # a disk without locks, such as some network drives: go on without one

    def _delete_old_files(self) -> None:
        """Delete older weights, and what a crash left of files that were being written."""
        for path in self.folder.iterdir():
            if OWN_FILES.fullmatch(path.name) and path.name not in self.files.values():
                path.unlink(missing_ok=True)

    def _optimizer_state(self, manifest: dict) -> dict:
        """Return the optimiser's state as `load_state_dict` takes it."""
        state = {int(index): dict(values) for index, values in manifest["optimizer"].items()}
        path = self.folder / self.files["optimizer"]
        for name, tensor in _read_tensors(path, manifest).items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
        return {"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]}


def recipe_of(
    optimizer: torch.optim.Optimizer, train: DataLoader, val: DataLoader, seed: int
) -> dict:
    """Return the settings that a resumed run must share with the first one, ready for JSON."""
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
        recipe[f"{name} images"] = len(loader.dataset)
        recipe[f"{name} batch size"] = loader.batch_size
        recipe[f"{name} order"] = type(loader.sampler).__name__
    return json.loads(json.dumps(recipe, default=str))


def _check_recipe(folder: Path, there: dict, here: dict) -> None:
    # Checkpoints from before December 2026 have another word for the images in two keys.
    there = {re.sub(r"^(train|val) pic\w+$", r"\1 images", key): there[key] for key in there}
    differences = [
        f"{key} {there.get(key)!r} there, {here.get(key)!r} here"
        for key in sorted(there | here)
        if there.get(key) != here.get(key)
    ]
    if differences:
        raise ValueError(
            f"the checkpoint in {folder} is from another run: {'; '.join(differences)}. Use the "
            f"same settings to resume, or give another folder to start a new run"
        )


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of the state dict by name; a tensor with two names only once."""
    saved = network.state_dict()
    buffers = {name: buffer for name, buffer in network.named_buffers() if name in saved}
    return dict(network.named_parameters()) | buffers


def _trained(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that training can change: trainable parameters, and all buffers."""
    return {
        name: tensor
        for name, tensor in _tensors(network).items()
        if tensor.requires_grad or not isinstance(tensor, nn.Parameter)
    }


def _fingerprint(network: nn.Module, without: Iterable[str]) -> str:
    """Return a hash of the names and values of all tensors but some, "" if none are left."""
    rest = {name: t for name, t in _tensors(network).items() if name not in set(without)}
    digest = hashlib.sha256()
    for name in sorted(rest):
        digest.update(name.encode())
        values = rest[name].detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(values.numpy())
    return digest.hexdigest() if rest else ""


def _load_weights(
    network: nn.Module, path: Path, manifest: dict, *, exactly: set[str] | None = None
) -> None:
    """Copy a file's tensors into a network, after checking that every one of them fits."""
    tensors = _read_tensors(path, manifest)
    own = _tensors(network)
    unknown = sorted(set(tensors) - set(own))
    if unknown:
        raise ValueError(
            f"the checkpoint {path} is from another network: it has {', '.join(unknown[:4])}, "
            f"which this network lacks. Build the network that was trained"
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)} in the checkpoint {path} and "
                f"{tuple(own[name].shape)} in this network: build the same network, with a head "
                f"for the same number of classes"
            )
    if exactly is not None and exactly != set(tensors):
        different = ", ".join(sorted(exactly ^ set(tensors))[:4])
        raise ValueError(
            f"other tensors were trained in the checkpoint {path} than are trainable here: "
            f"{different}. Freeze the same layers to resume, or give another folder"
        )
    if _fingerprint(network, tensors) != manifest["frozen"]:
        raise ValueError(
            f"the checkpoint {path} holds the trained tensors only, and this network's other "
            f"layers are not those it was trained with: build it with the same weights"
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


def _read_tensors(path: Path, manifest: dict) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the checkpoint is incomplete, train again")
    try:
        known_to_be_old = checksums.KEY not in manifest
        return checksums.read_tensors(path, cure=CURE, quiet=known_to_be_old)
    except SafetensorError as error:
        raise ValueError(
            f"{path} ({path.stat().st_size:,} bytes) is no complete safetensors file: {error}. It "
            f"was cut short, or is of another kind, such as a pickle, which is never opened: that "
            f"would run code. Train again, or copy the file again"
        ) from error


def _read_manifest(folder: Path) -> dict:
    if folder.is_file():
        raise ValueError(
            f"{folder} is a file; a checkpoint is a folder, as fit(checkpoint=FOLDER) writes it. "
            f"A pickle, such as torch.save writes, is never opened, because that would run code"
        )
    path = folder / MANIFEST
    try:
        manifest = read_json(path, "checkpoint")
    except ValueError as error:
        raise ValueError(f"{error}. {CURE}") from error
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path} has the format {manifest.get('format')!r}; this version reads {FORMAT}"
        )
    files = manifest.get("files", {})
    for name in [n for n in PARTS if n not in manifest] + [n for n in FILES if n not in files]:
        raise ValueError(f"{path} is no complete checkpoint: {name!r} is missing; train again")
    for file in files.values():
        if Path(file).name != file:
            raise ValueError(f"{path} names the file {file!r}, which is not beside it; train again")
    computed = checksums.json_digest(manifest)
    checksums.check(path, manifest, computed, known=("format", *PARTS), cure=CURE)
    return manifest
