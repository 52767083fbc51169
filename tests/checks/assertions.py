"""The assertion that the tests of the checks share."""

import re

from tutorial_utils.checks import Verdict


def assert_verdict(verdict: Verdict, state: str, text: str = "") -> None:
    """Expect a verdict with this state and a text that matches a regular expression."""
    assert verdict.state == state, verdict.text
    assert re.search(text, verdict.text), verdict.text
