"""Features of a frozen backbone: one pass over a data set, stored in the cache.

A frozen backbone gives the same values for the same image every time, so they are computed once,
and the head trains on them in a fraction of the time. A second run reads them from the cache.

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
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from tqdm.auto import tqdm

from tutorial_utils._support import fast_pass, feature_files, memory
from tutorial_utils._support.arguments import check_whole
from tutorial_utils._support.precision import native_bf16
from tutorial_utils._support.torch_state import evaluation_mode, preserve_generators

DTYPES = (torch.float32, torch.bfloat16)
IN_MEMORY_BYTES = 128 * 2**20  # larger features stay in their file, mapped into memory
FORMAT = 1  # increase it when the same backbone and images would give other values


@dataclass(frozen=True, eq=False)
class Features(Dataset):
    """A backbone's outputs for every image of a data set; itself a data set of (features, label).

    If the images were augmented, reading an item picks one of its augmentations at random, by
    torch's global generator: an epoch has as many items as there are images.

    Used in lesson 09.

    Attributes:
        values: (augmentations * N, D) float32; row a * N + i is augmentation a of image i.
        labels: (N,) int64, in the data set's order.
        seconds: how long `extract` took.
        augmentations: how many times each image went through the backbone.
        from_cache: whether they were read from the cache.
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
        """Return one image's features (D,), in one of its augmentations, and its label."""
        chosen = int(torch.randint(self.augmentations, ())) if self.augmentations > 1 else 0
        return self.values[chosen * len(self) + index], int(self.labels[index])


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

    The backbone's modes and device and torch's global generators are left as they were.

    Args:
        backbone: maps (N, 3, H, W) to (N, D), all parameters frozen, as `models.build_backbone`
            and `models.split` make it.
        dataset: gives pairs of a float32 tensor (3, H, W) and a label.
        augmentations: how many times each image is passed. More than one makes sense only if the
            data set's transform varies the images; time and memory grow with it.
        seed: of those variations.
        batch_size: images per batch.
        device: where to compute. The result is on the CPU.
        dtype: torch.float32, torch.bfloat16 for mixed precision, or None for what is fastest on
            this machine, see `fast_pass`.
        cache: read the features from the cache if they are there, else store them there. Their
            key is made from the backbone's weights, the images' contents, the transform, and the
            arguments above. That needs an `ImageFolder`, a `Subset` of one, or a data set with
            `fingerprint()` (a text that changes with its contents) and `targets`, and a transform
            whose `repr` describes it. Other features are computed every time.
        quiet: print nothing.
        progress: show a bar.

    Returns:
        The features, float32, in the data set's order; in memory, or in a mapped file if they are
        cached and larger than 128 MiB.

    Raises:
        ValueError: if the backbone has trainable parameters, the data set is empty, its items are
            not tensors, the backbone's output is not (N, D), or a number or `dtype` is not allowed.
        OSError: if neither the disk nor the memory has room for the result.

    Used in lessons 00, 01 and 06 to 14.
    """
    _check(backbone, dataset, batch_size, augmentations, dtype)
    device = torch.device(device)
    method = _method(backbone, device, dtype)
    run = _Pass(backbone, dataset, augmentations, seed, batch_size, device, method, progress)
    start = time.perf_counter()
    note = run.note() if cache else None
    values = None if note is None else feature_files.read(note, quiet=quiet)
    from_cache = values is not None
    if not from_cache:
        values = run.compute(note, quiet=quiet)
    stored, values = isinstance(values, np.memmap), _tensor(values)
    _trim_memory()
    seconds = time.perf_counter() - start
    found = Features(values, run.labels(), seconds, augmentations, from_cache)
    if not quiet:
        print(_summary(found, stored))
    return found


@dataclass(eq=False)
class _Pass:
    """One pass over a data set: its settings, and the labels that were read with the images."""

    backbone: nn.Module
    dataset: Dataset
    augmentations: int
    seed: int
    batch_size: int
    device: torch.device
    method: str  # see `_method`
    progress: bool
    labels_read: list[int] = field(default_factory=list)

    def note(self) -> dict | None:
        """Return all that the values depend on, or None if the data set has no fingerprint."""
        images = _fingerprint(self.dataset)
        if images is None:
            return None
        return {
            "format": FORMAT,
            "backbone": _backbone_digest(self.backbone),
            "images": images,
            "augmentations": self.augmentations,
            "seed": self.seed,
            "method": self.method,
            "torch": torch.__version__,
        }

    def labels(self) -> Tensor:
        """Return the labels (N,): those read with the images, or the data set's own."""
        if self.labels_read:
            return torch.tensor(self.labels_read)
        dataset = self.dataset
        if isinstance(dataset, Subset):
            return torch.tensor([dataset.dataset.targets[i] for i in dataset.indices])
        return torch.as_tensor(dataset.targets, dtype=torch.int64)

    def compute(self, note: dict | None, *, quiet: bool) -> np.ndarray:
        """Run the pass; store the values in the cache if there is a note and room for them."""
        shape = (self.augmentations * len(self.dataset), self.width())
        if note is not None:
            try:
                return feature_files.write(note, shape, self.parts(), quiet=quiet)
            except OSError as error:
                if 4 * shape[0] * shape[1] > memory.available_bytes() // 2:
                    raise
                if not quiet:
                    print(f"features: in memory only; {error}")
                self.labels_read = []
        values, filled = np.empty(shape, dtype=np.float32), 0
        for part in self.parts():
            values[filled : filled + len(part)] = part
            filled += len(part)
        return values

    def width(self) -> int:
        """Return D, which the backbone's output for the first image shows."""
        with self.working() as forward:
            output = forward(self.dataset[0][0][None].to(self.device))
        if output.ndim != 2:
            raise ValueError(
                f"the backbone's output has the shape {tuple(output.shape)}, not (N, D): end it "
                f"with nn.Flatten(), as models.split does"
            )
        return output.shape[1]

    def parts(self) -> Iterator[np.ndarray]:
        """Yield the values, (n, D) at a time, one augmentation after the other."""
        total = self.augmentations * -(-len(self.dataset) // self.batch_size)
        bar = tqdm(total=total, desc="features", disable=not self.progress)
        with self.working() as forward, bar:
            for augmentation in range(self.augmentations):
                torch.manual_seed(self.seed + 1_000_003 * augmentation)
                self.labels_read = []
                for images in self.batches():
                    yield forward(images.to(self.device)).cpu().numpy()
                    bar.update()

    def batches(self) -> Iterator[Tensor]:
        """Yield the images (n, 3, H, W), every batch in the same memory, and store their labels.

        A `DataLoader` allocates memory for each batch, with a tensor of labels between two of
        them. Over 40,000 images that left a fragmented heap of 24 GB.
        """
        batch = None
        for start in range(0, len(self.dataset), self.batch_size):
            count = min(self.batch_size, len(self.dataset) - start)
            for position in range(count):
                image, label = self.dataset[start + position]
                if batch is None:
                    batch = image.new_empty((self.batch_size, *image.shape))
                if image.shape != batch.shape[1:]:
                    raise ValueError(
                        f"image {start + position} has the shape {tuple(image.shape)}, those "
                        f"before it {tuple(batch.shape[1:])}: the transform must give one size"
                    )
                batch[position] = image
                self.labels_read.append(int(label))
            yield batch[:count]

    @contextmanager
    def working(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Yield the function that computes, with the backbone on its device in evaluation mode."""
        home = next((p.device for p in self.backbone.parameters()), self.device)
        with evaluation_mode(self.backbone), preserve_generators(), torch.no_grad():
            self.backbone.to(self.device)
            try:
                if self.method == "bfloat16":
                    yield fast_pass.mixed(self.backbone, self.device)
                elif self.method == "staged":
                    yield fast_pass.staged(self.backbone)
                else:
                    yield self.backbone
            finally:
                self.backbone.to(home)


def _method(backbone: nn.Module, device: torch.device, dtype: torch.dtype | None) -> str:
    """Return "bfloat16", "float32", or "staged" for the float32 of `fast_pass.staged`."""
    if dtype is not None:
        return "bfloat16" if dtype == torch.bfloat16 else "float32"
    if native_bf16(device):
        return "bfloat16"
    staged = fast_pass.winograd_pays() and fast_pass.is_sequential(backbone)
    return "staged" if staged and device.type == "cpu" else "float32"


def _summary(found: Features, stored: bool) -> str:
    augmentations = f" in {found.augmentations} augmentations" if found.augmentations > 1 else ""
    images = f"features: {len(found)} image{'s' if len(found) > 1 else ''}{augmentations}"
    if found.from_cache:
        return f"{images}, read from the cache in {found.seconds:.1f} s"
    end = ", stored in the cache" if stored else ""
    return f"{images} through the backbone in {found.seconds:.1f} s{end}"


def _tensor(values: np.ndarray) -> Tensor:
    """Return the values as a tensor; small ones are copied from their file into memory."""
    small = isinstance(values, np.memmap) and values.nbytes <= IN_MEMORY_BYTES
    return torch.from_numpy(np.array(values) if small else np.asarray(values))


def _trim_memory() -> None:
    """Return freed memory to the system, which glibc keeps otherwise."""
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


def _backbone_digest(backbone: nn.Module) -> str:
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
            f"the backbone has {trainable:,} trainable parameters: features from one pass are "
            f"wrong as soon as they change. Call models.freeze(backbone) first"
        )
    check_whole("batch_size", batch_size, 1)
    check_whole("augmentations", augmentations, 1)
    if dtype is not None and dtype not in DTYPES:
        allowed = ", ".join(str(d) for d in DTYPES)
        raise ValueError(f"dtype {dtype} is not allowed; use None or one of: {allowed}")
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to extract features from")
    with preserve_generators():  # a transform may use them
        first = dataset[0][0]
    if not isinstance(first, Tensor):
        raise ValueError(
            f"the data set gives {type(first).__name__} where a tensor is needed: make it with "
            f"the weights' own transforms, e.g. images.dataset('train', weights.transforms())"
        )
