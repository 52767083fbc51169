"""Checks of lesson 05's exercises: what a swap costs, where it is made, and what it may keep."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["after_swap", "ready_to_train", "one_more_class"]


@exercise
def after_swap(answer: Any) -> str:
    """Check a function (total, inputs, old, new) -> parameters after the last layer's swap."""
    cases = (
        ("AlexNet", 61_100_840, 4096, 1000, 2),
        ("VGG16", 138_357_544, 4096, 1000, 2),
        ("a ResNet-18", 11_689_512, 512, 1000, 5),
    )
    for name, total, inputs, old, new in cases:
        got = number(ask(answer, total, inputs, old, new), hint="return one whole number")
        gone, come = (inputs + 1) * old, (inputs + 1) * new
        expect(
            got != total - inputs * old + inputs * new,
            "the biases were left out",
            hint="a dense layer has one bias for each of its outputs, beside its weights",
        )
        half = (total - gone + inputs * new, total - inputs * old + come)
        expect(
            got not in half,
            "only one of the two layers was counted with its biases",
            hint="the old layer had biases, and the new one has them too",
        )
        expect(
            got != total + come,
            "the old layer was not taken away",
            hint="it is among the parameters that you start from",
        )
        expect(got != total - gone, "the new layer was not added", hint="it has parameters, too")
        expect(
            got != come and got != gone - come,
            "that is not the whole network",
            hint="the layers that stay are counted as well",
        )
        expect(
            got == total - gone + come,
            f"for {name} and {new} classes you gave {got:,.0f}, and that is not what remains",
            hint="what goes is the old layer, what comes is the new one",
        )
    return "AlexNet, VGG16 and ResNet-18, counted without building them"


@exercise
def ready_to_train(answer: Any) -> str:
    """Check a function (network, classes) -> the network, frozen, with a new trainable `fc`."""
    import torch

    with torch.random.fork_rng(devices=[]):
        for width, classes in ((4, 3), (7, 5)):
            network = _network_with_fc(width)
            old = network.fc
            got = ask(answer, network, classes, hint="the old layer is `network.fc`")
            _check_swapped(got, old, classes)
            _check_trainable(got)
            shape = tuple(got(torch.zeros(2, 3, 8, 8)).shape)
            expect(
                shape == (2, classes),
                f"two images give logits of shape {shape}",
                hint="leave the layers before `fc` as they are",
            )
    return "frozen up to the last layer, which is new, fits, and is all that will learn"


@exercise
def one_more_class(answer: Any) -> str:
    """Check a function (layer) -> a new nn.Linear, one output more, the old outputs kept."""
    import torch
    from torch import nn

    hint = "a trainable tensor may be written into only while no gradients are recorded"
    with torch.random.fork_rng(devices=[]):
        for inputs, outputs in ((6, 2), (5, 3)):
            layer = nn.Linear(inputs, outputs)
            before = [p.detach().clone() for p in layer.parameters()]
            got = ask(answer, layer, hint=hint)
            _check_wider(got, layer, inputs, outputs)
            expect(
                all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True)),
                "the old layer was changed",
                hint="read from it, and write into a layer of your own",
            )
            _check_kept(got, *before)
            expect(
                all(p.requires_grad for p in got.parameters()),
                "the new layer is not trainable",
                hint="look at `requires_grad` of its weight and of its bias",
            )
    return "the old classes get the scores that they got before, and there is room for a new one"


def _network_with_fc(width: int) -> Any:
    """Return a small network of a ResNet's build: its last layer is called `fc`."""
    from collections import OrderedDict

    from torch import nn

    layers = {
        "features": nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU()),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(width, 10),
    }
    return nn.Sequential(OrderedDict(layers))


def _check_swapped(got: Any, old: Any, classes: int) -> None:
    from torch import nn

    whole = isinstance(got, nn.Module) and hasattr(got, "fc")
    expect(whole, "the network did not come back", hint="return all of it, not the new layer")
    expect(isinstance(got.fc, nn.Linear), "`fc` is no dense layer", hint="lesson 05 made one")
    expect(
        got.fc is not old,
        "`fc` is still the old layer",
        hint="to change its `out_features` changes what is printed: put a new layer in its place",
    )
    outputs, inputs = got.fc.weight.shape
    expect(
        inputs == old.in_features,
        f"the new layer takes {inputs} numbers, and the layers before it give {old.in_features}",
        hint="read the number off the old layer instead of typing it",
    )
    expect(
        outputs == classes,
        f"the new layer gives {outputs} scores for {classes} classes",
        hint="the number of classes is handed to your function",
    )


def _check_trainable(got: Any) -> None:
    last = {id(p) for p in got.fc.parameters()}
    learns = [id(p) in last for p in got.parameters() if p.requires_grad]
    expect(
        learns,
        "nothing is trainable any more",
        hint="what is frozen after the swap includes the new layer: think of the order",
    )
    expect(
        all(learns) or got.training,
        "evaluation mode does not freeze",
        hint="`eval()` switches dropout off; gradients are another matter (lesson 04)",
    )
    expect(
        all(learns),
        "layers before `fc` are still trainable",
        hint="freeze every parameter that the network has when it is handed to you",
    )
    expect(
        len(learns) == len(last),
        "the new layer is trainable only in part",
        hint="it has a weight and a bias",
    )


def _check_wider(got: Any, layer: Any, inputs: int, outputs: int) -> None:
    from torch import nn

    expect(isinstance(got, nn.Linear), "a dense layer is asked for", hint="return an nn.Linear")
    expect(
        got is not layer,
        "this is the old layer again",
        hint="make a new one: to change `out_features` changes what is printed, no weight",
    )
    shape = tuple(got.weight.shape)
    expect(
        shape != (outputs, inputs),
        f"the new layer still has {outputs} outputs",
        hint="one class more is one score more",
    )
    expect(
        shape == (outputs + 1, inputs) == (got.out_features, got.in_features),
        f"the weight has the shape {shape}, for {outputs} classes and one more of {inputs} numbers",
        hint="a weight has a row for each output and a column for each input",
    )


def _check_kept(got: Any, weight: Any, bias: Any) -> None:
    import torch

    rows = got.weight.detach()
    expect(
        not torch.equal(rows[1:], weight),
        "the old classes have moved down by one",
        hint="class 0 has to stay class 0: where in the weight does the new row belong?",
    )
    expect(
        torch.allclose(rows[:-1], weight),
        "the old classes get other scores than before",
        hint="each class has a row of the weight: carry the old rows over, do not start afresh",
    )
    expect(
        got.bias is not None and torch.allclose(got.bias.detach()[:-1], bias),
        "the old biases were left behind",
        hint="a score is a row of the weight times the inputs, plus something",
    )
