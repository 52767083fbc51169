"""Tests of the checks of lesson 06: correct answers, and every usual slip with its own hint."""

import pytest
import torch
from assertions import assert_verdict
from torch.nn.functional import cross_entropy

from tutorial_utils.checks.lesson06 import measured_accuracy, step_in_parts, stop_epoch

# measured_accuracy


def counted(network, batches):
    network.eval()
    with torch.no_grad():
        right = sum((network(x).argmax(1) == y).sum() for x, y in batches)
    return right / sum(len(y) for _, y in batches)


def joined(network, batches):
    network.train(False)
    with torch.inference_mode():
        logits = torch.cat([network(images) for images, _ in batches])
    hits = logits.argmax(1) == torch.cat([labels for _, labels in batches])
    return hits.float().mean().item()


@pytest.mark.parametrize("answer", [counted, joined])
def test_accuracy(answer):
    assert_verdict(measured_accuracy(answer), "correct", "^correct: correct over total")


def hits_of(network, batches):
    network.eval()
    with torch.no_grad():
        return [(network(images).argmax(1) == labels).float() for images, labels in batches]


def training_mode(network, batches):
    with torch.no_grad():
        right = sum((network(x).argmax(1) == y).sum() for x, y in batches)
    return right / sum(len(y) for _, y in batches)


def recorded(network, batches):
    network.eval()
    right = sum((network(x).argmax(1) == y).sum() for x, y in batches)
    return right / sum(len(y) for _, y in batches)


def smallest(network, batches):
    network.eval()
    with torch.no_grad():
        return sum((network(x).sum(1) == y).sum().item() for x, y in batches) / 10


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (training_mode, "you measured the network in training mode"),
        (recorded, "you recorded gradients"),
        (lambda n, b: sum(h.mean() for h in hits_of(n, b)) / len(b), "mean of the batches"),
        (lambda n, b: sum(h.sum() for h in hits_of(n, b)), "that is how many are correct"),
        (lambda n, b: 10 * sum(h.sum() for h in hits_of(n, b)), "that is a percentage"),
        (lambda n, b: hits_of(n, b)[-1].mean(), "last batch alone"),
        (lambda n, b: 1 - torch.cat(hits_of(n, b)).mean(), "fraction that is wrong"),
        (
            lambda n, b: sum(h.sum() for h in hits_of(n, b)) / 12,
            "you counted the last batch as a full one",
        ),
        (lambda n, b: sum(h.sum() for h in hits_of(n, b)) / len(b), "number of batches"),
        (lambda n, b: 0.8, "you never called the network"),
        (lambda n, b: hits_of(n, b), "expected a number, not a value of type list"),
        (lambda n, b: torch.cat(hits_of(n, b)), "expected one number, not a value of type"),
        (smallest, "8 of 10 images are classified correctly, and"),
    ],
)
def test_slips_of_accuracy(answer, text):
    assert_verdict(measured_accuracy(answer), "wrong", text)


# step_in_parts


def shares(network, parts, optimizer):
    total = sum(len(labels) for _, labels in parts)
    optimizer.zero_grad()
    for images, labels in parts:
        loss = cross_entropy(network(images), labels)
        (loss * len(labels) / total).backward()
    optimizer.step()


def sums(network, parts, optimizer):
    network.zero_grad()
    losses = []
    for images, labels in parts:
        losses.append(cross_entropy(network(images), labels, reduction="sum"))
        losses[-1].backward()
    for parameter in network.parameters():
        parameter.grad /= sum(len(labels) for _, labels in parts)
    optimizer.step()
    return sum(losses).item()


@pytest.mark.parametrize("answer", [shares, sums])
def test_a_step_in_parts(answer):
    assert_verdict(step_in_parts(answer), "correct", "^correct: one step")


def loop(network, parts, optimizer, *, weigh, clear=True, clear_inside=False, step_inside=False):
    if clear:
        optimizer.zero_grad()
    for images, labels in parts:
        if clear_inside:
            optimizer.zero_grad()
        loss = cross_entropy(network(images), labels)
        (loss * weigh(len(labels), parts)).backward()
        if step_inside:
            optimizer.step()
    if not step_inside:
        optimizer.step()


def fair(size, parts):
    return size / sum(len(labels) for _, labels in parts)


def looped(weigh=fair, **options):
    return lambda network, parts, optimizer: loop(network, parts, optimizer, weigh=weigh, **options)


def no_backward(network, parts, optimizer):
    optimizer.zero_grad()
    for images, labels in parts:
        cross_entropy(network(images), labels)
    optimizer.step()


def no_step(network, parts, optimizer):
    optimizer.zero_grad()
    for images, labels in parts:
        (cross_entropy(network(images), labels) * fair(len(labels), parts)).backward()


def step_first(network, parts, optimizer):
    optimizer.step()
    no_step(network, parts, optimizer)


def at_once(network, parts, optimizer):
    images = torch.cat([images for images, _ in parts])
    labels = torch.cat([labels for _, labels in parts])
    optimizer.zero_grad()
    cross_entropy(network(images), labels).backward()
    optimizer.step()


def one_backward(network, parts, optimizer):
    optimizer.zero_grad()
    losses = [cross_entropy(network(x), y) * fair(len(y), parts) for x, y in parts]
    sum(losses).backward()
    optimizer.step()


def another_loss(network, parts, optimizer):
    optimizer.zero_grad()
    for images, _ in parts:
        network(images).pow(2).mean().backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (looped(clear=False), "old gradients were still there"),
        (looped(lambda size, parts: 1, clear=False), "old gradients were still there"),
        (looped(clear_inside=True), "only the last part"),
        (looped(lambda size, parts: 1, clear_inside=True), "only the last part"),
        (looped(step_inside=True), "took 2 steps"),
        (looped(lambda size, parts: 1), "step is too long"),
        (looped(lambda size, parts: 1 / len(parts)), "all parts count the same"),
        (looped(lambda size, parts: size), "you added up the losses, but did not divide"),
        (no_backward, "no backward pass"),
        (no_step, "took no step"),
        (step_first, "before the last backward"),
        (at_once, "at once.*memory"),
        (one_backward, "2 parts had 2 forward and 1 backward"),
        (another_loss, "did not move as the whole batch"),
        (lambda network, parts, optimizer: 0.5, "you never called the network"),
        (lambda network, parts, optimizer: network(parts[0][0]) and None, "raised"),
    ],
)
def test_slips_of_a_step(answer, text):
    assert_verdict(step_in_parts(answer), "wrong", text)


# stop_epoch


def since_the_best(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        best = epoch if loss < losses[best] else best
        if epoch - best == patience:
            return epoch + 1
    return len(losses)


def by_window(losses, patience):
    for end in range(patience + 1, len(losses) + 1):
        if min(losses[end - patience : end]) >= min(losses[: end - patience]):
            return end
    return len(losses)


@pytest.mark.parametrize("answer", [since_the_best, by_window])
def test_the_epoch_to_stop_at(answer):
    assert_verdict(stop_epoch(answer), "correct", "^correct: patience")


def rises(losses, patience):
    count = 0
    for epoch in range(1, len(losses)):
        count = count + 1 if losses[epoch] >= losses[epoch - 1] else 0
        if count == patience:
            return epoch + 1
    return len(losses)


def ties_count(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        best = epoch if loss <= losses[best] else best
        if epoch - best == patience:
            return epoch + 1
    return len(losses)


def never_reset(losses, patience):
    best, count = losses[0], 0
    for epoch, loss in enumerate(losses[1:], start=2):
        count += loss >= best
        best = min(loss, best)
        if count == patience:
            return epoch
    return len(losses)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda losses, patience: since_the_best(losses, patience) - 1,
            "that is the index in the list",
        ),
        (lambda losses, patience: losses.index(min(losses)), "that is the index in the list"),
        (lambda losses, patience: losses[:6].index(min(losses[:6])) + 1, "best epoch"),
        (rises, "falls a little"),
        (ties_count, "equal loss is no new best"),
        (never_reset, "starts the count again"),
        (lambda a, p: since_the_best(a, p) + (p == 2 and len(a) == 7), "one epoch too late"),
        (lambda losses, patience: [3], "expected a number, not a value of type list"),
        (lambda losses, patience: len(losses) + 1, "it is 6.*since the best"),
    ],
)
def test_slips_of_stopping(answer, text):
    assert_verdict(stop_epoch(answer), "wrong", text)
