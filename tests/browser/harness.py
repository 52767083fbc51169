"""A real JupyterLab in a real browser: the server, a lesson's page, its requests, axe.

The fixtures that use this are in conftest.py.

Sources: Playwright, https://playwright.dev/python; axe-core, https://github.com/dequelabs/axe-core
"""

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

ROOT = Path(__file__).resolve().parent.parent.parent
SHOTS = ROOT / "build" / "browser"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]
OUTSIDE = re.compile(r"^(?!data:|blob:|about:|file:|(?:http|ws)://(?:127\.0\.0\.1|localhost)[:/])")
# The badges in every lesson's first cell: images from elsewhere, and the only ones.
BADGES = (
    "https://mybinder.org/badge_logo.svg",
    "https://colab.research.google.com/assets/colab-badge.svg",
)
OURS = (".jp-OutputArea-output", ".jp-RenderedMarkdown")  # in JupyterLab: outputs and prose
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # else late cells are not in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


class CellError(AssertionError):
    """A cell of the notebook raised."""


def find_chromium(own: Path | None, install: Callable[[], Path | None]) -> Path | None:
    """Return a Chromium: the one in $CHROMIUM, on the path, Playwright's, or a fresh one.

    Args:
        own: path of Playwright's own Chromium.
        install: called last; returns what it installed, or None.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        return Path(named)
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found:
        return Path(found)
    if own and own.exists():
        return own
    return install()


def install_chromium(own: Path) -> Path | None:
    """Install a Chromium by apt-get where that is possible, else by Playwright; None if neither."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("no Chromium found: apt-get install -y chromium", file=sys.__stderr__)
        environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["install"], ["update"], ["install"]):
            more = ["-y", "--no-install-recommends", "chromium"] if command == ["install"] else []
            done = subprocess.run(
                ["apt-get", *command, *more], env=environ, capture_output=True, timeout=600
            )
            if command == ["install"] and done.returncode == 0:
                return Path(shutil.which("chromium"))
    print("no Chromium found: python -m playwright install chromium", file=sys.__stderr__)
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    subprocess.run(command, capture_output=True, timeout=600)
    return own if own.exists() else None


def give_up(environ: Mapping[str, str]) -> NoReturn:
    """End a test that has no browser: fail in CI, where one must be; skip elsewhere."""
    reason = (
        "no Chromium: name one in $CHROMIUM, install one, or run "
        "`python -m playwright install chromium`"
    )
    if environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass
class Lab:
    """A JupyterLab server on this machine, and the folder that it serves."""

    folder: Path
    port: int
    process: subprocess.Popen
    started_s: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def notebooks(self) -> Path:
        return self.folder / "notebooks"

    def api(self, path: str, method: str = "GET"):
        """Send a request to the server; return its JSON reply, None for an empty one."""
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or "null")

    def stop_kernels(self, timeout_s: float = 60) -> None:
        """End all kernels: a lesson holds up to 2 GB.

        While the server restarts a kernel that has died, it returns an error; this tries again.

        Raises:
            urllib.error.HTTPError: if the server still returns an error after `timeout_s`.
        """
        end = time.perf_counter() + timeout_s
        while sessions := self.api("sessions"):
            for session in sessions:
                try:
                    self.api(f"sessions/{session['id']}", "DELETE")
                except urllib.error.HTTPError:
                    if time.perf_counter() > end:
                        raise
                    time.sleep(0.5)

    def stop(self) -> None:
        """End the server with its kernels."""
        try:
            self.stop_kernels()
        finally:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)


def start_lab(base: Path, cache: Path) -> Lab:
    """Start JupyterLab on a free port, with folders of its own under `base`.

    Args:
        base: an empty folder.
        cache: the cache that all lessons share.
    """
    served, log = base / "served", base / "server.log"
    (served / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "images", served / "images")
    for name, values in SETTINGS.items():
        path = base / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    start, port = time.perf_counter(), _free_port()
    flags = [
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token="),
        *("--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *flags],
            cwd=served,
            env=_environ(base, cache),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    lab = Lab(served, port, process, 0.0)
    while True:
        try:
            lab.api("status")
            break
        except OSError:
            if process.poll() is not None or time.perf_counter() - start > 90:
                process.kill()
                said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
                raise RuntimeError(f"JupyterLab did not start:\n{said}") from None
            time.sleep(0.2)
    lab.started_s = time.perf_counter() - start
    return lab


def _environ(base: Path, cache: Path) -> dict:
    """Return the server's environment: nothing of the user's, and the kernel is this Python."""
    kernel = base / "data" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3 (ipykernel)", "language": "python"}
    kernel.write_text(json.dumps(spec), encoding="utf-8")
    environ = {k: v for k, v in os.environ.items() if k not in {"ANTS_BEES_DIR", "MPLBACKEND"}}
    paths = [str(ROOT), environ.get("PYTHONPATH", "")]
    return environ | {
        "JUPYTER_PATH": str(base / "data"),
        "JUPYTER_CONFIG_DIR": str(base / "config"),
        "JUPYTER_DATA_DIR": str(base / "user-data"),
        "JUPYTER_RUNTIME_DIR": str(base / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        "IPYTHONDIR": str(base / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "TUTORIAL_OFFLINE": "1",
        "ANTS_BEES_CACHE": str(cache),
        "TORCH_HOME": str(cache / "torch"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Watch:
    """Faults of a page: errors on the console, requests to other hosts."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def follow(self, context: BrowserContext) -> None:
        """Record what the context's pages do from now on, and block requests to other hosts."""
        context.route(OUTSIDE, lambda route: route.abort())
        context.on("request", lambda request: self._requested(request.url))
        context.on("console", self._console)
        context.on("weberror", lambda error: self.errors.append(f"uncaught: {error.error}"))
        context.on("page", lambda page: page.on("websocket", lambda ws: self._requested(ws.url)))

    def _requested(self, url: str) -> None:
        if OUTSIDE.match(url) and url not in BADGES:
            self.outside.append(url)

    def _console(self, message) -> None:
        url = message.location.get("url", "")
        if message.type == "error" and url not in BADGES:
            self.errors.append(f"{message.text} ({url})")

    def check(self) -> None:
        """Raise an AssertionError if there was anything."""
        assert not self.outside, f"requests to other hosts: {self.outside}"
        assert not self.errors, "errors on the console:\n" + "\n".join(self.errors)


@dataclass
class Lesson:
    """A notebook that is open in the browser, all its cells run."""

    page: Page
    watch: Watch
    seconds: float

    def book(self) -> nbformat.NotebookNode:
        """Return the notebook as it is in the browser now, outputs included."""
        return nbformat.from_dict(self.page.evaluate(BOOK))

    def run_all(self, timeout_s: float = 600) -> None:
        """Run all cells and wait for the last.

        Raises:
            CellError: if a cell raises, with its number, counted from 1, and its error.
        """
        self.page.evaluate(RUN_ALL)
        self.page.wait_for_function("window.lessonRan !== undefined", timeout=timeout_s * 1000)
        ran = self.page.evaluate("window.lessonRan")
        for number, cell in enumerate(self.book().cells, start=1):
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    raise CellError(f"cell {number}: {output['ename']}: {output['evalue']}")
        if ran is not True:
            raise CellError(f"running all cells ended with {ran!r}")


BOOK = "() => window.jupyterapp.shell.currentWidget.content.model.toJSON()"
RUN_ALL = """() => {
  window.lessonRan = undefined;
  window.jupyterapp.commands.execute('notebook:run-all-cells').then(
    ran => { window.lessonRan = ran; }, error => { window.lessonRan = String(error); });
}"""


def open_notebook(lab: Lab, page: Page, watch: Watch, name: str) -> Lesson:
    """Open a notebook of the served folder and run all its cells."""
    start = time.perf_counter()
    page.goto(f"{lab.url}/lab/tree/notebooks/{name}?reset")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
    lesson = Lesson(page, watch, 0.0)
    lesson.run_all()
    lesson.seconds = time.perf_counter() - start
    return lesson


def with_parameters(book: nbformat.NotebookNode, parameters: dict) -> nbformat.NotebookNode:
    """Replace values in the cell tagged `parameters`; the rest stays as it is.

    Raises:
        ValueError: if the cell has no such parameter.
    """
    tagged = [c for c in book.cells if "parameters" in c.metadata.get("tags", [])]
    missing = set(parameters)
    for cell in tagged[:1]:
        lines = cell.source.splitlines()
        for statement in ast.parse(cell.source).body:
            name = getattr(getattr(statement, "target", None), "id", None)
            if name in parameters:
                number = statement.value.lineno - 1
                line, value = lines[number].encode(), statement.value
                before, after = line[: value.col_offset], line[value.end_col_offset :]
                lines[number] = (before + repr(parameters[name]).encode() + after).decode()
                missing.discard(name)
        cell.source = "\n".join(lines)
    if missing:
        raise ValueError(f"the cell tagged parameters has no {', '.join(sorted(missing))}")
    return book


def screenshot(page: Page, name: str) -> Path:
    """Store an image of the page in build/browser."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path


def axe(
    page: Page,
    html: Path | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
) -> list[str]:
    """Return axe's serious and critical findings, one line each: impact, rule, selector, element.

    Args:
        page: what is open in the browser.
        html: a page to open first.
        include: selectors of what is ours; all of the page if there are none. One that finds
            nothing is an error.
        exclude: selectors of what is not ours, each with the reason.
        without: rules of axe that are not tried.
    """
    if html:
        page.goto(html.resolve().as_uri())
    sides = {"include": include, "exclude": exclude or ()}
    context = {side: [[selector] for selector in found] for side, found in sides.items() if found}
    rules = {rule: {"enabled": False} for rule in without}
    # The elements of other results cost time, and a page from disk may not read its styles.
    options = {"resultTypes": ["violations"], "rules": rules, "preload": page.url[:5] != "file:"}
    return [
        f"{rule['impact']} {rule['id']} at {node['target']}: {node['html'][:200]}"
        for rule in Axe().run(page, context=context, options=options).response["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def start_chromium(playwright: Playwright, path: Path) -> Browser:
    """Start a headless Chromium."""
    return playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
