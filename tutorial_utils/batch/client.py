"""Execute the cells of a notebook within limits of time and of output.

nbclient and papermill limit the time of a cell only. Here a notebook has a limit too, and a cell
that prints without end neither fills the memory nor hides that its time is over.

Sources:
    nbclient, https://nbclient.readthedocs.io/en/latest/client.html
    papermill's engines, https://papermill.readthedocs.io/en/latest/extending-entry-points.html
"""

import logging
import sys
from time import monotonic
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete, CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from tutorial_utils._support import reports
from tutorial_utils.batch.limits import Limits

ENGINE = "limited"  # its name for papermill
SHOWN = {"stream", "display_data", "execute_result", "update_display_data"}
MESSAGE_BYTES = 100  # counted for each message, so that a million empty ones are too many
ERROR_LETTERS = 2000
LOG = logging.getLogger(__name__)
LOG.addHandler(logging.NullHandler())
END_WITH_PARENT = "__import__('ctypes').CDLL(None).prctl(1, 9)"  # PR_SET_PDEATHSIG, SIGKILL


class LimitedClient(NotebookClient):
    """nbclient's client with a limit for the notebook's time and one for each cell's output.

    Args:
        *args: as for nbclient.
        limits: see `Limits`.
        **more: as for nbclient.
    """

    def __init__(self, *args: Any, limits: Limits, **more: Any) -> None:
        arguments = ["--log-level=CRITICAL"]  # hides the kernel's own warnings
        if sys.platform == "linux":  # a kernel's own watch for its parent waits for long calls
            arguments.append(f"--IPKernelApp.exec_lines={END_WITH_PARENT}")
        super().__init__(
            *args,
            timeout=60,  # seconds for the kernel's answer after the last cell
            timeout_func=lambda cell: self._seconds_left(),
            startup_timeout=180,  # many kernels that start at once are slow
            iopub_timeout=60,  # for a large output to arrive
            store_widget_state=False,
            log=LOG,  # the error that is raised says it all
            extra_arguments=arguments,
            **more,
        )
        self._limits = limits
        self._notebook_ends = monotonic() + limits.notebook_s
        self._cell_ends = float("inf")
        self._bytes_left = 0

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, *args: Any, **more: Any
    ) -> NotebookNode:
        """Execute one cell, and join the texts that it printed.

        Raises:
            TimeoutError: if a limit is reached. The kernel is killed.
            DeadKernelError: if the kernel has died.
        """
        self._cell_ends = min(monotonic() + self._limits.cell_s, self._notebook_ends)
        self._bytes_left = self._limits.output_bytes
        try:
            return await super().async_execute_cell(cell, cell_index, *args, **more)
        except CellTimeoutError as error:
            if self._cell_ends - monotonic() > 1:
                raise
            self.shutdown_kernel = "immediate"
            text = self._limits.describe(notebook=self._cell_ends == self._notebook_ends)
            cell.outputs.append(new_output("error", ename="TimeoutError", evalue=text))
            cell.outputs[-1].traceback = [f"TimeoutError: {text}"]
            raise TimeoutError(f"cell {cell_index + 1}: TimeoutError: {text}") from error
        except DeadKernelError as error:
            text = f"cell {cell_index + 1}: the kernel died; was there enough memory?"
            raise DeadKernelError(text) from error
        finally:
            self._join_streams(cell, cell_index)

    execute_cell = run_sync(async_execute_cell)  # papermill calls this one

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        """Process one message from the kernel, unless the cell's time or output is used up."""
        if monotonic() > self._cell_ends:
            raise CellExecutionComplete  # else a flood of messages would hide the end of the time
        kind, content = msg["msg_type"], msg["content"]
        if kind == "clear_output":
            self._bytes_left = self._limits.output_bytes
        elif kind == "error":
            _shorten_error(content)
        elif kind in SHOWN and not self._fits(msg):
            return None
        return super().process_message(msg, cell, cell_index)

    def _fits(self, msg: dict[str, Any]) -> bool:
        """Return whether an output is kept; the first one that is too long is cut off."""
        content, left = msg["content"], self._bytes_left
        size = len(str(content)) + MESSAGE_BYTES
        if reports.MIME in content.get("data", {}):  # not lost after much other output
            return size <= self._limits.output_bytes
        if msg["msg_type"] == "update_display_data" and size <= left:
            return True  # it replaces another output
        self._bytes_left = max(0, left - size)
        if left and size > left:
            limit = f"a cell may print {self._limits.output_mb} MB"
            text = f"{content.get('text', '')[:left]}\n[the output is cut off here: {limit}]\n"
            msg["msg_type"] = msg["header"]["msg_type"] = "stream"
            msg["content"] = {"name": "stdout", "text": text}
        return left > 0

    def _seconds_left(self) -> float:
        return max(self._cell_ends - monotonic(), 0.01)  # 0 would mean no limit

    def _join_streams(self, cell: NotebookNode, cell_index: int) -> None:
        before = cell.get("outputs", [])
        if not before:
            return
        cell.outputs = join_streams(before)
        position = {id(output): number for number, output in enumerate(cell.outputs)}
        for cells in self._display_id_map.values():  # where a later cell updates an output
            if cell_index in cells:
                cells[cell_index] = [position[id(before[number])] for number in cells[cell_index]]


class PapermillClient(LimitedClient, PapermillNotebookClient):
    """The client for papermill, which saves the notebook after each cell."""


class Engine(NBClientEngine):
    """papermill's engine with the limits; its arguments are those of `execute_notebook`."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, limits: Limits, **more: Any
    ) -> NotebookNode:
        """Execute a notebook."""
        return PapermillClient(nb_man, limits=limits, kernel_name=kernel_name).execute()


papermill_engines.register(ENGINE, Engine)


def join_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return a cell's outputs with one text for stdout and one for stderr, stdout first.

    The result is that of nbclient's `coalesce_streams`, whose time grows with the square of a
    line's length.
    """
    joined: list[NotebookNode] = []
    texts: dict[str, list[str]] = {}
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            joined.append(output)
            continue
        if output["name"] not in streams:
            joined.append(output)
            streams[output["name"]] = output
        texts.setdefault(output["name"], []).append(output["text"])
    for name, output in streams.items():
        output["text"] = overwrite("".join(texts[name]))
    for first, second in zip(range(len(joined)), range(1, len(joined)), strict=False):
        if [joined[i].get("name") for i in (first, second)] == ["stderr", "stdout"]:
            joined[first], joined[second] = joined[second], joined[first]
    return joined


def overwrite(text: str) -> str:
    """Return a text without what a later carriage return in the same line overwrites.

    A carriage return at the end of a line stays. What follows one replaces the whole line, as
    for a progress bar, even if it is shorter.
    """
    lines = text.split("\n")
    return "\n".join(line[line.rfind("\r", 0, max(len(line) - 1, 0)) + 1 :] for line in lines)


def _shorten_error(content: dict[str, Any]) -> None:
    """Cut an error's message, and its traceback where it holds the message or is as long."""
    if len(content["evalue"]) > ERROR_LETTERS:
        content["evalue"] = content["evalue"][:ERROR_LETTERS] + " …"
        lines = "\n".join(content["traceback"])[:ERROR_LETTERS]
        content["traceback"] = [lines, f"{content['ename']}: {content['evalue']}"]
