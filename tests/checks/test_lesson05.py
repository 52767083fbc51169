"""Tests of the checks of lesson 05: correct answers, and every usual slip with its own hint."""

import copy

import pytest
import torch
from assertions import assert_verdict
from torch import nn

from tutorial_utils.checks.lesson05 import after_swap, one_more_class, ready_to_train

# after_swap


@pytest.mark.parametrize(
    "answer",
    [
        lambda total, inputs, old, new: total - (inputs + 1) * (old - new),
        lambda total, inputs, old, new: float(total - inputs * old - old + inputs * new + new),
        lambda total, inputs, old, new: torch.tensor(
            total - (inputs + 1) * old + inputs * new + new
        ),
    ],
)
def test_the_count_after_a_swap(answer):
    assert_verdict(after_swap(answer), "correct", "^correct: ")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda t, i, old, new: t - i * old + i * new, "you left out the biases"),
        (lambda t, i, old, new: t - (i + 1) * old + i * new, "only one of the two"),
        (lambda t, i, old, new: t - i * old + (i + 1) * new, "only one of the two"),
        (lambda t, i, old, new: t + (i + 1) * new, "you did not subtract the old layer"),
        (lambda t, i, old, new: t - (i + 1) * old, "you did not add the new layer"),
        (lambda t, i, old, new: (i + 1) * new, "not the whole network"),
        (lambda t, i, old, new: (i + 1) * (old - new), "not the whole network"),
        (lambda t, i, old, new: t - 4097 * old + 4097 * new, "ResNet-18 and 5 classes you gave"),
        (lambda t, i, old, new: True, "expected a number, not a value of type bool"),
    ],
)
def test_slips_of_the_count(answer, text):
    assert_verdict(after_swap(answer), "wrong", text)


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
