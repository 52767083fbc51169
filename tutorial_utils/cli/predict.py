"""The command `predict`: the most probable classes of images, as lines, JSON or CSV."""

import argparse
import csv
import json
import sys
from collections.abc import Callable

Show = Callable[[str, list[tuple[str, float]]], None]


def predict(options: argparse.Namespace) -> int:
    """Print the classes of each image, by a model that lesson 12 saved."""
    for stream in (sys.stdout, sys.stderr):  # a name may have letters that the terminal lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    from tutorial_utils.own_images import classifier, prediction

    model = classifier.load(options.model)
    show = _csv_printer(min(options.top, len(model.classes))) if options.csv else _show_text
    show = _show_json if options.json else show
    failed = 0
    for found in prediction.predict_files(model, prediction.expand(options.images)):
        if found.problem is None:
            show(str(found.path), model.top(found.probabilities, options.top))
        else:
            failed += 1
            print(f"{_printable(found.path)}: {found.problem}", file=sys.stderr, flush=True)
    if failed:
        print(f"not predicted: {failed}", file=sys.stderr)
    return 1 if failed else 0


def _show_text(file: str, classes: list[tuple[str, float]]) -> None:
    words = [f"{_printable(name)} {probability:.3f}" for name, probability in classes]
    print(_printable(file), *words, sep="\t")


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


def _printable(name: object) -> str:
    """Return a name in one line, its control characters escaped: they could steer a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
