"""The two base classes of the widgets: controls, an image, and its text.

Without a kernel (on GitHub, in HTML pages, in a notebook that ran in batch) the image and the text
are shown alone. An error after a move is shown in the widget; an error while it is made is raised.
"""

import html
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from IPython.display import display

from tutorial_utils import lesson
from tutorial_utils.plots import RED
from tutorial_utils.widgets.canvas import Rendering
from tutorial_utils.widgets.controls import Labels

EXPECTED = (ValueError, OSError)  # errors whose text is enough; others are shown with a traceback


class InteractiveFigure(ipywidgets.VBox):
    """Controls above an image and its text.

    Attributes:
        rendering: what is shown.
        error: what was raised after the last move, None if nothing was.
    """

    def __init__(self, title: str, controls: Sequence[ipywidgets.Widget]):
        self.rendering: Rendering | None = None
        self.error: Exception | None = None
        self._image, self._message = ipywidgets.HTML(), ipywidgets.HTML()
        heading = ipywidgets.HTML(f"<b>{html.escape(title)}</b>")
        labels = Labels(title=title)
        super().__init__([heading, *controls, self._message, self._image, labels])

    def show(self, rendering: Rendering) -> None:
        """Show a rendering, and remove the message."""
        self.show_image(rendering)
        self.show_message("")

    def show_image(self, rendering: Rendering) -> None:
        """Show a rendering; the message stays."""
        self.rendering, self.error = rendering, None
        self._image.value = rendering.html()

    def show_message(self, text: str) -> None:
        """Show a message above the image, none if it is empty."""
        self._message.value = f'<div role="status">{html.escape(text)}</div>' if text else ""

    def show_error(self, error: Exception) -> None:
        """Show an error above the image; with its traceback if it is not an expected one."""
        self.error = error
        kind, message = type(error).__name__, html.escape(str(error))
        text = f"<div>{message or kind}</div>"
        if not isinstance(error, EXPECTED):
            trace = html.escape("".join(traceback.format_exception(error)))
            text = f"<div>{kind}: {message}</div>"
            text += f"<details><summary>Traceback</summary><pre>{trace}</pre></details>"
        style = f"border-left: 4px solid {RED}; padding: .3em .8em"
        self._message.value = f'<div role="alert" style="{style}">{text}</div>'

    def mime_bundle(self) -> dict[str, Any]:
        """Return what a notebook stores: the live widget, and the image and text without one."""
        live = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        html_text, text = self.rendering.html(tight=True), self.rendering.text()
        return {lesson.LIVE: live, "text/html": html_text, "text/plain": text}

    def _ipython_display_(self, **_: object) -> None:
        display(self.mime_bundle(), raw=True)


class Explorer(InteractiveFigure):
    """A figure that is rendered again whenever one of its controls moves.

    Attributes:
        controls: {name of an argument of `render`: the control that gives it}.
    """

    def __init__(
        self, title: str, controls: dict[str, ipywidgets.Widget], render: Callable[..., Rendering]
    ):
        layout = ipywidgets.Layout(display="flex", flex_flow="row wrap", max_width="760px")
        super().__init__(title, [ipywidgets.Box(list(controls.values()), layout=layout)])
        self.controls, self._render, self._busy = controls, render, False
        for control in controls.values():
            control.observe(self.refresh, "value")
        self.show(render(**self.values()))

    def values(self) -> dict[str, Any]:
        """Return the values of the controls."""
        return {name: control.value for name, control in self.controls.items()}

    def refresh(self, _: object = None) -> None:
        """Render again; a control that the rendering itself moves does not start another."""
        if self._busy:
            return
        self._busy = True
        try:
            self.show(self._render(**self.values()))
        except Exception as error:
            self.show_error(error)
        finally:
            self._busy = False
