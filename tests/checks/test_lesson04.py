"""Tests of the checks of lesson 04: correct answers, and every usual slip with its own hint."""

import copy
import itertools
import re

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


def walked(frozen):
    return len(frozen) - frozen.index(False) if False in frozen else 0


def step_by_step(frozen):
    visited = 0
    for count, layer in enumerate(reversed(frozen), 1):
        if not layer:
            visited = count
    return visited


def by_real_layers(frozen):
    values, noted = torch.zeros(1, 2), 0
    for is_frozen in frozen:
        layer = nn.Linear(2, 2).requires_grad_(not is_frozen)
        values = layer(values)
        noted += values.grad_fn is not None
    return noted


@pytest.mark.parametrize(
    "answer",
    [
        walked,
        step_by_step,
        by_real_layers,
        lambda frozen: len(list(itertools.dropwhile(bool, frozen))),
        lambda frozen: sum(not all(frozen[: i + 1]) for i in range(len(frozen))),
    ],
)
def test_layers_walked_right(answer):
    assert_verdict(lesson04.layers_walked(answer), "correct")


def last_on(frozen):
    return len(frozen) - 1 - frozen[::-1].index(False) if False in frozen else -1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda f: f.count(False), "you counted only the trainable layers"),
        (sum, "you counted the frozen layers"),
        (lambda f: len(f) - walked(f), "that it never reaches"),
        (lambda f: last_on(f) + 1, "you started the pass at the first layer"),
        (lambda f: len(f) - last_on(f), "you stopped the pass at the first trainable"),
        (lambda f: walked(f) - 1, "one layer too few"),
        (len, "you counted every layer"),
        (lambda f: len(f) - f.index(False), "a list may contain no False at all"),
        (lambda f: walked(f) or len(f), "you counted every layer"),
        (lambda f: 4, "you gave 4, it is 9"),
        (lambda f: f[f.index(False) :], "return one whole number"),
    ],
)
def test_layers_walked_slips(answer, text):
    assert_verdict(lesson04.layers_walked(answer), "wrong", re.escape(text))


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


@pytest.mark.parametrize("answer", [moved, with_adam, on_a_copy])
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


@pytest.mark.parametrize(
    ("answer", "text"),
    [
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
