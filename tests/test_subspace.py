"""Tests of `tutorial_utils.subspace`: the same layer, the same steps, fewer values."""

import dataclasses

import pytest
import torch
from torch import nn

from tutorial_utils import data, subspace, training
from tutorial_utils.features import Features

WIDTH, MIDDLE = 40, 12


def features(count, *, seed=1, augmentations=1, classes=2):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count * augmentations, WIDTH, generator=generator)
    labels = torch.arange(count) % classes
    values[:, 0] += labels.repeat(augmentations) * 2
    return Features(values, labels, 0.0, augmentations)


def head(*, dropout=False):
    torch.manual_seed(0)
    layers = [nn.Linear(WIDTH, MIDDLE), nn.ReLU(), nn.Dropout(), nn.Linear(MIDDLE, 2)]
    return nn.Sequential(*([nn.Dropout()] if dropout else []), *layers)


def test_the_basis_is_orthonormal_and_spans_the_features():
    values = features(9).values
    basis = subspace.orthonormal_basis(values)
    assert basis.shape == (9, WIDTH)
    torch.testing.assert_close(basis @ basis.T, torch.eye(9), atol=1e-5, rtol=0)
    torch.testing.assert_close(values @ basis.T @ basis, values, atol=1e-5, rtol=1e-5)


def test_repeated_images_add_no_dimension():
    values = features(5).values
    assert len(subspace.orthonormal_basis(torch.cat([values, values, 2 * values]))) == 5


@pytest.mark.parametrize("dropout", [False, True])
def test_at_the_start_the_small_head_is_the_head(dropout):
    wide = head(dropout=dropout).eval()
    train, val = features(9), features(7, seed=2)
    small, (inputs, others) = subspace.project_head(wide, train, val)
    assert inputs.values.shape == (9, MIDDLE + 9)
    assert not small.training
    torch.testing.assert_close(small(inputs.values), wide(train.values), atol=1e-5, rtol=0)
    torch.testing.assert_close(small(others.values), wide(val.values), atol=1e-5, rtol=0)


def fitted(make_optimizer, *, in_span, dtype=torch.float32, epochs=5):
    """Return the start and the end of the first layer's weight, trained one way or the other."""
    train, val = (
        dataclasses.replace(part, values=part.values.to(dtype))
        for part in (features(9), features(7, seed=2))
    )
    wide = head().to(dtype)
    start, network, parts = wide[0].weight.detach().clone(), wide, [train, val]
    if in_span:
        network, parts = subspace.project_head(wide, train, val)
    training.fit(
        network,
        data.loader(parts[0], batch_size=4, shuffle=True),
        val=data.loader(parts[1], batch_size=4),
        epochs=epochs,
        optimizer=make_optimizer,
        precision="float32",
        quiet=True,
    )
    if in_span:
        subspace.write_back(network, wide, train)
    return start, wide[0].weight.detach()


def share_outside(start, end):
    """Return the length of the change outside the span, divided by that of the whole change."""
    basis = subspace.orthonormal_basis(features(9).values.to(end.dtype))
    change = end - start
    return float((change - change @ basis.T @ basis).norm() / change.norm())


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-11)])
def test_gradient_descent_with_momentum_gives_the_same_weights_both_ways(dtype, tolerance):
    """Shuffled batches and dropout after the layer included; the difference is rounding."""
    start, wide = fitted(momentum, in_span=False, dtype=dtype)
    _, narrow = fitted(momentum, in_span=True, dtype=dtype)
    moved = (wide - start).abs().max()
    assert moved > 0.05
    assert (wide - narrow).abs().max() < tolerance * moved
    assert share_outside(start, wide) < 100 * tolerance


def test_adam_on_all_weights_leaves_the_span_and_ends_elsewhere():
    start, wide = fitted(adam, in_span=False)
    _, narrow = fitted(adam, in_span=True)
    assert share_outside(start, wide) > 0.1
    assert share_outside(start, narrow) < 1e-3
    assert (wide - narrow).norm() > 0.1 * (wide - start).norm()


def test_weight_decay_leaves_the_span():
    start, wide = fitted(
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.1), in_span=False
    )
    assert share_outside(start, wide) > 0.1


def test_outside_the_span_a_change_moves_only_other_images():
    train, val = features(9), features(7, seed=2)
    start, end = fitted(adam, in_span=False)
    basis = subspace.orthonormal_basis(train.values)
    change = end - start
    outside = change - change @ basis.T @ basis
    assert (train.values @ outside.T).abs().max() < 1e-4
    assert (val.values @ outside.T).abs().max() > 0.01


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("augmentations", [1, 3])
def test_trained_weights_are_written_back(dropout, augmentations):
    wide, train, val = (
        head(dropout=dropout),
        features(9, augmentations=augmentations),
        features(7, seed=2),
    )
    small, (inputs, others) = subspace.project_head(wide, train, val)
    loaders = data.loader(inputs, batch_size=4, shuffle=True), data.loader(others, batch_size=4)
    training.fit(small, loaders[0], val=loaders[1], epochs=3, lr=1e-2, quiet=True)
    subspace.write_back(small, wide, train)
    small.eval()
    wide.eval()
    torch.testing.assert_close(wide(val.values), small(others.values), atol=1e-4, rtol=1e-4)
    assert small[0].coefficients.abs().max() > 0


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(20, 4), nn.Linear(4, 2)], "have 40 values per image, .* takes 20"),
        ([nn.ReLU(), nn.Linear(WIDTH, 2)], "must begin with a dense layer"),
        ([nn.Linear(WIDTH, 2)], "must begin with a dense layer"),
    ],
)
def test_a_head_that_does_not_fit_raises(layers, message):
    with pytest.raises(ValueError, match=message):
        subspace.project_head(nn.Sequential(*layers), features(3))


def test_other_features_cannot_be_written_back():
    wide = head()
    small, _ = subspace.project_head(wide, features(9))
    with pytest.raises(ValueError, match="trained in 9 dimensions and these features span 5"):
        subspace.write_back(small, wide, features(5))
