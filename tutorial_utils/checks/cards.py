"""Reading a model card: its sections, and whether they hold the facts of a run."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tutorial_utils.checks.verdict import expect

HEADINGS = ("task", "data", "method", "result", "limits")
BACKGROUND = r"\b(back)?grounds?\b|\bleaf\b|\bleaves\b|\bbark\b|\bsand\b|\bsurroundings?\b"


def sections(text: str) -> dict[str, str]:
    """Return the text below each heading, a line such as `## Limits`, `Limits:` or `**Limits**`."""
    found, current = {}, None
    for line in text.splitlines():
        marked = re.fullmatch(
            r"\s*(?:#+\s*|\*\*)?(?:\d+\.?\s*)?([A-Za-z ]+?)[:.]?(?:\*\*)?\s*", line
        )
        words = marked[1].lower().split() if marked else []
        name = next((h for h in HEADINGS if any(w.rstrip("s") == h.rstrip("s") for w in words)), "")
        if name and len(words) <= 4 and name not in found:
            current = name
            found[current] = ""
        elif current:
            found[current] += line + "\n"
    return found


def check_facts(card: str, parts: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """Expect the classes, the test accuracy with its interval, a baseline, and the trap.

    `facts` holds `classes`, `accuracy` and `interval` of the test images, `baselines` (accuracies),
    and `trap`, whether the background gives the class away.
    """
    absent = [name for name in facts["classes"] if name.lower() not in card.lower()]
    expect(not absent, f"the class {absent[:1]} is not named", hint="name what it can predict")
    numbers = _fractions(parts["result"])
    expect(
        _holds(numbers, facts["accuracy"], 0.0051),
        "the test accuracy is not under Result",
        hint=f"it is {facts['accuracy']:.3f}; the validation accuracy helped to choose the model",
    )
    expect(
        all(_holds(numbers, end, 0.025) for end in facts["interval"]),
        "the interval of the test accuracy is not under Result",
        hint="give both ends of a 95% interval, as `evaluation.describe` prints them",
    )
    expect(
        any(_holds(_fractions(card), one, 0.0051) for one in facts["baselines"]),
        "there is no baseline",
        hint="an accuracy means little without one: the most frequent class, or the background",
    )
    expect(
        not facts["trap"] or re.search(BACKGROUND, parts["limits"], re.I),
        "the background is not under Limits",
        hint="say where the model will fail: you named the trap",
    )


def _fractions(text: str) -> list[float]:
    """Return the numbers of a text as fractions: 0.92, 92%, and 46/50 or 46 of 50."""
    text = re.sub(r"95\s*(?:%|per ?cent)(?=[\w\s'-]{0,20}interval)", "", text)
    found = []
    for value in re.findall(r"\d+(?:\.\d+)?", text):
        found += [float(value), float(value) / 100]
    for part, whole in re.findall(r"(\d+)\s*(?:/|of|out of)\s*(?:the\s+)?(\d+)", text):
        found += [int(part) / int(whole)] if int(whole) else []
    return found


def _holds(numbers: Iterable[float], wanted: float, tolerance: float) -> bool:
    return any(abs(one - wanted) <= tolerance for one in numbers)
