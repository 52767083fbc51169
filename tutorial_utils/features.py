"""One pass of a frozen backbone over a data set, kept and used again.

A frozen backbone gives the same values for the same image every time, so they are computed
once; the head then trains on them in a fraction of the time. What was computed is kept in the
cache, so that a second run reads it back. `fast_pass` holds how the pass is run.

Source:
    Donahue et al., "DeCAF: a deep convolutional activation feature for generic visual
    recognition" (2013): https://arxiv.org/abs/1310.1531
"""

import contextlib
import ctypes
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from tqdm.auto import tqdm

from tutorial_utils._support import fast_pass, feature_files
from tutorial_utils._support.precision import native_bf16

DTYPES = (torch.float32, torch.bfloat16)
IN_MEMORY_BYTES = 128 * 2**20  # larger values stay in their file and are mapped into memory
FORMAT = 1  # raise it when the same backbone and images would give other values


@dataclass(frozen=True, eq=False)
class Features(Dataset):
    """What a backbone makes of every image of a data set; a data set of (value, label) itself.

    With several views of each image, reading an item picks one of them at random, by torch's
    generator: an epoch has as many items as there are images.

    Attributes:
        values: (augmentations * N, D) float32; row v * N + i is view v of image i.
        labels: (N,) int64, in the data set's order.
        seconds: how long it took to get them.
        augmentations: how many times each image went through the backbone.
        reused: True if they were kept from an earlier pass.
    """

    values: Tensor
    labels: Tensor
    seconds: float
    augmentations: int = 1
    from_cache: bool = False

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one image's value (D,), in one of its augmentations, and its label."""
        view = int(torch.randint(self.augmentations, ())) if self.augmentations > 1 else 0
        return self.values[view * len(self) + index], int(self.labels[index])


def extract(
    backbone: nn.Module,
    dataset: Dataset,
    *,
    augmentations: int = 1,
    seed: int = 0,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    cache: bool = True,
    quiet: bool = False,
    progress: bool = False,
) -> Features:
    """Run a frozen backbone once over a data set, in evaluation mode and without gradients.

    The backbone's mode and device are restored, and torch's global generator is left alone.

    Args:
        backbone: maps (N, 3, H, W) to (N, D), all parameters frozen; `models.build_backbone` or
            `models.split` makes one.
        dataset: gives pairs of a float32 tensor (3, H, W) and a label.
        augmentations: how often each image is passed. More than one makes sense only if the data
            set's transform varies the images; time and memory grow with it.
        seed: fixes those variations.
        batch_size: images per batch.
        device: where to compute. The result is on the CPU.
        dtype: torch.float32 for the plain forward pass, torch.bfloat16 for mixed precision, or
            None for what this machine does fastest, see `fast_pass`.
        cache: write the result to the cache, and take it from there if it is there. What was kept
            is found by the backbone's weights, the images' contents, their transform, views and
            seed. Only an `ImageFolder`, a `Subset` of one, or a data set with `fingerprint()` (a
            text that changes with its contents) and `targets` can be kept; others are computed
            each time, as is a transform whose printed form does not tell what it does.
        quiet: print nothing.
        progress: show a bar.

    Returns:
        The features, float32, in the data set's order; in memory, or in a mapped file if larger
        than 128 MiB and kept.

    Raises:
        ValueError: if the backbone has trainable parameters, the data set is empty, its items are
            no tensors, the backbone's output is not (N, D), or a number or `dtype` is not allowed.
        OSError: if there is room for the result neither on the disk nor in memory.
    """
    _check(backbone, dataset, batch_size, augmentations, dtype)
    job = _Job(
        backbone, dataset, augmentations, seed, batch_size, torch.device(device), dtype, progress
    )
    start = time.perf_counter()
    note = job.note() if cache else None
    kept = None if note is None else feature_files.read(note, quiet=quiet)
    reused = kept is not None
    if not reused:
        kept = job.compute(note, quiet=quiet)
    values = _tensor(kept)
    _hand_back()
    found = Features(values, job.labels(), time.perf_counter() - start, augmentations, reused)
    if not quiet:
        print(_line(found, note is not None))
    return found


class _Job:
    """One pass: what it is over, how it is run, and what it depends on."""

    def __init__(
        self,
        backbone: nn.Module,
        dataset: Dataset,
        augmentations: int,
        seed: int,
        batch_size: int,
        device: torch.device,
        dtype: torch.dtype | None,
        progress: bool,
    ) -> None:
        self.backbone, self.dataset, self.augmentations, self.seed = (
            backbone,
            dataset,
            augmentations,
            seed,
        )
        self.batch_size, self.device, self.progress = batch_size, device, progress
        self.how = _how(backbone, device, dtype)
        self.seen: list[int] = []

    def note(self) -> dict | None:
        """Return all that the values depend on, or None if that cannot be told."""
        images = _fingerprint(self.dataset)
        if images is None:
            return None
        return {
            "format": FORMAT,
            "backbone": _digest_of(self.backbone),
            "images": images,
            "augmentations": self.augmentations,
            "seed": self.seed,
            "how": self.how,
            "torch": torch.__version__,
        }

    def labels(self) -> Tensor:
        """Return the labels (N,): those that were read with the images, or the data set's."""
        if self.seen:
            return torch.tensor(self.seen)
        dataset = self.dataset
        if isinstance(dataset, Subset):
            return torch.tensor([dataset.dataset.targets[i] for i in dataset.indices])
        return torch.as_tensor(dataset.targets, dtype=torch.int64)

    def compute(self, note: dict | None, *, quiet: bool) -> np.ndarray:
        """Run the pass; into the cache if there is a note and room, else into memory."""
        rows, width = self.augmentations * len(self.dataset), self.width()
        if note is not None:
            try:
                return feature_files.write(note, (rows, width), self.parts(), quiet=quiet)
            except OSError as error:
                if 4 * rows * width > psutil.virtual_memory().available // 2:
                    raise
                if not quiet:
                    print(f"features: kept in memory only; {error}")
                self.seen = []
        values, filled = np.empty((rows, width), dtype=np.float32), 0
        for part in self.parts():
            values[filled : filled + len(part)] = part
            filled += len(part)
        return values

    def width(self) -> int:
        """Return D, after a look at what the backbone makes of the first image."""
        with self.at_work() as run:
            output = run(self.dataset[0][0][None].to(self.device))
        if output.ndim != 2:
            raise ValueError(
                f"the backbone's output has the shape {tuple(output.shape)}, not (N, D): end it "
                f"with nn.Flatten(), as models.split does"
            )
        return output.shape[1]

    def parts(self) -> Iterator[np.ndarray]:
        """Yield the values, (n, D) at a time, view after view."""
        total = self.augmentations * -(-len(self.dataset) // self.batch_size)
        with self.at_work() as run, _bar(total, self.progress) as bar:
            for view in range(self.augmentations):
                torch.manual_seed(self.seed + 1_000_003 * view)
                self.seen = []
                for images in self.batches():
                    yield run(images.to(self.device)).cpu().numpy()
                    bar.update()

    def batches(self) -> Iterator[Tensor]:
        """Yield the images (n, 3, H, W), every batch in the same memory; note their labels.

        A loader takes new memory for each batch and keeps a tensor of labels between any two of
        them. Over 40,000 images that left the heap in pieces of 24 GB.
        """
        room = None
        for start in range(0, len(self.dataset), self.batch_size):
            count = min(self.batch_size, len(self.dataset) - start)
            for place in range(count):
                image, label = self.dataset[start + place]
                if room is None:
                    room = image.new_empty((self.batch_size, *image.shape))
                if image.shape != room.shape[1:]:
                    raise ValueError(
                        f"image {start + place} has the shape {tuple(image.shape)}, those "
                        f"before it {tuple(room.shape[1:])}: the transform must give one size"
                    )
                room[place] = image
                self.seen.append(int(label))
            yield room[:count]

    @contextmanager
    def at_work(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Hand out the pass, with the backbone in its place and evaluation mode meanwhile."""
        with _at_work(self.backbone, self.device), torch.random.fork_rng([]), torch.no_grad():
            if self.how == "bfloat16":
                yield fast_pass.mixed(self.backbone, self.device)
            elif self.how == "staged":
                yield fast_pass.staged(self.backbone)
            else:
                yield fast_pass.plain(self.backbone)


def _how(backbone: nn.Module, device: torch.device, dtype: torch.dtype | None) -> str:
    """Choose among the ways of `fast_pass`."""
    if dtype is not None:
        return "bfloat16" if dtype == torch.bfloat16 else "float32"
    if native_bf16(device):
        return "bfloat16"
    return "staged" if fast_pass.winograd_pays() and fast_pass.in_one_line(backbone) else "float32"


def _bar(total: int, shown: bool) -> tqdm:
    return tqdm(total=total, desc="features", disable=not shown)


def _line(found: Features, kept: bool) -> str:
    augmentations = f" in {found.augmentations} augmentations" if found.augmentations > 1 else ""
    what = f"features: {len(found)} image{'s' if len(found) > 1 else ''}{augmentations}"
    if found.from_cache:
        return f"{what}, kept from an earlier pass, read in {found.seconds:.1f} s"
    where = ", kept in the cache" if kept else ""
    return f"{what} through the backbone in {found.seconds:.1f} s{where}"


def _tensor(values: np.ndarray) -> Tensor:
    """Return the values as a tensor, in memory unless they are large and lie in a file."""
    mapped = isinstance(values, np.memmap)
    small = mapped and values.nbytes <= IN_MEMORY_BYTES
    return torch.from_numpy(np.array(values) if small else np.asarray(values))


def _hand_back() -> None:
    """Give memory that the pass no longer needs back to the system; glibc keeps it otherwise."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _fingerprint(dataset: Dataset) -> str | None:
    """Return a text that changes when an image, a label or the transform does, or None."""
    if isinstance(dataset, Subset):
        inner = _fingerprint(dataset.dataset)
        return None if inner is None else f"{inner} {[int(i) for i in dataset.indices]}"
    if hasattr(dataset, "fingerprint") and hasattr(dataset, "targets"):
        return dataset.fingerprint()
    if not all(hasattr(dataset, name) for name in ("samples", "transform", "targets")):
        return None
    text = f"{dataset.transform!r} {getattr(dataset, 'least_side', None)}"
    if " at 0x" in text or getattr(dataset, "target_transform", None) is not None:
        return None
    digest = hashlib.sha256(text.encode())
    for path, label in dataset.samples:
        digest.update(f"\n{Path(path).name} {label} ".encode())
        digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()


def _digest_of(backbone: nn.Module) -> str:
    """Return a checksum of a backbone's layers and weights."""
    digest = hashlib.sha256(repr(backbone).encode())
    for name, tensor in backbone.state_dict().items():
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _check(
    backbone: nn.Module,
    dataset: Dataset,
    batch_size: int,
    augmentations: int,
    dtype: torch.dtype | None,
) -> None:
    trainable = sum(p.numel() for p in backbone.parameters() if p.requires_grad)
    if trainable:
        raise ValueError(
            f"the backbone has {trainable:,} trainable parameters: features kept from one pass "
            f"are wrong as soon as they change. Call models.freeze(backbone) first"
        )
    for name, value in (("batch_size", batch_size), ("augmentations", augmentations)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
    if dtype is not None and dtype not in DTYPES:
        allowed = ", ".join(str(d) for d in DTYPES)
        raise ValueError(f"dtype {dtype} is not allowed; use None or one of: {allowed}")
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to extract features from")
    with torch.random.fork_rng([]):  # a transform may draw
        first = dataset[0][0]
    if not isinstance(first, Tensor):
        raise ValueError(
            f"the data set gives {type(first).__name__} where a tensor is needed: make it with "
            f"the weights' own transforms, e.g. images.dataset('train', weights.transforms())"
        )


@contextmanager
def _at_work(backbone: nn.Module, device: torch.device) -> Iterator[None]:
    """Put a backbone on a device and in evaluation mode, and every module back as it was."""
    modes = {module: module.training for module in backbone.modules()}
    home = next((p.device for p in backbone.parameters()), device)
    backbone.to(device).eval()
    try:
        yield
    finally:
        backbone.to(home)
        for module, mode in modes.items():
            module.training = mode
