"""Tests of `tutorial_utils.subspace`: the same layer, the same steps, fewer values."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

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


def test_gradient_descent_takes_the_same_steps():
    """With SGD and momentum, both heads stay equal, step by step."""
    train, val, wide, plain = features(9), features(7, seed=2), head(), head()
    small, (inputs, others) = subspace.project_head(wide, train, val)
    pairs = [(small, inputs.values), (plain, train.values)]
    makers = [torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net, _ in pairs]
    for _ in range(20):
        for (net, values), optimizer in zip(pairs, makers, strict=True):
            net.eval()
            optimizer.zero_grad()
            cross_entropy(net(values), train.labels).backward()
            optimizer.step()
    moved = (plain[0].weight - head()[0].weight).abs().max()
    assert moved > 0.05
    torch.testing.assert_close(small(others.values), plain(val.values), atol=1e-4, rtol=1e-4)
    subspace.write_back(small, wide, train)
    torch.testing.assert_close(wide[0].weight, plain[0].weight, atol=1e-5, rtol=1e-4)


def test_adam_on_the_wide_layer_leaves_the_span():
    train, wide = features(9), head().eval()
    optimizer = torch.optim.Adam(wide.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        cross_entropy(wide(train.values), train.labels).backward()
        optimizer.step()
    moved = (wide[0].weight - head()[0].weight).detach()
    basis = subspace.orthonormal_basis(train.values)
    outside = moved - moved @ basis.T @ basis
    assert outside.norm() > 0.1 * moved.norm()


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
