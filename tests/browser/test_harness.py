"""The harness: it finds a browser or reports that there is none, and it can fail."""

import json
import os
import sys
import urllib.error
from pathlib import Path

import harness
import nbformat
import pytest


def notebook(path: Path, *sources: str) -> Path:
    """Write a small notebook and return its path."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a machine without a browser: an empty PATH to put programs on."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path) -> Path:
    path = path.with_suffix(".exe") if os.name == "nt" else path
    path.write_text("")
    path.chmod(0o755)
    return path


def test_the_browser_is_searched_in_a_fixed_order(machine, monkeypatch):
    fresh, own = machine / "fresh", machine / "own"
    assert harness.find_chromium(own, lambda: None) is None
    assert harness.find_chromium(own, lambda: fresh) == fresh
    own.write_text("")
    assert harness.find_chromium(own, lambda: fresh) == own
    chrome = program(machine / "google-chrome")
    assert str(harness.find_chromium(own, lambda: fresh)).lower() == str(chrome).lower()
    chromium = program(machine / "chromium")
    assert str(harness.find_chromium(own, lambda: fresh)).lower() == str(chromium).lower()
    monkeypatch.setenv("CHROMIUM", "named")
    assert harness.find_chromium(own, lambda: fresh) == Path("named")


@pytest.mark.parametrize("ci", ["true", "1"])
def test_no_browser_is_a_failure_in_ci(ci):
    with pytest.raises(pytest.fail.Exception, match="no Chromium: name one in .CHROMIUM"):
        harness.give_up({"CI": ci})


@pytest.mark.parametrize("environ", [{}, {"CI": ""}])
def test_no_browser_is_a_skip_elsewhere(environ):
    with pytest.raises(pytest.skip.Exception, match="playwright install chromium"):
        harness.give_up(environ)


def commands(monkeypatch, works: set[str]) -> list[str]:
    """Replace the commands that install a browser; return the list of those that were run."""
    ran = []

    def run(command, **_):
        text = " ".join(map(str, command)).replace(sys.executable, "python")
        ran.append(text)
        return harness.subprocess.CompletedProcess(command, 0 if text in works else 1)

    monkeypatch.setattr(harness.subprocess, "run", run)
    return ran


def test_root_on_debian_installs_by_apt_get(machine, monkeypatch, capfd):
    apt, update = "apt-get install -y --no-install-recommends chromium", "apt-get update"
    program(machine / "apt-get")
    program(machine / "chromium")
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    ran = commands(monkeypatch, {apt})
    assert harness.install_chromium(machine / "own").stem == "chromium"
    assert ran == [apt]
    ran = commands(monkeypatch, set())
    assert harness.install_chromium(machine / "own") is None
    assert ran == [apt, update, apt, "python -m playwright install chromium"]


def test_others_install_by_playwright(machine, monkeypatch):
    program(machine / "apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    ran = commands(monkeypatch, set())
    (machine / "own").write_text("")
    assert harness.install_chromium(machine / "own") == machine / "own"
    assert ran == ["python -m playwright install chromium"]


def test_a_parameter_is_replaced_and_the_rest_is_kept():
    source = 'epochs: int = 25  # how many, é\narch: str = "alexnet"  # which'
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("epochs = 1"), cell])
    harness.with_parameters(book, {"epochs": 2, "arch": "vgg16"})
    assert cell.source == "epochs: int = 2  # how many, é\narch: str = 'vgg16'  # which"
    assert book.cells[0].source == "epochs = 1"
    with pytest.raises(ValueError, match="tagged parameters has no lr, seed"):
        harness.with_parameters(book, {"seed": 1, "lr": 1, "epochs": 3})


@pytest.mark.parametrize(
    ("url", "outside"),
    [
        ("http://127.0.0.1:8888/lab", False),
        ("http://localhost:8888/lab", False),
        ("ws://127.0.0.1:8888/api", False),
        ("data:image/png;base64,AAAA", False),
        ("blob:http://127.0.0.1:8888/1", False),
        ("file:///index.html", False),
        ("https://example.org/", True),
        ("http://127.0.0.1.example.org/", True),
        ("http://localhost.example.org/", True),
        ("wss://example.org/", True),
        ("http://10.0.0.1/", True),
    ],
)
def test_what_counts_as_another_host(url, outside):
    assert bool(harness.OUTSIDE.match(url)) == outside


def test_axe_finds_an_input_without_a_label(page):
    page.set_content(
        "<html lang=en><title>t</title><main><h1>t</h1><input id=bad>"
        "<label>Name <input id=good></label><div id=ours>ours</div></main>"
    )
    (found,) = harness.axe(page)
    assert found.startswith("critical label at ['#bad']: <input id=\"bad\">")
    assert harness.axe(page, include=["#ours", "#good"]) == []
    assert harness.axe(page, exclude={"#bad": "an example"}) == []
    with pytest.raises(Exception, match="No elements found for include"):
        harness.axe(page, include=["#nowhere"])


def test_a_request_to_another_host_is_stopped_and_told(page, watch):
    page.set_content("<img src='https://example.org/spy.png'>")
    page.wait_for_function("document.images[0].complete")
    assert page.evaluate("document.images[0].naturalWidth") == 0
    assert watch.outside == ["https://example.org/spy.png"]
    with pytest.raises(
        AssertionError, match=r"requests to other hosts: \['https://example.org/spy"
    ):
        watch.check()


def test_a_web_socket_to_another_host_is_told(page, watch):
    page.evaluate("new WebSocket('wss://example.org/spy')")
    page.wait_for_timeout(200)
    assert watch.outside == ["wss://example.org/spy"]


def test_the_badges_alone_are_tolerated(page, watch):
    page.set_content("".join(f"<img src='{url}'>" for url in harness.BADGES))
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.wait_for_timeout(200)
    watch.check()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('a bad thing')", "a bad thing"),
        ("setTimeout(() => { throw new Error('thrown') })", "uncaught: .*thrown"),
        ("setTimeout(() => Promise.reject(new Error('rejected')))", "uncaught: .*rejected"),
    ],
)
def test_an_error_on_the_console_is_told(page, watch, script, said):
    page.evaluate("console.warn('only a warning'); console.log('a line')")
    watch.check()
    page.evaluate(f"void {script}")
    page.wait_for_timeout(200)
    with pytest.raises(AssertionError, match=f"errors on the console:\n{said}"):
        watch.check()


def test_a_cell_that_raises_is_told(open_lesson, tmp_path):
    path = notebook(tmp_path / "raises.ipynb", "x = 1", "raise KeyError('no such ant')", "x")
    with pytest.raises(harness.CellError, match="cell 2: KeyError: 'no such ant'"):
        open_lesson(path)


def test_a_kernel_that_dies_is_told(open_lesson, tmp_path):
    path = notebook(tmp_path / "dies.ipynb", "import os", "os._exit(1)")
    with pytest.raises(harness.CellError):
        open_lesson(path)


class Restarting(harness.Lab):
    """A server with one session, which it does not end for a while."""

    def __init__(self, failures: int):
        super().__init__(Path(), 0, None, 0.0)
        self.failures, self.sessions = failures, [{"id": "one"}]

    def api(self, path, method="GET"):
        if method == "GET":
            return list(self.sessions)
        if self.failures:
            self.failures -= 1
            raise urllib.error.HTTPError(path, 500, "Internal Server Error", None, None)
        self.sessions.clear()


def test_a_kernel_that_restarts_is_ended_when_the_server_lets_it():
    lab = Restarting(2)
    lab.stop_kernels()
    assert not lab.sessions and lab.failures == 0


def test_a_server_that_never_ends_a_kernel_is_told():
    with pytest.raises(urllib.error.HTTPError):
        Restarting(10**6).stop_kernels(timeout_s=0)


def test_the_kernel_is_this_python_and_the_lesson_is_offline(open_lesson, lessons_cache, tmp_path):
    source = (
        "import os, sys, json\nfrom pathlib import Path\nimport tutorial_utils\n"
        "names = ['TUTORIAL_OFFLINE', 'ANTS_BEES_CACHE', 'ANTS_BEES_DIR']\n"
        "package = Path(tutorial_utils.__file__).parent.parent\n"
        "print(json.dumps([sys.prefix, str(package), *map(os.environ.get, names)]))"
    )
    lesson = open_lesson(notebook(tmp_path / "where.ipynb", source))
    (output,) = lesson.book().cells[0].outputs
    assert json.loads(output.text) == [
        sys.prefix,
        str(harness.ROOT),
        "1",
        str(lessons_cache),
        None,
    ]


@pytest.mark.lessons
def test_a_lesson_runs_with_the_parameters_given(open_lesson, page):
    lesson = open_lesson("00_start_here", source="synthetic", seed=3)
    cells = lesson.book().cells
    (parameters,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert "seed: int = 3" in parameters.source and "source: str = 'synthetic'" in parameters.source
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")
    image = harness.screenshot(page, "00_start_here")
    assert image.read_bytes().startswith(b"\x89PNG")
    assert harness.axe(page, include=harness.OURS) == []
