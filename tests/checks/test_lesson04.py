"""Tests of the checks of lesson 04: correct answers, and every usual slip with its own hint."""

import copy
import re

import pandas
import pytest
import torch
from assertions import assert_verdict
from torch import nn

from tutorial_utils import models
from tutorial_utils.checks import lesson04


def switch(module, on):
    for parameter in module.parameters():
        parameter.requires_grad = on


def all_but_last(network):
    switch(network, False)
    switch(network.classifier[-1], True)


def by_the_module(network):
    network.requires_grad_(False)
    network.classifier[-1].requires_grad_(True)
    return network


def by_names(network):
    last = f"classifier.{len(network.classifier) - 1}."
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name.startswith(last)
    return "done"


def by_the_package(network):
    models.freeze(network)
    return models.unfreeze(network.classifier[-1])


def with_eval_too(network):
    all_but_last(network)
    network.eval()


@pytest.mark.parametrize(
    "answer", [all_but_last, by_the_module, by_names, by_the_package, with_eval_too]
)
def test_all_but_last_right(answer):
    assert_verdict(lesson04.all_but_last(answer), "correct")


def attribute(network):
    network.requires_grad = False


def attribute_of_the_parts(network):
    network.features.requires_grad = False


def overwritten(network):
    for parameter in network.parameters():
        parameter.requires_grad_ = False


def only_off(network):
    switch(network.features, False)
    for layer in network.classifier[:-1]:
        switch(layer, False)


def without_bias(network):
    switch(network, False)
    network.classifier[-1].weight.requires_grad = True


def with_a_convolution(network):
    all_but_last(network)
    network.features[0].weight.requires_grad = True


def with_new_values(network):
    all_but_last(network)
    nn.init.zeros_(network.classifier[-1].weight)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda n: n.eval(), "you called `eval()`, and every parameter is"),
        (lambda n: [n.eval(), None][1], "you called `eval()`, and every parameter is"),
        (attribute, "you gave a module an attribute"),
        (attribute_of_the_parts, "you gave a module an attribute"),
        (overwritten, "`requires_grad_` is a method"),
        (lambda n: switch(n, False), "nothing is trainable now"),
        (lambda n: n.zero_grad() or n, "nothing is frozen"),
        (lambda n: switch(n.classifier[-1], False), "the last layer is frozen, and all others"),
        (lambda n: switch(n.features, False), "only the features are frozen"),
        (only_off, "this network was frozen before, and its last"),
        (without_bias, "of the last layer, only classifier.5.weight"),
        (with_a_convolution, "these are trainable: classifier.5.bias,"),
        (with_new_values, "`requires_grad` is correct everywhere, but"),
        (lambda n: by_the_module(copy.deepcopy(n)), "nothing is frozen"),
        (lambda n: n.head, "go through the parameters of the network, and"),
    ],
)
def test_all_but_last_slips(answer, text):
    assert_verdict(lesson04.all_but_last(answer), "wrong", re.escape(text))


def copies(network):
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def step(network, images, labels, *, optimizer=torch.optim.SGD):
    nn.functional.cross_entropy(network(images), labels).backward()
    optimizer(network.parameters(), lr=0.1).step()


def different(network, before):
    return [name for name, p in network.named_parameters() if not torch.equal(p, before[name])]


def moved(network, images, labels):
    before = copies(network)
    step(network, images, labels)
    return different(network, before)


def with_adam(network, images, labels):
    before = copy.deepcopy(network).state_dict()
    step(network, images, labels, optimizer=torch.optim.Adam)
    return set(different(network, before))


def on_a_copy(network, images, labels):
    twin = copy.deepcopy(network)
    step(twin, images, labels)
    return tuple(different(network, dict(twin.named_parameters())))


def by_the_parts(network, images, labels):
    before = copies(network)
    logits = network.classifier(network.features(images))
    nn.functional.cross_entropy(logits, labels).backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    return different(network, before)


@pytest.mark.parametrize("answer", [moved, with_adam, on_a_copy, by_the_parts])
def test_moved_right(answer):
    assert_verdict(lesson04.moved(answer), "correct")


def compared_with_itself(network, images, labels):
    before = dict(network.named_parameters())
    step(network, images, labels)
    return different(network, before)


def by_the_switch(network, images, labels):
    step(network, images, labels)
    return [name for name, p in network.named_parameters() if p.requires_grad]


def no_step(network, images, labels):
    before = copies(network)
    nn.functional.cross_entropy(network(images), labels).backward()
    return different(network, before)


def no_backward(network, images, labels):
    before = copies(network)
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    return different(network, before)


def all_names(network, images, labels):
    step(network, images, labels)
    return [name for name, _ in network.named_parameters()]


def what_stayed(network, images, labels):
    names = moved(network, images, labels)
    return [name for name, _ in network.named_parameters() if name not in names]


def half(network, images, labels):
    return moved(network, images, labels)[:-1] + ["classifier.9.weight"]


def in_training_mode(network, images, labels):
    network.train()
    return moved(network, images, labels)


def back_in_evaluation_mode(network, images, labels):
    names = in_training_mode(network, images, labels)
    network.eval()
    return names


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (in_training_mode, "you took the step in training mode"),
        (back_in_evaluation_mode, "you took the step in training mode"),
        (compared_with_itself, "the network did move, but you compared it"),
        (by_the_switch, "you listed what is trainable, but one of"),
        (no_step, "you took no step"),
        (no_backward, "you computed no gradient and took no step"),
        (lambda n, x, y: [], "you computed no gradient and took no step"),
        (all_names, "you listed every tensor"),
        (what_stayed, "you listed what did not move"),
        (half, "missing: classifier.2.bias; too many: classifier.9.weight"),
        (lambda *a: moved(*a) * 2, "a name is in your list twice"),
        (lambda *a: len(moved(*a)), "expected a list of names, not a value of type"),
        (lambda n, x, y: list(n.parameters()), "your list contains something other than names"),
        (lambda n, x, y: n(y), "`nn.functional.cross_entropy`"),
    ],
)
def test_moved_slips(answer, text):
    assert_verdict(lesson04.moved(answer), "wrong", re.escape(text))


def test_a_list_of_trainable_names_without_a_step_is_wrong():
    # For the first network these names are correct; the second reveals the missing step.
    assert_verdict(
        lesson04.moved(lambda n, x, y: [k for k, p in n.named_parameters() if p.requires_grad]),
        "wrong",
        "you computed no gradient and took no step",
    )


def measured(trainable, saved):
    """Return a table as `layers.step_costs` makes it, without the times."""
    names = ["", *(f"features.{i}" for i in range(len(trainable) - 1))]
    columns = {"frozen": range(len(names)), "layer": names, "trainable": trainable}
    bytes_ = {"saved_bytes": saved, "gradient_bytes": [4 * n for n in trainable]}
    return pandas.DataFrame({**columns, **bytes_, "state_bytes": [8 * n for n in trainable]})


# Bytes for each parameter: 52, 22 and 12.2.
STEPS = measured([511, 501, 500, 0], [510, 110, 100, 0])


def test_best_layer_right():
    assert_verdict(lesson04.best_layer("features.0", STEPS), "correct", "52 bytes for each")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("features.2", "this layer saves the most bytes in all"),
        ("features.1", "this layer has the fewest parameters"),
        ("features.9", "there is no layer 'features.9'"),
        (0, "expected a layer's name, not a value of type int"),
    ],
)
def test_best_layer_slips(answer, text):
    assert_verdict(lesson04.best_layer(answer, STEPS), "wrong", re.escape(text))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("features.2", "this layer saves the least for each parameter"),
        ("features.3", "freezing features.3 saves 15 bytes for each parameter, and another"),
    ],
)
def test_best_layer_slips_among_more_layers(answer, text):
    # Bytes for each parameter: 52, 22, 12, 15. The first layer saves most in all, too.
    steps = measured([221, 121, 120, 70, 0], [4220, 220, 210, 210, 0])
    assert_verdict(lesson04.best_layer(answer, steps), "wrong", re.escape(text))


def test_best_layer_of_a_stub_is_open():
    assert_verdict(lesson04.best_layer(..., STEPS), "open")
