"""The base classes: the still image without a kernel, errors that are shown, nested moves."""

import ipywidgets
import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from tutorial_utils.widgets.canvas import Rendering
from tutorial_utils.widgets.interactive import Explorer

NOTEBOOK = """
from tutorial_utils import widgets
widgets.output_size_calculator(size=9, kernel=3, stride=1, padding=0)
"""


def explorer(render) -> Explorer:
    slider = ipywidgets.IntSlider(description="value", value=1, max=9)
    return Explorer("Title", {"value": slider}, render)


def square(value: int) -> Rendering:
    if value == 7:
        raise ValueError("7 is too <large>")
    image = Image.new("RGB", (value + 1, value + 1))
    return Rendering(image, f"a square of {value}", (f"value {value}",))


def test_an_expected_error_is_shown_by_its_text_until_the_next_move():
    figure = explorer(square)
    figure.controls["value"].value = 7
    assert isinstance(figure.error, ValueError)
    assert "<div>7 is too &lt;large&gt;</div>" in figure._message.value
    assert "Traceback" not in figure._message.value
    assert "value 1" in figure._image.value
    figure.controls["value"].value = 4
    assert figure.error is None and figure._message.value == ""
    assert "a square of 4" in figure._image.value and figure.rendering.lines == ("value 4",)


def test_another_error_is_shown_with_its_traceback():
    def render(value):
        return {1: square(1)}[value]

    figure = explorer(render)
    figure.controls["value"].value = 2
    assert isinstance(figure.error, KeyError)
    assert "KeyError: 2" in figure._message.value and "in render" in figure._message.value
    assert 'role="alert"' in figure._message.value


def test_an_error_at_the_start_is_raised():
    with pytest.raises(ZeroDivisionError):
        explorer(lambda value: 1 / 0)


def test_a_control_that_the_rendering_moves_starts_no_second_one():
    rendered = []

    def render(value):
        rendered.append(value)
        if value > 5:
            figure.controls["value"].max = 5
        return square(value)

    figure = explorer(render)
    figure.controls["value"].value = 8
    assert rendered == [1, 8] and figure.controls["value"].value == 5


def test_a_notebook_that_runs_in_batch_stores_the_image():
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(book, kernel_name="python3", store_widget_state=False, timeout=120).execute()
    (output,) = book.cells[0].outputs
    assert output.output_type == "display_data"
    assert "Output: 7×7 values" in output.data["text/html"]
    assert "= 7" in output.data["text/plain"]
    assert "widgets" not in book.metadata
