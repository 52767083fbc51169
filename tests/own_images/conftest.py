"""Fixtures that the tests here share."""

import pytest
from sample_folders import make
from sample_models import build

from tutorial_utils.own_images import onnx_export


@pytest.fixture
def folder(tmp_path):
    """Return a folder of three classes with 4, 3 and 3 images."""
    return make(tmp_path / "mine", {"ants": 4, "bees": 3, "wasps": 3})


@pytest.fixture(scope="session")
def tiny():
    """Return an AlexNet classifier for small images, with random values."""
    return build("alexnet", "none", side=64)


@pytest.fixture(scope="session")
def exported(tiny, tmp_path_factory):
    """Return the ONNX file of `tiny`."""
    return onnx_export.export_onnx(tiny, tmp_path_factory.mktemp("onnx") / "model.onnx")
