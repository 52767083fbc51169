"""The benchmark's arithmetic and its report, with invented runs: nothing is timed here."""

import argparse
import io
import json
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import cost  # noqa: E402
import figure  # noqa: E402
import one  # noqa: E402
import summary  # noqa: E402
import torch  # noqa: E402
import weights  # noqa: E402

import bench  # noqa: E402

MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "threads": 2,
    "capability": "AVX2",
    "device": "cpu",
    "torch": "2.14",
    "date": "2026-01-31",
    "images": "397 synthetic images",
    "weights": "demo",
    "size": 224,
}
SETTINGS = {"rounds": 3, "post_batch": 20, "course_batch": 64, "lr": 1e-4, "dtype_pass": "float32"}
PEAK = {"gflops": 50.0, "gflops_pass": 100.0, "dtype_pass": "bfloat16", "gb_per_s": 20.0}


def post(epoch_s=10.0, *, build_s=1.0, seed=0, loss=0.5, peak=1.9):
    curve = [{"val_loss": loss, "correct": 100, "total": 153}]
    times = {"seconds": build_s + epoch_s, "build_s": build_s, "epoch_s": epoch_s}
    speeds = {"images_per_s": 397 / epoch_s, "val_images_per_s": 30.0}
    return times | speeds | {"seed": seed, "epochs": 1, "curve": curve, "peak_gib": peak}


def course(seconds, *, peak=1.0, correct=140, seed=0):
    parts = {"features_s": seconds * 0.6, "head_s": seconds * 0.4}
    curve = [{"val_loss": 0.3, "correct": 120, "total": 153}]
    curve += [{"val_loss": 0.2, "correct": correct, "total": 153}]
    speed = {"images_per_s": 397 / parts["features_s"], "head_bytes": 4e10}
    run = {"seconds": seconds, "seed": seed, "epochs": 12, "curve": curve, "peak_gib": peak}
    return parts | speed | run


def other(seconds, *, correct=138, seed=0, loss=0.5, epochs=12):
    """Return a run of another way, whose epochs take 3 s each."""
    curve = [{"val_loss": loss, "correct": correct, "total": 153, "seconds": 3.0}]
    run = {"seconds": seconds, "seed": seed, "epochs": epochs, "curve": curve}
    return run | {"features_s": 1.0, "peak_gib": 1.5}


def rounds():
    """Return three rounds of a machine that becomes slower for all ways; one has fastai."""
    found = []
    for slow in (1, 2, 3):
        row = {"post": post(10.0 * slow), "first": course(20.0 * slow), "peak": PEAK}
        row |= {"cached": course(10.0 * slow), "extractor": other(40.0 * slow, loss=0.501)}
        found.append(row | {"logistic": other(15.0 * slow, correct=130)})
    found[0]["fastai"] = other(70.0, epochs=2)
    return found


def result(arch="alexnet"):
    figures = [summary.figures(group, mult_adds=10**9, dense=10**8) for group in rounds()]
    found = summary.middle(figures) | summary.accuracies(rounds())
    same = {"same_epoch": summary.same_epoch(rounds())}
    return found | same | {"epochs_run_post": bench.POST_EPOCHS[arch]}


def test_the_post_is_extrapolated_from_its_epoch_and_counts_building_once():
    assert summary.post_seconds(post(10.0, build_s=3.0)) == 123.0


def test_ratios_are_taken_within_a_round():
    groups = rounds()
    found = [summary.figures(group, mult_adds=1, dense=1) for group in groups]
    assert [row["ratio_extractor"] for row in found] == [2.0] * 3
    ratios = [row["ratio_first"] for row in found]
    assert ratios == pytest.approx([121 / 20, 241 / 40, 361 / 60])
    mixed = summary.post_seconds(groups[2]["post"]) / groups[0]["first"]["seconds"]
    assert mixed == pytest.approx(3 * ratios[2]), "of different rounds they would be far off"


def test_figures_of_a_round():
    group = rounds()[0] | {"cached": course(10.0, peak=1.2)}
    figures = summary.figures(group, mult_adds=10**9, dense=5 * 10**8)
    assert figures["ratio_cached"] == pytest.approx(12.1)
    assert figures["peak_gib"] == 1.2, "the larger of the course's two"
    assert figures["peak_gib_post"] == 1.9
    assert figures["share_of_peak"] == pytest.approx(2 * 397 / 12 / 100)
    assert figures["share_of_peak_post"] == pytest.approx(2 * 1.5 * 30 / 50)
    assert figures["share_of_bandwidth"] == pytest.approx(40 / 8 / 20)
    assert figures["seconds_fastai"] == 70.0 + 10 * 3.0, "ten epochs are extrapolated"
    assert figures["ratio_logistic"] == 0.75 and figures["peak_gib_logistic"] == 1.5


def test_medians_and_spreads():
    found = summary.middle([{"x": 3.0, "y": 1}, {"x": 1.0, "y": 1}, {"x": 2.5, "y": 1}])
    assert found == {"x": 2.5, "x_spread": [1.0, 3.0], "y": 1, "y_spread": [1, 1]}
    found = summary.middle([{"x": 3.0}, {"x": 1.0, "only here": 4}])
    assert found["x"] == 2.0 and found["only here"] == 4


@pytest.mark.parametrize(("correct", "not_below"), [(140, True), (134, True), (128, False)])
def test_accuracy_is_compared_with_the_interval_around_the_posts(correct, not_below):
    first = {"first": course(20.0, correct=correct)}
    found = summary.accuracies(
        [first | {"extractor": other(40.0, correct=n)} for n in (139, 140, 141)]
    )
    assert found["accuracy_post"] == pytest.approx(140 / 153)
    assert found["accuracy_post_interval"] == pytest.approx([0.860, 0.950], abs=1e-3)
    assert found["accuracy_post_correct"] == [139, 140, 141]
    assert found["not_below"] is not_below


def test_the_real_epoch_is_compared_with_that_of_its_own_round():
    losses = [(0, 0.502, 0.5), (100, 0.72, 0.7)]
    groups = [
        {"post": post(loss=real, seed=seed), "extractor": other(40.0, loss=cached, seed=seed)}
        for seed, real, cached in losses
    ]
    rows = summary.same_epoch(groups)
    assert [(row["seed"], row["same"]) for row in rows] == [(0, True), (100, False)]


def test_a_way_that_ran_too_few_epochs_has_no_accuracy():
    found = result()
    assert "accuracy_fastai" not in found
    assert found["accuracy_logistic_correct"] == [130] * 3
    text = summary.markdown({"alexnet": found}, MACHINE, SETTINGS)
    row = next(line for line in text.splitlines() if "fastai" in line)
    assert "| 100.0 (100.0 to 100.0) | 5.0 (5.0 to 5.0) |" in row and "not measured" in row


def test_passes_and_misses():
    found = result() | {"peak_gib": 1.2, "peak_gib_spread": [1.1, 1.31]}
    lines = summary.verdicts("alexnet", found)
    assert [ok for ok, _ in lines] == [True, True, False, True]
    assert lines[0][1].startswith("AlexNet, 12 epochs: 6.0 times the post's speed")
    assert "1.31 GiB, wanted at most 1.3" in lines[2][1], "memory is compared by its highest"
    found = result("vgg16") | {"ratio_first": 19.9, "ratio_cached": 40.0}
    assert [ok for ok, _ in summary.verdicts("vgg16", found)] == [False, True, True, True]


def test_the_report_names_what_was_measured_and_what_was_extrapolated():
    results = json.loads(json.dumps({"vgg16": result("vgg16"), "alexnet": result()}))
    text = summary.markdown(results, MACHINE, SETTINGS)
    assert "| | AlexNet | VGG16 |" in text, "in this order, whatever the dictionary's order"
    assert "| **12 epochs, speed against the post's loop** | 6.0 (6.0 to 6.0) |" in text
    assert "**Extrapolated**" in text
    assert "2 for AlexNet, 1 for VGG16" in text
    assert "224 x 224" in text and "Weights: demo" in text and "397 synthetic images" in text
    assert text.count("- pass: ") == 6 and text.count("- MISS: ") == 2
    assert "| the blog post's loop | 241.0 (121.0 to 361.0) | 6.0 (6.0 to 6.0) |" in text
    assert "NOT the same" not in text and "the same (2.0e-03 apart" in text


def test_the_figure_is_drawn(tmp_path):
    page = figure.draw({"alexnet": result(), "vgg16": result("vgg16")}, MACHINE)
    page.savefig(tmp_path / "bench.png")
    assert Image.open(tmp_path / "bench.png").width > 600
    seconds, memory = page.axes
    assert "(logarithmic)" in seconds.get_ylabel() and "GiB" in memory.get_ylabel()
    assert {"6.0x", "12.1x"} <= {note.get_text() for note in seconds.texts}
    assert len({bar.get_hatch() for bar in seconds.patches}) == 3


def test_convolutions_and_dense_layers_are_counted_apart():
    convolutions, dense = bench.mult_adds("alexnet")
    assert dense == 58_631_144, "biases included, as torchinfo counts"
    assert 6.5e8 < convolutions < 6.6e8


class Fake:
    """Stand in for the processes: returns invented runs and notes the calls."""

    stamp = "cpu synthetic 1"

    def __init__(self):
        self.calls = []

    def __call__(self, what, *arguments):
        self.calls.append(what)
        if what == "peak":
            return PEAK
        return post() if what == "post" else course(20.0) | {"reused": self.calls[-2] == "course"}

    def clear(self):
        self.calls.append("clear")


def options_for(folder, **changes):
    defaults = {"out": folder, "resume": False, "rounds": 2, "archs": ["alexnet"]}
    return argparse.Namespace(**(defaults | changes))


def test_rounds_alternate_and_begin_with_the_cache_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: True)
    fake = Fake()
    rows = bench.measure_rounds(options_for(tmp_path), fake)
    others = ["extractor", "logistic"]
    assert fake.calls[:8] == ["peak", "post", "clear", "course", "course", *others, "fastai"]
    assert fake.calls[8:] == ["peak", "clear", "course", "course", "post", *others]
    assert [row["round"] for row in rows] == [0, 1]
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    bench.measure_rounds(options_for(tmp_path, rounds=1), fake)
    assert fake.calls.count("fastai") == 1, "it is left out where it is not installed"


@pytest.mark.parametrize(
    ("resume", "stamp", "measured"),
    [(True, Fake.stamp, 1), (False, Fake.stamp, 2), (True, "cpu synthetic 2", 2)],
    ids=["a run that was cut off", "a new run", "other code"],
)
def test_only_a_run_of_the_same_code_is_resumed(resume, stamp, measured, tmp_path, capsys):
    bench.measure_rounds(options_for(tmp_path, rounds=1), Fake())
    fake = Fake()
    fake.stamp = stamp
    rows = bench.measure_rounds(options_for(tmp_path, resume=resume), fake)
    assert fake.calls.count("peak") == measured and len(rows) == 2
    assert ("round 1, alexnet: reused" in capsys.readouterr().out) == (measured == 1)


def test_a_run_that_fails_stops_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "code_sum", lambda: "0")
    images = argparse.Namespace(root=tmp_path / "nowhere")
    runner = bench.Runner(argparse.Namespace(out=tmp_path, device="cpu"), images)
    with pytest.raises(SystemExit, match="does not exist"):
        runner("post", "alexnet")


def test_the_machine_has_a_speed(monkeypatch):
    monkeypatch.setattr(one, "SIDE", 16)
    monkeypatch.setattr(one, "COPIED", 2**20)
    found = one.peak("cpu")
    assert found["dtype_pass"] in ("bfloat16", "float32")
    assert min(found["gflops"], found["gflops_pass"], found["gb_per_s"]) > 0


def test_the_ways_of_libraries_learn_an_easy_task(tmp_path, monkeypatch):
    # A frozen network of random weights tells red from green, too.
    for split, count in {"train": 6, "val": 3}.items():
        for name, color in {"green": "green", "red": "red"}.items():
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                image = Image.new("RGB", (230, 230), color)
                image.putpixel((number, 0), (0, 0, 255))
                image.save(tmp_path / split / name / f"{number}.png")
    images = argparse.Namespace(root=tmp_path, classes=["green", "red"])
    settings = {"seed": 0, "epochs": 4, "device": "cpu"}
    monkeypatch.setattr(one, "LR", 1e-3)
    kinds = ["extractor", "logistic"] + ["fastai"] * bool(find_spec("fastai"))
    for kind in kinds:
        run = one.WAYS[kind]("alexnet", images, **settings)
        last = run["curve"][-1]
        assert last["total"] == 6, kind
        assert last["correct"] == 6 or kind == "fastai", "fastai drops a batch of less than 64"
        assert 0 < last["seconds"] <= run["seconds"]


def test_cost_takes_the_median_of_each_size_and_the_widest_gap():
    runs = [{"count": 400, "seconds": seconds, "peak_gib": 1.0} for seconds in (8.0, 4.0, 4.4)] + [
        {"count": 4000, "seconds": 42.0, "peak_gib": 1.2}
    ]
    rows = cost.by_size(runs)
    assert [row["count"] for row in rows] == [400, 4000]
    assert rows[0]["ms_per_image"] == pytest.approx(11.0)
    assert rows[0]["ms_per_image_spread"] == pytest.approx([10.0, 20.0])
    assert cost.gap(rows, "ms_per_image") == pytest.approx(11.0 / 10.5 - 1)
    assert cost.gap(rows, "peak_gib") == pytest.approx(0.2)
    text = cost.markdown(rows, MACHINE)
    assert "| 4,000 | 10.50" in text
    assert "- pass: time per image" in text and "- MISS: peak memory" in text
    assert cost.draw(rows, MACHINE).axes[0].get_xscale() == "log"


def test_cost_measures_every_size_and_writes_its_report(tmp_path, monkeypatch):
    def measured(count, options):
        return {"count": count, "seconds": count / 100, "peak_gib": 1.0}

    words = ["cost.py", "--data", "tiny", "--out", str(tmp_path), "--sizes", "4", "8"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(cost, "in_own_process", measured)
    cost.main()
    written = json.loads((tmp_path / "cost.json").read_text(encoding="utf-8"))
    assert [row["ms_per_image"] for row in written["sizes"]] == [10.0, 10.0]
    assert written["machine"]["images"] == "tiny, enlarged"
    assert (tmp_path / "cost.md").exists() and (tmp_path / "cost.png").exists()


def test_the_code_that_results_depend_on_is_there():
    assert len(bench.code_sum()) == 16


def test_cost_reads_images_from_archives_without_unpacking(tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(content, "WEBP")
    for number in range(2):
        with zipfile.ZipFile(tmp_path / f"train_{number}.zip", "w") as archive:
            for name in ("n1/0", "n1/1", "n1/2", "n2/0", "n2/1", "n2/2"):
                archive.writestr(f"train/{name}_{number}.webp", content.getvalue())
    found = cost.Zipped(tmp_path, 5, transform=lambda image: image.size)
    assert len(found) == 5
    assert found[0] == ((64, 64), 0) and found[4][1] == 1
    with pytest.raises(ValueError, match="holds 12 images, not 13: give a larger folder"):
        cost.Zipped(tmp_path, 13, transform=None)


def values(count: int, gap: float, seed: int) -> tuple:
    """Return (N, 6) in which one column separates the classes, and the labels."""
    found = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(count) % 2
    found[:, 2] += gap * (labels - 0.5)
    return found * 100 + 7, labels  # the scale does not matter


def test_a_linear_head_finds_the_column_that_separates_the_classes():
    assert weights.score([values(80, 8.0, 0), values(100, 8.0, 1)], seed=0) >= 97
    sets = [values(40, 1.0, 0), values(200, 1.0, 1)]
    assert weights.score(sets, seed=3) == weights.score(sets, seed=3)
    assert 30 <= weights.score([values(80, 0.0, 0), values(100, 0.0, 1)], seed=0) <= 70


def test_a_row_is_the_mean_and_the_range_over_the_seeds(monkeypatch):
    monkeypatch.setattr(weights, "score", lambda pair, seed: 100 + 10 * seed)
    images = argparse.Namespace(origin="synthetic")
    found = weights.row(images, "what", [[None, (None, torch.zeros(153))]] * 3)
    assert found == "| synthetic | what | 3 | 0.719 (0.654 to 0.784) | 0.643 to 0.784 |"


@pytest.mark.parametrize("arch", sorted(weights.LIMITS))
def test_loading_makes_no_second_copy_of_the_tensors(arch):
    words = [sys.executable, str(BENCH / "weights.py"), "--load", arch]
    took = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    asset = (BENCH.parent / "tutorial_utils" / "assets" / f"{arch}.safetensors").stat().st_size
    # The tensors once, the file as it is read and as it is decoded, and some code that is loaded.
    assert took["peak_bytes"] < took["tensors_bytes"] + 2 * asset + 10 * 2**20
