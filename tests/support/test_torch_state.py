"""Tests of `tutorial_utils._support.torch_state`: modes and generators as before."""

import pytest
import torch
from torch import nn

from tutorial_utils._support import torch_state


@pytest.fixture
def network():
    """Return a network in training mode with one part in evaluation mode, as when frozen."""
    network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    network[1].eval()
    return network


def modes(network):
    return [module.training for module in network.modules()]


@pytest.mark.parametrize("context", [torch_state.preserve_modes, torch_state.evaluation_mode])
def test_modes_are_restored_after_an_error_too(network, context):
    before = modes(network)
    assert len(set(before)) == 2
    with pytest.raises(ZeroDivisionError), context(network):
        network.eval()
        network[1].train()
        raise ZeroDivisionError
    assert modes(network) == before


def test_modes_in_the_block(network):
    before = modes(network)
    with torch_state.preserve_modes(network):
        assert modes(network) == before
    with torch_state.evaluation_mode(network):
        assert not any(modes(network))


def test_generators_are_restored():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with torch_state.preserve_generators():
        torch.manual_seed(2)
        torch.rand(5)
    assert torch.equal(torch.rand(3), expected)


def test_generators_are_restored_without_starting_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda *_: pytest.fail("started CUDA"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with torch_state.preserve_generators():
        pass
