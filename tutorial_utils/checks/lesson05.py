"""Checks of lesson 05's exercises: scaled logits, a swap elsewhere, one more class."""

from typing import Any

from tutorial_utils.checks.verdict import call, exercise, expect, number

__all__ = ["best_factor", "ready_to_train", "one_more_class"]

FACTORS = (0.1, 1, 10, 100)  # of exercise 1


@exercise
def best_factor(answer: Any, logits: Any = None, labels: Any = None) -> str:
    """Check the factor by which a batch's logits are multiplied to give the smallest loss."""
    got = number(answer, hint="one of the factors 0.1, 1, 10 and 100")
    expect(
        hasattr(logits, "softmax") and hasattr(labels, "shape"),
        "the check needs the logits and labels of your batch",
        hint="leave the check's cell as it is, and run the lesson's cells above it",
    )
    losses = {factor: _loss(factor * logits, labels) for factor in FACTORS}
    least, most = min(losses.values()), max(losses.values())
    first = (logits.argmax(1) == labels).sum().item()
    expect(
        not any(abs(got - loss) < 0.01 * loss for loss in losses.values() if got not in losses),
        "this is a loss",
        hint="give the factor that belongs to it",
    )
    expect(got in losses, f"{got:g} is not one of the factors", hint="try 0.1, 1, 10 and 100")
    expect(
        losses[got] < most or least == most,
        "with this factor the loss is largest",
        hint="a smaller loss is better",
    )
    expect(
        losses[got] <= least + 1e-6,
        f"the factor {got:g} gives the loss {losses[got]:.3f}, and another one less",
        hint="compute `cross_entropy(factor * logits, labels)` for all four factors",
    )
    return (
        f"{got:g} gives the smallest loss, {least:.3f}. The accuracy is {first} of {len(labels)} "
        "with every factor: a factor changes how confident the network is, not its predictions"
    )


@exercise
def ready_to_train(answer: Any) -> str:
    """Check a function (network, classes) -> the network, frozen, with a new trainable `fc`."""
    import torch

    with torch.random.fork_rng(devices=[]):
        for width, classes in ((4, 3), (7, 5)):
            network = _network_with_fc(width)
            old = network.fc
            got = call(answer, network, classes, hint="the old layer is `network.fc`")
            _check_swapped(got, old, classes)
            _check_trainable(got)
            shape = tuple(got(torch.zeros(2, 3, 8, 8)).shape)
            expect(
                shape == (2, classes),
                f"two images give logits of shape {shape}",
                hint="leave the layers before `fc` as they are",
            )
    return "all frozen but the last layer, which is new and fits"


@exercise
def one_more_class(answer: Any) -> str:
    """Check a function (layer) -> a new nn.Linear, one output more, the old outputs kept."""
    import torch
    from torch import nn

    hint = "write into a trainable tensor only while no gradients are recorded"
    with torch.random.fork_rng(devices=[]):
        for inputs, outputs in ((6, 2), (5, 3)):
            layer = nn.Linear(inputs, outputs)
            before = [p.detach().clone() for p in layer.parameters()]
            got = call(answer, layer, hint=hint)
            _check_wider(got, layer, inputs, outputs)
            expect(
                all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True)),
                "you changed the old layer",
                hint="read from it, and write into a new layer",
            )
            _check_kept(got, *before)
            expect(
                all(p.requires_grad for p in got.parameters()),
                "the new layer is not trainable",
                hint="look at `requires_grad` of its weight and of its bias",
            )
    return "the old classes keep their logits, and there is one more"


def _loss(logits: Any, labels: Any) -> float:
    """Return the mean cross-entropy of a batch."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits.detach().double(), labels).item()


def _network_with_fc(width: int) -> Any:
    """Return a small network built as a ResNet: its last layer is called `fc`."""
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
    """Expect a network whose `fc` is a new layer that fits."""
    from torch import nn

    whole = isinstance(got, nn.Module) and hasattr(got, "fc")
    expect(
        whole,
        "your function did not return the network",
        hint="return all of it, not the new layer",
    )
    expect(isinstance(got.fc, nn.Linear), "`fc` is no dense layer", hint="use `nn.Linear`")
    expect(
        got.fc is not old,
        "`fc` is still the old layer",
        hint="`out_features` only changes what is printed: assign a new layer to `fc`",
    )
    outputs, inputs = got.fc.weight.shape
    expect(
        inputs == old.in_features,
        f"the new layer has {inputs} inputs, but the layers before it give {old.in_features}",
        hint="read the number from the old layer instead of typing it",
    )
    expect(
        outputs == classes,
        f"the new layer gives {outputs} logits for {classes} classes",
        hint="use the number of classes that is passed to your function",
    )
    expect(
        got.fc.bias is not None,
        "the new layer has no bias",
        hint="the old one had a weight and a bias: leave `bias` of nn.Linear as it is",
    )


def _check_trainable(got: Any) -> None:
    """Expect the last layer, and nothing else, to be trainable."""
    last = {id(p) for p in got.fc.parameters()}
    trainable = [id(p) in last for p in got.parameters() if p.requires_grad]
    expect(
        trainable,
        "nothing is trainable any more",
        hint="if you freeze after the swap, the new layer is frozen too: think of the order",
    )
    expect(
        all(trainable) or got.training,
        "evaluation mode does not freeze",
        hint="`eval()` switches dropout off, but does not affect gradients (lesson 04)",
    )
    expect(
        all(trainable),
        "layers before `fc` are still trainable",
        hint="freeze every parameter of the network before the swap",
    )
    expect(
        len(trainable) == len(last),
        "only a part of the new layer is trainable",
        hint="it has a weight and a bias",
    )


def _check_wider(got: Any, layer: Any, inputs: int, outputs: int) -> None:
    """Expect a new dense layer with one output more."""
    from torch import nn

    expect(isinstance(got, nn.Linear), "expected a dense layer", hint="return an nn.Linear")
    expect(
        got is not layer,
        "you returned the old layer",
        hint="make a new one: `out_features` only changes what is printed",
    )
    shape = tuple(got.weight.shape)
    expect(
        shape != (outputs, inputs),
        f"the new layer still has {outputs} outputs",
        hint="one more class needs one more output",
    )
    expect(
        shape == (outputs + 1, inputs) == (got.out_features, got.in_features),
        f"the weight has the shape {shape}, not ({outputs + 1}, {inputs})",
        hint="a weight has a row for each output and a column for each input",
    )


def _check_kept(got: Any, weight: Any, bias: Any) -> None:
    """Expect the old rows and biases first in the new layer."""
    import torch

    rows = got.weight.detach()
    expect(
        not torch.equal(rows[1:], weight),
        "the old classes have moved down by one",
        hint="class 0 has to stay class 0: where in the weight does the new row belong?",
    )
    expect(
        torch.allclose(rows[:-1], weight),
        "the old classes get other logits than before",
        hint="each class has a row of the weight: copy the old rows",
    )
    expect(
        got.bias is not None and torch.allclose(got.bias.detach()[:-1], bias),
        "the old biases are missing",
        hint="a logit is a row of the weight times the inputs, plus a bias",
    )
