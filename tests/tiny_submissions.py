"""A tiny course of two lessons with exercises, and submissions of it, for the tests of marking."""

import json
from pathlib import Path

SET_UP = """import torch
from tutorial_utils import checks, evaluation
classes = ["ants", "bees"]
val_predictions = evaluation.Predictions(torch.eye(2).repeat(4, 1), torch.tensor([0, 1, 1, 1] * 2))
"""
STUB = "def accuracy_of(scores, labels):\n    # your answer, one or two lines\n    ..."
ANSWER = "def accuracy_of(scores, labels):\n    return (scores.argmax(1) == labels).float().mean()"
WRONG = "def accuracy_of(scores, labels):\n    return 0.5"
SECOND_STUB = "# your answer, one line\nmistakes = ..."
SECOND = "mistakes = [i for i, right in enumerate(val_predictions.correct) if not right]"
CELLS = [
    ("00-set-up", SET_UP),
    ("00-x01", STUB),
    ("00-x02", "checks.accuracy_of(accuracy_of)"),
    ("00-x03", SECOND_STUB),
    ("00-x04", "checks.mistakes(mistakes, val_predictions, classes)"),
]
OTHER = [
    ("03-x01", "def saving(width):\n    # your answer, one to three lines\n    ..."),
    ("03-x02", "from tutorial_utils import checks\n\nchecks.saving(saving)"),
]
EXERCISES = ("00-x01", "00-x03", "03-x01")


def write(path: Path, cells: list[tuple[str, str]], *, ids: bool = True, output: str = "") -> Path:
    """Write a notebook of code cells (id, source); those of exercises have the tag."""
    book = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5, "cells": []}
    for name, source in cells:
        tags = ["exercise"] if name in EXERCISES else []
        outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
        cell = {"cell_type": "code", "metadata": {"tags": tags}, "source": source}
        cell |= {"execution_count": None, "outputs": outputs}
        book["cells"].append(cell | ({"id": name} if ids else {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(book), encoding="utf-8")
    return path


def write_course(folder: Path) -> Path:
    """Write the two lessons and return their folder."""
    write(folder / "00_tiny.ipynb", CELLS)
    write(folder / "03_other.ipynb", OTHER)
    return folder


def answered(first: str = STUB, second: str = SECOND_STUB) -> list[tuple[str, str]]:
    """Return the cells of the first lesson with these answers."""
    new = {"00-x01": first, "00-x03": second}
    return [(name, new.get(name, source)) for name, source in CELLS]
