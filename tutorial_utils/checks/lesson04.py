"""Checks of lesson 04's exercises: freeze all but the last layer, what moved, what to freeze."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    expect_function,
    kind,
)

__all__ = ["all_but_last", "best_layer", "moved"]


@exercise
def all_but_last(answer: Any) -> str:
    """Check a function that freezes all of a network but the last layer of its classifier."""
    hint = "go through the parameters of the network, and change the network itself"
    for dense, frozen in ((3, ()), (2, ("features", "classifier")), (1, ("features",))):
        network = _network(dense)
        for part in frozen:
            getattr(network, part).requires_grad_(False)
        values = {name: p.detach().clone() for name, p in network.named_parameters()}
        before = _states(network)
        started = bool(frozen)  # the first network is untouched: a stub leaves it so
        _change(answer, network, before, started=started, hint=hint)
        if not started:
            _expect_no_other_switch(network, before)
        _expect_last_trainable(network, was_frozen="classifier" in frozen)
        same = all(values[name].equal(p) for name, p in network.named_parameters())
        wrong = "`requires_grad` is correct everywhere, but weights of the network have changed"
        expect(same, wrong, hint="freezing changes no weight, only its `requires_grad`")
    return "checked on three networks, one of them fully frozen before"


def _change(answer: Any, network: Any, before: list, *, started: bool, hint: str) -> None:
    """Call an answer that changes a network; whether it returns something does not matter."""
    expect_function(answer, hint=hint)

    def changed(network: Any) -> Any:
        got = answer(network)
        return network if got is None and (started or _states(network) != before) else got

    call(changed, network, hint=hint)


def _states(network: Any) -> list:
    """Return everything that an answer may have switched, on the parameters or elsewhere."""
    modules, parameters = list(network.modules()), list(network.parameters())
    return [
        [p.requires_grad for p in parameters],
        [module.training for module in modules],
        ["requires_grad" in vars(module) for module in modules],
        ["requires_grad_" in vars(p) for p in parameters],
    ]


def _expect_no_other_switch(network: Any, before: list) -> None:
    """Recognise `eval()` and attributes without an effect, when nothing was frozen."""
    switches, modes, on_module, on_method = _states(network)
    expect(
        not any(on_module),
        "you gave a module an attribute `requires_grad`, which has no effect",
        hint="set it on each parameter, or use the module's `requires_grad_`",
    )
    expect(
        not any(on_method),
        "`requires_grad_` is a method, and you replaced it by a value",
        hint="call it, or set `requires_grad`",
    )
    expect(
        switches != before[0] or modes == before[1],
        "you called `eval()`, and every parameter is as trainable as before",
        hint="the mode sets how dropout behaves; `requires_grad` sets what may move",
    )


def _expect_last_trainable(network: Any, *, was_frozen: bool) -> None:
    """Expect the last dense layer to be the only trainable one; name what is wrong if not."""
    last = f"classifier.{len(network.classifier) - 1}."
    names = {name for name, _ in network.named_parameters()}
    on = {name for name, p in network.named_parameters() if p.requires_grad}
    want = {name for name in names if name.startswith(last)}
    if on == want:
        return
    dense = {name for name in names if name.startswith("classifier.")}
    whole = "freeze every parameter first, then unfreeze those of the last layer"
    still = "this network was frozen before, and its last layer still is"
    expect(on, still if was_frozen else "nothing is trainable now", hint=whole)
    expect(on != names, "nothing is frozen", hint="change the network passed to your function")
    expect(on != names - want, "the last layer is frozen, and all others are not", hint=whole)
    other = "the classifier has other dense layers, which have to be frozen too"
    expect(on != dense, "only the features are frozen", hint=other)
    part = "a layer has a weight and a bias"
    expect(not on < want, f"of the last layer, only {min(on)} is trainable", hint=part)
    expect(False, f"these are trainable: {', '.join(sorted(on))}", hint=whole)


@exercise
def moved(answer: Any) -> str:
    """Check a function (network, images, labels) -> names of the tensors that one step changed."""
    import torch

    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(4))
    labels = torch.tensor([0, 1, 1, 0, 1])
    for frozen, spare in (("features", False), ("classifier.0", True)):
        network = _network(2, spare=spare, plain=True)
        network.get_submodule(frozen).requires_grad_(False)
        network.eval()
        modes: list[bool] = []
        network.register_forward_pre_hook(lambda module, inputs, seen=modes: _append(seen, module))
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        steps = "the loss is `nn.functional.cross_entropy` of the logits and the labels"
        got = call(answer, network, images.clone(), labels.clone(), hint=steps)
        expect(
            not (any(modes) or network.training),
            "you took the step in training mode, so it does not show what `eval()` does",
            hint="the network comes in evaluation mode: leave out `train()`",
        )
        listed = isinstance(got, list | tuple | set)
        names = "`named_parameters()` returns the names with the tensors"
        expect(listed, f"expected a list of names, not {kind(got)}", hint=names)
        strings = all(isinstance(name, str) for name in got)
        expect(strings, "your list contains something other than names", hint=names)
        want = {
            name
            for name, p in network.named_parameters()
            if p.requires_grad and not name.endswith("spare")
        }
        if set(got) != want:
            _explain_moved(set(got), want, network, before)
        expect(len(got) == len(want), "a name is in your list twice", hint=names)
    return "evaluation mode does not freeze: everything trainable with a gradient moved"


def _append(modes: list[bool], module: Any) -> None:
    modes.append(module.training)


def _explain_moved(got: set, want: set, network: Any, before: dict) -> None:
    """Raise with the reason why the names are not those of the tensors that one step moves."""
    now = dict(network.named_parameters())
    stepped = any(not before[name].equal(p) for name, p in now.items())
    backward = any(p.grad is not None for p in now.values())
    trainable = {name for name, p in now.items() if p.requires_grad}
    expect(
        got or not stepped,
        "the network did move, but you compared it with itself",
        hint="a second name for a tensor is no copy: make one with `clone()`, before the step",
    )
    guess = "you took no step" if backward else "you computed no gradient and took no step"
    need = "the backward pass fills the gradients, and an optimiser's `step()` uses them"
    expect(stepped, guess, hint=need)
    expect(
        got != set(now),
        "you listed every tensor, whether it moved or not",
        hint="compare each with its copy: `torch.equal`",
    )
    expect(
        got != set(now) - want,
        "you listed what did not move",
        hint="`torch.equal` is True for what has not moved",
    )
    expect(
        got != trainable,
        "you listed what is trainable, but one of these tensors does not affect the logits",
        hint="compare each with its copy instead of reading `requires_grad`",
    )
    missing, more = sorted(want - got), sorted(got - want)
    wrong = f"missing: {', '.join(missing) or 'none'}; too many: {', '.join(more) or 'none'}"
    expect(False, wrong, hint="copy every tensor, take one step, compare each with its copy")


@exercise
def best_layer(answer: Any, steps: Any) -> str:
    """Check the name of the layer whose freezing saves most bytes for each of its parameters.

    Args:
        answer: a name from the column `layer`.
        steps: what `layers.step_costs` measured.
    """
    names = list(steps.layer[1:])
    hint = f'give one name, such as "{names[0]}" or "{names[-1]}"'
    expect(isinstance(answer, str), f"expected a layer's name, not {kind(answer)}", hint=hint)
    expect(answer in names, f"there is no layer {answer!r} in `steps`", hint=hint)
    memory = steps.saved_bytes + steps.gradient_bytes + steps.state_bytes
    saved = dict(zip(names, -memory.diff()[1:], strict=True))
    given = dict(zip(names, -steps.trainable.diff()[1:], strict=True))
    ratio = {name: saved[name] / given[name] for name in names}
    best = max(names, key=ratio.get)
    divide = "divide the bytes that each layer saves by its number of parameters"
    compare(
        answer,
        best,
        _layer_slips(names, saved, given, ratio),
        wrong=f"freezing {answer} saves {ratio[answer]:,.0f} bytes for each parameter, and another "
        f"layer saves more",
        hint=divide,
    )
    return (
        f"{ratio[best]:,.0f} bytes for each parameter; 12 of them are its gradient and Adam's two "
        f"means, the others are saved activations, which are largest near the image"
    )


def _layer_slips(names: list[str], saved: dict, given: dict, ratio: dict) -> Iterable[Slip]:
    """Yield the slips of `best_layer`."""
    per = "divide the bytes that each layer saves by its number of parameters"
    total = "this layer saves the most bytes in all, but it has many parameters"
    yield max(names, key=saved.get), total, per
    few = "this layer has the fewest parameters, but freezing it saves few bytes"
    yield min(names, key=given.get), few, per
    other = "look for the largest number of bytes per parameter, not for the smallest"
    yield min(names, key=ratio.get), "this layer saves the least for each parameter", other


def _network(dense: int, *, spare: bool = False, plain: bool = False) -> Any:
    """Return a tiny network with `features` and a `classifier` of some dense layers.

    It uses no random numbers of torch's own generator. Images are (N, 1, 4, 4), classes 2.

    Args:
        dense: number of dense layers, 1 or more.
        spare: give the activation in the classifier a parameter that is never used.
        plain: leave out batch norm and dropout.
    """
    import torch
    from torch import nn

    extra = [] if plain else [nn.BatchNorm2d(2)]
    with torch.device("meta"):
        features = nn.Sequential(nn.Conv2d(1, 2, 3), *extra, nn.Tanh(), nn.Flatten())
        layers = [] if plain else [nn.Dropout()]
        for width in [8] * (dense - 1):
            layers += [nn.Linear(width, 8), nn.Tanh()]
        classifier = nn.Sequential(*layers, nn.Linear(8, 2))
    network = nn.Sequential()
    network.add_module("features", features)
    network.add_module("classifier", classifier)
    if spare:
        classifier[-2].register_parameter("spare", nn.Parameter(torch.zeros(3)))
    return _filled(network)


def _filled(network: Any) -> Any:
    """Return a network of the device "meta" with values, always the same ones."""
    import torch

    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.rand(p.shape, generator=generator) - 0.5)
        for name, buffer in network.named_buffers():
            buffer.fill_(name.endswith("var"))
    return network
