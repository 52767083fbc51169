"""Winograd's method: torch's results and gradients, and when it is used."""

import pytest
import torch
import winograd
from torch import nn

SHAPES = [  # kernel, padding, height, width, channels in, channels out, bias
    (3, 1, 7, 7, 16, 8, True),
    (5, 2, 15, 15, 8, 8, True),
    (3, 1, 13, 9, 3, 4, False),
    (5, 2, 6, 4, 2, 3, True),
    (3, 0, 8, 8, 4, 4, True),
    (3, 1, 1, 1, 2, 2, True),
    (5, 0, 5, 21, 1, 2, False),
]


def pair(kernel, padding, channels, out, bias) -> tuple[nn.Conv2d, winograd.Conv2d]:
    """Return torch's convolution and ours with the same numbers."""
    wide = {"kernel_size": kernel, "padding": padding, "bias": bias}
    plain, ours = nn.Conv2d(channels, out, **wide), winograd.Conv2d(channels, out, **wide)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def gap(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference, as a share of the largest number."""
    assert a.shape == b.shape
    return ((a - b).abs().max() / a.abs().max()).item()


def mixed_precision(on: bool) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=on)


@pytest.mark.parametrize(("mixed", "most"), [(False, 1e-4), (True, 0.02)])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("kernel", "padding", "high", "wide", "channels", "out", "bias"), SHAPES)
def test_results_and_gradients_are_torchs_up_to_rounding(
    kernel, padding, high, wide, channels, out, bias, channels_last, mixed, most
):
    torch.manual_seed(0)
    plain, ours = pair(kernel, padding, channels, out, bias)
    images = torch.randn(3, channels, high, wide)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    given = [images.clone().requires_grad_() for _ in range(2)]
    with mixed_precision(mixed):
        result = ours(given[1])
        assert result.dtype == (torch.bfloat16 if mixed else torch.float32)
        assert gap(plain(images), result) <= (0 if mixed else most)
    exact = plain(given[0])  # of float32: torch's own gradients of 16 bits are no yardstick
    back = torch.randn_like(result)
    result.backward(back)
    exact.backward(back.float())
    assert gap(given[0].grad, given[1].grad) < most
    assert gap(plain.weight.grad, ours.weight.grad) < most
    assert ours.weight.grad.dtype == torch.float32
    if bias:
        assert gap(plain.bias.grad, ours.bias.grad) < most


@pytest.mark.parametrize(("mixed", "most"), [(False, 1e-4), (True, 0.02)])
def test_images_that_need_no_gradient_get_none(mixed, most):
    plain, ours = pair(3, 1, 2, 2, True)
    images = torch.randn(1, 2, 6, 6)
    with mixed_precision(mixed):
        ours(images).sum().backward()
    plain(images).sum().backward()
    assert images.grad is None and gap(plain.weight.grad, ours.weight.grad) < most


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_transforms_slide_a_kernel_along_numbers(kernel):
    back, weight, image = winograd.transforms(kernel)
    assert back.shape == (4, kernel + 3) and image.shape == (kernel + 3, kernel + 3)
    numbers = torch.arange(1.0, kernel + 4, dtype=torch.float64) ** 2
    sliding = torch.arange(2.0, kernel + 2, dtype=torch.float64)
    found = back @ ((weight @ sliding) * (image @ numbers))
    wanted = [float((numbers[i : i + kernel] * sliding).sum()) for i in range(4)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)


def used(monkeypatch, layer: nn.Conv2d, images: torch.Tensor) -> bool:
    """Return whether a layer computes by tiles."""
    calls = []
    real = winograd._Tiled.apply
    monkeypatch.setattr(winograd._Tiled, "apply", lambda *a: calls.append(1) or real(*a))
    layer(images)
    monkeypatch.undo()
    return bool(calls)


def test_it_is_used_in_training_alone_and_where_it_is_right(monkeypatch):
    images = torch.randn(1, 2, 12, 12)
    assert used(monkeypatch, winograd.Conv2d(2, 2, 3, padding=1), images)
    assert not used(monkeypatch, winograd.Conv2d(2, 2, 3, padding=1).eval(), images)
    for other in (
        {"kernel_size": 3, "stride": 2},
        {"kernel_size": 3, "dilation": 2},
        {"kernel_size": 3, "groups": 2},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
        {"kernel_size": (3, 5)},
        {"kernel_size": 3, "padding": (1, 0)},
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 7},
    ):
        assert not used(monkeypatch, winograd.Conv2d(2, 2, **other), images), other


def test_in_mixed_precision_no_tiles_are_used_and_small_maps_alone_are_ours(monkeypatch):
    calls = []
    real = winograd._Shifted.apply
    monkeypatch.setattr(winograd._Shifted, "apply", lambda *a: calls.append(1) or real(*a))
    layer = winograd.Conv2d(2, 2, 3, padding=1)
    for side, training, ours in ((12, True, 1), (13, True, 0), (12, False, 0)):
        calls.clear()
        images = torch.randn(1, 2, side, side)
        with torch.autocast("cpu", torch.bfloat16):
            layer.train(training)(images)
        assert len(calls) == ours, side
    with torch.autocast("cpu", torch.bfloat16), monkeypatch.context() as patch:
        patch.setattr(winograd._Tiled, "apply", None)  # would fail if it were called
        layer.train()(torch.randn(1, 2, 12, 12))
