"""The lessons with widgets, run whole in JupyterLab; each widget moved by mouse and keyboard."""

import re
from collections.abc import Callable

import harness
import nbformat
import papermill
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

expect.set_options(timeout=30_000)  # other tests may run at the same time


def figure(page: Page, title: str) -> Locator:
    """Return a widget by its title, once it is there."""
    found = page.get_by_role("group", name=title, exact=True)
    found.wait_for()
    found.scroll_into_view_if_needed()
    return found


def changes(shown: Locator, act: Callable[[], object]) -> None:
    """Do something and wait until the widget's image is another one."""
    image = shown.locator("img")
    before = image.get_attribute("src")
    act()
    image.page.wait_for_function(
        "([image, before]) => image.isConnected ? image.src !== before : true",
        arg=[image.element_handle(), before],
        timeout=20_000,
    )
    expect(shown.get_by_role("alert")).to_have_count(0)


def by_keyboard(shown: Locator, name: str, key: str = "ArrowRight") -> None:
    """Move a slider by a key, which also focuses it."""
    slider = shown.get_by_role("slider", name=name, exact=True)
    before = slider.get_attribute("aria-valuenow")
    changes(shown, lambda: slider.press(key))
    assert slider.get_attribute("aria-valuenow") != before


def by_mouse(page: Page, shown: Locator, name: str, by: int = 60) -> None:
    """Drag a slider's handle."""
    slider = shown.get_by_role("slider", name=name, exact=True)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag():
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + by, y, steps=3)
        page.mouse.up()

    changes(shown, drag)


def readable(page: Page, name: str) -> None:
    """Store an image of the page, and check the lesson's outputs and prose by axe."""
    harness.screenshot(page, name)
    assert harness.axe(page, include=harness.OURS) == []


def test_lesson_01_augmentation(open_lesson, page):
    open_lesson("01_ants_and_bees")
    shown = figure(page, "Augmentation")
    by_keyboard(shown, "brightness")
    by_mouse(page, shown, "contrast")
    for name in ("least area", "mirrored", "saturation", "seed"):
        by_keyboard(shown, name, "End")  # a small step may leave all nine as they were
    changes(shown, lambda: shown.get_by_label("image").select_option(index=2))
    changes(shown, lambda: shown.get_by_label("image").press("ArrowDown"))
    readable(page, "01_augmentation")


def test_lesson_02_output_size_and_layers(open_lesson, page):
    open_lesson("02_alexnet")
    shown = figure(page, "Output size of a convolution")
    expect(shown).to_contain_text("= 8")
    by_keyboard(shown, "stride", "ArrowLeft")
    expect(shown).to_contain_text("⌊(26 + 2·1 − 5) / 2⌋ + 1 = ⌊11.5⌋ + 1 = 12")
    for name in ("image (pixels)", "kernel", "padding", "window number"):
        by_keyboard(shown, name)
    by_mouse(page, shown, "window number")
    readable(page, "02_output_size")
    size = shown.get_by_role("slider", name="image (pixels)")
    size.press("Home")  # one pixel, and a kernel that does not fit
    expect(shown.get_by_role("alert")).to_contain_text("does not fit into 1 pixels")
    changes(shown, lambda: size.press("End"))
    shown = figure(page, "Layer explorer")
    by_keyboard(shown, "layer")
    expect(shown).to_contain_text("features.2, a pooling")
    by_mouse(page, shown, "layer")
    changes(shown, lambda: shown.get_by_label("image").select_option(index=3))
    changes(shown, lambda: shown.get_by_label("image").press("ArrowDown"))
    readable(page, "02_layers")


def test_lesson_04_freezing(open_lesson, page):
    open_lesson("04_freezing", batch_size=2)
    shown = figure(page, "How much is frozen?")
    expect(shown).to_contain_text("5 of 8 layers frozen")
    by_keyboard(shown, "frozen layers")
    expect(shown).to_contain_text("6 of 8 layers frozen: 16,789,506 of 57,012,034 parameters")
    by_mouse(page, shown, "frozen layers", by=-80)
    readable(page, "04_freezing")


def test_lesson_06_dashboard(open_lesson, page):
    lesson = open_lesson("06_training", epochs=2)
    shown = figure(page, "Training")
    start, stop = (shown.get_by_role("button", name=name, exact=True) for name in ("Start", "Stop"))
    expect(shown).to_contain_text("Epoch 2 of 2")  # the lesson's own run
    expect(stop).to_be_disabled()
    start.click()
    expect(start).to_be_disabled()
    expect(shown).to_contain_text("Epoch 1 of 2", timeout=120_000)  # the first one has ended
    expect(shown).to_contain_text(re.compile(r"Batch 1[4-9] of 26"), timeout=60_000)
    _responds_meanwhile(page, lesson)
    expect(stop).to_be_enabled()  # it is still running
    stop.press("Enter")
    expect(shown).to_contain_text("Stopped: 1 of 2 epochs are finished", timeout=60_000)
    readable(page, "06_dashboard_stopped")
    resume = shown.get_by_role("button", name="Resume", exact=True)
    resume.press("Enter")
    expect(shown).to_contain_text("Done: 2 of 2 epochs are finished", timeout=180_000)
    readable(page, "06_dashboard_done")


def _responds_meanwhile(page: Page, lesson: harness.Lesson) -> None:
    """Run the last cell, which reports the results, during the training."""
    before = lesson.book().cells[-1].execution_count
    page.evaluate(
        """async () => {
          const commands = window.jupyterapp.commands;
          const book = window.jupyterapp.shell.currentWidget.content;
          book.activeCellIndex = book.widgets.length - 1;
          await commands.execute("notebook:run-cell");
        }"""
    )
    assert lesson.book().cells[-1].execution_count > before


@pytest.fixture
def files(tmp_path):
    """Return a good image, one that is cut short, a text, and a phone's HEIC photograph."""
    noise = Image.effect_noise((300, 200), 90).convert("RGB")
    noise.save(tmp_path / "good.webp")
    noise.save(tmp_path / "cut.jpg")
    cut = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "text.txt").write_text("ants and bees", encoding="utf-8")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    return tmp_path


def test_lesson_07_mistakes_and_own_image(open_lesson, page, files):
    open_lesson("07_curves", epochs=2)
    shown = figure(page, "Which mistakes?")
    by_keyboard(shown, "image number")
    expect(shown).to_contain_text("Image 2 of ")
    by_mouse(page, shown, "image number")
    changes(shown, lambda: shown.get_by_label("predictions").select_option("correct"))
    expect(shown).to_contain_text(": correct.")
    changes(shown, lambda: shown.get_by_label("true class").press("End"))
    expect(shown).to_contain_text("It is bees")
    readable(page, "07_mistakes")
    shown = figure(page, "Your own image")
    zone = shown.get_by_role("button", name=re.compile("Drop an image here"))
    _choose(page, zone.click, files / "text.txt")
    expect(shown.get_by_role("alert")).to_contain_text("text.txt cannot be used as an image")
    _choose(page, lambda: zone.press("Enter"), files / "phone.heic")
    expect(shown.get_by_role("alert")).to_contain_text("phone.heic is a HEIC photograph")
    _choose(page, lambda: zone.press("Space"), files / "cut.jpg")
    expect(shown.get_by_role("alert")).to_contain_text("cut.jpg cannot be used as an image")
    readable(page, "07_own_image_error")
    changes(shown, lambda: _choose(page, zone.click, files / "good.webp"))
    expect(shown).to_contain_text("The network predicts")
    readable(page, "07_own_image")


def _choose(page: Page, act: Callable[[], object], path) -> None:
    with page.expect_file_chooser() as chooser:
        act()
    chooser.value.set_files(path)


STILL = {
    "01_ants_and_bees": ["nine variations of it"],
    "02_alexnet": ["a window of 5 by 5", "with features.0 marked"],
    "03_vgg16": ["with features.0 marked"],
    "04_freezing": ["the first 5 hatched"],
    "06_training": ["Loss and accuracy over"],
    "07_curves": ["predicted as", "the first validation"],
    "08_vgg16": ["Loss and accuracy over"],
}


@pytest.mark.parametrize("name", STILL)
def test_without_a_run_the_image_is_shown(lab, page, watch, name):
    """A lesson that is opened and not run: no kernel knows its widgets."""
    source = harness.ROOT / "notebooks" / f"{name}.ipynb"
    (lab.notebooks / source.name).write_bytes(source.read_bytes())
    page.goto(f"{lab.url}/lab/tree/notebooks/{source.name}?reset")
    for words in STILL[name]:
        page.locator(f'img[alt*="{words}"]').first.wait_for(timeout=60_000)
    assert page.get_by_text("Error displaying widget").count() == 0
    lab.stop_kernels()
    watch.check()


def test_a_notebook_that_ran_in_batch_shows_the_image(lab, page, watch, tmp_path):
    """Papermill stores the widget and its image; the kernel is gone when the notebook is opened."""
    source, out = tmp_path / "source.ipynb", lab.notebooks / "batch.ipynb"
    cell = "from tutorial_utils import widgets\nwidgets.output_size_calculator(size=9, kernel=3)"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)]), source)
    papermill.execute_notebook(source, out, kernel_name="python3", progress_bar=False)
    page.goto(f"{lab.url}/lab/tree/notebooks/{out.name}?reset")
    page.locator('img[alt*="a window of 3 by 3"]').wait_for(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
    page.wait_for_timeout(3000)  # the new kernel does not know the widget
    harness.screenshot(page, "batch")
    expect(page.locator('img[alt*="a window of 3 by 3"]')).to_be_visible()
    lab.stop_kernels()
    watch.check()
