"""`python -m tutorial_utils COMMAND` runs the command line, see `cli`."""

from tutorial_utils.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
