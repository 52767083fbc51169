"""Export a classifier as an ONNX model, for programs without PyTorch, and compare the two.

Source:
    ONNX, Open Neural Network Exchange: https://onnx.ai/onnx/intro
"""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_utils import models
from tutorial_utils._support.files import as_path, replace_file
from tutorial_utils.own_images import model_file
from tutorial_utils.own_images.classifier import Classifier

if TYPE_CHECKING:
    import onnxruntime

BATCH_SIZE = 32  # images that onnxruntime takes at once


def export_onnx(classifier: Classifier, path: str | Path) -> Path:
    """Write a classifier as ONNX, in one file, for any number of images at once.

    The input is `images`, (N, 3, H, W) float32 as the preset makes them; the output is `logits`,
    (N, K). The class names and the preset are in the model's metadata, as JSON. Used in lesson 12.

    Raises:
        OSError: if the file cannot be written.
    """
    path, side = as_path(path), classifier.preset.crop_size[0]
    if not path.parent.is_dir():  # before the export, which takes long
        raise FileNotFoundError(
            f"the ONNX model could not be written to {path}: there is no folder {path.parent}"
        )
    example = torch.zeros(2, 3, side, side)
    with warnings.catch_warnings(action="ignore"), torch.random.fork_rng(devices=[]):
        program = torch.onnx.export(
            _layers_to_export(classifier, example),
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props.update(
        model_file.metadata(classifier.arch, classifier.classes, classifier.preset)
    )
    replace_file(path, lambda temporary: program.save(temporary, external_data=False))
    return path


def onnx_logits(path: str | Path, images: Tensor) -> Tensor:
    """Compute logits by onnxruntime, without PyTorch.

    Args:
        path: an ONNX file that `export_onnx` wrote.
        images: (N, 3, H, W) float32.

    Returns:
        (N, K) float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an ONNX model, or the images have a shape that it does not take.
    """
    session = _session(path)
    name = session.get_inputs()[0].name  # "images"; another name in files of earlier versions
    values = images.detach().cpu().float().numpy()
    starts = range(0, len(values), BATCH_SIZE)
    try:
        parts = [session.run(["logits"], {name: values[i : i + BATCH_SIZE]})[0] for i in starts]
    except Exception as error:  # onnxruntime's errors have no common class
        raise ValueError(
            f"{path} does not take images of shape {tuple(values.shape)}: {error}"
        ) from error
    return torch.from_numpy(np.concatenate(parts))


def onnx_classes(path: str | Path) -> tuple[str, ...]:
    """Return the class names in an ONNX file, in the order of the logits.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an ONNX model, or one without class names.
    """
    stored = _session(path).get_modelmeta().custom_metadata_map
    if "classes" not in stored:
        raise ValueError(f"{path} holds no class names: write it with onnx_export.export_onnx")
    return tuple(json.loads(stored["classes"]))


def compare(classifier: Classifier, path: str | Path, images: Tensor) -> float:
    """Return the largest difference of a logit between classifier and export. Used in lesson 12.

    Args:
        classifier: the one that was exported.
        path: its ONNX file, from `export_onnx`.
        images: (N, 3, H, W) float32, N of 1 or more.
    """
    difference = classifier.logits(images) - onnx_logits(path, images)
    return float(difference.abs().max())


class _AveragePool(nn.Module):
    """`nn.AdaptiveAvgPool2d` for maps of a known size, as two products with fixed matrices.

    Each output is the mean of its window along one side, then along the other. Every program for
    ONNX has these operations.
    """

    def __init__(self, size: int, target: int) -> None:
        super().__init__()
        means = torch.zeros(target, size)
        for index in range(target):
            start, end = index * size // target, -(-(index + 1) * size // target)
            means[index, start:end] = 1 / (end - start)
        self.register_buffer("means", means)  # (target, size)

    def forward(self, maps: Tensor) -> Tensor:
        """Pool maps (N, C, size, size) to (N, C, target, target)."""
        return self.means @ maps @ self.means.T


def _layers_to_export(classifier: Classifier, example: Tensor) -> nn.Sequential:
    """Return a copy of the layers that compute in evaluation mode, with the pooling replaced."""
    backbone, head = copy.deepcopy(classifier.backbone), copy.deepcopy(classifier.head)
    layers = nn.Sequential(backbone.features, nn.Flatten(start_dim=1), head[-1]).cpu()
    with torch.no_grad():
        size = backbone.features(example).shape[-1]
    target = backbone.avgpool.output_size[0]
    if size != target:
        layers.insert(1, _AveragePool(size, target))
    models.freeze(layers)
    return layers.eval()


def _session(path: str | Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file; onnxruntime then prints errors only."""
    import onnxruntime

    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no ONNX model at {path}: onnx_export.export_onnx writes one"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise ValueError(
            f"{path} is not an ONNX model that onnxruntime reads: {error}. Write it with "
            f"onnx_export.export_onnx"
        ) from error
