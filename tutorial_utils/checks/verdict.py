"""What a check says, and the frame that every check is written in.

A check is a function that is marked `@exercise`. It looks at the answer and calls `expect` for
each thing that must hold, with what is wrong and a hint if it does not; it returns the sentence
that a right answer earns. `ask` calls an answer that is a function.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPEN, WRONG, RIGHT = "open", "wrong", "right"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: `state` is "open", "wrong" or "right", `text` says why."""

    state: str
    text: str

    def __repr__(self) -> str:
        """Return the text alone, which is what a notebook shows."""
        return self.text


class _Unanswered(Exception):
    """The answer is still the stub."""


class _Wrong(Exception):
    """The answer is not right; the text says why and gives a hint."""


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a function that looks at an answer into a check, which returns a `Verdict`.

    A first argument that is None or `...` is an answer that has not been given. Whatever the
    answer raises becomes a verdict too.
    """

    @functools.wraps(check)
    def wrapped(answer: Any = ..., *more: Any, **options: Any) -> Verdict:
        try:
            if _is_stub(answer):
                raise _Unanswered
            return Verdict(RIGHT, f"right: {check(answer, *more, **options)}")
        except _Unanswered:
            return Verdict(OPEN, "not answered yet")
        except _Wrong as wrong:
            return Verdict(WRONG, f"not yet: {wrong}")
        except Exception as error:  # an answer may raise anything at all
            kind = type(error).__name__
            return Verdict(
                WRONG,
                f"not yet: {kind}: {error}. Hint: your answer is of another kind than the "
                f"exercise asks for ({_kind(answer)}), or its code stops half way",
            )

    return wrapped


def expect(holds: Any, wrong: str, *, hint: str) -> None:
    """Go on if it holds; otherwise the verdict is "not yet", with these words."""
    if not bool(holds):
        raise _Wrong(f"{wrong}. Hint: {hint}")


def ask(answer: Callable, *arguments: Any, hint: str = "run your cell again, then this") -> Any:
    """Call an answer that is a function; None or `...` from it means that it is still the stub."""
    expect(callable(answer), f"a function is asked for, not {_kind(answer)}", hint=hint)
    try:
        got = answer(*arguments)
    except NotImplementedError:
        raise _Unanswered from None
    except Exception as error:
        shown = ", ".join(_short(argument) for argument in arguments)
        raise _Wrong(
            f"called with ({shown}) your function raised {type(error).__name__}: {error}. "
            f"Hint: {hint}"
        ) from None
    if _is_stub(got):
        raise _Unanswered
    return got


def number(value: Any, *, hint: str) -> float:
    """Return a number, or a tensor or array of one element, as float; anything else is wrong."""
    if hasattr(value, "item") and getattr(value, "size", None) is not None:
        try:
            value = value.item()
        except (RuntimeError, ValueError):
            expect(False, f"one number is asked for, not {_kind(value)}", hint=hint)
    good = isinstance(value, int | float) and not isinstance(value, bool)
    expect(good, f"a number is asked for, not {_kind(value)}", hint=hint)
    return float(value)


def _is_stub(value: Any) -> bool:
    return value is None or value is ...


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    name = type(value).__name__
    return f"a {name} of shape {tuple(shape)}" if shape is not None else f"a {name}"


def _short(value: Any) -> str:
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 40 else _kind(value)
