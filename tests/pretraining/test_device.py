"""A training step on a GPU that is pretended: everything is there, and nothing waits for it.

Fake tensors have a device and a shape, without values: an operation on two devices raises, and so
does what needs a value on the processor. A copy from the processor to the GPU waits too.
"""

import contextlib

import dataset
import pytest
import torch
import train
from recipe import GPU_RECIPES
from test_train import stripes
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda", 0)


class Generator(torch.Generator):
    """The processor's generator, which says that it is the GPU's."""

    device = GPU

    def __new__(cls, device="cpu"):
        return super().__new__(cls)

    def manual_seed(self, seed):
        super().manual_seed(seed)
        return self


class NoCopies(TorchDispatchMode):
    """Raise where values of the processor are copied to the GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        target = torch.device(kwargs.get("device") or "cpu").type
        if "_to_copy" in str(function) and args[0].device.type != target == GPU.type:
            raise AssertionError("the GPU waits for a copy")
        return function(*args, **kwargs)


@pytest.fixture
def pretend(monkeypatch):
    """Return a function that builds a network's run on the pretended GPU."""
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch.random, "fork_rng", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)
    monkeypatch.setattr(nn.utils, "skip_init", lambda kind, *a, **k: kind(*a, **k))
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: None)  # needs a real GPU

    def build(arch):
        images, labels = torch.zeros(8, 3, 64, 64, dtype=torch.uint8), torch.arange(8) % 2
        split = dataset.Split(images, labels)
        data = dataset.Dataset(split, split, ["a", "b"], [])
        return train.Run(arch, data, GPU_RECIPES[arch], ("minutes", 1.0), GPU)

    with FakeTensorMode(), GPU:
        yield build


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize("arch", train.models.ARCHS)
def test_a_step_stays_on_the_device_and_waits_for_nothing(pretend, arch):
    run = pretend(arch)
    assert run.mixed
    chosen = torch.arange(8)
    with NoCopies():
        assert run.train_step(chosen, 96).device == GPU


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_the_pretended_gpu_notices_what_waits(pretend, monkeypatch):
    run, chosen, real = pretend("alexnet"), torch.arange(8), train.normalise

    def scale_by(factor):
        monkeypatch.setattr(train, "normalise", lambda images: real(images) * factor())

    with pytest.raises(DataDependentOutputException):
        run.train_step(chosen, 64).item()
    scale_by(lambda: torch.ones(3, 1, 1, device="cpu").to(GPU))
    with pytest.raises(AssertionError, match="waits for a copy"), NoCopies():
        run.train_step(chosen, 64)
    scale_by(lambda: torch.ones(3, 1, 1, device="cpu"))
    with pytest.raises(RuntimeError, match="same device|Device Propagation"):
        run.train_step(chosen, 64)


@pytest.mark.gpu
@pytest.mark.parametrize("arch", train.models.ARCHS)
def test_a_step_on_a_gpu_waits_for_nothing(arch, tmp_path):
    split = stripes(16, 0)
    data = dataset.Dataset(split, split, ["horizontal", "vertical"], [])
    run = train.Run(arch, data, GPU_RECIPES[arch], ("minutes", 1.0), GPU)
    run.out = tmp_path / f"{arch}.safetensors"
    chosen = torch.arange(16, device=GPU)
    run.train_step(chosen, 64)
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = [run.train_step(chosen, 64) for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.stack(losses).isfinite().all()
    outcome = run.finish([80])
    assert outcome.packed.total == 16 and outcome.by_size[80].total == 16
