"""Building a book for the tests."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build(out: Path, *settings: str, source: Path = ROOT) -> subprocess.CompletedProcess:
    """Build a book as `make book` does, with more settings of Sphinx."""
    flags = ["-W", "--keep-going", "-E", "-q", "-c", str(source / "docs")]
    command = [sys.executable, "-m", "sphinx", *flags, "-d", str(out.parent / "work"), *settings]
    return subprocess.run([*command, str(source), str(out)], capture_output=True, text=True)
