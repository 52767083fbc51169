"""A classifier for your own classes: build it, save it to one file, load it.

A classifier is a pretrained backbone with a light head (dropout, one dense layer), the names of
its classes, and the preset that prepares its images. `save` writes all of it to one safetensors
file, which holds tensors and texts, and no code.

Source:
    safetensors, the file's format: https://huggingface.co/docs/safetensors
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from tutorial_utils import models
from tutorial_utils._support import checksums
from tutorial_utils._support.files import as_path
from tutorial_utils._support.torch_state import evaluation_mode
from tutorial_utils.own_images import model_file

FEATURES = {"alexnet": 9216, "vgg16": 25088}  # width of the backbone's output
DROPOUT = 0.5


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network for some classes, with everything that is needed to use it."""

    arch: str  # one of `models.ARCHS`
    classes: tuple[str, ...]  # in the order of the logits
    preset: models.Preset  # turns a PIL image into the network's input, (3, H, W) float32
    network: nn.Sequential  # `backbone` and `head`

    @property
    def backbone(self) -> nn.Sequential:
        """The frozen layers, (N, 3, H, W) to (N, D)."""
        return self.network.backbone

    @property
    def head(self) -> nn.Sequential:
        """The layers to train, (N, D) to logits (N, K)."""
        return self.network.head

    def logits(self, images: Tensor, *, device: str | torch.device = "cpu") -> Tensor:
        """Compute logits in evaluation mode, in float32 and without gradients. Used in lesson 12.

        Args:
            images: (N, 3, H, W) float32, as `preset` makes them.
            device: where to compute; the network is moved there and stays there.

        Returns:
            (N, K) on the CPU.
        """
        with evaluation_mode(self.network), torch.no_grad():
            return self.network.to(device)(images.to(device)).cpu()

    def top(self, probabilities: Tensor, count: int = 1) -> list[tuple[str, float]]:
        """Return the most probable classes of one image, (K,), the most probable first."""
        values, indices = probabilities.topk(min(count, len(self.classes)))
        names = [self.classes[index] for index in indices.tolist()]
        return list(zip(names, values.tolist(), strict=True))


def build(weights: models.Weights, classes: Sequence[str]) -> Classifier:
    """Build a classifier with a pretrained, frozen backbone and a new head. Used in lesson 12.

    The head is initialised by torch's global generator: call `torch.manual_seed` first for the
    same values again.

    Args:
        weights: from `models.find_weights`.
        classes: two or more different names, in any script.

    Raises:
        ValueError: if there are too few names, or one is empty or there twice.
    """
    names = model_file.check_class_names(classes)
    backbone = models.build_backbone(weights)
    network = _join(weights.arch, backbone, len(names))
    return Classifier(weights.arch, names, weights.transforms(), network)


def save(classifier: Classifier, path: str | Path) -> Path:
    """Write a classifier to one file, backbone included, and return its path.

    A file that is there is replaced when the new one is complete. Values are float32: the loaded
    classifier gives the same logits, bit for bit. Used in lesson 12.

    Raises:
        OSError: if the file cannot be written.
    """
    path = as_path(path)
    tensors = classifier.network.state_dict()
    metadata = model_file.metadata(classifier.arch, classifier.classes, classifier.preset)
    checksums.write_tensors(path, tensors, metadata)
    return path


def load(path: str | Path) -> Classifier:
    """Load a classifier that `save` wrote; no code in the file is run. Used in lesson 12.

    Returns:
        The classifier, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a file of another kind (a pickle is never opened), incomplete, damaged,
            of another version, or its tensors do not fit its metadata.
    """
    path = as_path(path)
    model_file.check_kind(path)
    try:
        with safe_open(path, framework="pt") as file:
            stored = file.metadata() or {}
            arch, classes, preset = model_file.read_metadata(path, stored)
            backbone, _ = models.split(models.build_on_meta(arch))
            with torch.device("meta"):  # shapes without values
                network = _join(arch, backbone, len(classes))
            model_file.check_tensors(path, file, network.state_dict(), classes)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a complete safetensors file: {error}. {model_file.CURE}"
        ) from error
    computed = checksums.tensor_digest(tensors, stored)
    checksums.check(path, stored, computed, known=model_file.KEYS, cure=model_file.CURE)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(
                f"{path}: {name} holds values that are not finite numbers, so its predictions mean "
                f"nothing: the training diverged. Train again, with a lower learning rate"
            )
    network.load_state_dict(tensors, assign=True)
    models.freeze(network.backbone)
    return Classifier(arch, classes, preset, network.eval())


def _join(arch: str, backbone: nn.Sequential, classes: int) -> nn.Sequential:
    """Return a network of a backbone and a new head."""
    head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(FEATURES[arch], classes))
    return nn.Sequential(OrderedDict(backbone=backbone, head=head))
