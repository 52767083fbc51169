"""Faults that users cause on the command line: each ends in one clear line, none in a traceback."""

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas
import pytest
from tiny_notebooks import PARAMETERS, REPORT, pretend_to_run, write

from tutorial_utils import synthetic
from tutorial_utils._support import files
from tutorial_utils.batch import lessons, runner, sweeps, workers
from tutorial_utils.cli import commands
from tutorial_utils.cli.main import main

# What a user may name where something else is needed; {} is a folder with all of it.
PATHS = {
    "nothing": "{}/nothing",
    "file": "{}/file",
    "below a file": "{}/file/below",
    "folder": "{}/folder",
    "pipe": "{}/pipe",
    "link to nothing": "{}/link",
    "loop": "{}/loop",
    "long name": "{}/" + "n" * 300,
    "long path": "{}/" + "/".join(["n" * 200] * 30),
    "other letters": "{}/蟻 🐜",
    "new line": "{}/a\nb",
    "no letters": "{}/\udcff",
    "device": "/dev/null",
    "empty": "",
    "no user": "~nobody-has-this-name/x",
}


windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.fixture
def paths(tmp_path, monkeypatch) -> Path:
    """Return a folder with one of each; the tests run in another one."""
    made = tmp_path / "paths"
    (made / "folder").mkdir(parents=True)
    (made / "file").write_text("my notes")
    os.mkfifo(made / "pipe")
    (made / "link").symlink_to("nothing there")
    (made / "loop").symlink_to("loop")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Start no kernel and draw two images."""
    write_set = synthetic.write
    few = {"train": {"ants": 1, "bees": 1}, "val": {"ants": 1, "bees": 1}}
    monkeypatch.setattr(runner, "run_papermill", pretend_to_run)
    monkeypatch.setattr(workers, "Processes", ThreadPoolExecutor)
    monkeypatch.setattr(sweeps, "_package_code", lambda: "the package's code")
    monkeypatch.setattr(lessons, "to_html", lambda path: None)
    monkeypatch.setattr(synthetic, "write", lambda to, **more: write_set(to, **few, **more))


@pytest.fixture
def course(tmp_path) -> Path:
    """Return a folder of two lessons."""
    (tmp_path / "course").mkdir()
    for name in ("00_a", "01_b"):
        write(tmp_path / "course" / f"{name}.ipynb", PARAMETERS, REPORT)
    return tmp_path / "course"


def code_of(words: list[str]) -> int:
    """Return the exit code of a command, wrong usage included."""
    try:
        return main(words)
    except SystemExit as error:
        return error.code


COMMANDS = {
    "lessons --folder": ["lessons", "--folder", "PATH"],
    "lessons --out": ["lessons", "--folder", "COURSE", "--out", "PATH"],
    "lessons --in-place": ["lessons", "--in-place", "--folder", "PATH"],
    "sweep": ["sweep", "PATH", "--out", "new"],
    "sweep --out": ["sweep", "COURSE/00_a.ipynb", "-p", "number=1", "--out", "PATH"],
    "draw": ["draw", "PATH"],
    "kit --folder": ["kit", "new.zip", "--folder", "PATH"],
    "use a kit": ["--kit", "PATH", "lessons"],
    "predict": ["predict", "PATH", "x.png"],
    "mark": ["mark", "PATH", "--out", "new.csv", "--folder", "COURSE"],
    "mark --folder": ["mark", "COURSE", "--out", "new.csv", "--folder", "PATH"],
    "progress": ["progress", "--folder", "PATH"],
}
# Paths that a command takes: it makes what is not there.
MADE = ["nothing", "folder", "other letters", "new line", "no letters", "no user"]
TAKES = {"lessons --out": MADE, "sweep --out": MADE, "draw": MADE}


@windows
@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_does_not_fit_is_named(command, kind, paths, course, capsys):
    path = PATHS[kind].format(paths)
    words = [w.replace("COURSE", str(course)).replace("PATH", path) for w in COMMANDS[command]]
    code = code_of(words)
    printed = capsys.readouterr()
    if kind in TAKES.get(command, []):
        assert (code, printed.err.count("error")) == (0, 0), printed.err
        return
    assert code == (2 if kind == "empty" else 1)
    last = printed.err.strip().splitlines()[-1]
    assert "error: " in last or "error: " in printed.err
    assert "[Errno" not in printed.err and "Traceback" not in printed.err
    name = path.encode(errors="backslashreplace").decode().split("\n")[0]
    assert "an empty path was given" in last if kind == "empty" else name in printed.err


@windows
@pytest.mark.parametrize("kind", [kind for kind in PATHS if kind not in ("empty", "no user")])
def test_a_cache_that_cannot_be_used_is_named(kind, paths, capsys, monkeypatch):
    path = PATHS[kind].format(paths)
    monkeypatch.setenv("ANTS_BEES_CACHE", path)
    code = code_of(["cache"])
    printed = capsys.readouterr()
    assert code in (0, 1) and "[Errno" not in printed.err
    assert code == 0 or printed.err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lessons -p epochs", "-p takes NAME=VALUE, not 'epochs'"),
        ("lessons -p =3", "-p takes NAME=VALUE, not '=3'"),
        ("lessons -p name=\udcff", "is no text in UTF-8, so no notebook can hold it"),
        ("lessons --only 99", "no lesson's name starts with '99'; there are 00_a, 01_b"),
        ("lessons --timeout 0", "--timeout must be a number of seconds above 0"),
        ("lessons --timeout nan", "--timeout must be a number of seconds above 0"),
        ("lessons --cell-timeout inf", "--cell-timeout must be a number of seconds above 0"),
        ("lessons --in-place -p number=1", "--in-place takes no -p"),
        ("sweep --cell-timeout -1", "--cell-timeout must be a number of seconds above 0"),
        ("sweep -p numbr=1", "00_a.ipynb has no parameter numbr"),
        ("sweep -p number=", "cannot read the values ''"),
        ("sweep -p number=4..0", "the range 4..0 goes down; write 0..4"),
        ("sweep -p number=0..999999999", "the range 0..999999999 has more than 100000 values"),
        ("sweep -p number=1,1", "number has the value 1 twice"),
        ("sweep -p number=1 -p number=2", "-p number is given twice"),
        ("sweep -p number=0..999 -p wait_s=0..999", "the grid has more than 100000 combinations"),
        ("sweep -p name=\udcff", "is no text in UTF-8"),
    ],
)
def test_a_value_that_does_not_fit_is_named(words, message, course, tmp_path, capsys):
    command, *more = words.split(" ")
    source = ["--folder", str(course)] if command == "lessons" else [str(course / "00_a.ipynb")]
    out = [] if "--in-place" in words else ["--out", str(tmp_path / "out")]
    assert main([command, *source, *out, *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lessons --timeout long", "invalid float value: 'long'"),
        ("sweep x --out y --jobs 0", "must be a whole number from 1"),
        (f"sweep x --out y --jobs {'9' * 5000}", "must be a whole number from 1 to 999999999"),
        ("sweep x --out y --jobs \u0663x", "must be a whole number from 1"),
        ("sweep x", "the following arguments are required: --out"),
        ("draw x --seed one", "invalid int value: 'one'"),
        ("\udcff", "invalid choice"),
        ("lessons --蟻", "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_named(words, message, capsys):
    assert code_of(words.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("value", ["2024", "007", "1e3", 'say "hi"', "", "True"])
def test_a_text_that_looks_like_a_number_is_given_in_quotes(value, course, tmp_path, monkeypatch):
    given = []

    def run(notebook, target, parameters, limits):
        given.append(parameters)
        return pretend_to_run(notebook, target, {}, limits)

    monkeypatch.setattr(runner, "run_papermill", run)
    quoted = value.replace('"', '""')
    words = ["lessons", "--folder", str(course), "--out", str(tmp_path / "out")]
    assert main([*words, "-p", f'name="{quoted}"']) == 0
    assert given == [{"name": value}] * 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
@pytest.mark.parametrize("command", ["lessons", "sweep", "draw", "cache", "a wrong command"])
def test_letters_that_the_terminal_lacks_are_written_in_another_way(
    command, encoding, tmp_path, course, monkeypatch
):
    path = tmp_path / "蟻"
    path.mkdir()
    monkeypatch.setenv("ANTS_BEES_CACHE", str(path))
    (path / "features-蟻").mkdir()
    words = {
        "lessons": ["lessons", "--folder", str(course), "--out", str(path), "-p", "name=蟻"],
        "sweep": ["sweep", str(course / "00_a.ipynb"), "--out", str(path), "-p", "name=蟻,é"],
        "draw": ["draw", str(path / "new")],
        "cache": ["cache"],
        "a wrong command": ["蟻"],
    }[command]
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    for name, stream in zip(("stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
    code = code_of(words)
    texts = [(stream.flush(), stream.buffer.getvalue().decode(encoding))[1] for stream in streams]
    monkeypatch.undo()
    assert code == (2 if command == "a wrong command" else 0), texts
    assert "\\u87fb" in "".join(texts)


@windows
@pytest.mark.parametrize("command", ["lessons", "sweep", "cache", "draw"])
def test_a_reader_that_has_left_is_no_error(command, course, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "out")
    words = {
        "lessons": ["lessons", "--folder", str(course), "--out", out],
        "sweep": ["sweep", str(course / "00_a.ipynb"), "--out", out, "-p", "number=1"],
        "draw": ["draw", out],
        "cache": ["cache"],
    }[command]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(words) == 1
        monkeypatch.undo()
    assert "Traceback" not in capsys.readouterr().err
    if command == "lessons":
        table = pandas.read_csv(tmp_path / "out" / "results.csv")
        assert set(table["status"]) == {"ok"}, "what was run is in the table"


@pytest.mark.parametrize("command", ["doctor", "fetch", "draw x", "cache", "kit x.zip", "lessons"])
def test_ctrl_c_ends_every_command_alike(command, monkeypatch, capsys):
    def stop(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, command.split()[0], stop)
    assert main(command.split()) == 130
    assert capsys.readouterr().err == "stopped; what was finished is saved\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "x.csv"), "x.csv cannot be read or wri"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("the disk of x is full"), "the disk of x is full"),
        (MemoryError(), "MemoryError"),
        (ValueError(""), "ValueError"),
        (RuntimeError("no assertions"), "no assertions"),
    ],
)
def test_an_error_is_one_line_without_a_bare_number(error, text, monkeypatch, capsys):
    def fails(options):
        raise error

    monkeypatch.setattr(commands, "cache", fails)
    assert main(["cache"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {text}") and printed.count("\n") == 1
    assert "[Errno" not in printed


def test_files_are_named_by_one_function():
    assert str(files.named(OSError(28, "x", "a"), Path())).startswith("a cannot be read or written")
