"""Tests of `tutorial_utils.lesson`: parameters are checked, results are reported."""

import re
import threading
import time

import IPython.display
import numpy as np
import pytest
import torch

from tutorial_utils import lesson

GOOD = {
    "arch": "alexnet",
    "epochs": 12,
    "batch_size": 20,
    "lr": 1e-4,
    "seed": 0,
    "seeds": 4,
    "jobs": 1,
    "source": "auto",
    "weights": "demo",
    "folder": "",
    "val_percent": 20,
    "test_percent": 20,
    "distance": 6,
    "images": 5,  # a parameter of one lesson: only its type is checked
}
KINDS = {name: type(value) for name, value in GOOD.items()}


def namespace(**changes) -> dict:
    return {"__annotations__": KINDS, "In": [], "Out": {}, "exit": None} | GOOD | changes


def test_good_parameters_pass_twice():
    names = namespace()
    lesson.check(names)
    names["later"] = 3  # a learner's own variable, when the check is run again
    lesson.check(names)


def test_a_folder_may_be_given(tmp_path):
    folder = str(tmp_path)
    lesson.check(namespace(source=folder, folder=folder, val_percent=98, distance=0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 to 1000, not 0"),
        ({"epochs": 2.0}, "epochs must be a whole number from 1 to 1000, not 2.0"),
        ({"epochs": True}, "epochs must be a whole number from 1 to 1000, not True"),
        ({"batch_size": -1}, "batch_size must be a whole number from 1 to 1024, not -1"),
        ({"seed": -5}, "seed must be a whole number from 0 to 4294967295, not -5"),
        ({"lr": "abc"}, "lr must be a number above 0 and at most 1, not 'abc'"),
        ({"lr": "1e-3"}, "write 1.0e-3: 1e-3 is read as text"),
        ({"lr": float("nan")}, "lr must be a number above 0"),
        ({"lr": 0}, "lr must be a number above 0"),
        ({"arch": "lenet"}, "unknown arch 'lenet'; allowed: alexnet, vgg16"),
        ({"weights": ""}, "unknown weights ''; allowed: auto, imagenet, demo, none"),
        ({"source": "no/such/folder"}, "or a folder that exists, not 'no/such/folder'"),
        ({"source": 3}, "source must be text, not 3"),
        ({"source": ""}, "or a folder that exists, not ''"),
        ({"folder": "no/such/folder"}, "folder must be a folder that exists, or '' for"),
        ({"folder": __file__}, "folder must be a folder that exists"),
        ({"folder": 3}, "folder must be text, not 3"),
        ({"folder": None}, "folder must be text, not None"),
        ({"seeds": 1}, "seeds must be a whole number from 2 to 1000, not 1"),
        ({"jobs": 0}, "jobs must be a whole number from 1 to 64, not 0"),
        ({"val_percent": 0}, "val_percent must be a whole number from 1 to 98, not 0"),
        ({"val_percent": 99}, "val_percent must be a whole number from 1 to 98, not 99"),
        ({"test_percent": 0.3}, "test_percent must be a whole number from 1 to 98, not 0.3"),
        ({"distance": -1}, "distance must be a whole number from 0 to 32, not -1"),
        ({"distance": 33}, "distance must be a whole number from 0 to 32, not 33"),
        ({"images": "many"}, "images must be int, not 'many'"),
        ({"epoch": 3}, "unknown parameter 'epoch'"),
        ({"epoch": 3}, "did you mean 'epochs'?"),
        ({"__annotations__": {}}, "declares no parameters"),
    ],
)
def test_bad_values_raise(changes, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        lesson.check(namespace(**changes))


@pytest.mark.parametrize("name", ["source", "folder", "model_folder"])
def test_a_path_may_start_with_the_home_folder(name, tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").touch()
    lesson.check({"__annotations__": {name: str}, name: "~/photos"})
    with pytest.raises(ValueError, match="~/file"):
        lesson.check({"__annotations__": {name: str}, name: "~/file"})


def test_report_carries_results_and_figures(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    lesson.report("06_training", images="synthetic images", val_accuracy=0.9, curves={"A": [1]})
    result = shown[0][lesson.MIME]
    assert result["lesson"] == "06_training"
    assert result["val_accuracy"] == 0.9
    assert result["curves"] == {"A": [1]}
    assert 10 * 2**20 < result["peak_bytes"] < 2**40
    assert set(result["versions"]) == {"python", "torch", "torchvision"}
    assert "val_accuracy: 0.9" in shown[0]["text/plain"]
    assert "curves" not in shown[0]["text/plain"]


def test_measure_returns_result_duration_and_peak_of_this_work_alone():
    def hold(mib):
        array = np.ones(mib * 2**17)  # of float64
        time.sleep(0.05)
        return len(array)

    large, small = lesson.measure(lambda: hold(192)), lesson.measure(lambda: hold(48))
    assert (large.result, small.result) == (192 * 2**17, 48 * 2**17)
    assert 0.05 <= small.seconds < 5
    assert large.peak_bytes == pytest.approx(192 * 2**20, abs=16 * 2**20)
    assert small.peak_bytes == pytest.approx(48 * 2**20, abs=16 * 2**20)


def test_measure_raises_what_the_work_raises_and_ends_its_thread():
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        lesson.measure(lambda: 1 / 0)
    assert threading.active_count() == threads


def test_on_a_gpu_measure_waits_for_it_and_counts_its_memory(monkeypatch):
    calls, counts = [], iter([100])
    monkeypatch.setenv("ANTS_BEES_DEVICE", "cuda")
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: calls.append("wait"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: calls.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: next(counts, 700))
    cost = lesson.measure(lambda: calls.append("work"))
    assert calls == ["wait", "reset", "work", "wait"]
    assert cost.peak_bytes == 600
    calls.clear()
    monkeypatch.setenv("ANTS_BEES_DEVICE", "mps")  # whose memory is the process's
    assert lesson.measure(lambda: calls.append("work")).peak_bytes < 600 * 2**20
    assert calls == ["wait", "work", "wait"]
    calls.clear()
    monkeypatch.setenv("ANTS_BEES_DEVICE", "cpu")  # beside a GPU that is not used
    lesson.measure(lambda: calls.append("work"))
    assert calls == ["work"]


def test_a_model_folder_need_not_exist(tmp_path):
    def check(model_folder):
        lesson.check({"__annotations__": {"model_folder": str}, "model_folder": model_folder})

    (tmp_path / "model.zip").write_text("x")
    for path in ("", str(tmp_path), str(tmp_path / "new" / "one"), "~"):
        check(path)
    with pytest.raises(ValueError, match=r"must be a folder, and .*model\.zip' is a file"):
        check(str(tmp_path / "model.zip"))
    with pytest.raises(ValueError, match="model_folder must be text, not 3"):
        check(3)


def test_vgg16_needs_its_memory_before_any_work(monkeypatch):
    monkeypatch.setattr(lesson, "available_bytes", lambda: 2 * 2**30)
    small = {"__annotations__": {"arch": str}, "arch": "alexnet"}
    lesson.check(small, vgg16_gib=6.3)
    large = {"__annotations__": {"arch": str}, "arch": "vgg16"}
    lesson.check(dict(large), vgg16_gib=1.9)
    with pytest.raises(MemoryError, match=r"needs 6.3 GiB .* 2.0 GiB are free: set arch"):
        lesson.check(dict(large), vgg16_gib=6.3)


def test_the_device_is_torch_s_accelerator_or_the_processor(monkeypatch):
    monkeypatch.delenv("ANTS_BEES_DEVICE", raising=False)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert lesson.find_device() == torch.device("cpu")
    mps = torch.device("mps")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: mps)
    assert lesson.find_device() == mps
    monkeypatch.setenv("ANTS_BEES_DEVICE", "cpu")
    assert lesson.find_device() == torch.device("cpu")


def test_a_device_that_torch_does_not_know_raises(monkeypatch):
    monkeypatch.setenv("ANTS_BEES_DEVICE", "abacus")
    with pytest.raises(ValueError, match="ANTS_BEES_DEVICE must name a device .*, not 'abacus'"):
        lesson.find_device()
