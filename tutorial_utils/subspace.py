"""Train a wide dense layer in the span of its training features: small, fast, nothing lost.

The features x of a frozen backbone do not change. A gradient of the first dense layer's weight W
is a sum of outer products with them, one for each image, so whatever steps gradient descent
takes, W moves only inside the span of the training features (the row space of their matrix). 244
images span at most 244 of VGG16's 25,088 directions. So W is written as

    W = W0 + A Q        Q: (r, D), an orthonormal basis of that span; A: (4096, r), starts at 0

and A is trained. Since x W^T = x W0^T + (x Q^T) A^T, both products with what is fixed are computed
once. For VGG16 that leaves a hundredth of the layer's values to train. Plain gradient descent, with
momentum or weight decay on A or not, takes the very steps that it would take on W. Adam scales
every coordinate by itself, and the coordinates are others here: its path differs, within the same
set of reachable weights.

Source:
    The representer theorem: Schoelkopf, Herbrich and Smola, "A generalized representer theorem"
    (2001), https://doi.org/10.1007/3-540-44581-1_27
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tutorial_utils.features import Features

SMALLEST = 1e-6  # directions with less than this part of the largest eigenvalue are left out


class SpanLinear(nn.Module):
    """A dense layer (D to M) that is trained inside a span of r directions.

    Attributes:
        coefficients: A, (M, r), trainable, zero at the start.
        bias: (M,), trainable.
    """

    def __init__(self, layer: nn.Linear, directions: int) -> None:
        """Start as the given layer, which is not kept."""
        super().__init__()
        start = torch.zeros(layer.out_features, directions, device=layer.weight.device)
        self.coefficients = nn.Parameter(start)
        self.bias = nn.Parameter(layer.bias.detach().clone())

    def forward(self, narrow: Tensor) -> Tensor:
        """Map (N, M + r), which is [x W0^T | x Q^T], to (N, M), which is x W^T + bias."""
        outputs = len(self.bias)
        return narrow[:, :outputs] + linear(narrow[:, outputs:], self.coefficients, self.bias)


def project_head(
    head: nn.Sequential, train: Features, *others: Features
) -> tuple[nn.Sequential, list[Features]]:
    """Return a small head that trains in the span of the training features, and its inputs.

    Dropout before the first dense layer (AlexNet has one) is left out: with it, features would
    leave the span. The later layers are the head's own, not copies.

    Args:
        head: layers in one line that map (N, D) to (N, K); the first dense one has M outputs.
        train: features (N, D) to train on; all of their views span.
        *others: features to evaluate on.

    Returns:
        The small head, and for each of the given features what it takes, (N, M + r).

    Raises:
        ValueError: if the head has no dense layer before others, or the features do not fit it.
    """
    place = _first_dense(head)
    layer = head[place]
    if train.values.shape[1] != layer.in_features:
        raise ValueError(
            f"the features have {train.values.shape[1]} values an image, and the head's first "
            f"dense layer takes {layer.in_features}: they are of another backbone or image size"
        )
    basis = orthonormal_basis(train.values)
    small = nn.Sequential(SpanLinear(layer, len(basis)), *head[place + 1 :])
    with torch.no_grad():
        inputs = [
            dataclasses.replace(kept, values=_project(kept.values, layer.weight, basis))
            for kept in (train, *others)
        ]
    return small.train(head.training), inputs


def write_back(small: nn.Sequential, head: nn.Sequential, train: Features) -> None:
    """Write what the small head has learned into the head that it was made from.

    Afterwards both give the same logits, in evaluation mode, to rounding.

    Args:
        small: what `project_head` returned, trained.
        head: what `project_head` was given, its first dense layer unchanged since.
        train: the features that `project_head` was given first.
    """
    layer, spanned = head[_first_dense(head)], small[0]
    basis = orthonormal_basis(train.values).to(layer.weight.device)
    if spanned.coefficients.shape[1] != len(basis):
        raise ValueError(
            f"the small head was trained in {spanned.coefficients.shape[1]} directions and these "
            f"features span {len(basis)}: give the training features that project_head was given"
        )
    with torch.no_grad():
        layer.weight.addmm_(spanned.coefficients.to(layer.weight.device), basis)
        layer.bias.copy_(spanned.bias)


def orthonormal_basis(values: Tensor) -> Tensor:
    """Return an orthonormal basis (r, D) of the span of the rows of a matrix (N, D), r <= N.

    The eigenvectors of the small matrix of inner products (N, N) are used, in double precision:
    much less work than a decomposition of the values themselves.
    """
    products = _products(values)
    sizes, vectors = torch.linalg.eigh(products)
    kept = sizes > SMALLEST * sizes[-1]
    weights = (vectors[:, kept] / sizes[kept].sqrt()).T  # (r, N)
    return (weights.to(values.dtype) @ values).contiguous()


def _products(values: Tensor, columns: int = 2048) -> Tensor:
    """Return values @ values.T in double precision, without a copy of all values in it."""
    total = torch.zeros(len(values), len(values), dtype=torch.float64)
    for part in values.split(columns, dim=1):
        part = part.double()
        total.addmm_(part, part.T)
    return total


def _project(values: Tensor, weight: Tensor, basis: Tensor) -> Tensor:
    """Return [x W0^T | x Q^T] for every row x, (N, M + r), on the CPU."""
    weight = weight.detach()
    outputs = [
        torch.cat([rows @ weight.T, rows @ basis.to(rows.device).T], dim=1).cpu()
        for rows in (part.to(weight.device) for part in values.split(1024))
    ]
    return torch.cat(outputs)


def _first_dense(head: nn.Sequential) -> int:
    """Return the place of the first dense layer, before which there may be dropout only."""
    for place, layer in enumerate(head):
        if isinstance(layer, nn.Linear) and layer.bias is not None and place + 1 < len(head):
            return place
        if not isinstance(layer, nn.Dropout):
            break
    raise ValueError(
        "the head must begin with a dense layer with a bias (or dropout and a dense layer) and "
        "have more layers after it, as models.build_head makes it"
    )
