"""The limits of one run of a notebook. A worker process imports this module, so nothing heavy."""

import math
from dataclasses import dataclass

from tutorial_utils._support.arguments import is_finite

LONGEST_S = 30 * 86400.0  # longer waits overflow in some event loops


@dataclass(frozen=True)
class Limits:
    """How long a notebook and each of its cells may run, and how much a cell may print.

    Args:
        notebook_s: seconds for a whole notebook.
        cell_s: seconds for one cell.
        output_bytes: bytes of output that one cell leaves in the notebook.

    Raises:
        ValueError: if a limit is not a number above 0.
    """

    notebook_s: float = 4 * 3600.0
    cell_s: float = 2 * 3600.0
    output_bytes: int = 10_000_000

    def __post_init__(self) -> None:
        """Check the numbers."""
        names = {"--timeout": self.notebook_s, "--cell-timeout": self.cell_s}
        for name, seconds in names.items():
            if not is_finite(seconds) or not 0 < seconds <= LONGEST_S:
                limit = f"a number of seconds above 0 and at most {LONGEST_S:.0f}"
                raise ValueError(f"{name} must be {limit}, not {seconds!r}")

    @property
    def output_mb(self) -> str:
        """The limit of a cell's output in MB, as text."""
        return f"{self.output_bytes / 1e6:g}"

    def describe(self, *, notebook: bool) -> str:
        """Return which limit of time was reached, and what to do."""
        what, option = ("notebook", "--timeout") if notebook else ("cell", "--cell-timeout")
        seconds = math.ceil(self.notebook_s if notebook else self.cell_s)
        return (
            f"stopped after {seconds} s, the limit for a {what}; set a higher one by {option} "
            "if it needs more"
        )
