"""Checks of lesson 06's exercises: measuring accuracy, a step in parts, early stopping."""

from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    expect_function,
    number,
)

__all__ = ["measured_accuracy", "step_in_parts", "stop_epoch"]


@exercise
def measured_accuracy(answer: Any) -> str:
    """Check a function (network, batches) -> accuracy over all images of all batches."""
    network = _mode_sensitive()
    batches = _as_logits(
        (([0, 1, 1, 0], [0, 1, 1, 1]), ([1, 1, 0, 0], [1, 1, 0, 0]), ([1, 0], [1, 1]))
    )
    got = call(answer, network, batches, hint="each batch is a pair: images, labels")
    got = number(got, hint="return the fraction that is correct, from 0 to 1")
    expect(network.passes, _UNUSED, hint="images go in, logits come out")
    modes = {training for training, _ in network.passes}
    expect(
        True not in modes,
        "you measured the network in training mode",
        hint="in it dropout switches half of the head off: which mode is for measuring?",
    )
    expect(
        not any(recording for _, recording in network.passes),
        "you recorded gradients",
        hint="these passes train nothing; lesson 05 measured inside a `with` block",
    )
    slips = (
        (0.75, "that is the mean of the batches' accuracies", "the last batch is shorter"),
        (8.0, "that is how many are correct", "divide by how many there are"),
        (80.0, "that is a percentage", "a fraction lies between 0 and 1"),
        (0.5, "that is the last batch alone", "add up over all batches"),
        (0.2, "that is the fraction that is wrong", "count where the two agree"),
        (8 / 12, "you counted the last batch as a full one", "it has fewer images"),
        (8 / 3, "you divided by the number of batches", "divide by the number of images"),
    )
    compare(
        got,
        0.8,
        slips,
        wrong=f"8 of 10 images are classified correctly, and you gave {got:.3f}",
        hint="the predicted class of an image is the index of its largest logit",
        tolerance=1e-4,
    )
    return "correct over total, in evaluation mode, without gradients"


@exercise
def step_in_parts(answer: Any) -> str:
    """Check a function (network, parts, optimizer): one step, as if the parts were one batch."""
    import torch

    expect_function(answer)
    hint = "parts is a list, and each part is a pair: images, labels"
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
def stop_epoch(answer: Any) -> str:
    """Check a function (losses, patience) -> the epoch, from 1, after which training stops."""
    index = ("that is the index in the list", "the first epoch has the number 1")
    best = ("that is the best epoch", "you know that it was the best only some epochs later")
    late = ("that is one epoch too late", "how many epochs without a new best are there by then?")
    rises = (
        "a loss that falls a little is not yet a new best",
        "compare with the lowest loss so far, not with the loss of the epoch before",
    )
    ties = ("an equal loss is no new best", "a new best has to be lower")
    reset = ("a new best starts the count again", "only epochs in a row without one count")
    cases = (
        ([0.6, 0.5, 0.4, 0.45, 0.42, 0.41, 0.3], 3, 6, {5: index, 3: best, 7: rises}),
        ([0.9, 0.8, 0.7], 2, 3, {2: index}),
        ([0.5, 0.5, 0.5, 0.4], 2, 3, {2: index, 1: best, 4: ties}),
        ([0.5, 0.6, 0.4, 0.5, 0.6, 0.7, 0.8], 2, 5, {3: best, 4: reset, 6: late}),
        ([0.3, 0.5, 0.6], 1, 2, {1: best, 3: late}),
    )
    for losses, patience, want, slips in cases:
        given = call(answer, losses, patience, hint="losses is a list with one for each epoch")
        got = number(given, hint="return the number of an epoch")
        case = f"for {losses} and a patience of {patience} you gave {got:g}"
        compare(
            got,
            want,
            [(epoch, f"{case}: {wrong}", hint) for epoch, (wrong, hint) in slips.items()],
            wrong=f"{case}, it is {want}",
            hint="count the epochs since the best one; training that never stops early ends with "
            "the last",
        )
    return f"patience counted from the best epoch, checked on {len(cases)} runs"


_UNUSED = "you never called the network"


def _mode_sensitive() -> Any:
    """Return a network whose logits are its images, with the opposite sign in training mode."""
    import torch
    from torch import nn

    class ModeSensitive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.passes = []  # (training mode, gradients recorded)

        def forward(self, images: Any) -> Any:
            self.passes.append((self.training, torch.is_grad_enabled()))
            return images * self.scale * (-1 if self.training else 1)

    return ModeSensitive()


def _as_logits(batches: Any) -> list:
    """Return batches of logits that predict the given classes, with their labels."""
    import torch
    from torch.nn.functional import one_hot

    return [
        (one_hot(torch.tensor(predicted), 2).float(), torch.tensor(labels))
        for predicted, labels in batches
    ]


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
