"""The process that marks one lesson: it runs the set-up once, then each answer in a fork of itself.

`python -m tutorial_utils.batch.marking_process JOB.json` prints JSON lines: which answer it begins,
and its outcome. The verdict is computed by a copy of the checks that was loaded before any answer
ran, and is removed from `sys.modules` while one runs. Output of answers is discarded. That stops
slips and simple tricks; it is no protection from code that means harm.

Sources:
    fork after OpenMP, why answers run on one thread:
    https://docs.pytorch.org/docs/stable/notes/multiprocessing.html
    audit hooks: https://peps.python.org/pep-0578/
"""

import ast
import contextlib
import ctypes
import json
import os
import secrets
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from tutorial_utils.batch import code_names
from tutorial_utils.batch.submissions import Exercise

CHECKS = "tutorial_utils.checks"
GUARDED = ("builtins", "math", "torch", "torch.nn.functional", "numpy", "random", "statistics")
LONGEST_TEXT = 1000
LARGEST_FILE_BYTES = 500 * 10**6
STATES = {"open": "open", "wrong": "wrong", "correct": "right"}  # by the state of a verdict
PR_SET_PDEATHSIG = 1  # prctl(2): the signal that a process gets when its parent ends
PLAIN = (bool, int, float, str)

Outcome = tuple[str, str]  # the state and its reason


class Child(NamedTuple):
    """A forked process that runs one answer."""

    submission: int
    pid: int
    pipe: int
    token: bytes  # the line with the outcome begins with it
    ends: float
    received: bytearray


def main(path: str) -> None:
    """Mark the answers of a job, see `marking.run_job`, and print the outcomes."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    threading.Thread(target=_end_with_parent, args=(os.dup(0),), daemon=True).start()
    with open(os.devnull, "r+b") as devnull:
        for descriptor in (0, 1):
            os.dup2(devnull.fileno(), descriptor)

    def report(**line: Any) -> None:
        print(json.dumps(line), file=out, flush=True)

    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    os.unlink(path)  # an answer must not read the others
    sys.addaudithook(_forbid_network)
    private, namespace = _take_checks(), _make_namespace()
    exercises = [Exercise(*values) for values in job["exercises"]]
    plan, ran = _plan(job, exercises), 0
    for exercise in exercises:
        todo = [submission for submission, number in job["todo"] if number == exercise.number]
        if not todo:
            continue
        for index in range(ran, exercise.stub):
            if index in plan and (problem := _run_cell(job["cells"][index], index, namespace)):
                return report(failed=problem)
        ran = exercise.stub
        check = _Check(exercise, job["cells"][exercise.call], private, namespace)
        run = _fork_each if job["fork"] else _run_each

        def begin(submission: int, number: int = exercise.number) -> None:
            report(submission=submission, exercise=number)

        answers = {index: job["answers"][index][str(exercise.number)] for index in todo}
        for submission, outcome in run(answers, check, job, begin):
            report(submission=submission, exercise=exercise.number, outcome=outcome)
    report(finished=True)


def _end_with_parent(stdin: int) -> None:
    """Wait until the process that holds the other end of `stdin` ends, and end this one."""
    os.read(stdin, 1)
    os._exit(1)


class _Check:
    """One exercise's check, made before answers run."""

    def __init__(
        self, exercise: Exercise, call: str, private: dict[str, ModuleType], namespace: dict
    ) -> None:
        self.exercise, self.private, self.namespace = exercise, private, namespace
        holders = [m for m in private.values() if exercise.check in getattr(m, "__all__", ())]
        checks = SimpleNamespace(**{exercise.check: vars(holders[0])[exercise.check]})
        self.given = dict(namespace) | {"checks": checks}
        self.modules = {name: sys.modules[name] for name in GUARDED if name in sys.modules}
        self.modules |= {n: m for n, m in sys.modules.items() if n.startswith("tutorial_utils")}
        self.contents = {name: dict(vars(module)) for name, module in self.modules.items()}
        self.paths = sys.path[:], sys.meta_path[:], sys.path_hooks[:]
        names = code_names.names_in(call).used - {"checks"}
        functions = {name for name in names if callable(self.given.get(name))}
        self.taken = names - functions if exercise.measured else {*exercise.answers}
        self.taken |= {*exercise.answers}
        body = [node for node in code_names.parse(call).body if not _imports_checks(node)]
        self.before = compile(ast.Module(body[:-1], []), "<check>", "exec")
        self.verdict = compile(ast.Expression(body[-1].value), "<check>", "eval")

    def outcome(self, cells: list[str]) -> Outcome:
        """Run an answer and its check in this process."""
        try:
            self._hide_checks()
            for source in cells:
                exec(compile(code_names.parse(source), "<answer>", "exec"), self.namespace)
            self._restore_modules()
            given = dict(self.given)
            for name in self.taken & self.namespace.keys():
                given[name] = _plain(self.namespace[name])
            for name in {*self.exercise.answers} - self.namespace.keys():
                given.pop(name, None)
            exec(self.before, given)
            verdict = eval(self.verdict, given)
            if type(verdict) is not self.private[CHECKS].Verdict:
                return "error", "the check gave no verdict"
            return STATES[verdict.state], _short(verdict.text)
        except BaseException as error:  # SystemExit too
            return "error", _describe(error)

    def _hide_checks(self) -> None:
        """Let answers import other copies of the checks."""
        for name in [n for n in sys.modules if n == CHECKS or n.startswith(f"{CHECKS}.")]:
            del sys.modules[name]
        package = sys.modules["tutorial_utils"]
        if hasattr(package, "checks"):
            delattr(package, "checks")
        if "checks" in self.namespace:
            import tutorial_utils.checks as copy

            self.namespace["checks"] = copy

    def _restore_modules(self) -> None:
        sys.path[:], sys.meta_path[:], sys.path_hooks[:] = self.paths
        for name, content in self.contents.items():
            sys.modules[name] = self.modules[name]
            vars(self.modules[name]).update(content)
        sys.modules.update(self.private)


def _take_checks() -> dict[str, ModuleType]:
    """Load all checks and remove them from where answers could find them."""
    import numpy  # noqa: F401 guarded, so loaded before answers are
    import torch  # noqa: F401

    from tutorial_utils import checks

    checks.names()
    return {name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith(CHECKS)}


def _make_namespace() -> dict[str, Any]:
    """Return the globals of a new module `__main__`, with IPython's functions."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    sys.modules["__main__"] = module = ModuleType("__main__")
    shell = InteractiveShell.instance(
        config=Config({"HistoryManager": {"enabled": False}}), user_module=module
    )
    leave = {"exit": sys.exit, "quit": sys.exit}
    vars(module).update(leave, __builtins__=__builtins__, get_ipython=lambda: shell)
    return vars(module)


def _plan(job: dict[str, Any], exercises: list[Exercise]) -> set[int]:
    """Return the indices of the lesson's cells that the answers and their checks need."""
    found: set[int] = set()
    for exercise in exercises:
        number = exercise.number
        todo = [index for index, which in job["todo"] if which == number]
        if not todo:
            continue
        cells = [cell for index in todo for cell in job["answers"][index][str(number)]]
        names = filter(None, map(code_names.names_in, [*cells, job["cells"][exercise.call]]))
        used = frozenset().union(*(one.used for one in names)) - {"checks"}
        found.update(code_names.needed_cells(job["cells"][: exercise.stub], used))
    return found


def _run_cell(source: str, index: int, namespace: dict[str, Any]) -> str:
    """Run a cell of the lesson and return what went wrong, or ""."""
    try:
        exec(compile(code_names.parse(source), f"<code cell {index + 1}>", "exec"), namespace)
    except BaseException as error:
        return f"the lesson's own code cell {index + 1} failed: {_describe(error)}"
    return ""


def _run_each(
    answers: dict[int, list[str]], check: _Check, job: dict[str, Any], begin: Callable[[int], None]
) -> Iterator[tuple[int, Outcome]]:
    """Run answers in this process, where the system has no safe fork."""
    for submission, cells in answers.items():
        begin(submission)
        yield submission, check.outcome(cells)
        check.namespace.clear()
        check.namespace.update({k: v for k, v in check.given.items() if k != "checks"})


def _fork_each(
    answers: dict[int, list[str]], check: _Check, job: dict[str, Any], begin: Callable[[int], None]
) -> Iterator[tuple[int, Outcome]]:
    """Run answers in forks, `jobs` at a time, and yield their outcomes as they come."""
    waiting, running = list(answers), []
    while waiting or running:
        while waiting and len(running) < job["jobs"]:
            submission = waiting.pop(0)
            begin(submission)
            running.append(_start(submission, answers[submission], check, job))
        ready, _, _ = select.select([child.pipe for child in running], [], [], 0.05)
        for child in list(running):
            data = os.read(child.pipe, 65536) if child.pipe in ready else None
            child.received.extend(data or b"")
            late = time.monotonic() > child.ends
            if late or data == b"" or child.received.endswith(b"\n"):
                running.remove(child)
                yield child.submission, _end(child, late, job["seconds"])


def _start(submission: int, cells: list[str], check: _Check, job: dict[str, Any]) -> Child:
    receive, send = os.pipe()
    token = secrets.token_hex(16).encode()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.closerange(3, send)
            os.closerange(send + 1, 256)  # the report, and the other answers' pipes
            with open(os.devnull, "wb") as devnull:
                os.dup2(devnull.fileno(), 2)
            _limit(job["seconds"], job["memory_bytes"])
            outcome = check.outcome(cells)
            os.write(send, token + json.dumps(outcome).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(send)
    return Child(submission, pid, receive, token, time.monotonic() + job["seconds"], bytearray())


def _end(child: Child, late: bool, seconds: float) -> Outcome:
    """Kill what is left of an answer's processes and return its outcome."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)  # before the wait, which frees the number
    if late:
        os.kill(child.pid, signal.SIGKILL)  # also one that has not made its group yet
    _, status = os.waitpid(child.pid, 0)
    os.close(child.pipe)
    for line in child.received.splitlines():
        if line.startswith(child.token):
            state, text = json.loads(line[len(child.token) :])
            return state, text
    if late:
        return "error", f"TimeoutError: no result within {seconds:g} s"
    code = os.waitstatus_to_exitcode(status)
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    return "error", f"it ended its own process ({how})"


def _limit(seconds: float, memory_bytes: int) -> None:
    """Limit this process: one thread, memory, time, size of files."""
    import resource  # not on Windows

    import torch

    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with open("/proc/self/statm", encoding="ascii") as file:
        size_bytes = int(file.read().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: size_bytes + memory_bytes,
        resource.RLIMIT_CPU: int(2 * seconds) + 5,  # for what outlives it
        resource.RLIMIT_FSIZE: LARGEST_FILE_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))


def _forbid_network(event: str, arguments: tuple) -> None:
    """Raise an error before a connection to another machine, where `unshare` is not allowed."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host not in (None, "", "localhost", "127.0.0.1", "::1", b"localhost", b"127.0.0.1"):
        raise OSError("there is no network while answers are marked")


def _imports_checks(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and [n.name for n in node.names] == ["checks"]


def _plain(value: Any) -> Any:
    """Return a number or a text as Python's own type, which compares honestly."""
    for kind in PLAIN:
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind.__new__(kind, value)
    return value


def _describe(error: BaseException) -> str:
    try:
        return _short(f"{type(error).__name__}: {error}")
    except BaseException:  # an error of an answer's own may raise in its text
        return type(error).__name__


def _short(text: str) -> str:
    """Return a text in one line of limited length."""
    text = " ".join(text[: 4 * LONGEST_TEXT].split()).strip().removesuffix(":")
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


if __name__ == "__main__":
    main(sys.argv[1])
