"""Checks of lesson 06's exercises: a fourth learning rate, a step in parts, early stopping."""

import math
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    expect_function,
    kind,
    number,
)

__all__ = ["fourth_rate", "step_in_parts", "stop_early"]


@exercise
def fourth_rate(answer: Any, losses: Any, lr: float, log_k: float) -> str:
    """Check "a", "b" or "c" for the last ten losses of a fourth learning rate, 100 times `lr`.

    Args:
        answer: "a", below those of the other rates; "b", below `log_k`; "c", not below it.
        losses: {learning rate: its losses}.
        lr: the lesson's learning rate.
        log_k: the loss of equal logits.
    """
    letter = answer.strip(" )").lower() if isinstance(answer, str) else answer
    expect(letter in ("a", "b", "c"), "expected a letter", hint='give "a", "b" or "c"')
    ends = {rate: _end(values) for rate, values in losses.items()}
    fourth = next((rate for rate in ends if math.isclose(rate, 100 * lr)), None)
    expect(
        fourth is not None and len(ends) > 1,
        f"there are no losses of the learning rate {100 * lr:g}",
        hint="measure them: loss_curves[100 * lr] = losses_at(100 * lr)",
    )
    end = ends.pop(fourth)
    others = min(ends.values())
    correct = "c" if end >= log_k else "a" if end < others else "b"
    expect(
        (letter == "c") == (correct == "c"),
        f"the mean of its last ten losses is {end:.3f}, and log K is {log_k:.3f}",
        hint="which of the two is larger?",
    )
    expect(
        letter == correct,
        f"the mean of its last ten losses is {end:.3f}, below log K",
        hint="compare it with all three values of end_of",
    )
    return {
        "a": f"with {end:.3f} it ends lowest of all: on another seed, is it again?",
        "b": f"with {end:.3f} it has learned something, but {others:.3f} was possible",
        "c": f"with {end:.3g} it is no better than equal logits: its steps are too long",
    }[correct]


@exercise
def step_in_parts(answer: Any) -> str:
    """Check a function (network, parts, optimizer): one step, as if the parts were one batch."""
    import torch

    expect_function(answer)
    hint = "parts is a list, and each part is a pair: inputs, labels"
    generator = torch.Generator().manual_seed(6)
    with torch.random.fork_rng(devices=[]):
        for sizes in ((4, 1), (2, 5, 3)):
            network, optimizer, events = _watched_network()
            parts = [
                (
                    torch.randn(n, 3, generator=generator),
                    torch.randint(2, (n,), generator=generator),
                )
                for n in sizes
            ]
            want, slips = _possible_steps(network, parts)
            events.clear()  # those of the line above
            before = network.weight.detach().clone()
            given = call(lambda *a: (answer(*a),), network, parts, optimizer, hint=hint)
            if not events:  # a stub returns None and does nothing: `call` recognises it
                call(lambda value: value, *given)
            _check_order(events, sizes)
            compare(
                before - network.weight.detach(),
                want,
                slips,
                wrong="the weights did not move as the whole batch would move them",
                hint="the loss is cross-entropy, mean over all images; clear the gradients once, "
                "before",
                tolerance=1e-5,
            )
    return "one step, equal to that of the whole batch, however it was split"


@exercise
def stop_early(answer: Any) -> str:
    """Check a function that returns the epoch to go back to and the accuracy to report.

    It is called with (val_losses, val_accuracies, test_accuracies, patience). The epoch, from 1,
    is the one with the lowest validation loss before training stops.
    """
    index = ("that is the index in the list", "the first epoch has the number 1")
    stop = (
        "that is the epoch after which training stops",
        "which of the epochs up to there had the lowest validation loss?",
    )
    later = (
        "that epoch comes after training has stopped",
        "count the epochs since the lowest loss so far; a smaller or an equal loss than in the "
        "epoch before is not yet a new lowest",
    )
    early = ("training goes on after that", "a new lowest loss starts the count again")
    late = ("that epoch comes too late", "stop as soon as `patience` epochs brought no new lowest")
    cases = (
        ([0.6, 0.5, 0.4, 0.45, 0.42, 0.41, 0.3], 3, 3, {2: index, 6: stop, 7: later}),
        ([0.9, 0.8, 0.7], 2, 3, {2: index}),
        ([0.5, 0.5, 0.5, 0.4], 2, 1, {0: index, 3: stop, 4: later}),
        ([0.5, 0.6, 0.4, 0.5, 0.3, 0.4, 0.45], 2, 5, {3: early, 4: index, 7: stop}),
        ([0.3, 0.5, 0.2], 1, 1, {0: index, 2: stop, 3: late}),
    )
    hint = "return two numbers: the epoch to go back to, and the accuracy to report"
    for losses, patience, want, slips in cases:
        val, test = _accuracies(len(losses))
        given = call(answer, losses, val, test, patience, hint="each list has one value an epoch")
        pair = isinstance(given, tuple | list) and len(given) == 2
        expect(pair, f"expected two values, not {kind(given)}", hint=hint)
        epoch, accuracy = (number(value, hint=hint) for value in given)
        case = f"for the losses {losses} and a patience of {patience} you gave epoch {epoch:g}"
        compare(
            epoch,
            want,
            [(slip, f"{case}: {wrong}", tip) for slip, (wrong, tip) in slips.items()],
            wrong=f"{case}, it is {want}",
            hint="training that never stops early ends with the last epoch",
        )
        compare(
            accuracy,
            test[want - 1],
            (
                (val[want - 1], *_NOT_CLEAN),
                (max(test), "that is the highest test accuracy", _CHOSE),
                (test[-1], "that is the test accuracy of the last epoch", _SAME_EPOCH),
            ),
            wrong=f"{case}, which is correct, and the accuracy {accuracy:g}, which is not",
            hint=_SAME_EPOCH,
            tolerance=1e-6,
        )
    return "the validation images chose the epoch, so images that chose nothing measure it"


_NOT_CLEAN = (
    "you report the accuracy of the validation set",
    "its images chose the epoch, so it tends to be too good: which set chose nothing?",
)
_CHOSE = "an epoch chosen by its test accuracy makes this accuracy too good: report what it is"
_SAME_EPOCH = "report the test accuracy of the epoch that you go back to"
_UNUSED = "you never called the network"


def _end(losses: Any) -> float:
    """Return the mean of the last ten losses; infinity if one is not finite."""
    last = [float(loss) for loss in losses][-10:]
    mean = sum(last) / len(last)
    return mean if math.isfinite(mean) else math.inf


def _accuracies(epochs: int) -> tuple[list[float], list[float]]:
    """Return accuracies of each epoch on validation and test images, all different."""
    test = [0.74, 0.72, 0.73, 0.76, 0.71, 0.77, 0.75]
    return [0.91 + epoch / 100 for epoch in range(epochs)], test[:epochs]


def _watched_network() -> tuple[Any, Any, list]:
    """Return a network with old gradients, an optimiser with rate 1, and a list of events.

    The events are "step", "backward", and the size of each batch of a forward pass.
    """
    import torch
    from torch import nn

    events: list = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            events.append("step")
            return super().step(closure)

    network = nn.Linear(3, 2)
    network.weight.grad = torch.full((2, 3), 7.0)
    network.bias.grad = torch.full((2,), 7.0)
    network.register_forward_hook(lambda _, images, logits: events.append(len(logits)))
    network.weight.register_hook(lambda gradient: events.append("backward"))
    return network, Watched(network.parameters(), lr=1.0), events


def _possible_steps(network: Any, parts: list) -> tuple[Any, list[Slip]]:
    """Return the weight's change after the correct step, and the slips of `step_in_parts`."""
    import torch
    from torch.nn.functional import cross_entropy

    means = [
        torch.autograd.grad(cross_entropy(network(images), labels), network.weight)[0]
        for images, labels in parts
    ]
    sizes = [len(labels) for _, labels in parts]
    shares = (  # of each part's mean gradient in the step, the correct ones first
        ([n / sum(sizes) for n in sizes], ("", "")),
        ([1.0] * len(sizes), _ADDED),
        ([1 / len(sizes)] * len(sizes), _EQUAL),
        ([float(n) for n in sizes], _NOT_DIVIDED),
    )
    slips: list[Slip] = []
    for row, wrong in shares:
        scaled = [share * mean for share, mean in zip(row, means, strict=True)]
        step, old = sum(scaled), network.weight.grad
        slips += [(step, *wrong), (step + old, *_OLD), (scaled[-1], *_LAST)]
    return slips[0][0], slips[1:]


_ADDED = (
    "the step is too long",
    "each part's loss is a mean, and you added them: the whole batch has one mean",
)
_EQUAL = (
    "all parts count the same, but their lengths differ",
    "a part with more images has a larger share in the whole batch's mean",
)
_NOT_DIVIDED = (
    "you added up the losses, but did not divide them",
    "the whole batch's loss is a mean over all of its images",
)
_OLD = (
    "old gradients were still there",
    "they stay until you clear them, and the new ones are added to them",
)
_LAST = (
    "only the last part has moved the weights",
    "if you clear the gradients between the parts, those of the earlier parts are lost",
)


def _check_order(events: list, sizes: tuple[int, ...]) -> None:
    """Expect a forward and a backward pass for each part, and one step after them."""
    passes = [event for event in events if isinstance(event, int)]
    expect(passes, _UNUSED, hint="each part goes forward through it")
    expect(
        max(passes) <= max(sizes),
        "all parts went through the network at once",
        hint="that does not fit into memory: take one part after the other",
    )
    backward, steps = events.count("backward"), events.count("step")
    expect(backward, "you made no backward pass", hint="the gradients come from the loss")
    expect(steps, "the optimiser took no step", hint="gradients alone move no weight")
    expect(
        steps == 1,
        f"the optimiser took {steps} steps",
        hint="the whole batch would take one: let the gradients of the parts add up before it",
    )
    last = len(events) - 1 - events[::-1].index("backward")
    expect(
        events.index("step") > last,
        "the step came before the last backward pass",
        hint="a step uses the gradients that are there when you take it",
    )
    expect(
        backward == len(sizes) == len(passes),
        f"{len(sizes)} parts had {len(passes)} forward and {backward} backward passes",
        hint="go backward after each part: this frees what its forward pass stored, and gradients "
        "add up by themselves",
    )
