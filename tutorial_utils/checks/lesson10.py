"""Checks of lesson 10's exercises: rates by layer, gradual unfreezing, a fifth way."""

import math
from typing import Any

from tutorial_utils.checks.verdict import call, exercise, expect, kind, number

__all__ = ["rate_groups", "thaw", "first_block"]


@exercise
def rate_groups(answer: Any) -> str:
    """Check a function (backbone, head, lr) -> parameter groups, ten times the rate on the head."""
    backbone, head = _tiny()
    for layer in (*list(backbone)[:2], head[0]):
        layer.requires_grad_(False)
    hint = "backbone and head are networks, so each has `parameters()`; lr is a number"
    for lr in (1e-4, 3e-3):
        got = call(answer, backbone, head, lr, hint=hint)
        rates = _rates(getattr(got, "param_groups", got))
        for name, tensor, wanted in _wanted(backbone, head, lr):
            given = rates.pop(id(tensor), [])
            if wanted is None:
                expect(not given, f"{name} is frozen, but in a group", hint=_GRAD)
                continue
            expect(given, f"{name} is trainable, but in no group", hint="it would never move")
            expect(
                len(given) == 1,
                f"{name} is in {len(given)} groups",
                hint="a step moves a tensor once, so it has one rate: separate backbone and head",
            )
            expect(
                abs(given[0] - wanted) < 1e-3 * wanted,
                f"with lr {lr:g} {name} has the rate {given[0]:g}",
                hint="lr for the pretrained backbone, ten times lr for the new head",
            )
        expect(not rates, "a group contains tensors of neither part", hint=hint)
    return "ten times the learning rate for the new head, and no frozen tensors"


@exercise
def thaw(answer: Any) -> str:
    """Check a function (layers, stage) -> number of trainable values after unfreezing."""
    for stage in (1, 2, 0, 4, 3, 1):
        layers, _ = _tiny()
        held = [layer for layer in layers if list(layer.parameters())]  # 4 of 7
        for index, layer in enumerate(held):  # as an earlier stage may have left them
            layer.requires_grad_(index == 0)
        got = call(answer, layers, stage, hint="layers is a Sequential, stage a number from 0 to 4")
        trainable = [all(p.requires_grad for p in layer.parameters()) for layer in held]
        partly = [any(p.requires_grad for p in layer.parameters()) for layer in held]
        expect(partly == trainable, "a layer's weight is trainable and its bias is not", hint=_BOTH)
        wanted = [index >= 4 - stage for index in range(4)]
        wrong, hint = _stage_slip(trainable, stage)
        expect(trainable == wanted, wrong, hint=hint)
        count = sum(p.numel() for p in layers.parameters() if p.requires_grad)
        given = number(got, hint="return the number of trainable values")
        expect(
            given == count,
            f"in stage {stage} you returned {given:g}, but {count} values are trainable",
            hint="count values, not tensors, and only those with `requires_grad`",
        )
    return "from the last layer to the first, one layer per stage, and stage 0 frozen"


@exercise
def first_block(answer: Any, predicted: dict) -> str:
    """Check "a", "b" or "c" for AlexNet with its first block frozen, compared with all free.

    Args:
        answer: "a", the first block frozen is ahead with p < 0.05; "b", all free is; "c", neither.
        predicted: {way: a list of `Predictions`, one for each seed}; of "first block frozen" the
            first is compared, with that of "all free".
    """
    letter = answer.strip(" )").lower() if isinstance(answer, str) else answer
    expect(letter in ("a", "b", "c"), "expected a letter", hint='give "a", "b" or "c"')
    fifth, free = _first(predicted, "first block frozen"), _first(predicted, "all free")
    expect(
        len(fifth) == len(free),
        f"there are {len(fifth)} predictions of the new way and {len(free)} of all free",
        hint="predict all validation images: inputs[...]['val'], not 'train'",
    )
    expect(
        not (fifth.logits == free.logits).all(),
        "both ways have the same logits for every image",
        hint="learn the new way and store its predictions: it must not be a copy of all free",
    )
    one, two = (int((a.correct & ~b.correct).sum()) for a, b in ((fifth, free), (free, fifth)))
    p = _coin(one, two)
    correct = "c" if p >= 0.05 else "a" if one > two else "b"
    measured = (
        f"{one} images are correct only with the first block frozen, {two} only with all free"
    )
    expect(
        (letter == "c") == (correct == "c"),
        f"{measured}: p is {p:.2g}",
        hint="is that below 0.05? More correct images alone are not enough",
    )
    expect(letter == correct, measured, hint="which of the two is larger?")
    if correct == "c":
        return f"{one} against {two} images, p = {p:.2g}: another seed could turn the order around"
    return f"{one} against {two} images, p = {p:.2g}: do the other two seeds agree?"


_GRAD = "look at `requires_grad` of every tensor"
_BOTH = "a layer has several parameters: `layer.requires_grad_()` sets `requires_grad` of each"


def _first(predicted: Any, way: str) -> Any:
    """Return the first of a way's predictions."""
    stored = predicted.get(way) if isinstance(predicted, dict) else None
    expect(
        stored is not None,
        f"there are no predictions of {way!r}",
        hint=f'store them: predicted["{way}"] = [predict(...)]',
    )
    first = stored[0] if isinstance(stored, list | tuple) and stored else stored
    expect(
        hasattr(first, "correct") and hasattr(first, "logits"),
        f"predicted[{way!r}] holds {kind(stored)}, not a list of predictions",
        hint="store a list with what `predict` returned",
    )
    return first


def _coin(first: int, second: int) -> float:
    """Return the p-value of McNemar's exact test."""
    total, more = first + second, max(first, second)
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(more, total + 1)) / 2**total)


def _tiny() -> tuple[Any, Any]:
    """Return a backbone of four layers with parameters and three without, and a head of two."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        backbone = nn.Sequential(
            nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4),
            nn.Conv2d(4, 2, 1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        return backbone, nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))


def _wanted(backbone: Any, head: Any, lr: float) -> list[tuple[str, Any, float | None]]:
    """Return every tensor's name, itself, and its learning rate; None if frozen."""
    parts = (("backbone", backbone, lr), ("head", head, 10 * lr))
    return [
        (f"{part}.{name}", tensor, rate if tensor.requires_grad else None)
        for part, module, rate in parts
        for name, tensor in module.named_parameters()
    ]


def _rates(groups: Any) -> dict[int, list[float]]:
    """Return {id of a tensor: the rates of the groups that contain it}."""
    import torch

    shape = "return a list of dicts, each with `params` and `lr`, as Adam takes it"
    listed = isinstance(groups, list | tuple) and all(isinstance(one, dict) for one in groups)
    expect(listed and groups, f"expected groups, not {kind(groups)}", hint=shape)
    rates: dict[int, list[float]] = {}
    for group in groups:
        missing = [key for key in ("params", "lr") if key not in group]
        expect(not missing, f"a group has no {' and no '.join(missing)}", hint=shape)
        tensors = group["params"]
        tensors = [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)
        for tensor in tensors:
            rates.setdefault(id(tensor), []).append(number(group["lr"], hint="lr is a number"))
    return rates


def _stage_slip(trainable: list[bool], stage: int) -> tuple[str, str]:
    """Return what is wrong with the layers that are trainable, and a hint."""
    numbers = [str(number) for number, can_move in enumerate(trainable, 1) if can_move]
    which = ", ".join(numbers) or "none"
    wrong = f"in stage {stage}, of the 4 layers with parameters these are trainable: {which}"
    if stage == 0:
        hint = "at stage 0 all layers are frozen; and a list's [-0:] is the whole list"
    elif sum(trainable) == stage and trainable[3] and not trainable[2]:
        hint = (
            "batch norm has parameters too, a weight and a bias for each channel: a layer counts "
        )
        hint += "if it has parameters, whatever its kind"
    elif sum(trainable) > stage:
        hint = "freeze all of them first: an earlier stage may have left a layer trainable"
    elif sum(trainable) < stage:
        hint = "a layer without parameters (ReLU, pooling) is no stage: leave those out first"
    else:
        hint = "begin at the end, next to the head"
    return wrong, hint
