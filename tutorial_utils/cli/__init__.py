"""The command line: `python -m tutorial_utils COMMAND`."""
