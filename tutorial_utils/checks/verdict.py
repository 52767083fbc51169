"""The verdict of a check, and the helpers that every check is written with.

A check is a function decorated with `@exercise`. It looks at the answer and calls `expect` for
each thing that must hold, with what is wrong and a hint in case it does not; it returns the
sentence that a correct answer earns. `call` calls an answer that is a function, `number` and
`truth` read what it returned, and `compare` names the usual slips.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

OPEN, WRONG, CORRECT = "open", "wrong", "correct"
AGAIN = "run your cell again, then this one"

Slip = tuple[Any, str, str]  # the value that a slip gives, what is wrong, and a hint


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: `state` is "open", "wrong" or "correct", `text` is its reason."""

    state: str
    text: str

    def __repr__(self) -> str:
        """Return the text alone, which is what a notebook shows."""
        return self.text


class _Unanswered(Exception):
    """The answer is still the stub."""


class _Wrong(Exception):
    """The answer is wrong; the text is the reason and a hint."""


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a function that looks at an answer into a check, which returns a `Verdict`.

    A first argument of None or `...` is an answer that has not been given. Whatever the answer
    raises becomes a verdict too.
    """

    @functools.wraps(check)
    def wrapped(answer: Any = ..., *more: Any, **options: Any) -> Verdict:
        try:
            if _is_stub(answer):
                raise _Unanswered
            return Verdict(CORRECT, f"correct: {check(answer, *more, **options)}")
        except _Unanswered:
            return Verdict(OPEN, "not answered yet")
        except _Wrong as wrong:
            return Verdict(WRONG, f"not yet: {wrong}")
        except Exception as error:  # an answer may raise anything at all
            return Verdict(
                WRONG,
                f"not yet: {type(error).__name__}: {error}. Hint: your answer is {kind(answer)}: "
                f"check that this is what the exercise asks for, and that its code runs to the end",
            )

    return wrapped


def expect(holds: Any, wrong: str, *, hint: str) -> None:
    """Continue if it holds; otherwise the verdict is "not yet", with these words."""
    if not bool(holds):
        raise _Wrong(f"{wrong}. Hint: {hint}")


def expect_function(answer: Any, *, hint: str = AGAIN) -> None:
    """Expect an answer that can be called."""
    expect(callable(answer), f"expected a function, not {kind(answer)}", hint=hint)


def call(answer: Callable, *arguments: Any, hint: str = AGAIN) -> Any:
    """Call an answer that is a function; None or `...` from it means that it is still the stub."""
    expect_function(answer, hint=hint)
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
            expect(False, f"expected one number, not {kind(value)}", hint=hint)
    good = isinstance(value, int | float) and not isinstance(value, bool)
    expect(good, f"expected a number, not {kind(value)}", hint=hint)
    return float(value)


def truth(value: Any, *, hint: str) -> bool:
    """Return True or False, also from a tensor or an array; anything else is wrong."""
    value = value.item() if getattr(value, "shape", None) == () else value
    expect(isinstance(value, bool), f"expected True or False, not {kind(value)}", hint=hint)
    return value


def compare(
    got: Any,
    want: Any,
    slips: Iterable[Slip] = (),
    *,
    wrong: str,
    hint: str,
    tolerance: float = 0,
) -> None:
    """Expect the correct value; if it is that of a usual slip, name the slip.

    Args:
        got: the answer's value: a number, a list or a tensor.
        want: the correct value.
        slips: what usual slips give, the first that fits is named. One that gives the correct
            value here is passed over.
        wrong: what is wrong if no slip fits, and
        hint: the hint for it.
        tolerance: largest difference of values that count as the same; 0 for equal ones.
    """
    name_slip(got, want, slips, tolerance=tolerance)
    expect(same(got, want, tolerance), wrong, hint=hint)


def name_slip(got: Any, want: Any, slips: Iterable[Slip], *, tolerance: float = 0) -> None:
    """Reject a value that is wrong and equals that of a usual slip, with what is wrong about it."""
    if not same(got, want, tolerance):
        for value, wrong, hint in slips:
            expect(not same(got, value, tolerance), wrong, hint=hint)


def same(first: Any, second: Any, tolerance: float = 0) -> bool:
    """Return whether two numbers, lists or tensors (with a tolerance only) agree."""
    if not tolerance:
        return first == second
    if getattr(first, "shape", ()) != getattr(second, "shape", ()):
        return False
    if hasattr(first, "double"):
        return bool(((first.double() - second.double()).abs() <= tolerance).all())
    return abs(first - second) <= tolerance


def kind(value: Any) -> str:
    """Return a value's type, with its shape if it has one, in words."""
    shape = getattr(value, "shape", None)
    name = f"a value of type {type(value).__name__}"
    return name if shape is None else f"{name} and shape {tuple(shape)}"


def _is_stub(value: Any) -> bool:
    return value is None or value is ...


def _short(value: Any) -> str:
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 40 else kind(value)
