"""Tests of `tutorial_utils._support.fast_pass`: the values are those of the plain pass."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from tutorial_utils._support import fast_pass


def backbone(*, kernel=3, channels=16):
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 8, kernel, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
    )
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()


@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize("count", [1, 15, 16, 37])
def test_staged_gives_what_the_plain_pass_gives(count, pays, monkeypatch):
    monkeypatch.setattr(fast_pass, "winograd_pays", lambda: pays)
    monkeypatch.setattr(fast_pass, "MAP_BYTES", 20 * 4 * 16 * 20 * 20)  # 20 images at a time
    network, images = backbone(), torch.randn(count, 3, 20, 20)
    with torch.no_grad():
        found, expected = fast_pass.staged(network)(images), network(images)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pays", [True, False])
def test_winograd_is_for_wide_layers_of_stride_one_and_large_batches(pays, monkeypatch):
    monkeypatch.setattr(fast_pass, "winograd_pays", lambda: pays)
    network, seen = backbone(), []
    for layer in (network[0][0], network[0][3]):
        layer.register_forward_hook(lambda *_: seen.append(torch.backends.mkldnn.enabled))
    run = fast_pass.staged(network)
    with torch.no_grad():
        run(torch.randn(16, 3, 20, 20))
        run(torch.randn(15, 3, 20, 20))
    assert seen == [True, not pays, True, True]
    assert torch.backends.mkldnn.enabled


def test_deep_stages_take_more_images(monkeypatch):
    monkeypatch.setattr(fast_pass, "MAP_BYTES", 16 * 4 * 16 * 20 * 20)
    network, sizes = backbone(), []
    for layer in (network[0][0], network[0][3]):
        layer.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    with torch.no_grad():
        fast_pass.staged(network)(torch.randn(64, 3, 20, 20))
    assert sizes == [16, 16, 16, 16, 64]


def sides(least, most):
    """Draw what torch takes for a square or another rectangle: one number, or two in a tuple."""
    number = st.integers(least, most)
    return number | st.tuples(number, number)


@given(
    kernel=sides(2, 4),
    stride=st.none() | sides(1, 4),
    padding=sides(0, 1),
    dilation=sides(1, 2),
    ceil_mode=st.booleans(),
    height=st.integers(9, 14),
    width=st.integers(9, 14),
)
@example(kernel=3, stride=(2, 1), padding=0, dilation=1, ceil_mode=False, height=9, width=9)
@settings(deadline=None, max_examples=100)
def test_pool_is_the_layer(kernel, stride, padding, dilation, ceil_mode, height, width):
    layer = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    maps = torch.randn(2, 3, height, width)
    assert torch.equal(fast_pass.pool(layer, maps), layer(maps))


def test_pool_returns_the_indices_that_a_layer_returns():
    layer, maps = nn.MaxPool2d(2, return_indices=True), torch.randn(1, 2, 6, 6)
    assert all(map(torch.equal, fast_pass.pool(layer, maps), layer(maps)))


def test_maps_too_small_to_pool():
    with pytest.raises(RuntimeError, match="Output size is too small"):
        fast_pass.pool(nn.MaxPool2d(3), torch.randn(1, 1, 2, 2))


def test_mixed_precision_is_close():
    network, images = backbone(), torch.randn(3, 3, 20, 20)
    with torch.no_grad():
        found = fast_pass.mixed(network, torch.device("cpu"))(images)
        assert found.dtype == torch.float32
        assert 0 < (found - network(images)).abs().max() < 0.05


def test_only_layers_is_sequential_are_staged():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Conv2d(3, 4, 3)

        def forward(self, images):
            return self.part(images) + self.part(-images)

    assert fast_pass.is_sequential(backbone())
    assert not fast_pass.is_sequential(nn.Sequential(Forked(), nn.Flatten()))
    assert not fast_pass.is_sequential(Forked())


@pytest.mark.parametrize(
    ("nnpack", "capability", "expected"),
    [(True, "AVX2", True), (True, "AVX512", False), (False, "AVX2", False)],
)
def test_winograd_where_it_was_measured(nnpack, capability, expected, monkeypatch):
    monkeypatch.setattr(torch.backends.nnpack, "is_available", lambda: nnpack)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert fast_pass.winograd_pays() is expected
