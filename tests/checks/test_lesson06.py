"""Tests of the checks of lesson 06: correct answers, and every usual slip with its own hint."""

import pytest
import torch
from assertions import assert_verdict
from torch.nn.functional import cross_entropy

from tutorial_utils.checks.lesson06 import fourth_rate, step_in_parts, stop_early

# fourth_rate

LR, LOG_K = 3e-5, 0.693
THREE = {3e-6: [0.6] * 30, 3e-5: [0.9] * 20 + [0.3] * 10, 3e-4: [2.0] * 20 + [0.1] * 10}


def check_rate(answer, losses):
    return fourth_rate(answer, THREE | {100 * LR: losses}, LR, LOG_K)


@pytest.mark.parametrize(
    ("answer", "losses", "text"),
    [
        ("a", [9.0] * 20 + [0.05] * 10, "ends lowest of all"),
        ("b", [9.0] * 20 + [0.4] * 10, "0.400 it has learned something, but 0.100 was possible"),
        ("B)", [0.4] * 3, "learned something"),
        ("c", [0.1] * 20 + [7.0] * 10, "no better than equal logits"),
        ("c", [0.1] * 29 + [float("nan")], "no better than equal logits"),
        ("c", [0.7] * 30, "no better than equal logits"),
    ],
)
def test_a_fourth_rate(answer, losses, text):
    assert_verdict(check_rate(answer, losses), "correct", text)


@pytest.mark.parametrize(
    ("answer", "losses", "text"),
    [
        ("a", [7.0] * 30, "is 7.000, and log K is 0.693.*which of the two is larger"),
        ("c", [0.4] * 30, "is 0.400, and log K is 0.693.*which of the two is larger"),
        ("a", [0.4] * 30, "below log K.*all three"),
        ("b", [0.05] * 30, "below log K.*all three"),
        ("d", [0.4] * 30, "expected a letter"),
        (0.4, [0.4] * 30, "expected a letter"),
    ],
)
def test_slips_of_a_fourth_rate(answer, losses, text):
    assert_verdict(check_rate(answer, losses), "wrong", text)


def test_a_fourth_rate_that_was_not_measured():
    verdict = fourth_rate("c", THREE, LR, LOG_K)
    assert_verdict(verdict, "wrong", "no losses of the learning rate 0.003.*losses_at")
    assert_verdict(fourth_rate("c", {100 * LR: [1.0]}, LR, LOG_K), "wrong", "no losses of the")


def test_a_fourth_rate_that_is_not_answered():
    assert_verdict(fourth_rate(..., THREE, LR, LOG_K), "open", "not answered yet")


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


# stop_early


def since_the_best(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        best = epoch if loss < losses[best] else best
        if epoch - best == patience:
            break
    return best


def by_window(losses, patience):
    for end in range(patience + 1, len(losses) + 1):
        if min(losses[end - patience : end]) >= min(losses[: end - patience]):
            return losses.index(min(losses[:end]))
    return losses.index(min(losses))


def returning(index_of, pick=lambda val, test, index: (index + 1, test[index])):
    def answer(val_losses, val_accuracies, test_accuracies, patience):
        return pick(val_accuracies, test_accuracies, index_of(val_losses, patience))

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        returning(since_the_best),
        returning(by_window),
        returning(by_window, lambda val, test, i: [torch.tensor(i + 1), torch.tensor(test[i])]),
    ],
)
def test_when_to_stop(answer):
    assert_verdict(stop_early(answer), "correct", "^correct: the validation images chose")


def stops_at(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        best = epoch if loss < losses[best] else best
        if epoch - best == patience:
            return epoch
    return len(losses) - 1


def rises(losses, patience):
    count = 0
    for epoch in range(1, len(losses)):
        count = count + 1 if losses[epoch] >= losses[epoch - 1] else 0
        if count == patience:
            return losses.index(min(losses[: epoch + 1]))
    return losses.index(min(losses))


def ties_count(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        best = epoch if loss <= losses[best] else best
        if epoch - best == patience:
            break
    return best


def never_reset(losses, patience):
    best, count = 0, 0
    for epoch, loss in enumerate(losses[1:], start=1):
        count += loss >= losses[best]
        best = epoch if loss < losses[best] else best
        if count == patience:
            break
    return best


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (returning(since_the_best, lambda val, test, i: (i, test[i])), "the index in the list"),
        (returning(stops_at), "epoch 6: that is the epoch after which training stops"),
        (returning(lambda losses, _: losses.index(min(losses))), "7: that epoch comes after"),
        (returning(rises), "7: that epoch comes after training has stopped.*since the lowest"),
        (returning(ties_count), "4: that epoch comes after training has stopped.*equal loss"),
        (returning(never_reset), "3: training goes on after that.*starts the count again"),
        (returning(lambda losses, p: since_the_best(losses, p + (p == 1))), "comes too late"),
        (returning(lambda losses, patience: len(losses) - 3), "you gave epoch 5, it is 3"),
        (
            returning(since_the_best, lambda val, test, i: (i + 1, val[i])),
            "the accuracy of the validation set.*chose the epoch.*which set chose nothing",
        ),
        (
            returning(since_the_best, lambda val, test, i: (i + 1, max(test))),
            "the highest test accuracy",
        ),
        (
            returning(since_the_best, lambda val, test, i: (i + 1, test[-1])),
            "test accuracy of the last epoch",
        ),
        (returning(since_the_best, lambda val, test, i: (i + 1, 0.5)), "0.5, which is not"),
        (returning(since_the_best, lambda val, test, i: i + 1), "expected two values, not a value"),
        (returning(since_the_best, lambda val, test, i: (i + 1, test)), "expected a number"),
    ],
)
def test_slips_of_stopping(answer, text):
    assert_verdict(stop_early(answer), "wrong", text)
