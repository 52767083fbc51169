"""Checks of lesson 06's exercises: how accuracy is counted, what a step does, when to stop."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["measured_accuracy", "step_in_parts", "stop_epoch"]


@exercise
def measured_accuracy(answer: Any) -> str:
    """Check a function (network, batches) -> accuracy over all images of all batches."""
    network = _moody()
    batches = _answered(
        (([0, 1, 1, 0], [0, 1, 1, 1]), ([1, 1, 0, 0], [1, 1, 0, 0]), ([1, 0], [1, 1]))
    )
    got = ask(answer, network, batches, hint="each batch is a pair: images, labels")
    got = number(got, hint="return the fraction that is right, from 0 to 1")
    expect(network.passes, "the network was never asked", hint="images go in, logits come out")
    modes = {training for training, _ in network.passes}
    expect(
        True not in modes,
        "the network was measured in training mode",
        hint="there dropout switches half of the head off: which mode is meant for measuring?",
    )
    expect(
        not any(recording for _, recording in network.passes),
        "gradients were recorded",
        hint="nothing is learned from these passes; lesson 05 measured inside a `with` block",
    )
    slips = (
        (0.75, "that is the mean of the batches' accuracies", "the last batch is shorter"),
        (8.0, "that is how many are right", "divide by how many there are"),
        (80.0, "that is in percent", "a fraction lies between 0 and 1"),
        (0.5, "that is the last batch alone", "add up over all batches"),
        (0.2, "that is the fraction that is wrong", "count where the two agree"),
        (
            8 / 12,
            "the last batch was counted as a full one",
            "it has fewer images than the others",
        ),
        (8 / 3, "you divided by the number of batches", "divide by the number of images"),
    )
    for value, wrong, hint in slips:
        expect(abs(got - value) > 1e-4, wrong, hint=hint)
    expect(
        abs(got - 0.8) < 1e-4,
        f"8 of 10 images are right, and you say {got:.3f}",
        hint="the predicted class of an image is the place of its largest logit",
    )
    return "correct over total, in evaluation mode, without gradients"


@exercise
def step_in_parts(answer: Any) -> str:
    """Check a function (network, parts, optimizer): one step, as if the parts were one batch."""
    import torch

    expect(callable(answer), "a function is asked for", hint="run your cell again, then this")
    hint = "the parts are a list, and each part is a pair: images, labels"
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
            slips = _possible_steps(network, parts)
            events.clear()  # those of the line above
            before = network.weight.detach().clone()
            given = ask(lambda *a: (answer(*a),), network, parts, optimizer, hint=hint)
            if not events:  # a stub gives None and does nothing: `ask` knows what to say of it
                ask(lambda value: value, *given)
            _check_order(events, sizes)
            _check_step(before - network.weight.detach(), slips)
    return "one step, equal to that of the whole batch, however it was cut"


@exercise
def stop_epoch(answer: Any) -> str:
    """Check a function (losses, patience) -> the epoch, from 1, after which training stops."""
    place = ("that is the place in the list", "the first epoch has the number 1")
    best = ("that is the best epoch", "you know that it was the best only some epochs later")
    late = ("that is one epoch too late", "how many epochs without a new best are there by then?")
    cases = (
        ([0.6, 0.5, 0.4, 0.45, 0.42, 0.41, 0.3], 3, 6, {5: place, 3: best, 7: _RISES}),
        ([0.9, 0.8, 0.7], 2, 3, {2: place}),
        ([0.5, 0.5, 0.5, 0.4], 2, 3, {2: place, 1: best, 4: _TIES}),
        ([0.5, 0.6, 0.4, 0.5, 0.6, 0.7, 0.8], 2, 5, {3: best, 4: _NO_RESET, 6: late}),
        ([0.3, 0.5, 0.6], 1, 2, {1: best, 3: late}),
    )
    for losses, patience, want, slips in cases:
        got = ask(answer, losses, patience, hint="the losses are a list, one for each epoch")
        got = number(got, hint="return the number of an epoch")
        case = f"for {losses} and a patience of {patience} you gave {got:g}"
        if got in slips:
            wrong, hint = slips[got]
            expect(False, f"{case}: {wrong}", hint=hint)
        expect(
            got == want,
            f"{case}, it is {want}",
            hint="count the epochs since the best one; if training is never stopped, it ends "
            "with the last",
        )
    return f"patience counted from the best epoch, checked on {len(cases)} runs"


_RISES = (
    "a loss that falls a little is not yet a new best",
    "compare with the lowest loss so far, not with the loss of the epoch before",
)
_TIES = ("an equal loss is no new best", "a new best has to be lower")
_NO_RESET = ("a new best starts the count again", "only epochs in a row without one count")


def _moody() -> Any:
    """Return a network that hands its images on as logits, turned over in training mode."""
    import torch
    from torch import nn

    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.passes = []  # (training mode, gradients recorded)

        def forward(self, images: Any) -> Any:
            self.passes.append((self.training, torch.is_grad_enabled()))
            return images * self.scale * (-1 if self.training else 1)

    return Moody()


def _answered(batches: Any) -> list:
    """Return batches of logits, which say what is given, with their labels."""
    import torch
    from torch.nn.functional import one_hot

    return [(one_hot(torch.tensor(said), 2).float(), torch.tensor(true)) for said, true in batches]


def _watched_network() -> tuple[Any, Any, list]:
    """Return a network with gradients left over, an optimiser of rate 1, and what happens to them.

    The events are "step", "backward", and the size of each batch that goes through.
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


def _possible_steps(network: Any, parts: list) -> dict[str, Any]:
    """Return what the weight may have lost after the step, by what was done."""
    import torch
    from torch.nn.functional import cross_entropy

    means = [
        torch.autograd.grad(cross_entropy(network(images), labels), network.weight)[0]
        for images, labels in parts
    ]
    sizes = [len(labels) for _, labels in parts]
    shares = {
        "right": [n / sum(sizes) for n in sizes],
        "means added": [1.0] * len(sizes),
        "mean of means": [1 / len(sizes)] * len(sizes),
        "sums added": [float(n) for n in sizes],
    }
    left_over = network.weight.grad
    steps = {}
    for name, factors in shares.items():
        scaled = [factor * mean for factor, mean in zip(factors, means, strict=True)]
        steps[name] = sum(scaled)
        steps[f"{name}, not cleared"] = sum(scaled) + left_over
        steps[f"{name}, last only"] = scaled[-1]
    return steps


def _check_order(events: list, sizes: tuple[int, ...]) -> None:
    """Expect a forward and a backward pass for each part, and one step after them."""
    passes = [event for event in events if isinstance(event, int)]
    expect(passes, "the network was never asked", hint="each part goes forward through it")
    expect(
        max(passes) <= max(sizes),
        "all parts went through the network at once",
        hint="that is what does not fit into the memory: take one part after the other",
    )
    backward, steps = events.count("backward"), events.count("step")
    expect(backward, "no backward pass was made", hint="the gradients come from the loss")
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
        hint="a step uses the gradients that are there when it is taken",
    )
    expect(
        backward == len(sizes) == len(passes),
        f"{len(sizes)} parts had {len(passes)} forward and {backward} backward passes",
        hint="go backward after each part: what its forward pass has kept is then let go, and "
        "gradients add up by themselves",
    )


def _check_step(moved: Any, slips: dict[str, Any]) -> None:
    """Expect the move of the right step; name the slip if it is that of another."""
    import torch

    done = next(
        (name for name, step in slips.items() if torch.allclose(moved, step, atol=1e-5)), ""
    )
    expect(
        not done.endswith("not cleared"),
        "old gradients were still there",
        hint="they stay until they are cleared, and the new ones are added to them",
    )
    expect(
        not done.endswith("last only"),
        "only the last part has moved the weights",
        hint="clearing the gradients between the parts throws those of the earlier parts away",
    )
    expect(
        done != "means added",
        "the step is too long",
        hint="each part's loss is a mean, and they were added: the whole batch has one mean",
    )
    expect(
        done != "mean of means",
        "all parts count the same, and they are not of the same length",
        hint="a part with more images has a larger share in the whole batch's mean",
    )
    expect(
        done != "sums added",
        "the losses were added up, and not divided",
        hint="the whole batch's loss is a mean over all of its images",
    )
    expect(
        done == "right",
        "the weights did not move as the whole batch would move them",
        hint="the loss is cross-entropy, mean over all images; clear the gradients once, before",
    )
