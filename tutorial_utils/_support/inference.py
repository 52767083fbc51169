"""Run a network over a loader's batches: what training and evaluation share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tutorial_utils._support.torch_state import evaluation_mode, preserve_generators


@contextmanager
def scored_batches(
    network: nn.Module, loader: DataLoader, *, device: torch.device
) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Return a context over (logits (n, K), labels (n,)) of each batch, without gradients.

    In the context the network is in evaluation mode. Its modules' modes and torch's generators are
    put back afterwards: a loader draws a number even when it does not shuffle.

    Args:
        network: maps a batch to logits (n, K); it is on `device`.
        loader: gives batches of (inputs, labels (n,) int64).
        device: where to compute.

    Raises:
        ValueError: when a batch is read whose logits do not fit its labels.
    """
    with evaluation_mode(network), preserve_generators(), torch.inference_mode():
        yield (
            (compute_logits(network, inputs.to(device), labels), labels.to(device))
            for inputs, labels in loader
        )


def compute_logits(network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return a network's logits (n, K) for a batch.

    Raises:
        ValueError: if the output has another shape, or a label has no logit.
    """
    logits = network(inputs)
    if logits.ndim != 2:
        raise ValueError(f"the network's output must be (N, K), not {tuple(logits.shape)}")
    if int(labels.max()) >= logits.shape[1]:
        raise ValueError(
            f"an image has the label {int(labels.max())}, and the network has logits for "
            f"{logits.shape[1]} classes, from 0: give it a head with more outputs"
        )
    return logits


def move_to(network: nn.Module, device: str | torch.device | None) -> torch.device:
    """Move a network to a device and return it; None leaves the network where it is."""
    if device is not None:
        network.to(device)
        return torch.device(device)
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def check_loader(loader: DataLoader, name: str) -> None:
    """Raise ValueError if an argument is no DataLoader or gives no batch."""
    if not isinstance(loader, DataLoader):
        raise ValueError(
            f"{name} must be a DataLoader, not {type(loader).__name__}: wrap a data set in "
            f"torch.utils.data.DataLoader(dataset, batch_size=20)"
        )
    if len(loader) == 0:
        raise ValueError(f"{name} is empty: it gives no batch. Check the length of its data set")
