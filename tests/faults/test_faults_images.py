"""Faults in image files: damaged, too large, of other kinds, on every way in to the course."""

import html
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_sets import encoded, photograph, png
from PIL import Image
from torch import nn

from tutorial_utils import data, models
from tutorial_utils._support import image_files
from tutorial_utils._support.folders import printable
from tutorial_utils.own_images import folders, prediction
from tutorial_utils.widgets import own_image

NOISE = photograph()


def bomb_of_text() -> bytes:
    """Return a PNG whose text chunk unpacks to 100 MB."""
    body = b"zTXtComment\0\0" + zlib.compress(b"a" * 100_000_000)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    whole = encoded(NOISE, "PNG")
    return whole[:33] + chunk + whole[33:]


def with_size(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header gives another size."""
    at = content.index(b"\xff\xc0")
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def flipped(kind: str, share: float) -> bytes:
    """Return an image file with noise in place of a part."""
    content = bytearray(encoded(NOISE, kind))
    start = int(len(content) * share)
    noise = np.random.default_rng(1).bytes(min(400, len(content) - start))
    content[start : start + len(noise)] = noise
    return bytes(content)


JPEG, PNG = encoded(NOISE), encoded(NOISE, "PNG")
HUGE = "megapixels"
BROKEN = {  # what is no image, with a part of the reason
    "empty.jpg": (b"", "empty, 0 bytes"),
    "zeros.jpg": (bytes(10_000), "not an image"),
    "text.png": (b"Not found", "not an image"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "not an image"),
    "start.jpg": (JPEG[:10], "cut short"),
    "half.jpg": (JPEG[: len(JPEG) // 2], "cut short"),
    "half.png": (PNG[: len(PNG) // 2], "cut short"),
    "half.bmp": (encoded(NOISE, "BMP")[:2000], "cut short"),
    "half.webp": (encoded(NOISE, "WEBP")[:800], ""),
    "half.tif": (encoded(NOISE, "TIFF")[:2000], ""),
    "half.ppm": (encoded(NOISE, "PPM")[:2000], "cut short"),
    "swapped.jpg": (JPEG[::-1], "not an image"),
    "huge.png": (png(60_000, 60_000), HUGE),
    "most.png": (png(2**31 - 1, 2**31 - 1), ""),
    "wide.png": (png(9_000, 9_000), HUGE),
    "thin.png": (png(30_000, 1), "too long and narrow"),
    "narrow.png": (png(1, 30_000), "too long and narrow"),
    "zero.png": (png(0, 5), ""),
    "huge.jpg": (with_size(JPEG, 65_000, 65_000), HUGE),
    "high.jpg": (with_size(JPEG, 60, 65_000), "too long and narrow"),
    "bomb.png": (bomb_of_text(), ""),
    "vector.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
    "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(100), "not an image"),
    "archive.jpg": (b"PK\x03\x04" + bytes(100), "not an image"),
    "pickle.jpg": (b"\x80\x04cos\nsystem\n", "not an image"),
    "float.tif": (encoded(Image.new("F", (8, 8)), "TIFF"), "fractions of an unknown range"),
    "int.tif": (encoded(Image.new("I", (8, 8), 90_000), "TIFF"), "32 bits"),
}
broken = pytest.mark.parametrize("name", BROKEN)


def filled(root: Path) -> Path:
    for split in ("train", "val"):
        for label in ("ants", "bees"):
            for number in range(2):
                path = root / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.effect_noise((24, 16), 80).save(path)
    return root


@broken
def test_load_and_read_name_a_broken_image_and_use_the_others(name, tmp_path, capsys):
    content, reason = BROKEN[name]
    root = filled(tmp_path / "mine")
    (root / "train/bees" / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = data.load(root)
        found = folders.read(root)
    loaded, read = capsys.readouterr().out.splitlines()[1:]
    assert f"train/bees/{name}" in loaded and reason in loaded
    assert f"left out 1: train/bees/{name} (" in read and reason in read
    assert (len(images.dataset("train")), len(found.files)) == (4, 8)


@broken
def test_opening_and_predicting_a_broken_image_name_it(name, tmp_path):
    content, reason = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be used as an image: .*{reason}"):
        data.open_image(path)
    network = type("Model", (), {"preset": None})
    (found,) = prediction.predict_files(network, [path])
    assert found.probabilities is None and reason in found.problem


@broken
def test_a_broken_upload_is_named_and_the_widget_lives_on(name):
    content, reason = BROKEN[name]
    if name == "phone.jpg":
        reason = "HEIC"
    with pytest.raises(ValueError, match=f"{name} .*{reason}"):
        data.read_image(content, name)


KINDS = {  # what may look odd and is an image
    "bytes.png": encoded(NOISE.convert("L"), "PNG"),
    "bits.png": encoded(NOISE.convert("1"), "PNG"),
    "deep.png": encoded(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)), "PNG"),
    "cmyk.jpg": encoded(NOISE.convert("CMYK")),
    "cmyk.tif": encoded(NOISE.convert("CMYK"), "TIFF"),
    "lab.tif": encoded(NOISE.convert("LAB"), "TIFF"),
    "palette.png": encoded(NOISE.convert("P"), "PNG"),
    "alpha.png": encoded(NOISE.convert("RGBA"), "PNG"),
    "grey alpha.png": encoded(NOISE.convert("LA"), "PNG"),
    "animated.webp": encoded(NOISE, "WEBP", save_all=True, append_images=[NOISE] * 3),
    "animated.png": encoded(NOISE, "PNG", save_all=True, append_images=[NOISE] * 3),
    "pages.tif": encoded(NOISE, "TIFF", save_all=True, append_images=[NOISE] * 3),
    "progressive.jpg": encoded(NOISE, progressive=True),
    "really a.png.jpg": encoded(NOISE, "PNG"),
    "gif.jpg": encoded(NOISE, "GIF", save_all=True, append_images=[NOISE] * 3),
    "more.jpg": JPEG + b"something after the end" * 100,
    "dot.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
    "strip.png": encoded(Image.new("RGB", (100, 1)), "PNG"),
    "UPPER.JPG": JPEG,
}


@pytest.mark.parametrize("name", KINDS)
def test_an_odd_but_legal_image_is_read_the_same_on_every_way_in(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(KINDS[name])
    assert image_files.fault(path) is None
    opened, uploaded = data.open_image(path), data.read_image(KINDS[name], name)
    assert opened.mode == uploaded.mode == "RGB"
    assert opened.tobytes() == uploaded.tobytes()
    preset = models.preset(32, 32)
    assert preset(opened).isfinite().all()


@pytest.mark.parametrize("kind", ["BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5, 0.9])
def test_noise_in_a_file_gives_an_image_or_an_error_that_names_it(kind, share, tmp_path):
    path = tmp_path / "noisy.img"
    path.write_bytes(flipped(kind, share))
    try:
        assert data.open_image(path).mode == "RGB"
    except ValueError as error:
        assert "noisy.img cannot be used as an image" in str(error)
        assert image_files.fault(path)


@pytest.mark.parametrize("kind", ["a frame", "the end"])
def test_a_broken_later_frame_does_no_harm(kind, tmp_path):
    content = encoded(NOISE, "GIF", save_all=True, append_images=[NOISE.rotate(9)] * 5)
    cut = len(content) * 9 // 10 if kind == "a frame" else len(content) - 3
    (tmp_path / "a.png").write_bytes(content[:cut])
    assert data.open_image(tmp_path / "a.png").size == NOISE.size


class Small(nn.Module):
    """A network for images of 32 pixels, with a convolution for the heat map."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 4), nn.ReLU())
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 2))

    def forward(self, images):
        return self.classifier(self.features(images))


UPLOADS = ["a$$b.png", "<b>x</b>.png", "line\nbreak.png", "\x1b[31m.png", "蟻.png", "", "n" * 300]


@pytest.fixture
def zone():
    return own_image(Small(), models.preset(32, 32), ("a$$b", "_ants"), example=("蟻", NOISE))


@pytest.mark.parametrize("name", UPLOADS)
@pytest.mark.filterwarnings("ignore:the figures' font")
def test_an_upload_may_have_any_name(name, zone):
    zone.receive(name, encoded(Image.new("RGB", (40, 40), "red"), "PNG"))
    assert zone.error is None
    assert zone.rendering.alt.startswith(f"{printable(name) or 'An image'}. The network predicts ")
    assert "<b>x" not in zone._image.value


@pytest.mark.parametrize("name", UPLOADS)
def test_a_broken_upload_may_have_any_name(name, zone):
    zone.receive(name, b"no image")
    text = html.unescape(zone._message.value)
    assert f"{printable(name)} cannot be used as an image: not an image" in text
    assert "<b>x" not in zone._message.value
    zone.receive("fine.png", PNG)
    assert zone._message.value == ""
