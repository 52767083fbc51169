"""The controls of the widgets: ipywidgets in one style, and two that ipywidgets lacks.

`DropZone` takes a file that is dropped on it, or chosen by click, Enter or Space. `Labels` gives
the sliders of its box the names that screen readers need. Both are made with anywidget; their
scripts are in `static/` and load nothing from the network.

Sources:
    anywidget, by Manz and others: https://anywidget.dev
    what a slider needs: https://www.w3.org/WAI/ARIA/apg/patterns/slider/
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

STATIC = Path(__file__).resolve().parent / "static"
LIMIT_BYTES = 20_000_000  # of a file


def labelled(kind: type, label: str, **traits: Any) -> ipywidgets.Widget:
    """Return a control of an ipywidgets class with its label, as wide as all the others."""
    style, layout = {"description_width": "130px"}, ipywidgets.Layout(width="350px")
    return kind(description=label, style=style, layout=layout, **traits)


def whole_slider(label: str, value: int, low: int, high: int) -> ipywidgets.IntSlider:
    """Return a slider over whole numbers."""
    return labelled(ipywidgets.IntSlider, label, value=value, min=low, max=high)


def fraction_slider(label: str, value: float, low: float = 0.0) -> ipywidgets.FloatSlider:
    """Return a slider up to 1, in steps of 0.05."""
    return labelled(ipywidgets.FloatSlider, label, value=value, min=low, max=1.0, step=0.05)


def dropdown(label: str, options: Sequence[tuple[str, Any]], value: Any) -> ipywidgets.Dropdown:
    """Return a list to choose one of (text, value) from."""
    return labelled(ipywidgets.Dropdown, label, options=options, value=value)


class DropZone(anywidget.AnyWidget):
    """A zone to drop one image on, or to choose one by click, Enter or Space.

    The file comes in pieces, by messages and not as a trait: a server may reject a message of
    20 MB, and a trait would be saved with the notebook.

    Args:
        receive: called as `receive(name, content)` with every complete file. The text of an
            exception that it raises is shown under the zone.
    """

    _esm, _css = STATIC / "drop_zone.js", STATIC / "drop_zone.css"
    prompt = traitlets.Unicode("Drop an image here, or press Enter to choose one").tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    limit_bytes = traitlets.Int(LIMIT_BYTES).tag(sync=True)

    def __init__(self, receive: Callable[[str, bytes], None], **traits: Any):
        super().__init__(**traits)
        self._receive, self._pieces = receive, bytearray()
        self.on_msg(self._add_piece)

    def _add_piece(self, _: object, message: dict, buffers: list) -> None:
        """Append a piece; pass the file on when it is complete."""
        name, size_bytes = message["name"], message["size_bytes"]
        if message["offset"] == 0:
            self._pieces = bytearray()
        if message["offset"] != len(self._pieces) or size_bytes > self.limit_bytes:
            self.status = f"{name} did not arrive complete. Try again."
            return
        self._pieces += bytes(buffers[0])
        if len(self._pieces) < size_bytes:
            return
        content, self._pieces = bytes(self._pieces), bytearray()
        self.status = f"{name}: {math.ceil(len(content) / 1000):,} kB"
        try:
            self._receive(name, content)
        except Exception as error:  # ipywidgets would hide it in the kernel's log
            self.status = f"{name}: {error}"


class Labels(anywidget.AnyWidget):
    """Accessible names for the box around it and the box's sliders; it is not visible itself.

    It also keeps JupyterLab from taking the arrow keys that are meant for the box's controls.

    Args:
        title: name of the box.
    """

    _esm = STATIC / "labels.js"
    title = traitlets.Unicode("").tag(sync=True)
