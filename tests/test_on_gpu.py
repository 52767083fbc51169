"""What only a GPU can show: timings that wait, memory, the same values as on the processor."""

import time

import pytest
import torch
from tiny_runs import head, loader, run, small_cnn

from tutorial_utils import attribution, evaluation, features, layers, lesson, models
from tutorial_utils._support.precision import native_bf16

pytestmark = pytest.mark.gpu
DEVICE = torch.device("cuda")
MIB = 2**20


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return models.build_backbone(models.find_weights("alexnet", "none", quiet=True))


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(3, 64, 64, generator=generator), n % 2) for n in range(11)]


def test_measure_waits_for_the_gpu_and_counts_its_memory(monkeypatch):
    monkeypatch.setenv("ANTS_BEES_DEVICE", "cuda")
    matrix = torch.rand(4096, 4096, device=DEVICE)

    def work():
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(50):
            matrix @ matrix
        end.record()
        return start, end

    work()[1].synchronize()
    cost = lesson.measure(work)
    start, end = cost.result
    assert end.query(), "the work is done when the clock stops"
    assert cost.seconds >= 0.99 * start.elapsed_time(end) / 1000
    assert 64 * MIB <= cost.peak_bytes <= 192 * MIB  # one or two products of 64 MiB


def test_the_times_of_a_step_wait_for_the_gpu():
    network = small_cnn().to(DEVICE)
    images = torch.rand(512, 3, 8, 8, device=DEVICE)
    given = (images, torch.zeros(512, dtype=torch.int64, device=DEVICE))
    layers.step_costs(network, *given, repeats=1)
    torch.cuda.synchronize()
    start = time.perf_counter()
    table = layers.step_costs(network, *given, repeats=3)
    seconds = time.perf_counter() - start
    timed = table[["forward_s", "backward_s", "update_s"]].to_numpy().sum()
    assert 0 < 3 * timed <= 1.5 * seconds
    assert table["backward_s"].max() > 0


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 5e-3), (torch.bfloat16, 4e-2), (None, 4e-2)]
)
def test_features_are_those_of_the_processor(backbone, images, dtype, tolerance):
    plain = features.extract(backbone, images, dtype=torch.float32).values
    found = features.extract(backbone, images, dtype=dtype, device=DEVICE, batch_size=4).values
    assert found.device.type == "cpu" and found.dtype == torch.float32
    assert (found - plain).abs().max() <= tolerance * plain.abs().max()
    assert next(backbone.parameters()).device.type == "cpu"


def test_bfloat16_is_native_where_the_gpu_has_it():
    assert native_bf16(DEVICE) == (torch.cuda.get_device_capability()[0] >= 8)


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_a_training_is_that_of_the_processor(precision):
    shape, losses = (3, 8, 8), []
    for device in ("cpu", DEVICE):
        torch.manual_seed(0)
        network = small_cnn()
        network.classifier[1].p = 0.0  # a GPU draws another dropout
        sets = {"train": loader(shape=shape), "val": loader(shape=shape, shuffle=False, count=11)}
        _, history = run(network, device=device, precision=precision, **sets)
        losses.append([epoch.val.loss for epoch in history.epochs])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_a_training_resumes_on_the_gpu(tmp_path):
    given = {"device": DEVICE, "checkpoint": tmp_path}
    _, whole = run(head(), epochs=4, device=DEVICE)
    run(head(), epochs=2, **given)
    _, resumed = run(head(), epochs=4, resume=True, **given)
    assert resumed.epochs[-1].val.loss == pytest.approx(whole.epochs[-1].val.loss, rel=1e-4)


def test_predictions_and_heat_maps_come_back_to_the_processor():
    network = small_cnn().eval().to(DEVICE)
    images = loader(shape=(3, 8, 8), shuffle=False)
    found = evaluation.predict(network, images)
    assert found.logits.device.type == found.labels.device.type == "cpu"
    evaluation.calibration(found, bins=2)
    batch = next(iter(images))[0]
    heat = attribution.grad_cam(network, batch, 1)
    assert heat.device.type == "cpu" and heat.shape == (len(batch), 8, 8)
    heat = attribution.occlusion(network, batch, 1, window=4, stride=4)
    assert heat.device.type == "cpu"
