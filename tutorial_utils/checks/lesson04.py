"""Checks of lesson 04's exercises: freeze all but the last, where gradients go, what moved."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["all_but_last", "layers_walked", "moved"]


@exercise
def all_but_last(answer: Any) -> str:
    """Check a function that freezes all of a network but the last layer of its classifier."""
    hint = "go through the parameters of the network that is given, and change it itself"
    for dense, frozen in ((3, ()), (2, ("features", "classifier")), (1, ("features",))):
        network = _network(dense)
        for part in frozen:
            getattr(network, part).requires_grad_(False)
        values = {name: p.detach().clone() for name, p in network.named_parameters()}
        before = _marks(network)
        started = bool(frozen)  # the first network is as it comes: a stub leaves it so
        _change(answer, network, before, started=started, hint=hint)
        if not started:
            _expect_no_other_switch(network, before)
        _expect_last_trainable(network, came_frozen="classifier" in frozen)
        same = all(values[name].equal(p) for name, p in network.named_parameters())
        wrong = "the switches are right, but values of the network have changed"
        expect(same, wrong, hint="freezing touches no weight: it turns a switch")
    return "checked on three networks, of which one came frozen whole"


def _change(answer, network, before, *, started, hint):
    """Call an answer that changes a network; whether it returns something does not matter."""
    expect(callable(answer), f"a function is asked for, not a {type(answer).__name__}", hint=hint)

    def call(network):
        got = answer(network)
        return network if got is None and (started or _marks(network) != before) else got

    ask(call, network, hint=hint)


def _marks(network) -> list:
    """Return all that an answer may have switched, in the right place or in a wrong one."""
    modules, parameters = list(network.modules()), list(network.parameters())
    return [
        [p.requires_grad for p in parameters],
        [module.training for module in modules],
        ["requires_grad" in vars(module) for module in modules],
        ["requires_grad_" in vars(p) for p in parameters],
    ]


def _expect_no_other_switch(network, before) -> None:
    """Recognise `eval()` and attributes that nobody reads, where no switch was turned."""
    switches, modes, on_module, on_method = _marks(network)
    expect(
        not any(on_module),
        "a module was given an attribute `requires_grad`, which nobody reads",
        hint="the switch sits on each parameter, or use the module's `requires_grad_`",
    )
    expect(
        not any(on_method),
        "`requires_grad_` is a method, and a value was put in its place",
        hint="call it, or set `requires_grad`",
    )
    expect(
        switches != before[0] or modes == before[1],
        "`eval()` was called, and every parameter is as trainable as before",
        hint="the mode says how dropout behaves; `requires_grad` says what may move",
    )


def _expect_last_trainable(network, *, came_frozen: bool) -> None:
    """Expect the last dense layer to be the only trainable one; name what is wrong if not."""
    last = f"classifier.{len(network.classifier) - 1}."
    names = {name for name, _ in network.named_parameters()}
    on = {name for name, p in network.named_parameters() if p.requires_grad}
    want = {name for name in names if name.startswith(last)}
    if on == want:
        return
    dense = {name for name in names if name.startswith("classifier.")}
    whole = "turn every switch off first, and then those of the last layer on"
    still = "this network came frozen, and its last layer still is"
    expect(on, still if came_frozen else "nothing is trainable now", hint=whole)
    expect(on != names, "nothing is frozen", hint="it is the network given that has to change")
    expect(on != names - want, "the last layer is frozen, and all others are not", hint=whole)
    other = "the classifier has other dense layers, which are to be frozen too"
    expect(on != dense, "only the features are frozen", hint=other)
    part = "a layer has a weight and a bias"
    expect(not on < want, f"of the last layer only {min(on)} can move", hint=part)
    expect(False, f"these can move: {', '.join(sorted(on))}", hint=whole)


@exercise
def layers_walked(answer: Any) -> str:
    """Check a function (list of bool, True for frozen) -> layers that the backward pass visits."""
    cases = (
        (True, False, True, True, False, False, True, True, True, True),
        (True, True, True, False),
        (False, True, True, True),
        (False, False, False),
        (True, False, True, True, True, False, False),
        (True, True, True),
    )
    for frozen in cases:
        want = len(frozen) - frozen.index(False) if False in frozen else 0
        given = ask(answer, list(frozen), hint="a list may have no False in it at all")
        got = number(given, hint="return one whole number of layers")
        for slip, wrong, hint in _walk_slips(frozen):
            expect(got == want or got != slip, wrong, hint=hint)
        expect(
            got == want,
            f"for {list(frozen)} you gave {got:g}, it is {want}",
            hint="which layer is the last that it has to reach, coming from the loss",
        )
    return f"checked on {len(cases)} networks; where all is frozen, there is no way to go"


def _walk_slips(frozen):
    """Yield (value, what is wrong, hint) for the usual slips."""
    through = "a frozen layer is passed through when a trainable one lies before it"
    yield len(frozen), "every layer was counted", "where nothing before can move, it stops"
    yield frozen.count(False), "only the trainable layers were counted", through
    yield frozen.count(True), "the frozen layers were counted", through
    start = "the pass starts at the loss, behind the last layer, and goes towards the first"
    if False in frozen:
        first, last = frozen.index(False), len(frozen) - 1 - frozen[::-1].index(False)
        yield first, "these are the layers that it never reaches", start
        yield last + 1, "the pass was sent from the first layer on", start
        yield len(frozen) - last, "it stopped at the first trainable layer that it met", through
        itself = "the layer that it has to reach counts, and so does the last one"
        yield len(frozen) - first - 1, "one layer too few", itself


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
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        steps = "the loss is `nn.functional.cross_entropy` of the logits and the labels"
        got = ask(answer, network, images.clone(), labels.clone(), hint=steps)
        kind = type(got).__name__
        listed = isinstance(got, list | tuple | set)
        names = "`named_parameters()` gives the names beside the tensors"
        expect(listed, f"a list of names is asked for, not a {kind}", hint=names)
        expect(all(isinstance(name, str) for name in got), "not all are names", hint=names)
        want = {
            name
            for name, p in network.named_parameters()
            if p.requires_grad and not name.endswith("spare")
        }
        if set(got) != want:
            _explain_moved(set(got), want, network, before)
        expect(len(got) == len(want), "a name is there twice", hint=names)
    return "in evaluation mode, and still all moved that were trainable and had a gradient"


def _explain_moved(got, want, network, before) -> None:
    """Say why the names are not those of the tensors that one step moves."""
    now = dict(network.named_parameters())
    stepped = any(not before[name].equal(p) for name, p in now.items())
    backward = any(p.grad is not None for p in now.values())
    trainable = {name for name, p in now.items() if p.requires_grad}
    expect(
        got or not stepped,
        "the network did move, but it was compared with itself",
        hint="a name for a tensor is no copy of it: `clone()` makes one, before the step",
    )
    guess = "no step was taken" if backward else "no gradient was made, and no step taken"
    need = "the backward pass fills the gradients, and an optimiser's `step()` uses them"
    expect(stepped, guess, hint=need)
    expect(
        got != set(now),
        "you listed every tensor, whether it moved or not",
        hint="compare each with its copy: `torch.equal`",
    )
    expect(
        got != set(now) - want,
        "you listed what stayed",
        hint="`torch.equal` is True for what has not moved",
    )
    expect(
        got != trainable,
        "you listed what may move, and one of these tensors took no part in the answer",
        hint="compare each with its copy instead of asking its switch",
    )
    missing, more = sorted(want - got), sorted(got - want)
    wrong = f"missing: {', '.join(missing) or 'none'}; too many: {', '.join(more) or 'none'}"
    expect(False, wrong, hint="copy every tensor, take one step, compare each with its copy")


def _network(dense: int, *, spare: bool = False, plain: bool = False):
    """Return a tiny network with `features` and a `classifier` of some dense layers.

    It draws no numbers from torch's own generator. Images are (N, 1, 4, 4), classes 2.

    Args:
        dense: how many dense layers, 1 or more.
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


def _filled(network):
    """Put numbers into a network of the device "meta", always the same ones."""
    import torch

    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.rand(p.shape, generator=generator) - 0.5)
        for name, buffer in network.named_buffers():
            buffer.fill_(name.endswith("var"))
    return network
