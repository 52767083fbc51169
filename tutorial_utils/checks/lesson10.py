"""Checks of lesson 10's exercises: rates by layer, thawing step by step, as many steps for all."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["rate_groups", "thaw", "fair_epochs"]


@exercise
def rate_groups(answer: Any) -> str:
    """Check a function (backbone, head, lr) -> parameter groups, ten times the rate on the head."""
    backbone, head = _tiny()
    for layer in list(backbone)[:2]:
        layer.requires_grad_(False)
    hint = "backbone and head are networks, so each has `parameters()`; lr is a number"
    for lr in (1e-4, 3e-3):
        got = ask(answer, backbone, head, lr, hint=hint)
        rates = _rates(getattr(got, "param_groups", got))
        for name, tensor, wanted in _wanted(backbone, head, lr):
            given = rates.pop(id(tensor), [])
            if wanted is None:
                expect(not given, f"{name} is frozen and stands in a group", hint=_ASK_GRAD)
                continue
            expect(given, f"{name} is trainable and in no group", hint="it would never move")
            expect(
                len(given) == 1,
                f"{name} stands in {len(given)} groups",
                hint="a tensor is moved once in a step, so it has one rate: sort backbone and head",
            )
            expect(
                abs(given[0] - wanted) < 1e-3 * wanted,
                f"with lr {lr:g} {name} has the rate {given[0]:g}",
                hint="lr for the pretrained backbone, ten times lr for the fresh head",
            )
        expect(not rates, "a group holds tensors of neither part", hint=hint)
    return "the fresh head takes steps ten times as long, and frozen tensors stay out"


@exercise
def thaw(answer: Any) -> str:
    """Check a function (layers, stage) -> the values that are trainable after thawing."""
    for stage in (1, 2, 0, 3, 1):
        layers, _ = _tiny()
        held = [layer for layer in layers if list(layer.parameters())]  # 3 of 6
        for place, layer in enumerate(held):  # as an earlier stage may have left them
            layer.requires_grad_(place == 0)
        got = ask(answer, layers, stage, hint="layers is a Sequential, stage a number from 0 to 3")
        open_now = [all(p.requires_grad for p in layer.parameters()) for layer in held]
        half = [any(p.requires_grad for p in layer.parameters()) for layer in held]
        expect(half == open_now, "a layer has its weight free and its bias not", hint=_BOTH)
        wanted = [place >= 3 - stage for place in range(3)]
        wrong, hint = _thawed_wrong(open_now, stage)
        expect(open_now == wanted, wrong, hint=hint)
        count = sum(p.numel() for p in layers.parameters() if p.requires_grad)
        given = number(got, hint="return how many values are trainable then, a number")
        expect(
            given == count,
            f"in stage {stage} you return {given:g}, and {count} values are trainable",
            hint="count values, not tensors, and only those with `requires_grad`",
        )
    return "from the head's side to the image's, a layer a stage, and stage 0 frozen"


@exercise
def fair_epochs(answer: Any) -> str:
    """Check a function (images, batch_size, steps) -> the fewest epochs with that many steps."""
    cases = ((244, 32, 64), (64, 32, 20), (64, 32, 21), (24, 32, 64), (65, 32, 6), (100, 30, 9))
    for images, batch_size, steps in cases:
        hint = "images, batch_size and steps are whole numbers"
        got = number(ask(answer, images, batch_size, steps, hint=hint), hint=hint)
        wanted = _up(steps, _up(images, batch_size))
        said = f"{images} images, batches of {batch_size}, {steps} steps: {got:g} is"
        expect(got == int(got), f"{said} no whole number", hint="no epoch is left half done")
        each = _up(images, batch_size)
        if got < wanted:
            fewer = f"{said} too few, that makes {int(got) * each} steps"
            expect(False, fewer, hint="round the epochs up")
        expect(
            got == wanted,
            f"{said} too many, {wanted * each} steps are reached before",
            hint="the last batch of an epoch may be shorter, and is a step too",
        )
    return "as many steps, however few the images"


_ASK_GRAD = "ask every tensor for its `requires_grad`"
_BOTH = (
    "a layer's parameters are all its tensors: `layer.requires_grad_()` turns the switch of each"
)


def _up(above: int, below: int) -> int:
    return -(-above // below)


def _tiny() -> tuple[Any, Any]:
    """Return a backbone of three layers with parameters and three without, and a head."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        backbone = nn.Sequential(
            nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 1), nn.ReLU(),
            nn.MaxPool2d(2),
        )  # fmt: skip
        return backbone, nn.Linear(2, 2)


def _wanted(backbone: Any, head: Any, lr: float) -> list[tuple[str, Any, float | None]]:
    """Return every tensor's name, itself, and the rate that it should have; None if frozen."""
    parts = (("backbone", backbone, lr), ("head", head, 10 * lr))
    return [
        (f"{part}.{name}", tensor, rate if tensor.requires_grad else None)
        for part, module, rate in parts
        for name, tensor in module.named_parameters()
    ]


def _rates(groups: Any) -> dict[int, list[float]]:
    """Return {id of a tensor: the rates of the groups that hold it}."""
    import torch

    shape = "a list of dicts is asked for, each with `params` and `lr`, as Adam takes it"
    right = isinstance(groups, list | tuple) and all(isinstance(one, dict) for one in groups)
    expect(right and groups, f"that is a {type(groups).__name__} of other things", hint=shape)
    rates: dict[int, list[float]] = {}
    for group in groups:
        missing = [key for key in ("params", "lr") if key not in group]
        expect(not missing, f"a group has no {' and no '.join(missing)}", hint=shape)
        held = group["params"]
        held = [held] if isinstance(held, torch.Tensor) else list(held)
        for tensor in held:
            rates.setdefault(id(tensor), []).append(number(group["lr"], hint="lr is a number"))
    return rates


def _thawed_wrong(free: list[bool], stage: int) -> tuple[str, str]:
    """Return what is wrong with the layers that are free, and a hint."""
    names = [str(place + 1) for place, is_free in enumerate(free) if is_free]
    wrong = f"in stage {stage} of the 3 layers with parameters those free are {names or 'none'}"
    if stage == 0:
        hint = "at stage 0 all is frozen; and a list's [-0:] is the whole list"
    elif sum(free) > stage:
        hint = "freeze all of them first: an earlier stage may have left a layer free"
    elif sum(free) < stage:
        hint = "a layer without parameters (ReLU, pooling) is no stage: leave those out first"
    else:
        hint = "begin at the end, beside the head"
    return wrong, hint
