"""An image of your own: its prediction, and a message for a file that is no image."""

import pytest
import torch

from tutorial_utils import widgets
from tutorial_utils.widgets import canvas, upload

CLASSES = ["ants", "bees"]


@pytest.fixture
def own(network, preset, raw):
    return widgets.own_image(network, preset, CLASSES, example=("example", raw[0][0]))


def test_the_example_is_shown_first_and_an_image_gets_its_prediction(own, network, preset, raw):
    assert own.rendering.alt.startswith("example. The network predicts ")
    image = raw[2][0]
    own.receive("mine.png", canvas.png(image))
    chances = network.eval()(preset(image)[None]).softmax(1)[0]
    best = int(chances.argmax())
    line = f"The network predicts {CLASSES[best]}, probability {chances[best]:.3f}."
    assert own.rendering.lines == (line,)
    assert own.rendering.alt == f"mine.png. {line}"


def test_the_heat_map_is_made_of_the_image_that_was_classified(own, preset, raw, monkeypatch):
    given, real = [], upload.explained

    def explained(network, image, chances, *rest, **more):
        given.append((image, chances))
        return real(network, image, chances, *rest, **more)

    monkeypatch.setattr(upload, "explained", explained)
    own.receive("mine.png", canvas.png(raw[2][0]))
    ((image, chances),) = given
    assert torch.equal(image, preset(raw[2][0]))
    torch.testing.assert_close(chances, own._network.eval()(image[None]).softmax(1)[0])


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"text", "not an image"), (b"", "0 bytes"), (b"\0\0\0\x18ftypheic" + b"0" * 9, "HEIC")],
)
def test_a_file_that_is_no_image_gets_a_message_without_a_traceback(own, raw, content, text):
    before = own._image.value
    own.receive("mine.jpg", content)
    assert text in own._message.value and "Traceback" not in own._message.value
    assert own._image.value == before
    own.receive("mine.png", canvas.png(raw[0][0]))
    assert own._message.value == ""
