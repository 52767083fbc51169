"""Tests of `tutorial_utils._support.precision`: which devices compute bfloat16 themselves."""

import platform
import time
from pathlib import Path

import pytest
import torch

from tutorial_utils._support.precision import native_bf16


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"avx512_bf16": True, "avx2": True}, True),
        ({"amx_bf16": True}, True),
        ({"bf16": True, "neon": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, False),
        ({"bf16": False, "neon": True}, False),
    ],
)
def test_a_processor_is_native_if_it_reports_instructions(found, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert native_bf16() is expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert native_bf16("cpu") is False


@pytest.mark.parametrize("expected", [True, False])
def test_a_processor_with_older_torch(expected, monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: expected, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert native_bf16() is expected


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="/proc/cpuinfo is Linux's")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags' names are x86's")
def test_a_processor_agrees_with_the_kernel():
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    assert native_bf16() == bool(flags & {"avx512_bf16", "amx_bf16"})


def test_a_busy_machine_does_not_change_the_precision(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    product = torch.mm

    def slow(a, b):
        time.sleep(0.1 if a.dtype == torch.bfloat16 else 0)
        return product(a, b)

    monkeypatch.setattr(torch, "mm", slow)
    assert native_bf16() is True


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_that_emulates_bfloat16_is_not_native(native, monkeypatch):
    def supported(including_emulation=True):  # as on Colab's T4, where emulation counts by default
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert native_bf16("cuda") is native
    assert native_bf16(torch.device("cuda", 1)) is native
    assert native_bf16("mps") is True
    assert native_bf16("meta") is False
