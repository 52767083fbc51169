"""Summarise measured runs: ratios within a round, medians, the table, the targets.

Nothing is measured here. A run is the dictionary that `one.py` prints; a round has one run of each
of `KINDS`, right after one another, and of `OTHERS` those that are installed.
"""

from statistics import median

from tutorial_utils import evaluation
from tutorial_utils.models import TITLES

EPOCHS = 12
KINDS = ("post", "first", "cached")
OTHERS = {  # what a user would pick instead
    "extractor": "torchvision's `create_feature_extractor`, then the blog post's loop",
    "logistic": "the same features, then scikit-learn's `LogisticRegression`",
    "fastai": "fastai's `vision_learner`, `fine_tune`: one epoch frozen, then all layers",
}
# Ratios at least, memory at most.
TARGETS = {
    "alexnet": {"ratio_first": 5.0, "ratio_cached": 6.0, "peak_gib": 1.3},
    "vgg16": {"ratio_first": 20.0, "ratio_cached": 40.0, "peak_gib": 2.0},
}
SAME_LOSS = 1e-2
NOTE = (
    "\\* of the arithmetic of direct convolution, two operations per multiply-add, reading the "
    "images included. Winograd's method needs fewer operations, so the share can exceed 1. "
    "\\*\\* of the traffic that the steps of fused Adam need at least, divided by that of a large "
    "copy. Accuracy: mean over the seeds of the last epoch, one seed for each round, in brackets "
    "Wilson's 95% interval for one validation set at the mean, then the number classified "
    "correctly for each seed."
)


def post_seconds(run: dict) -> float:
    """Return the seconds of the post's loop for 12 epochs, extrapolated from its fastest one."""
    return run["build_s"] + EPOCHS * run["epoch_s"]


def whole_seconds(run: dict) -> float:
    """Return the seconds of another way's 12 epochs, extrapolated by its last one if it ran fewer.

    Logistic regression has a single row and no epochs, and nothing is added.
    """
    missing = EPOCHS - run["epochs"]
    return run["seconds"] + missing * run["curve"][-1]["seconds"]


def figures(group: dict, *, mult_adds: int, dense: int) -> dict[str, float]:
    """Return the figures of one round of one network.

    Args:
        group: the runs by kind, one of each of `KINDS`, and `peak`.
        mult_adds: of the convolutions, per image; each is two operations.
        dense: the same for the dense layers, which the post's validation runs too.
    """
    post, first, cached = (group[kind] for kind in KINDS)
    peak = group["peak"]
    result = {
        "ratio_first": post_seconds(post) / first["seconds"],
        "ratio_cached": post_seconds(post) / cached["seconds"],
        "seconds": first["seconds"],
        "seconds_cached": cached["seconds"],
        "seconds_post": post_seconds(post),
        "epoch_s_post": post["epoch_s"],
        "features_s": first["features_s"],
        "head_s": first["head_s"],
        "peak_gib": max(first["peak_gib"], cached["peak_gib"]),
        "peak_gib_cached": cached["peak_gib"],
        "peak_gib_post": post["peak_gib"],
        "images_per_s": first["images_per_s"],
        "images_per_s_post": post["images_per_s"],
        "matrix_gflops": peak["gflops"],
        "matrix_gflops_pass": peak["gflops_pass"],
        "gb_per_s": peak["gb_per_s"],
        "share_of_peak": 2e-9 * mult_adds * first["images_per_s"] / peak["gflops_pass"],
        "share_of_peak_post": 2e-9
        * (mult_adds + dense)
        * post["val_images_per_s"]
        / peak["gflops"],
        "share_of_bandwidth": 1e-9 * first["head_bytes"] / first["head_s"] / peak["gb_per_s"],
    }
    for kind in OTHERS:
        if kind in group:
            result[f"seconds_{kind}"] = whole_seconds(group[kind])
            result[f"ratio_{kind}"] = whole_seconds(group[kind]) / first["seconds"]
            result[f"peak_gib_{kind}"] = group[kind]["peak_gib"]
    return result


def middle(rows: list[dict[str, float]]) -> dict:
    """Return each figure's median over the rounds, and its lowest and highest as NAME_spread.

    A figure that some rounds lack is taken over the others.
    """
    result = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        result |= {name: median(values), f"{name}_spread": [min(values), max(values)]}
    return result


def accuracies(rounds: list[dict]) -> dict:
    """Compare the last epochs of all ways over the rounds, each with a seed of its own.

    The post's accuracy is that of its recipe on cached features (`extractor`). The interval is
    Wilson's for one validation set at the mean; the course is not below the post if its mean is not
    below the lower end of the post's interval. A way that did not run all epochs has no accuracy.
    """
    result = {}
    names = {"accuracy": "first", "accuracy_post": "extractor"}
    names |= {f"accuracy_{kind}": kind for kind in OTHERS}
    for name, kind in names.items():
        runs = [row[kind] for row in rounds if kind in row and row[kind]["epochs"] == EPOCHS]
        if not runs:
            continue
        last = [run["curve"][-1] for run in runs]
        total = last[0]["total"]
        mean = sum(row["correct"] for row in last) / len(last)
        result[name] = mean / total
        result[f"{name}_correct"] = [row["correct"] for row in last]
        result[f"{name}_interval"] = list(evaluation.interval(round(mean), total))
        result["total"] = total
    result["not_below"] = result["accuracy"] >= result["accuracy_post_interval"][0]
    return result


def same_epoch(rounds: list[dict]) -> list[dict]:
    """Compare the first epoch of the real loop with that of the loop on cached features, per round.

    This is the evidence that `accuracy_post` is the post's: the validation losses should differ by
    at most `SAME_LOSS`, as a fraction.
    """
    rows = []
    for row in rounds:
        real, on_features = (row[kind]["curve"][0]["val_loss"] for kind in ("post", "extractor"))
        apart = abs(on_features - real) / abs(real)
        losses = {"loss": real, "loss_on_features": on_features, "apart": apart}
        rows.append({"seed": row["post"]["seed"], **losses, "same": apart <= SAME_LOSS})
    return rows


def verdicts(arch: str, result: dict) -> list[tuple[bool, str]]:
    """Compare one network's result with the targets: ratios by medians, memory by its highest."""
    title, wanted, rows = TITLES[arch], TARGETS[arch], []
    names = {"ratio_first": "12 epochs", "ratio_cached": "12 epochs again"}
    for key, name in names.items():
        text = f"{title}, {name}: {result[key]:.1f} times the post's speed"
        rows.append((result[key] >= wanted[key], f"{text}, wanted at least {wanted[key]:g}"))
    peak = result["peak_gib_spread"][1]
    text = f"{title}, peak memory: {peak:.2f} GiB, wanted at most {wanted['peak_gib']:g}"
    rows.append((peak <= wanted["peak_gib"], text))
    low = result["accuracy_post_interval"][0]
    text = f"{title}, accuracy: {result['accuracy']:.3f}, wanted at least {low:.3f}, "
    text += f"the lower end of the interval about the post's {result['accuracy_post']:.3f}"
    return [*rows, (result["not_below"], text)]


def markdown(results: dict, machine: dict, settings: dict) -> str:
    """Return the report: the machine, the method, the table, the targets."""
    archs = [arch for arch in TITLES if arch in results]
    lines = [f"# The post's loop and the course's, {machine['date']}", "", _machine(machine), ""]
    lines += [_settings(settings, results, archs), ""]
    lines += ["| | " + " | ".join(TITLES[arch] for arch in archs) + " |"]
    lines += ["|---|" + "---|" * len(archs)]
    for name, key, form in ROWS:
        cells = (_cell(results[arch], key, form) for arch in archs)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", NOTE, "", "## What a user would pick instead", ""]
    lines += [line for arch in archs for line in _others(arch, results[arch])]
    lines += ["## Against the targets", ""]
    for arch in archs:
        lines += [
            f"- {'pass' if ok else 'MISS'}: {text}" for ok, text in verdicts(arch, results[arch])
        ]
    lines += ["", "## Is `accuracy_post` the post's?", ""]
    lines += [_evidence(arch, row) for arch in archs for row in results[arch].get("same_epoch", [])]
    return "\n".join(lines) + "\n"


def _machine(machine: dict) -> str:
    return (
        f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']} with "
        f"{machine['threads']} threads ({machine['capability']}), device {machine['device']}. "
        f"Images: {machine['images']}. Weights: {machine['weights']}. "
        f"Image size: {machine['size']} x {machine['size']} for both networks."
    )


def _settings(settings: dict, results: dict, archs: list[str]) -> str:
    run = ", ".join(f"{results[arch]['epochs_run_post']} for {TITLES[arch]}" for arch in archs)
    return (
        f"Rounds: {settings['rounds']}; figures are medians, in brackets lowest to highest. "
        f"The ratios are taken within each round. **Extrapolated**: of the post's {EPOCHS} epochs "
        f"these were run: {run}; the fastest counts {EPOCHS} times. The course's {EPOCHS} were all "
        f"run. Post: batch {settings['post_batch']}, course: batch {settings['course_batch']}; "
        f"both Adam, learning rate {settings['lr']:g}; the course trains the first dense layer in "
        f"the span of its features, a method of its own. The course's pass is in "
        f"{settings['dtype_pass']}, everything else in float32."
    )


def _evidence(arch: str, row: dict) -> str:
    verdict = "the same" if row["same"] else "NOT the same"
    return (
        f"- {TITLES[arch]}, seed {row['seed']}: validation loss after one epoch {row['loss']:.5f} "
        f"by the post's loop, {row['loss_on_features']:.5f} by the same loop on cached features: "
        f"{verdict} ({row['apart']:.1e} apart, allowed {SAME_LOSS:g})"
    )


def _others(arch: str, result: dict) -> list[str]:
    """Return the table of one network: the course, the post's loop and the other ways."""
    times = {"": "1", "_post": _cell(result, "ratio_first", ".1f")}
    times |= {f"_{kind}": _cell(result, f"ratio_{kind}", ".1f") for kind in OTHERS}
    names = ("the course", "the blog post's loop", *OTHERS.values())
    lines = [f"| {TITLES[arch]} | s | times the course's | memory, GiB | accuracy |"]
    lines += ["|---|---|---|---|---|"]
    for name, (end, ratio) in zip(names, times.items(), strict=True):
        cells = [_cell(result, f"seconds{end}", ".1f"), ratio]
        cells += [_cell(result, f"peak_gib{end}", ".2f"), _cell(result, f"accuracy{end}", ".3f")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(result: dict, key: str, form: str) -> str:
    """Return a cell: median, lowest to highest; of an accuracy the mean, its interval, counts."""
    accuracy = key.startswith("accuracy")
    if key not in result:
        return "not measured"
    ends = result[f"{key}_interval" if accuracy else f"{key}_spread"]
    text = " to ".join(format(end, form) for end in ends)
    if accuracy:
        text += f"; {', '.join(map(str, result[f'{key}_correct']))} of {result['total']}"
    return f"{result[key]:{form}} ({text})"


ROWS = (
    ("**12 epochs, speed against the post's loop**", "ratio_first", ".1f"),
    ("**12 epochs again, cache filled**", "ratio_cached", ".1f"),
    ("post, 12 epochs, s (extrapolated)", "seconds_post", ".1f"),
    ("course, 12 epochs, s", "seconds", ".1f"),
    ("of these the features, s", "features_s", ".1f"),
    ("of these the head, s", "head_s", ".1f"),
    ("course again, cache filled, s", "seconds_cached", ".1f"),
    ("**peak memory, course, GiB**", "peak_gib", ".2f"),
    ("peak memory, cache filled, GiB", "peak_gib_cached", ".2f"),
    ("peak memory, post, GiB", "peak_gib_post", ".2f"),
    ("images/s, course, features pass", "images_per_s", ".1f"),
    ("images/s, post, one epoch", "images_per_s_post", ".1f"),
    ("matrix product, float32, GFLOP/s", "matrix_gflops", ".0f"),
    ("share of it, post's validation *", "share_of_peak_post", ".2f"),
    ("matrix product in the pass's precision, GFLOP/s", "matrix_gflops_pass", ".0f"),
    ("share of it, features pass *", "share_of_peak", ".2f"),
    ("memory, a copy of 256 MiB, GB/s", "gb_per_s", ".1f"),
    ("share of it, the head's training **", "share_of_bandwidth", ".2f"),
    ("**accuracy, course**", "accuracy", ".3f"),
    ("**accuracy, post**", "accuracy_post", ".3f"),
)
