"""Tests of the checks of lesson 05: correct answers, and every usual slip with its own hint."""

import copy

import pytest
import torch
from assertions import assert_verdict
from torch import nn

from tutorial_utils.checks.lesson05 import best_factor, one_more_class, ready_to_train

# best_factor

LABELS = torch.tensor([0, 1, 1])
SURE = torch.tensor([[3.0, 0.0], [0.0, 3.0], [0.0, 3.0]])  # all correct: the more, the better
WRONG = torch.tensor([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0]])  # one mistake: the less, the better


@pytest.mark.parametrize(
    ("answer", "logits", "text"),
    [
        (100, SURE, "3 of 3 with every factor"),
        (0.1, WRONG, "2 of 3 with every factor"),
        (torch.tensor(0.1, dtype=torch.float64), WRONG, "2 of 3"),
        (1, torch.tensor([[1.5, 0.0], [0.0, 1.5], [0.5, 0.0]]), "2 of 3"),
        (10, torch.zeros(3, 2), "1 of 3"),  # all the same: any factor is correct
    ],
)
def test_the_best_factor(answer, logits, text):
    assert_verdict(best_factor(answer, logits, LABELS), "correct", f"^correct: .*{text}")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (100, "the loss is largest"),
        (1, "gives the loss .*another one less"),
        (0.66, "this is a loss"),
        (5, "5 is not one of the factors"),
        ("0.1", "expected a number, not a value of type str"),
        (True, "expected a number, not a value of type bool"),
    ],
)
def test_slips_of_the_best_factor(answer, text):
    assert_verdict(best_factor(answer, WRONG, LABELS), "wrong", f"not yet: .*{text}")


def test_the_best_factor_needs_the_batch():
    assert_verdict(best_factor(0.1), "wrong", "needs the logits and labels.*Hint: ")


def test_the_best_factor_leaves_the_logits_alone():
    logits = WRONG.clone().requires_grad_()
    assert_verdict(best_factor(0.1, logits, LABELS), "correct")
    assert torch.equal(logits, WRONG) and logits.grad is None


# ready_to_train


def freeze_then_swap(network, classes):
    network.requires_grad_(False)
    network.fc = nn.Linear(network.fc.in_features, classes)
    return network


def swap_then_freeze_the_rest(network, classes):
    network.fc = nn.Linear(network.fc.in_features, classes)
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name.startswith("fc.")
    return network


def on_a_copy(network, classes):
    return freeze_then_swap(copy.deepcopy(network), classes)


@pytest.mark.parametrize("answer", [freeze_then_swap, swap_then_freeze_the_rest, on_a_copy])
def test_ready_to_train(answer):
    assert_verdict(ready_to_train(answer), "correct", "^correct: ")


def swap_then_freeze(network, classes):
    network.fc = nn.Linear(network.fc.in_features, classes)
    return network.requires_grad_(False)


def no_freeze(network, classes):
    network.fc = nn.Linear(network.fc.in_features, classes)
    return network


def evaluation_mode(network, classes):
    return no_freeze(network, classes).eval()


def number_only(network, classes):
    network.requires_grad_(False)
    network.fc.out_features = classes
    return network


def typed(network, classes):
    network.requires_grad_(False)
    network.fc = nn.Linear(4096, classes)
    return network


def two_classes(network, classes):
    network.requires_grad_(False)
    network.fc = nn.Linear(network.fc.in_features, 2)
    return network


def without_bias(network, classes):
    network.requires_grad_(False)
    network.fc = nn.Linear(network.fc.in_features, classes, bias=False)
    return network


def layer_alone(network, classes):
    return freeze_then_swap(network, classes).fc


def bias_frozen(network, classes):
    freeze_then_swap(network, classes).fc.bias.requires_grad = False
    return network


def no_layer(network, classes):
    network.fc = nn.Identity()
    return network


def pool_gone(network, classes):
    freeze_then_swap(network, classes).avgpool = nn.AdaptiveMaxPool2d((1, 2))
    network.flatten = nn.Flatten(0, 0)
    return network


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (swap_then_freeze, "nothing is trainable.*order"),
        (no_freeze, "before `fc` are still trainable"),
        (evaluation_mode, "evaluation mode does not freeze"),
        (number_only, "still the old layer.*printed"),
        (typed, "the new layer has 4096 inputs, but the layers"),
        (two_classes, "the new layer gives 2 logits for 3 classes"),
        (without_bias, "the new layer has no bias.*a weight and a bias"),
        (layer_alone, "your function did not return the network"),
        (bias_frozen, "only a part of the new layer is trainable"),
        (no_layer, "no dense layer"),
        (pool_gone, "not yet: .*Hint: "),
    ],
)
def test_slips_of_a_swap_elsewhere(answer, text):
    assert_verdict(ready_to_train(answer), "wrong", text)


# one_more_class


def one_more(layer):
    wider = nn.Linear(layer.in_features, layer.out_features + 1)
    with torch.no_grad():
        wider.weight[:-1] = layer.weight
        wider.bias[:-1] = layer.bias
    return wider


def joined(layer):
    wider = nn.Linear(layer.in_features, layer.out_features + 1)
    row = torch.zeros(1, layer.in_features)
    wider.weight = nn.Parameter(torch.cat([layer.weight.detach(), row]))
    wider.bias = nn.Parameter(torch.cat([layer.bias.detach(), row[0, :1]]))
    return wider


@pytest.mark.parametrize("answer", [one_more, joined])
def test_one_more_class(answer):
    assert_verdict(one_more_class(answer), "correct", "^correct: ")


def fresh(layer):
    return nn.Linear(layer.in_features, layer.out_features + 1)


def weight_only(layer):
    wider = fresh(layer)
    wider.weight.data[:-1] = layer.weight.data
    return wider


def no_bias(layer):
    wider = nn.Linear(layer.in_features, layer.out_features + 1, bias=False)
    wider.weight.data[:-1] = layer.weight.data
    return wider


def new_first(layer):
    wider = fresh(layer)
    wider.weight.data[1:] = layer.weight.data
    wider.bias.data[1:] = layer.bias.data
    return wider


def same_layer(layer):
    layer.out_features += 1
    return layer


def same_size(layer):
    return nn.Linear(layer.in_features, layer.out_features)


def turned(layer):
    return nn.Linear(layer.out_features + 1, layer.in_features)


def frozen(layer):
    return one_more(layer).requires_grad_(False)


def old_one_emptied(layer):
    wider = one_more(layer)
    layer.weight.data.zero_()
    return wider


def gradients_on(layer):
    wider = fresh(layer)
    wider.weight[:-1] = layer.weight
    return wider


def note_forgotten(layer):
    wider = joined(layer)
    wider.out_features -= 1
    return wider


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (fresh, "the old classes get other logits than before"),
        (weight_only, "the old biases are missing"),
        (no_bias, "the old biases are missing"),
        (new_first, "moved down by one"),
        (same_layer, "you returned the old layer"),
        (same_size, "still has 2 outputs"),
        (turned, r"shape \(6, 3\)"),
        (frozen, "not trainable.*requires_grad"),
        (old_one_emptied, "you changed the old layer"),
        (gradients_on, "raised RuntimeError.*no gradients are recorded"),
        (note_forgotten, "a row for each output"),
        (lambda layer: layer.weight, "expected a dense layer"),
    ],
)
def test_slips_of_one_more_class(answer, text):
    assert_verdict(one_more_class(answer), "wrong", text)
