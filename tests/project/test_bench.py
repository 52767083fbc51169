"""The benchmark's arithmetic and its report, with invented runs: nothing is timed here."""

import argparse
import io
import json
import subprocess
import sys
import zipfile
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
SETTINGS = {"rounds": 3, "post_batch": 20, "course_batch": 64, "lr": 1e-4}


def post(epoch_s=10.0, *, build_s=1.0, seed=0, loss=0.5, peak=1.9):
    curve = [{"val_loss": loss, "correct": 100, "total": 153}]
    times = {"seconds": build_s + epoch_s, "build_s": build_s, "epoch_s": epoch_s}
    speeds = {"images_per_s": 397 / epoch_s, "val_images_per_s": 30.0}
    return times | speeds | {"seed": seed, "curve": curve, "peak_gib": peak}


def course(seconds, *, peak=1.0, correct=140, seed=0):
    parts = {"features_s": seconds * 0.6, "head_s": seconds * 0.4}
    curve = [{"val_loss": 0.3, "correct": 120, "total": 153}]
    curve += [{"val_loss": 0.2, "correct": correct, "total": 153}]
    speed = {"images_per_s": 397 / parts["features_s"]}
    return parts | speed | {"seconds": seconds, "seed": seed, "curve": curve, "peak_gib": peak}


def rounds():
    """Return three rounds of a machine that becomes slower for both ways."""
    return [
        {"post": post(10.0 * slow), "first": course(20.0 * slow), "cached": course(10.0 * slow)}
        for slow in (1, 2, 3)
    ]


def result(arch="alexnet"):
    figures = [summary.figures(g, gflops=100.0, mult_adds=10**9, dense=10**8) for g in rounds()]
    both = summary.accuracies([course(20.0)] * 3, [course(20.0, correct=138)] * 3)
    same = {"same_epoch": summary.same_epoch([post()], [post(loss=0.501)])}
    return summary.middle(figures) | both | same | {"epochs_run_post": bench.POST_EPOCHS[arch]}


def test_the_post_is_extrapolated_from_its_epoch_and_counts_building_once():
    assert summary.post_seconds(post(10.0, build_s=3.0)) == 123.0


def test_ratios_are_taken_within_a_round():
    groups = rounds()
    ratios = [
        summary.figures(group, gflops=100.0, mult_adds=1, dense=1)["ratio_first"]
        for group in groups
    ]
    assert ratios == pytest.approx([121 / 20, 241 / 40, 361 / 60])
    mixed = summary.post_seconds(groups[2]["post"]) / groups[0]["first"]["seconds"]
    assert mixed == pytest.approx(3 * ratios[2]), "of different rounds they would be far off"


def test_figures_of_a_round():
    group = {"post": post(), "first": course(20.0), "cached": course(10.0, peak=1.2)}
    figures = summary.figures(group, gflops=50.0, mult_adds=10**9, dense=5 * 10**8)
    assert figures["ratio_cached"] == pytest.approx(12.1)
    assert figures["peak_gib"] == 1.2, "the larger of the course's two"
    assert figures["peak_gib_post"] == 1.9
    assert figures["share_of_peak"] == pytest.approx(2 * 397 / 12 / 50)
    assert figures["share_of_peak_post"] == pytest.approx(2 * 1.5 * 30 / 50)


def test_medians_and_spreads():
    found = summary.middle([{"x": 3.0, "y": 1}, {"x": 1.0, "y": 1}, {"x": 2.5, "y": 1}])
    assert found == {"x": 2.5, "x_spread": [1.0, 3.0], "y": 1, "y_spread": [1, 1]}


@pytest.mark.parametrize(("correct", "not_below"), [(140, True), (134, True), (128, False)])
def test_accuracy_is_compared_with_the_interval_around_the_posts(correct, not_below):
    runs = [course(20.0, correct=n, seed=s) for n, s in ((139, 0), (140, 100), (141, 200))]
    found = summary.accuracies([course(20.0, correct=correct)] * 3, runs)
    assert found["accuracy_post"] == pytest.approx(140 / 153)
    assert found["accuracy_post_interval"] == pytest.approx([0.860, 0.950], abs=1e-3)
    assert found["accuracy_post_correct"] == [139, 140, 141]
    assert found["not_below"] is not_below


def test_the_real_epoch_is_compared_with_its_own_seed_only():
    cached = [post(loss=0.5, seed=0), post(loss=0.7, seed=100)]
    real = [post(loss=0.502, seed=0), post(loss=0.72, seed=100), post(loss=0.9, seed=300)]
    rows = summary.same_epoch(real, cached)
    assert [(row["seed"], row["same"]) for row in rows] == [(0, True), (100, False)]


def test_passes_and_misses():
    found = result() | {"peak_gib": 1.2, "peak_gib_spread": [1.1, 1.31]}
    lines = summary.verdicts("alexnet", found)
    assert [ok for ok, _ in lines] == [True, True, False, True]
    assert lines[0][1].startswith("AlexNet, 12 epochs: 6.0 times the post's speed")
    assert "1.31 GiB, wanted at most 1.3" in lines[2][1], "memory is compared by its highest"
    found = result("vgg16") | {"ratio_first": 19.9, "ratio_cached": 40.0}
    assert [ok for ok, _ in summary.verdicts("vgg16", found)] == [False, True, True, True]


def test_without_accuracy_there_is_no_verdict_and_the_table_has_a_gap():
    found = {k: v for k, v in result().items() if "accuracy" not in k and k != "not_below"}
    assert len(summary.verdicts("alexnet", found)) == 3
    text = summary.markdown({"alexnet": found}, MACHINE, SETTINGS)
    assert "| **accuracy, post** | not measured |" in text and "VGG16" not in text


def test_the_report_names_what_was_measured_and_what_was_extrapolated():
    results = json.loads(json.dumps({"vgg16": result("vgg16"), "alexnet": result()}))
    text = summary.markdown(results, MACHINE, SETTINGS)
    assert "| | AlexNet | VGG16 |" in text, "in this order, whatever the dictionary's order"
    assert "| **12 epochs, speed against the post's loop** | 6.0 (6.0 to 6.0) |" in text
    assert "**Extrapolated**" in text
    assert "2 for AlexNet, 1 for VGG16" in text
    assert "224 x 224" in text and "Weights: demo" in text and "397 synthetic images" in text
    assert text.count("- pass: ") == 6 and text.count("- MISS: ") == 2
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
            return {"gflops": 100.0}
        return post() if what == "post" else course(20.0) | {"reused": self.calls[-2] == "course"}

    def clear(self):
        self.calls.append("clear")


def options_for(folder, **changes):
    defaults = {"out": folder, "resume": False, "rounds": 2, "archs": ["alexnet"]}
    return argparse.Namespace(**(defaults | changes))


def test_rounds_alternate_and_begin_with_the_cache_empty(tmp_path):
    fake = Fake()
    rows = bench.measure_rounds(options_for(tmp_path), fake)
    assert fake.calls[:5] == ["peak", "post", "clear", "course", "course"]
    assert fake.calls[5:] == ["peak", "clear", "course", "course", "post"]
    assert [row["round"] for row in rows] == [0, 1]


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


def test_a_matrix_product_has_a_speed(monkeypatch):
    monkeypatch.setattr(one, "SIDE", 16)
    assert one.matrix_gflops("cpu", times=2) > 0


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
