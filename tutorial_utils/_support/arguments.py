"""Check arguments; every error names the argument, what is allowed and what was given."""

import math
from collections.abc import Iterable
from numbers import Integral, Real


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise ValueError unless a value is a whole number from `least` to `most`; None: no limit."""
    if not is_whole(value) or value < least or (most is not None and value > most):
        limit = "" if most is None else f" to {most}"
        raise ValueError(f"{name} must be a whole number from {least}{limit}, not {value!r}")


def check_share(name: str, value: object, *, zero: bool = True) -> None:
    """Raise ValueError unless a value is a number from 0 to 1; `zero` is whether 0 is allowed."""
    if not is_finite(value) or not 0 <= value <= 1 or (value == 0 and not zero):
        allowed = "from 0 to 1" if zero else "above 0, and 1 at most"
        raise ValueError(f"{name} must be a number {allowed}, not {value!r}")


def check_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise ValueError unless a value is one of a few names."""
    allowed = tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"unknown {name} {value!r}; allowed: {', '.join(allowed)}")


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number; a bool is not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Return whether a value is a finite number; a bool is not."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
