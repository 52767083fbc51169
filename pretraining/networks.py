"""Networks for the training: plain convolutions with a batch norm behind each, and back again.

The norms make a deep network trainable in little time. Afterwards each is folded into the
convolution before it, which leaves torchvision's plain architecture.

Source: Ioffe and Szegedy, "Batch normalization" (2015): https://arxiv.org/abs/1502.03167
"""

import torch
import winograd
from torch import Tensor, nn


def build(
    plain: nn.Sequential, classes: int, *, dropout: float = 0.2, hidden: int = 0
) -> nn.Sequential:
    """Return a network with a batch norm behind each convolution of another, and a small head.

    Args:
        plain: convolutions, ReLUs and poolings, e.g. torchvision's `features`; its weights are
            not used.
        classes: number of classes.
        dropout: before each dense layer.
        hidden: width of the head's hidden layer; 0 for none.

    Returns:
        `features` and `head`; maps (N, 3, H, W) to logits (N, classes). Initialised by torch's
        global generator, after He et al. (2015): https://arxiv.org/abs/1502.01852
    """
    layers: list[nn.Module] = []
    for layer in plain:
        if isinstance(layer, nn.Conv2d):
            layer = _same_shape(layer, winograd.Conv2d)
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.BatchNorm2d(layer.out_channels)]
        else:
            layers.append(layer)
    channels = [layer.out_channels for layer in plain if isinstance(layer, nn.Conv2d)][-1]
    head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    if hidden:
        head += [nn.Linear(channels, hidden, bias=False), nn.BatchNorm1d(hidden)]
        head += [nn.ReLU(inplace=True), nn.Dropout(dropout)]
    head.append(nn.Linear(hidden or channels, classes))
    return _network(layers, nn.Sequential(*head))


def copy_weights(network: nn.Sequential, plain: nn.Sequential, images: Tensor) -> None:
    """Copy a plain network's weights into one with norms, so that both compute the same.

    Each norm is set to undo itself on the given images. Each kernel is scaled to the length of a
    freshly initialised one, which the norm undoes, so that a learning rate means the same as in a
    training from scratch.

    Args:
        network: from `build`; its features are changed, its head is not.
        plain: the layers that `network` was built from, with weights.
        images: (N, 3, S, S), normalised, some hundred, to measure means and deviations on.
    """
    norms = [layer for layer in network.features if isinstance(layer, nn.BatchNorm2d)]
    convs = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    pairs = zip(convs, norms, strict=True)
    with torch.no_grad():
        for layer in plain:
            images = layer(images.clone())  # torchvision's ReLU works in place
            if isinstance(layer, nn.Conv2d):
                conv, norm = next(pairs)
                std, mean = torch.std_mean(images, (0, 2, 3), correction=0)  # (out,)
                scale = conv.weight[0].numel() ** 0.5 * conv.weight.std()
                scale = scale / layer.weight.flatten(1).norm(dim=1).clamp(min=1e-12)  # (out,)
                conv.weight.copy_(layer.weight * scale[:, None, None, None])
                conv.bias.zero_()
                norm.weight.copy_((std.square() + norm.eps).sqrt())
                norm.bias.copy_(mean)
                norm.running_mean.copy_((mean - layer.bias) * scale)
                norm.running_var.copy_((std.square() + norm.eps) * scale.square() - norm.eps)


def fold(network: nn.Sequential) -> nn.Sequential:
    """Return the same network without norms, each folded into the convolution before it.

    A norm in evaluation mode multiplies and adds, which a convolution can do as well.

    Args:
        network: from `build`; it is not changed.

    Returns:
        `features`, with the layers and names of the plain network, and `head`, in evaluation mode.
    """
    layers: list[nn.Module] = []
    for layer in network.features:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = _folded(layers[-1], layer)
        else:
            layers.append(layer)
    return _network(layers, network.head).eval()


def first_layers(features: nn.Sequential, convs: int) -> nn.Sequential:
    """Return the layers up to a number of convolutions, the last one's norm included.

    Raises:
        ValueError: if there are no more convolutions than that.
    """
    norms = [i for i, layer in enumerate(features) if isinstance(layer, nn.BatchNorm2d)]
    if not 0 <= convs < len(norms):
        raise ValueError(f"frozen must be from 0 to {len(norms) - 1} convolutions, not {convs!r}")
    return features[: norms[convs - 1] + 1] if convs else nn.Sequential()


def _network(layers: list[nn.Module], head: nn.Module) -> nn.Sequential:
    network = nn.Sequential()
    network.add_module("features", nn.Sequential(*layers))
    network.add_module("head", head)
    return network


def _same_shape(conv: nn.Conv2d, kind: type[nn.Conv2d]) -> nn.Conv2d:
    """Return a convolution of the same shape, not yet initialised."""
    window = {"kernel_size": conv.kernel_size, "stride": conv.stride, "padding": conv.padding}
    return nn.utils.skip_init(kind, conv.in_channels, conv.out_channels, **window)


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    folded = _same_shape(conv, nn.Conv2d)
    with torch.no_grad():
        # In double precision, so that folding rounds once.
        factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = conv.weight.double() * factor[:, None, None, None]  # (out, in, k, k)
        bias = (conv.bias.double() - norm.running_mean.double()) * factor + norm.bias.double()
        folded.weight.data, folded.bias.data = weight.float(), bias.float()
    return folded.to(conv.weight.device)
