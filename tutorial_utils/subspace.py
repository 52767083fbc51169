"""Train a wide dense layer in the span of its training features, with far fewer values.

The features x of a frozen backbone do not change. The gradient of the first dense layer's weight W
is a sum of outer products with them, one per image, so gradient descent moves W only inside the
span of the training features (the row space of their matrix). 244 images span at most 244 of
VGG16's 25,088 dimensions. So W is written as

    W = W0 + A Q        Q: (r, D), an orthonormal basis of that span; A: (4096, r), starts at 0

and A is trained, for VGG16 a hundredth of the layer's values. Since x W^T = x W0^T + (x Q^T) A^T,
the products with W0 and Q are computed once.

Gradient descent on A, with or without momentum, takes the same steps as on W. Adam does not: it
scales each coordinate by its own gradients, so on W it also moves outside the span, and on A it is
another parametrisation with a result of its own. Outside the span W does not change the logits of
the training images, but it changes those of other images.

Source:
    The representer theorem: Schoelkopf, Herbrich and Smola, "A generalized representer theorem"
    (2001), https://doi.org/10.1007/3-540-44581-1_27
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tutorial_utils.features import Features

SMALLEST = 1e-6  # eigenvalues below this share of the largest one count as 0


class SpanLinear(nn.Module):
    """A dense layer (D to M) that is trained inside a span of r dimensions.

    Attributes:
        coefficients: A, (M, r), trainable, zero at the start.
        bias: (M,), trainable.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        """Start with the outputs of `layer`; `rank` is r."""
        super().__init__()
        self.coefficients = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        self.bias = nn.Parameter(layer.bias.detach().clone())

    def forward(self, projected: Tensor) -> Tensor:
        """Return x W^T + bias (N, M) for [x W0^T | x Q^T] (N, M + r)."""
        outputs = len(self.bias)
        return projected[:, :outputs] + linear(projected[:, outputs:], self.coefficients, self.bias)


def project_head(
    head: nn.Sequential, train: Features, *others: Features
) -> tuple[nn.Sequential, list[Features]]:
    """Return a small head that trains in the span of the training features, and its inputs.

    Dropout before the first dense layer (AlexNet has one) is left out: with it, features would
    leave the span. The later layers are shared with `head`, not copied.

    Used in lessons 08 and 09.

    Args:
        head: a sequence of layers that maps (N, D) to (N, K); the first dense one has M outputs.
        train: features (N, D) to train on; all augmentations count for the span.
        *others: features to evaluate on.

    Returns:
        The small head, and its inputs (N, M + r) for each of the given features.

    Raises:
        ValueError: if the head has no dense layer before others, or the features do not fit it.
    """
    index = _first_dense(head)
    layer = head[index]
    if train.values.shape[1] != layer.in_features:
        raise ValueError(
            f"the features have {train.values.shape[1]} values per image, and the head's first "
            f"dense layer takes {layer.in_features}: they are of another backbone or image size"
        )
    basis = orthonormal_basis(train.values)
    small = nn.Sequential(SpanLinear(layer, len(basis)), *head[index + 1 :])
    with torch.no_grad():
        inputs = [
            dataclasses.replace(features, values=_project(features.values, layer.weight, basis))
            for features in (train, *others)
        ]
    return small.train(head.training), inputs


def write_back(small: nn.Sequential, head: nn.Sequential, train: Features) -> None:
    """Write the trained weights of the small head into the head that it was made from.

    Afterwards both give the same logits in evaluation mode, up to rounding.

    Used in lesson 09.

    Args:
        small: the head that `project_head` returned, trained.
        head: the head that `project_head` was given, its first dense layer unchanged since.
        train: the training features that `project_head` was given.

    Raises:
        ValueError: if the features span another number of dimensions, or the head does not fit.
    """
    layer, spanned = head[_first_dense(head)], small[0]
    basis = orthonormal_basis(train.values).to(layer.weight.device)
    if spanned.coefficients.shape[1] != len(basis):
        raise ValueError(
            f"the small head was trained in {spanned.coefficients.shape[1]} dimensions and these "
            f"features span {len(basis)}: give the training features that project_head was given"
        )
    with torch.no_grad():
        layer.weight.addmm_(spanned.coefficients.to(layer.weight.device), basis)
        layer.bias.copy_(spanned.bias)


def orthonormal_basis(values: Tensor) -> Tensor:
    """Return an orthonormal basis (r, D) of the span of the rows of a matrix (N, D), r <= N.

    It is computed from the eigenvectors of the matrix of inner products (N, N), in double
    precision: much less work than a singular value decomposition of the values.

    Used in lessons 08 and 09.
    """
    sizes, vectors = torch.linalg.eigh(_products(values))
    large = sizes > SMALLEST * sizes[-1]
    weights = (vectors[:, large] / sizes[large].sqrt()).T  # (r, N)
    return (weights.to(values.dtype) @ values).contiguous()


def _products(values: Tensor, columns: int = 2048) -> Tensor:
    """Return values @ values.T in double precision, converting few columns at a time."""
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
    """Return the index of the first dense layer; only dropout is allowed before it."""
    for index, layer in enumerate(head):
        if isinstance(layer, nn.Linear) and layer.bias is not None and index + 1 < len(head):
            return index
        if not isinstance(layer, nn.Dropout):
            break
    raise ValueError(
        "the head must begin with a dense layer with a bias (or dropout and a dense layer) and "
        "have more layers after it, as models.build_head makes it"
    )
