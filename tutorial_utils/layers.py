"""Layers: a table of them, output sizes, receptive fields, and what training each of them costs.

Sources:
    Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks" (2019):
    https://distill.pub/2019/computing-receptive-fields
    What autograd saves for the backward pass:
    https://docs.pytorch.org/docs/stable/notes/autograd.html#saved-tensors
"""

import copy
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torchinfo
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tutorial_utils import models
from tutorial_utils._support.arguments import check_whole
from tutorial_utils._support.torch_state import preserve_generators, preserve_modes

if TYPE_CHECKING:
    import pandas


def layer_table(network: nn.Module, *, size: int = 224) -> "pandas.DataFrame":
    """List a network's layers in the order in which an image passes them.

    The network is not run: torchinfo runs a copy on the meta device, without values.

    Args:
        network: layers that follow one another, as `models.build` makes them.
        size: height and width of the image, in pixels.

    Returns:
        One row per layer: `layer` (its name in the network), `kind`, `input` and `output` (shapes
        without the batch, as tuples), `kernel`, `stride`, `padding` (pixels, NA where a layer has
        none), `parameters`, `mult_adds` (for one image; adding a bias counts as one) and
        `receptive_field` (pixels of the image that one output value sees, padding included; NA
        for dense layers, which see the whole image).

    Raises:
        ValueError: if the image is too small for the network.

    Used in lessons 02, 03 and 10.
    """
    check_whole("size", size, 1)
    network = _copy_on_meta(network)
    names = {id(module): name for name, module in network.named_modules()}
    try:
        shape = (1, _input_channels(network), size, size)
        report = torchinfo.summary(network, shape, device="meta", verbose=0)
    except RuntimeError as error:
        raise ValueError(
            f"an image of {size}x{size} pixels does not fit this {type(network).__name__}: it is "
            f"too small for its layers (AlexNet needs 63, VGG16 needs 32), or the layers do not "
            f"fit each other"
        ) from error
    import pandas  # takes memory that training alone can do without

    leaves = [info for info in report.summary_list if info.is_leaf_layer]
    table = pandas.DataFrame([_row(names[id(info.module)], info) for info in leaves])
    table["receptive_field"] = _receptive_fields(table)
    whole = ["kernel", "stride", "padding", "receptive_field"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Compute the output size of a convolution or a pooling along one side.

    floor((size + 2 padding - kernel) / stride) + 1, all in pixels.

    Raises:
        ValueError: if a number is out of its range, or the kernel is larger than the padded image.

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html

    Used in lessons 02 and 03.
    """
    check_whole("size", size, 1)
    check_whole("kernel", kernel, 1)
    check_whole("stride", stride, 1)
    check_whole("padding", padding, 0)
    if kernel > size + 2 * padding:
        raise ValueError(
            f"a kernel of {kernel} does not fit into {size} pixels with padding {padding} "
            f"({size + 2 * padding} in all): use a smaller kernel, more padding or a larger image"
        )
    return int((size + 2 * padding - kernel) // stride + 1)


def receptive_field(kernels_and_strides: Iterable[tuple[int, int]]) -> list[int]:
    """Compute the receptive field after each of several layers, along one side.

    A layer with kernel k adds k - 1 steps. A step is the product of all earlier strides, in
    pixels.

    Args:
        kernels_and_strides: (kernel, stride) of each layer, first layer first.

    Returns:
        The receptive field after each layer, in pixels.

    Source:
        Araujo, Norris and Sim (2019), equation 2.

    Used in lesson 03.
    """
    fields, field, step = [], 1, 1
    for kernel, stride in kernels_and_strides:
        check_whole("kernel", kernel, 1)
        check_whole("stride", stride, 1)
        field += (kernel - 1) * step
        step *= stride
        fields.append(int(field))
    return fields


def step_costs(
    network: nn.Module, images: Tensor, labels: Tensor, *, repeats: int = 2
) -> "pandas.DataFrame":
    """Measure a training step (forward, backward, Adam) for every number of frozen layers.

    The layers next to the image are frozen first. Adam's learning rate is zero, so the weights do
    not change. Gradients, buffers, modes, `requires_grad` and torch's generators are restored.

    Args:
        network: maps (N, 3, H, W) to logits (N, K).
        images: (N, 3, H, W), on the network's device.
        labels: (N,) int64, from 0 to K - 1, on the same device.
        repeats: steps whose median is taken, after one more as a warm-up; from 1.

    Returns:
        One row for each number of frozen layers, from 0 to all: `frozen` (how many), `layer` (the
        last frozen one, "" for none), `trainable` (parameters), `forward_s`, `backward_s`,
        `update_s` (seconds), `saved_bytes` (what the forward pass saves for the backward pass,
        parameters not counted), `gradient_bytes` and `state_bytes` (Adam's two running means).
        With all frozen there is no backward pass and no update: zeros.

    Raises:
        ValueError: if a shape, the labels' dtype or `repeats` is not allowed.

    Used in lesson 04.
    """
    _check(images, labels, repeats)
    import pandas  # takes memory that training alone can do without

    rows = []
    with _restored(network):
        network.train()
        models.unfreeze(network)
        for count, (name, layer) in enumerate([("", None), *_parameter_layers(network)]):
            if layer is not None:
                models.freeze(layer)
            row = {"frozen": count, "layer": name, "trainable": models.count(network).trainable}
            rows.append(row | _measured(network, images, labels, repeats))
    return pandas.DataFrame(rows)


def _copy_on_meta(network: nn.Module) -> nn.Module:
    """Copy a network to the meta device without copying its values."""
    memo = {id(buffer): buffer.to("meta") for buffer in network.buffers()}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.to("meta"), parameter.requires_grad)
    return copy.deepcopy(network, memo)  # which takes from memo what it finds there


def _input_channels(network: nn.Module) -> int:
    """Return how many channels the first convolution takes, 3 for a network without one."""
    found = (layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return next(found, 3)


def _row(name: str, info: torchinfo.layer_info.LayerInfo) -> dict[str, object]:
    """Turn torchinfo's record of one layer into a row of `layer_table`."""
    return {
        "layer": name,
        "kind": info.class_name,
        "input": tuple(info.input_size[1:]),
        "output": tuple(info.output_size[1:]),
        "kernel": _side(info.module, "kernel_size"),
        "stride": _side(info.module, "stride"),
        "padding": _side(info.module, "padding"),
        "parameters": info.num_params,
        "mult_adds": info.macs,
    }


def _side(module: nn.Module, name: str) -> int | None:
    """Return one side of a square kernel, stride or padding; None if the layer has none."""
    value = getattr(module, name, None)
    return value[0] if isinstance(value, tuple) else value


def _receptive_fields(table: "pandas.DataFrame") -> list[int | None]:
    """Return the receptive field after each row whose output has a height and a width."""
    spatial = table["output"].map(len) == 3
    windows = []
    for row in table[spatial].itertuples():
        if row.kind == "AdaptiveAvgPool2d":
            windows.append(_adaptive_window(row.input[1], row.output[1]))
        elif row.kernel is None or math.isnan(row.kernel):
            windows.append((1, 1))
        else:
            windows.append((int(row.kernel), int(row.stride)))
    fields = receptive_field(windows)
    return fields + [None] * (len(table) - len(fields))


def _adaptive_window(size: int, target: int) -> tuple[int, int]:
    """Return (kernel, stride) of the largest window of an adaptive pooling."""
    if size < target:
        return 1, 1
    return size - (target - 1) * (size // target), size // target


def _parameter_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules with parameters of their own, with their names, in their order."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]


def _measured(network: nn.Module, images: Tensor, labels: Tensor, repeats: int) -> dict:
    """Return the columns of `step_costs` that are measured, for the layers frozen now."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=0.0, fused=True) if trainable else None
    times = [_timed(network, images, labels, optimizer) for _ in range(repeats + 1)]
    median = torch.tensor(times[1:]).median(dim=0).values.tolist()
    gradients = sum(p.grad.nbytes for p in trainable)
    states = optimizer.state.values() if optimizer else []
    moments = sum(s["exp_avg"].nbytes + s["exp_avg_sq"].nbytes for s in states)
    network.zero_grad(set_to_none=True)
    return dict(zip(("forward_s", "backward_s", "update_s"), median, strict=True)) | {
        "saved_bytes": _saved_bytes(network, images) if trainable else 0,
        "gradient_bytes": gradients,
        "state_bytes": moments,
    }


def _timed(
    network: nn.Module, images: Tensor, labels: Tensor, optimizer: torch.optim.Adam | None
) -> list[float]:
    """Take one step and return the seconds of its forward pass, backward pass and update."""
    marks = [_now(images)]
    loss = cross_entropy(network(images), labels)
    marks.append(_now(images))
    if optimizer is None:
        return [marks[1] - marks[0], 0.0, 0.0]
    optimizer.zero_grad()
    loss.backward()
    marks.append(_now(images))
    optimizer.step()
    marks.append(_now(images))
    return [after - before for before, after in zip(marks, marks[1:], strict=False)]


def _now(images: Tensor) -> float:
    if images.device.type != "cpu":
        torch.accelerator.synchronize()  # a GPU works on after the call returns
    return time.perf_counter()


def _saved_bytes(network: nn.Module, images: Tensor) -> int:
    """Return how much memory a forward pass saves for the backward pass, parameters left out."""
    sizes: dict[int, int] = {}  # by address, so that the same memory counts once
    saved = []  # keeps the tensors alive: freed memory could be used again and be counted twice

    def record(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        saved.append(tensor.detach())
        return saved[-1]  # with its graph, the tensor would hold itself and never be freed

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        network(images)
    parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
    return sum(size for address, size in sizes.items() if address not in parameters)


@contextmanager
def _restored(network: nn.Module) -> Iterator[None]:
    """Restore `requires_grad`, gradients, buffers, modes and generators when the block ends."""
    parameters = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    buffers = [(b, b.clone()) for b in network.buffers()]
    network.zero_grad(set_to_none=True)
    try:
        with preserve_modes(network), preserve_generators():
            yield
    finally:
        network.zero_grad(set_to_none=True)
        for parameter, requires_grad, gradient in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient
        for buffer, value in buffers:
            buffer.copy_(value)


def _check(images: Tensor, labels: Tensor, repeats: int) -> None:
    check_whole("repeats", repeats, 1)
    if images.ndim < 2 or len(images) == 0 or tuple(labels.shape) != (len(images),):
        raise ValueError(
            f"images must be (N, 3, H, W) and labels (N,), N from 1, not {tuple(images.shape)} and "
            f"{tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels must be int64, not {labels.dtype}: use labels.long()")
