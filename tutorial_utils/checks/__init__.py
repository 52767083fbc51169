"""Check the answers to the exercises, e.g. `checks.accuracy_of(my_function)`.

Every check takes an answer and returns a `Verdict`, which a notebook shows as its text:
"correct", "not yet" with what is wrong and a hint, or "not answered yet" for a stub. A check
never raises because of an answer: an exercise that is left open or goes wrong stops nothing
below it.

The checks of a lesson are in a module of their own, e.g. `checks/lesson04.py`. All are reached
by name from here and loaded when first used.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from tutorial_utils.checks.verdict import Verdict

__all__ = ["Verdict", "names"]


def names() -> dict[str, str]:
    """Return every check's name with the module that holds it, in the lessons' order."""
    modules = sorted(m.name for m in iter_modules(__path__) if m.name.startswith("lesson"))
    found = {}
    for module in modules:
        found |= dict.fromkeys(import_module(f"{__name__}.{module}").__all__, module)
    return found


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    module = names().get(name)
    if module is None:
        raise AttributeError(
            f"there is no check named {name!r}. Copy the call from the lesson; the checks are: "
            + ", ".join(names())
        )
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *names()])
