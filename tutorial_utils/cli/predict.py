"""The command `predict`: the most probable classes of images, as lines, JSON or CSV."""

import argparse
import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

from tutorial_utils._support.folders import printable

Show = Callable[[str, list[tuple[str, float]]], None]


def predict(options: argparse.Namespace) -> int:
    """Print the classes of each image, by a model that lesson 12 saved."""
    from tutorial_utils.own_images import classifier, prediction

    model = classifier.load(options.model)
    show = _csv_printer(min(options.top, len(model.classes))) if options.csv else _show_text
    show = _show_json if options.json else show
    failed: list[Path] = []

    def fail(path: Path, reason: str) -> None:
        failed.append(path)
        print(f"{printable(path)}: {reason}", file=sys.stderr, flush=True)

    paths = prediction.expand(options.images, report=fail)
    for found in prediction.predict_files(model, paths):
        if found.problem is None:
            show(str(found.path), model.top(found.probabilities, options.top))
        else:
            fail(found.path, found.problem)
    if failed:
        print(f"not predicted: {len(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _show_text(file: str, classes: list[tuple[str, float]]) -> None:
    words = [f"{printable(name)} {probability:.3f}" for name, probability in classes]
    print(printable(file), *words, sep="\t")


def _show_json(file: str, classes: list[tuple[str, float]]) -> None:
    listed = [{"class": name, "probability": probability} for name, probability in classes]
    print(json.dumps({"file": file, "classes": listed}, ensure_ascii=False))


def _csv_printer(top: int) -> Show:
    """Print the header, and return a function that prints one row."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    rows.writerow(
        ["file", *(f"{name}{rank}" for rank in ranks for name in ("class", "probability"))]
    )

    def show(file: str, classes: list[tuple[str, float]]) -> None:
        values = [(name, f"{probability:.6f}") for name, probability in classes]
        rows.writerow([file, *(value for pair in values for value in pair)])

    return show
