"""The command line: `python -m tutorial_utils COMMAND`; --help lists the commands."""

import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path

from tutorial_utils._support import files
from tutorial_utils.cli import commands
from tutorial_utils.cli.parser import make_parser

# A user can cause these. Of the RuntimeErrors one is meant: Python's assertions are off.
EXPECTED = (OSError, ValueError, MemoryError, RuntimeError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 for a failure, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):  # a name may have letters that the terminal lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.run is None and options.kit is None:
        parser.error("name a COMMAND")
    try:
        if options.kit is not None:
            commands.use_kit(options)
        code = options.run(options) if options.run else 0
        sys.stdout.flush()
        return code
    except EXPECTED as error:
        if isinstance(error, BrokenPipeError) and _reader_has_left():
            return 1
        print(f"error: {_text(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was finished is saved", file=sys.stderr)
        return 130


def _text(error: Exception) -> str:
    """Return an error's text; an error of the system names the file."""
    if isinstance(error, OSError) and error.errno is not None:
        return str(files.named(error, Path())) if error.filename else str(error.strerror)
    return str(error) or type(error).__name__


def _reader_has_left() -> bool:
    """Return whether the output's reader has ended, as `head` does; discard output from then."""
    try:
        descriptor, poll = sys.stdout.fileno(), select.poll()
    except (AttributeError, OSError):  # on Windows; an output that is no file
        return False
    poll.register(descriptor, 0)  # poll reports errors whatever is registered
    if left := bool(poll.poll(0)):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return left
