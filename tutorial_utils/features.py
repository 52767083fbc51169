"""One pass of a frozen backbone over a data set, kept in memory and used again.

A frozen backbone gives the same values for the same picture every time, so they are computed
once; the head then trains on them in a fraction of the time.

Sources:
    Donahue et al., "DeCAF: a deep convolutional activation feature for generic visual
    recognition" (2013): https://arxiv.org/abs/1310.1531
    Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015), Winograd's method
    for 3x3 convolutions: https://arxiv.org/abs/1509.09308
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Features(Dataset):
    """What a backbone makes of every picture of a data set; a data set of (value, label) itself.

    Attributes:
        values: (N, D) float32, in the data set's order.
        labels: (N,) int64.
        seconds: how long the pass took, reading the pictures included.
    """

    values: Tensor
    labels: Tensor
    seconds: float

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.values)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one picture's value (D,) and label."""
        return self.values[index], int(self.labels[index])


def extract(
    backbone: nn.Module,
    dataset: Dataset,
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    progress: bool = False,
) -> Features:
    """Run a frozen backbone once over a data set, in evaluation mode and without gradients.

    The backbone's mode and device are restored, and torch's global generator is left alone.

    Args:
        backbone: maps (N, 3, H, W) to (N, D), all parameters frozen; `models.split` makes one.
        dataset: gives pairs of a float32 tensor (3, H, W) and a label.
        batch_size: pictures per batch.
        device: where to compute. The result is on the CPU.
        dtype: torch.float32 for the plain forward pass, torch.bfloat16 for mixed precision, or
            None for what this processor does fastest: bfloat16 where it is native, else float32,
            by Winograd's method where that is faster (which differs in the fifth decimal).
        progress: show a bar.

    Returns:
        The features, float32, in the data set's order.

    Raises:
        ValueError: if the backbone has trainable parameters, the data set is empty, its items are
            no tensors, the backbone's output is not (N, D), or `batch_size` or `dtype` is not
            allowed.
    """
    _check(backbone, dataset, batch_size, dtype)
    device = torch.device(device)
    winograd = dtype is None and device.type == "cpu" and not native_bf16() and _winograd_pays()
    if dtype is None:
        dtype = torch.bfloat16 if device.type == "cpu" and native_bf16() else torch.float32
    # A generator of its own: a loader draws a number even when it does not shuffle.
    loader = DataLoader(dataset, batch_size=batch_size, generator=torch.Generator())
    start = time.perf_counter()
    values, labels, filled = None, torch.empty(len(dataset), dtype=torch.int64), 0
    with _at_work(backbone, device), _winograd(winograd), torch.no_grad():
        for pictures, batch_labels in tqdm(loader, desc="features", disable=not progress):
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                output = backbone(pictures.to(device))  # (n, D)
            if values is None:
                values = _room(output, len(dataset))
            values[filled : filled + len(output)] = output
            labels[filled : filled + len(output)] = batch_labels
            filled += len(output)
    return Features(values, labels, time.perf_counter() - start)


def native_bf16() -> bool:
    """Tell whether this processor computes bfloat16 natively: AVX512_BF16, AMX or ARM's BF16.

    Elsewhere torch emulates bfloat16, which is slower than float32.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    older = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch before 2.12
    return any(getattr(torch.cpu, name, bool)() for name in older)  # bool() is False


def _check(
    backbone: nn.Module, dataset: Dataset, batch_size: int, dtype: torch.dtype | None
) -> None:
    trainable = sum(p.numel() for p in backbone.parameters() if p.requires_grad)
    if trainable:
        raise ValueError(
            f"the backbone has {trainable:,} trainable parameters: features kept from one pass "
            f"are wrong as soon as they change. Call models.freeze(backbone) first"
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number from 1, not {batch_size!r}")
    if dtype is not None and dtype not in DTYPES:
        allowed = ", ".join(str(d) for d in DTYPES)
        raise ValueError(f"dtype {dtype} is not allowed; use None or one of: {allowed}")
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to extract features from")
    first = dataset[0][0]
    if not isinstance(first, Tensor):
        raise ValueError(
            f"the data set gives {type(first).__name__} where a tensor is needed: make it with "
            f"the weights' own transforms, e.g. pictures.dataset('train', weights.transforms())"
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


def _winograd_pays() -> bool:
    """Tell whether NNPACK, which has Winograd's method, is there and was measured as faster.

    On a processor with AVX2 and no AVX512 it halves the time of VGG16's convolutions.
    """
    return torch.backends.nnpack.is_available() and (
        torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


@contextmanager
def _winograd(wanted: bool) -> Iterator[None]:
    """Switch oneDNN off for a while if wanted: torch then takes NNPACK for batches from 16."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = before and not wanted
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before


def _room(output: Tensor, length: int) -> Tensor:
    """Return an empty (N, D) float32 tensor, once the first batch tells D."""
    if output.ndim != 2:
        raise ValueError(
            f"the backbone's output has the shape {tuple(output.shape)}, not (N, D): end it with "
            f"nn.Flatten(), as models.split does"
        )
    return torch.empty(length, output.shape[1], dtype=torch.float32)
