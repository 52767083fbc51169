"""Labels and the drop zone in a page: sliders get names, a dropped image arrives."""

import base64
import hashlib
import os
from pathlib import Path

import harness
import pytest
from test_harness import notebook

SLIDERS = """
import ipywidgets as w
epochs = w.IntSlider(description="Epochs", min=1, max=9)
rate = w.FloatLogSlider(description="Rate", min=-5, max=0, value=1e-3)
crop = w.IntRangeSlider(description="Crop")
more, name = w.Button(description="One more"), w.Button(description="Rename")
box = w.VBox([*NAMED, epochs, w.HBox([rate, crop]), more, name])
late = w.IntSlider(description="Late")
more.on_click(lambda _: setattr(box, "children", (*box.children, late)))
name.on_click(lambda _: setattr(epochs, "description", "Rounds"))
box
"""
DROP = """
import hashlib
import ipywidgets as w
from tutorial_utils.widgets.controls import DropZone
came = w.HTML()

def receive(name, content):
    if len(content) == 1:
        raise ValueError("this is no image")
    came.value = f"{name} {len(content)} {hashlib.md5(content).hexdigest()}"

w.VBox([DropZone(receive), came])
"""
DRAG = """([data, name, type]) => {
  const files = new DataTransfer(), zone = document.querySelector(".ab-drop-zone");
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  files.items.add(new File([bytes], name, { type }));
  const send = type => zone.dispatchEvent(
    new DragEvent(type, { dataTransfer: files, bubbles: true, cancelable: true }));
  const left = send("dragover"), over = zone.classList.contains("ab-over");
  const passed = send("drop"), after = zone.classList.contains("ab-over");
  return { left, over, passed, after };
}"""
WIDGETS = (".jp-OutputArea-output .jupyter-widgets",)


@pytest.fixture
def opened(open_lesson, tmp_path):
    """Return a function that runs one cell in a notebook of its own."""
    return lambda source: open_lesson(notebook(tmp_path / "control.ipynb", source))


@pytest.fixture
def zone(opened, page):
    opened(DROP)
    zone = page.get_by_role("button", name="Drop an image here, or press Enter to choose one")
    zone.wait_for()
    return zone


def digest(path: Path) -> str:
    content = path.read_bytes()
    return f"{path.name} {len(content)} {hashlib.md5(content).hexdigest()}"


def choose(page, act, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        act()
    chooser.value.set_files(path)


def shows(page, text: str) -> None:
    page.get_by_text(text, exact=True).wait_for()


def test_sliders_have_no_names_of_their_own(opened, page):
    opened("NAMED = []\n" + SLIDERS)
    page.locator(".noUi-handle").nth(3).wait_for()
    found = harness.axe(page, include=WIDGETS)
    assert len(found) == 4 and all("serious aria-input-field-name" in line for line in found)


def test_labels_name_them_also_those_that_come_later(opened, page):
    opened(
        "from tutorial_utils.widgets.controls import Labels\n"
        "NAMED = [Labels(title='Sliders')]\n" + SLIDERS
    )
    for name in ("Epochs", "Rate", "Crop, lower end", "Crop, upper end"):
        page.get_by_role("slider", name=name, exact=True).wait_for()
    page.get_by_role("textbox", name="Epochs, value", exact=True).wait_for()
    assert harness.axe(page, include=WIDGETS) == []
    rate = page.get_by_role("slider", name="Rate")
    assert rate.get_attribute("aria-valuetext") == "0.00100"  # not the exponent
    rate.press("ArrowRight")
    page.locator(".noUi-handle[aria-valuetext='0.00126']").wait_for()
    page.get_by_role("button", name="One more").click()
    page.get_by_role("slider", name="Late").wait_for()
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("slider", name="Rounds").wait_for()
    assert harness.axe(page, include=WIDGETS) == []


def test_a_chosen_image_arrives(zone, page, tmp_path):
    bee, large = tmp_path / "bee.png", tmp_path / "large.png"
    bee.write_bytes(os.urandom(1000))
    large.write_bytes(os.urandom(19_500_000))  # more than one message may carry
    choose(page, zone.click, bee)
    shows(page, digest(bee))
    choose(page, lambda: zone.press("Enter"), large)
    shows(page, digest(large))
    choose(page, lambda: zone.press("Space"), bee)
    shows(page, digest(bee))
    ring = zone.evaluate("zone => getComputedStyle(zone).outline")
    assert "solid 3px" in ring  # the focus is visible
    assert harness.axe(page, include=WIDGETS) == []


def test_a_dropped_image_arrives(zone, page, tmp_path):
    ant = tmp_path / "ant.jpg"
    ant.write_bytes(os.urandom(1000))
    data = base64.b64encode(ant.read_bytes()).decode()
    did = page.evaluate(DRAG, [data, ant.name, "image/jpeg"])
    assert did == {"left": False, "over": True, "passed": False, "after": False}
    shows(page, digest(ant))


def test_a_file_that_cannot_be_received_gets_a_message(zone, page, tmp_path):
    huge, bad = tmp_path / "huge.png", tmp_path / "bad.png"
    huge.write_bytes(bytes(21_000_000))
    bad.write_bytes(b"x")
    choose(page, zone.click, huge)
    shows(page, "huge.png has 21.0 MB; 20.0 MB at most.")
    choose(page, zone.click, bad)
    shows(page, "bad.png: this is no image")
    page.evaluate(DRAG, ["AAAA", "text.txt", "text/plain"])
    shows(page, "text.txt: 1 kB")  # Python decides what is an image, by its content
