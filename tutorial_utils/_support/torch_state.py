"""Restore a network's modes and torch's random generators after a block."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def preserve_modes(network: nn.Module) -> Iterator[None]:
    """Restore the mode of every module, train or eval, when the block ends."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Set evaluation mode for the block, and restore the mode of every module afterwards."""
    with preserve_modes(network):
        network.eval()
        yield


def preserve_generators() -> torch.random.fork_rng:
    """Return a context that restores torch's random generators, without starting CUDA."""
    started = torch.cuda.is_initialized()
    return torch.random.fork_rng(range(torch.cuda.device_count()) if started else [])
