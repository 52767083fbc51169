"""What lessons conclude in "What you saw" holds in the results of their stored runs.

Most claims are printed by the lessons' own cells. These here are checked on what each lesson
reported, so that a stored run that contradicts its prose is noticed without running the lesson.
"""

import functools
from pathlib import Path

import nbformat
import pytest

from tutorial_utils import lesson
from tutorial_utils._support import reports
from tutorial_utils.batch import lessons

ROOT = Path(__file__).resolve().parent.parent.parent


def between(interval, value) -> bool:
    return interval[0] <= value <= interval[1]


def by_name(result: dict) -> dict[str, list[dict]]:
    """Return the rows of lesson 10, by way, from few images to all."""
    rows = sorted(result["by_images"], key=lambda row: row["images"])
    return {
        name: [row for row in rows if row["name"] == name] for name in {r["name"] for r in rows}
    }


CLAIMS = {
    "00_start_here": {
        "the pretrained network beats the random one": lambda r: (
            r["val_accuracy"] > r["random_accuracy"]
        ),
        "both beat the most frequent class": lambda r: r["random_accuracy"] > r["guess_accuracy"],
        "the paired counts are those of the accuracies": lambda r: (
            round(153 * (r["val_accuracy"] - r["random_accuracy"]))
            == r["only_pretrained"] - r["only_random"]
        ),
    },
    "01_ants_and_bees": {
        "244 images to train on, 153 to validate": lambda r: (
            [sum(split.values()) for split in r["counts"].values()] == [244, 153]
        ),
        "no other normalisation beats the weights' own": lambda r: (
            max(r["probe_correct"].values()) == r["probe_correct"]["own, then own"]
        ),
        "a head that never saw unnormalised images fails on them": lambda r: (
            r["p_values"]["own, then none"] < 0.05
        ),
        "the own one does not differ from itself": lambda r: r["p_values"]["own, then own"] == 1,
    },
    "02_alexnet": {
        "about 660,000 neurons, 61 million parameters": lambda r: (
            r["paper"] == {"neurons": 659_272, "parameters": 60_965_224}
        ),
        "torchvision's has its own number": lambda r: r["torchvision"]["parameters"] == 61_100_840,
        "ReLU makes zeros in any network": lambda r: min(r["zeros"].values()) > 0.3,
        "trained filters are no noise": lambda r: r["neighbour_correlation"] > 0.3,
    },
    "03_vgg16": {
        "138 million parameters": lambda r: r["parameters"] == 138_357_544,
        "most are in the first dense layer": lambda r: (
            r["first_dense_parameters"] > r["parameters"] / 2
        ),
        "a third fewer errors than AlexNet on ImageNet": lambda r: (
            0.6 < (100 - r["imagenet_top1"]["VGG16"]) / (100 - r["imagenet_top1"]["AlexNet"]) < 0.7
        ),
    },
    "04_freezing": {
        "most parameters stayed trainable": lambda r: (
            r["trainable"] == {"before": 57_012_034, "after": 54_542_338}
        ),
        "the saved activations fall by the largest share": lambda r: (
            min(
                r["step"]["frozen"],
                key=lambda part: r["step"]["frozen"][part] / r["step"]["not frozen"][part],
            )
            == "saved activations, MB"
        ),
    },
    "05_head_swap": {
        "parameters with two classes": lambda r: (
            r["parameters"] == {"alexnet": 57_012_034, "vgg16": 134_268_738}
        ),
        "the new layer alone is trained": lambda r: r["trainable"] == 2 * 4096 + 2,
        "two logits an image": lambda r: r["logits"] == [8, 2],
    },
    "06_training": {
        "training lowers the loss": lambda r: (
            curve(r)[-1]["train_loss"] < curve(r)[0]["train_loss"]
        ),
        "the accuracy is that of the last epoch": lambda r: (
            r["val_accuracy"] == curve(r)[-1]["val_accuracy"]
        ),
        "the best is that of the best epoch": lambda r: (
            r["best_val_accuracy"] == max(epoch["val_accuracy"] for epoch in curve(r))
        ),
    },
    "07_curves": {
        "the best epoch is at least as good as the last": lambda r: (
            r["best_val_accuracy"] >= r["val_accuracy"]
        ),
        "the interval contains the accuracy": lambda r: between(r["interval"], r["val_accuracy"]),
        "the highest losses find more wrong labels than a random list": lambda r: (
            r["wrong_labels_found"][0] > 2 * r["wrong_labels_found"][1] ** 2 / 244
        ),
        "the calibration error is above zero": lambda r: r["calibration_error"] > 0,
    },
    "08_vgg16": {
        "the intervals contain the accuracies": lambda r: all(
            between(r["intervals"][name], value) for name, value in r["val_accuracy"].items()
        ),
        "the accuracies are those of the first seed": lambda r: (
            {name: correct[0] / 153 for name, correct in r["correct_by_seed"].items()}
            == r["val_accuracy"]
        ),
        "training in the span needs less memory": lambda r: (
            r["memory_gib"]["AlexNet: head in the span"] < r["memory_gib"]["AlexNet: whole head"]
        ),
        "Adam leaves the span": lambda r: 0.05 < r["outside_span"] < 1,
    },
    "09_caching": {
        "cached features give the network's logits": lambda r: r["largest_difference"] < 1e-5,
        "Adam leaves the span": lambda r: 0.05 < r["adam_outside"] < 1,
        "the pass takes less than an epoch": lambda r: r["pass_seconds"] < r["epoch_seconds"],
        "six seeds each": lambda r: {len(one) for one in r["correct_by_seed"].values()} == {6},
    },
    "10_fine_tuning": {
        "pretrained beats from scratch on every number of images": lambda r: all(
            few["accuracy"] > none["accuracy"]
            for few, none in zip(*map(by_name(r).get, ("frozen", "from scratch")), strict=True)
        ),
        "each range and each interval contains its mean": lambda r: all(
            between((row["low"], row["high"]), row["accuracy"])
            and between((row["least"], row["most"]), row["accuracy"])
            for row in r["by_images"]
        ),
    },
    "11_what_it_sees": {
        "covering the hottest fifth costs most, the coldest least": lambda r: (
            r["covered"]["its own hottest fifth"]
            < r["covered"]["the next image's hottest fifth"]
            < r["covered"]["its coldest fifth"]
        ),
        "the heat is on the insect more than its area is": lambda r: (
            r["heat_on_insect"] > r["area_of_insect"]
        ),
        "backgrounds say less than images": lambda r: (
            max(r["backgrounds"].values()) < r["val_accuracy"]
        ),
        "moving the sign reveals the shortcut": lambda r: (
            r["shortcut"]["stickers on bees"]
            > r["shortcut"]["no stickers"]
            > r["shortcut"]["stickers on ants"]
        ),
    },
    "12_your_own_classes": {
        "the interval contains the test accuracy": lambda r: between(
            r["interval"], r["test_accuracy"]
        ),
        "no near-duplicates in two parts, one file left out": lambda r: (
            (r["leaks"], r["left_out"]) == (0, 1)
        ),
        "the exported model gives the same logits": lambda r: r["onnx_difference"] < 1e-4,
        "each class has a recall": lambda r: list(r["recall"]) == r["classes"],
    },
    "13_one_run": {
        "about 95 in 100 intervals contain the truth": lambda r: 0.9 < r["coverage"] < 0.99,
        "the best of many looks better than it is": lambda r: r["selection_bias"] > 0,
        "sixteen runs": lambda r: r["runs"] == 16,
    },
    "14_capstone": {
        "the rim alone beats the most frequent class": lambda r: (
            r["background_accuracy"] > r["most_frequent"]
        ),
        "it does not hold in another garden": lambda r: r["elsewhere"] < r["interval"][0],
        "the interval contains the test accuracy": lambda r: between(
            r["interval"], r["test_accuracy"]
        ),
        "the test set was opened once": lambda r: r["test_openings"] == 1,
    },
}


def curve(result: dict) -> list[dict]:
    (epochs,) = result["curves"].values()
    return epochs


@functools.cache
def stored(stem: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)


def test_every_lesson_has_claims():
    stems = [path.stem for path in lessons.find_lessons(ROOT / "notebooks")]
    assert list(CLAIMS) == stems and all(len(claims) >= 2 for claims in CLAIMS.values())


@pytest.mark.parametrize(
    ("stem", "claim"), [(stem, claim) for stem, claims in CLAIMS.items() for claim in claims]
)
def test_a_claim_holds_in_the_stored_run(stem, claim):
    result = reports.read(stored(stem))
    assert CLAIMS[stem][claim](result), {k: v for k, v in result.items() if k != "versions"}


def test_stored_results_are_those_of_the_offline_world():
    for stem in CLAIMS:
        book = stored(stem)
        outputs = [
            o for c in book.cells for o in c.get("outputs", []) if lesson.MIME in o.get("data", {})
        ]
        assert len(outputs) == 1
        result = outputs[0]["data"][lesson.MIME]
        assert result["lesson"] == stem and result["images"] == "synthetic images"
        assert result.get("weights", "demo") == "demo"
