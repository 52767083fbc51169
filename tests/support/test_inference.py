"""Tests of `tutorial_utils._support.inference`: batches, logits, devices, loaders."""

import pytest
import torch
from tiny_runs import IMAGES, WIDTH, Photos, head, loader
from torch import nn

from tutorial_utils._support import inference

CPU = torch.device("cpu")


def test_scored_batches_are_those_of_the_loader():
    network, batches = head().train(), loader(shuffle=False)
    with inference.scored_batches(network, batches, device=CPU) as scored:
        pairs = list(scored)
    assert sum(len(labels) for _, labels in pairs) == IMAGES
    for (logits, labels), (inputs, expected) in zip(pairs, batches, strict=True):
        torch.testing.assert_close(logits, network.eval()(inputs))
        assert torch.equal(labels, expected)


def test_scored_batches_use_evaluation_mode_and_no_gradients():
    network, seen = head().train(), []
    network[3].register_forward_hook(
        lambda *_: seen.append((network[2].training, torch.is_inference_mode_enabled()))
    )
    state = torch.get_rng_state()
    with inference.scored_batches(network, loader(), device=CPU) as scored:
        assert len(list(scored)) == len(seen) == len(loader())
    assert set(seen) == {(False, True)} and network.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (head(classes=1), "has the label 1, and the network has logits for 1 classes"),
        (nn.Sequential(head(), nn.Unflatten(1, (2, 1))), r"must be \(N, K\), not \(5, 2, 1\)"),
    ],
)
def test_logits_that_do_not_fit(network, message):
    with pytest.raises(ValueError, match=message):
        inference.compute_logits(network, torch.zeros(5, WIDTH), torch.ones(5, dtype=torch.int64))


def test_move_to():
    network = head()
    assert inference.move_to(network, None) == CPU
    assert inference.move_to(network, "meta") == torch.device("meta")
    assert network[0].weight.device == inference.move_to(network, None) == torch.device("meta")
    assert inference.move_to(nn.ReLU(), None) == CPU


def test_check_loader():
    inference.check_loader(loader(), "train")
    with pytest.raises(ValueError, match="train must be a DataLoader, not Photos: wrap"):
        inference.check_loader(Photos(), "train")
    with pytest.raises(ValueError, match="val is empty: it gives no batch"):
        inference.check_loader(loader(count=0, shuffle=False), "val")
