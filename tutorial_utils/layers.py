"""What a training step costs, in time and in memory, with the first layers frozen.

`step_costs` measures it for every number of frozen layers, from none to all, on one batch. Nothing
is learned meanwhile: the network is left as it was.

Source of what autograd keeps:
    https://docs.pytorch.org/docs/stable/notes/autograd.html#saved-tensors
"""

import copy
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING

import torch
import torchinfo
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tutorial_utils import models
from tutorial_utils._support.arguments import check_whole

if TYPE_CHECKING:
    import pandas


def layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that hold parameters of their own, with their names, in their order.

    In the networks of `models.build` that is the order in which an image passes them.
    """
    return [
        (name, module)
        for name, module in network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]


def step_costs(
    network: nn.Module, images: Tensor, labels: Tensor, *, repeats: int = 2
) -> "pandas.DataFrame":
    """Measure a step of training (forward, backward, Adam) for every number of frozen layers.

    The first layers are frozen first, counted from the image's side. Adam's learning rate is
    zero, so the weights stay bit for bit; the parameters' switches, gradients and modes and torch's
    generators are put back as they were.

    Args:
        network: maps (N, 3, H, W) to logits (N, K).
        images: (N, 3, H, W), on the network's device; likewise the labels.
        labels: (N,) int64, from 0 to K - 1.
        repeats: steps of which the median is taken, after one that only warms up; from 1.

    Returns:
        One row for each number of frozen layers, from 0 to all: `frozen` (how many), `layer` (the
        last frozen one, "" for none), `trainable` (parameters), `forward_s`, `backward_s`,
        `update_s`, and in bytes `saved_bytes` (what the forward pass keeps for the backward pass,
        the network's own tensors not counted), `gradient_bytes`, `state_bytes` (Adam's two
        running means). With all frozen there is no backward pass and no update: zeros.

    Raises:
        ValueError: if shapes, labels or `repeats` do not fit.
    """
    _check(images, labels, repeats)
    import pandas  # takes memory that training alone can do without

    found, rows = layers(network), []
    with _put_back(network):
        network.train()
        models.unfreeze(network)
        for count in range(len(found) + 1):
            if count:
                models.freeze(found[count - 1][1])
            name = found[count - 1][0] if count else ""
            row = {"frozen": count, "layer": name, "trainable": models.count(network).trainable}
            rows.append(row | _measured(network, images, labels, repeats))
    return pandas.DataFrame(rows)


def _measured(network: nn.Module, images: Tensor, labels: Tensor, repeats: int) -> dict:
    learning = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=0.0, fused=True) if learning else None
    times = [_timed(network, images, labels, optimizer) for _ in range(repeats + 1)]
    median = torch.tensor(times[1:]).median(dim=0).values.tolist()
    gradients = sum(p.grad.nbytes for p in learning)
    states = optimizer.state.values() if optimizer else []
    moments = sum(s["exp_avg"].nbytes + s["exp_avg_sq"].nbytes for s in states)
    network.zero_grad(set_to_none=True)
    return dict(zip(("forward_s", "backward_s", "update_s"), median, strict=True)) | {
        "saved_bytes": _saved_bytes(network, images) if learning else 0,
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
    if images.is_cuda:
        torch.cuda.synchronize()  # a GPU works on after the call returns
    return time.perf_counter()


def _saved_bytes(network: nn.Module, images: Tensor) -> int:
    """Add up what a forward pass keeps for the backward pass; the same memory counts once."""
    sizes: dict[int, int] = {}
    held = []  # or freed memory could be given out again, and counted twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(images)
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    return sum(size for place, size in sizes.items() if place not in own)


@contextmanager
def _put_back(network: nn.Module) -> Iterator[None]:
    """Leave switches, gradients, modes, buffers and generators as they were."""
    switches = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    modes = {module: module.training for module in network.modules()}
    buffers = [(b, b.clone()) for b in network.buffers()]
    awake = torch.cuda.is_initialized()
    for parameter, _, _ in switches:
        parameter.grad = None
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count()) if awake else []):
            yield
    finally:
        for parameter, switch, grad in switches:
            parameter.grad = None
            parameter.requires_grad_(switch)
            parameter.grad = grad
        for buffer, value in buffers:
            buffer.copy_(value)
        for module, mode in modes.items():
            module.training = mode


def _check(images: Tensor, labels: Tensor, repeats: int) -> None:
    if isinstance(repeats, bool) or not isinstance(repeats, Integral) or repeats < 1:
        raise ValueError(f"repeats must be a whole number from 1, not {repeats!r}")
    if images.ndim < 2 or len(images) == 0 or tuple(labels.shape) != (len(images),):
        raise ValueError(
            f"images must be (N, 3, H, W) and labels (N,), N from 1, not {tuple(images.shape)} and "
            f"{tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels must be int64, not {labels.dtype}: use labels.long()")


def layer_table(network: nn.Module, *, size: int = 224) -> "pandas.DataFrame":
    """List a network's layers in the order in which an image passes them.

    The network itself is neither run nor copied: torchinfo runs a twin that has shapes and no
    values.

    Args:
        network: layers in one line, as `build` makes them.
        size: height and width of the image, in pixels.

    Returns:
        One row per layer: `layer` (its name in the network), `kind`, `input` and `output` (shapes
        without the batch, as tuples), `kernel`, `stride`, `padding` (pixels, empty where a layer
        has none), `parameters`, `mult_adds` (for one image; adding a bias counts as one) and
        `receptive_field` (pixels of the image that one output value sees, padding included;
        empty for dense layers, which see the whole image).

    Raises:
        ValueError: if the image is too small for the network.
    """
    check_whole("size", size, 1)
    twin = _twin(network)
    names = {id(module): name for name, module in twin.named_modules()}
    try:
        report = torchinfo.summary(twin, (1, 3, size, size), device="meta", verbose=0)
    except RuntimeError as error:
        raise ValueError(
            f"an image of {size}x{size} pixels does not fit this {type(network).__name__}: it is "
            f"too small for its layers (AlexNet needs 63, VGG16 needs 32), or the layers do not "
            f"fit each other"
        ) from error
    import pandas  # takes memory that training alone can do without

    leaves = [info for info in report.summary_list if info.is_leaf_layer]
    table = pandas.DataFrame([_row(names[id(info.module)], info) for info in leaves])
    table["receptive_field"] = _fields(table)
    whole = ["kernel", "stride", "padding", "receptive_field"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Compute the output size of a convolution or a pooling along one side.

    floor((size + 2 padding - kernel) / stride) + 1, all in pixels.

    Raises:
        ValueError: if a number is impossible or the kernel is larger than the padded image.

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
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
    """Compute how many pixels one value sees after each of the layers, along one side.

    A layer with kernel k adds k - 1 steps; a step is as many pixels as the strides before it
    multiply to.

    Args:
        kernels_and_strides: (kernel, stride) of each layer, first layer first.

    Returns:
        The receptive field after each layer, in pixels.

    Source:
        Araujo, Norris and Sim (2019), equation 2.
    """
    fields, field, step = [], 1, 1
    for kernel, stride in kernels_and_strides:
        check_whole("kernel", kernel, 1)
        check_whole("stride", stride, 1)
        field += (kernel - 1) * step
        step *= stride
        fields.append(int(field))
    return fields


def _twin(network: nn.Module) -> nn.Module:
    """Copy a network's structure without its values, by handing deepcopy empty parameters."""
    memo = {}
    for parameter in network.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in network.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(network, memo)


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


def _fields(table: "pandas.DataFrame") -> list[int | None]:
    """Return the receptive field after each row that still has a height and a width."""
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
    """Return the (kernel, stride) that stands for an adaptive pooling; the largest window."""
    if size < target:
        return 1, 1
    return size - (target - 1) * (size // target), size // target
