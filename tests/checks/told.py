"""What the tests of the checks share."""

import re

from tutorial_utils.checks import Verdict


def said(verdict: Verdict, state: str, text: str = "") -> None:
    """Hold a verdict against its state and what its text should say, a regular expression."""
    assert verdict.state == state, verdict.text
    assert re.search(text, verdict.text), verdict.text
