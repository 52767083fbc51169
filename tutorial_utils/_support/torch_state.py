"""Leave a network's modes and torch's random generators as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def preserve_modes(network: nn.Module) -> Iterator[None]:
    """Put every module back into its mode, train or eval, when the block ends."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for the block, and every module back afterwards."""
    with preserve_modes(network):
        network.eval()
        yield


def preserve_generators() -> torch.random.fork_rng:
    """Return a context that puts torch's random generators back, without starting CUDA for it."""
    started = torch.cuda.is_initialized()
    return torch.random.fork_rng(range(torch.cuda.device_count()) if started else [])
