"""The controls: labels and ranges; the drop zone puts a file together from its pieces."""

import ipywidgets
import pytest

from tutorial_utils.widgets import controls
from tutorial_utils.widgets.controls import DropZone, Labels


@pytest.fixture
def received():
    return []


@pytest.fixture
def zone(received):
    return DropZone(lambda name, content: received.append((name, content)), limit_bytes=100)


def add(zone, name, content, *, offset, size):
    zone._add_piece(zone, {"name": name, "size_bytes": size, "offset": offset}, [content])


def send(zone, name, content, *, piece=10, size=None):
    size = len(content) if size is None else size
    for offset in range(0, max(1, len(content)), piece):
        part = memoryview(content)[offset : offset + piece]
        add(zone, name, part, offset=offset, size=size)


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 95, 100])
def test_a_file_is_put_together_from_its_pieces(zone, received, length):
    content = bytes(range(length))
    send(zone, "a.png", content)
    assert received == [("a.png", content)]
    assert zone.status == f"a.png: {min(length, 1)} kB"


def test_a_second_file_replaces_one_that_was_cut_off(zone, received):
    send(zone, "a.png", b"x" * 35, size=60)
    send(zone, "b.png", b"y" * 25)
    assert received == [("b.png", b"y" * 25)]
    assert "yyy" not in str(zone.get_state()), "a trait would be saved with the notebook"


def test_a_missing_piece_and_a_file_over_the_limit_are_errors(zone, received):
    add(zone, "a.png", b"x" * 10, offset=0, size=30)
    add(zone, "a.png", b"x" * 10, offset=20, size=30)
    assert received == [] and zone.status == "a.png did not arrive complete. Try again."
    send(zone, "b.png", b"x" * 101)
    assert received == [] and zone.status == "b.png did not arrive complete. Try again."


def test_an_exception_of_the_receiver_is_shown():
    def fail(name, content):
        raise ValueError("no room")

    zone = DropZone(fail)
    send(zone, "a.png", b"x")
    assert zone.status == "a.png: no room"


def test_scripts_and_styles_are_files_that_load_nothing():
    files = sorted(path.name for path in controls.STATIC.iterdir())
    assert files == ["drop_zone.css", "drop_zone.js", "labels.js"]
    for kind, name in ((DropZone, "drop_zone.js"), (Labels, "labels.js")):
        script = (controls.STATIC / name).read_text(encoding="utf-8")
        assert str(kind._esm) == script and "export default { render }" in script
        assert "http" not in script and "import " not in script
    style = (controls.STATIC / "drop_zone.css").read_text(encoding="utf-8")
    assert str(DropZone._css) == style and "http" not in style


def test_a_slider_has_its_label_and_its_range():
    slider = controls.whole_slider("kernel", 5, 1, 16)
    assert (slider.description, slider.value, slider.min, slider.max) == ("kernel", 5, 1, 16)
    slider = controls.fraction_slider("flip", 0.5)
    assert (slider.value, slider.min, slider.max, slider.step) == (0.5, 0, 1, 0.05)
    chooser = controls.dropdown("class", [("ants", 0), ("bees", 1)], 1)
    assert (chooser.label, chooser.value) == ("bees", 1)
    assert isinstance(slider, ipywidgets.FloatSlider)
