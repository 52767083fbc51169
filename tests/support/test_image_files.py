"""Tests of `tutorial_utils._support.image_files`: any image becomes upright RGB, or an error."""

import re
import struct
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_sets import RED, WHITE, encoded, photograph, png
from PIL import Image

from tutorial_utils._support import image_files


def test_audit_decodes_photographs_small(tmp_path):
    photograph(640, 480).save(tmp_path / "a.jpg")
    assert image_files._read(tmp_path / "a.jpg", least_side=1).size == (80, 60)
    assert image_files._read(tmp_path / "a.jpg").size == (640, 480)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"])
def test_a_file_cut_anywhere_has_a_fault_and_cannot_be_opened(tmp_path_factory, kind):
    content = encoded(photograph(), kind)
    path = tmp_path_factory.mktemp("cut") / f"cut.{'jpg' if kind == 'JPEG' else kind.lower()}"

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(content)))
    def check(length):
        path.write_bytes(content[:length])
        fault = image_files.fault(path)
        if length == len(content):
            assert fault is None
        if length < 0.9 * len(content):
            assert fault is not None
        with warnings.catch_warnings(action="ignore"):
            if fault is None:
                assert image_files.open_image(path).size == (60, 40)
            else:
                with pytest.raises(ValueError, match=re.escape(fault)):
                    image_files.open_image(path)

    check()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_damage_raises_nothing_but_the_named_error(tmp_path_factory, noise, where):
    content = bytearray(encoded(photograph(), "PNG"))
    content[where : where + len(noise)] = noise
    path = tmp_path_factory.getbasetemp() / "noise.png"
    path.write_bytes(content)
    if fault := image_files.fault(path):
        with pytest.raises(ValueError, match=r"noise.png cannot be used as an image: "):
            image_files.open_image(path)
    else:
        assert image_files.open_image(path).mode == "RGB", fault


def packed(kind):
    return encoded(Image.new("RGB", (20, 10), RED), kind)


def opened(tmp_path, image, name="a.png", **settings):
    image.save(tmp_path / name, **settings)
    found = image_files.open_image(tmp_path / name)
    assert found.mode == "RGB"
    assert found.size == image.size
    return found


def test_colours_are_left_alone(tmp_path):
    image = photograph()
    assert opened(tmp_path, image).tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "MPO", "PNG", "TIFF", "WEBP"])
def test_the_content_decides_the_format(tmp_path, kind):
    path = tmp_path / "a.jpg"
    path.write_bytes(packed(kind))
    for image in (image_files.open_image(path), image_files.read_image(packed(kind), "upload")):
        assert (image.mode, image.size) == ("RGB", (20, 10))
        assert np.abs(np.subtract(image.getpixel((4, 4)), RED)).max() < 9


def test_grey(tmp_path):
    assert opened(tmp_path, Image.new("L", (3, 2), 77)).getpixel((1, 1)) == (77, 77, 77)
    assert opened(tmp_path, Image.new("L", (9, 9), 77), "a.jpg").getpixel((4, 4)) == (77, 77, 77)
    assert opened(tmp_path, Image.new("1", (3, 2), 1)).getpixel((1, 1)) == WHITE


def test_grey_of_16_bits(tmp_path):
    values = np.array([[0, 257, 32_768, 65_535]], dtype=np.uint16)
    wanted = [[(0,) * 3, (1,) * 3, (128,) * 3, (255,) * 3]]
    for name in ("a.png", "a.tif", "a.pgm"):
        found = opened(tmp_path, Image.fromarray(values), name)
        assert np.asarray(found).tolist() == np.array(wanted).tolist()
    swapped = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    assert np.asarray(opened(tmp_path, swapped, "b.tif")).tolist() == np.array(wanted).tolist()


def test_colours_of_16_bits(tmp_path):
    rows = b"\0" + struct.pack(">6H", 65_535, 0, 32_768, 0, 65_535, 257)
    (tmp_path / "a.png").write_bytes(png(2, 1, depth=16, rows=rows))
    found = image_files.open_image(tmp_path / "a.png")
    assert np.asarray(found).tolist() == [[[255, 0, 128], [0, 255, 1]]]


def test_cmyk(tmp_path):
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow make red
    assert opened(tmp_path, inks, "a.tif").getpixel((8, 8)) == RED
    found = opened(tmp_path, inks, "a.jpg", quality=95).getpixel((8, 8))
    assert np.abs(np.subtract(found, RED)).max() <= 3


def test_transparent_pixels_lie_on_white(tmp_path):
    layer = Image.new("RGBA", (3, 1), (*RED, 255))
    layer.putpixel((1, 0), (*RED, 0))
    layer.putpixel((2, 0), (*RED, 128))
    found = opened(tmp_path, layer)
    assert [found.getpixel((x, 0)) for x in range(3)] == [RED, WHITE, (255, 127, 127)]
    grey = Image.new("LA", (2, 1), (0, 0))
    assert opened(tmp_path, grey).getpixel((0, 0)) == WHITE


def test_palettes(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    found = opened(tmp_path, palette)
    assert [found.getpixel((x, 0)) for x in range(2)] == [RED, (0, 0, 255)]
    found = opened(tmp_path, palette, "b.png", transparency=0)
    assert [found.getpixel((x, 0)) for x in range(2)] == [WHITE, (0, 0, 255)]
    found = opened(tmp_path, palette, "c.png", transparency=b"\x80\xff")
    assert [found.getpixel((x, 0)) for x in range(2)] == [(255, 127, 127), (0, 0, 255)]


def test_a_transparent_colour(tmp_path):
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), (1, 2, 3))
    found = opened(tmp_path, image, transparency=(1, 2, 3))
    assert [found.getpixel((x, 0)) for x in range(2)] == [RED, WHITE]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_by_its_exif_orientation(tmp_path, name, orientation):
    upright = Image.new("RGB", (48, 32), WHITE)
    upright.paste(RED, (0, 0, 16, 16))  # the upper left corner
    upright.paste((0, 0, 255), (32, 0, 48, 16))  # the upper right one
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # Image.Transpose
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / name, exif=exif, quality=95)
    content = (tmp_path / name).read_bytes()
    for found in (image_files.open_image(tmp_path / name), image_files.read_image(content, name)):
        assert found.size == (48, 32)
        for where, colour in (((5, 5), RED), ((42, 5), (0, 0, 255)), ((5, 27), WHITE)):
            assert np.abs(np.subtract(found.getpixel(where), colour)).max() <= 15
    assert image_files.fault(tmp_path / name) is None


@pytest.mark.parametrize("exif", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x"])
def test_damaged_exif_data_does_no_harm(tmp_path, exif):
    image = photograph()
    image.save(tmp_path / "a.jpg", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert image_files.open_image(tmp_path / "a.jpg").size == image.size
    assert image_files.fault(tmp_path / "a.jpg") is None


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (12_000, 5_001)])
def test_absurd_sizes_are_not_decoded(tmp_path, monkeypatch, width, height):
    (tmp_path / "a.png").write_bytes(png(width, height))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"a.png cannot be used .* more than 60 megapixels\. "):
        image_files.open_image(tmp_path / "a.png")


# Resized with its proportions, such an image would need gigabytes.
@pytest.mark.parametrize("size", [(30_000, 1), (2, 201)])
def test_very_thin_images_are_not_decoded_on_any_way_in(tmp_path, monkeypatch, size):
    path, reason = tmp_path / "a.png", rf"{size[0]} x {size[1]} pixels, too long and narrow"
    Image.new("RGB", size).save(path)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for least_side in (None, 32):
        with pytest.raises(ValueError, match=rf"a.png cannot be used as an image: {reason}\. "):
            image_files.open_image(path, least_side=least_side)
    with pytest.raises(ValueError, match=rf"mine cannot be used as an image: {reason}\. "):
        image_files.read_image(path.read_bytes(), "mine")
    assert image_files.fault(path) == reason


def test_a_long_panorama_is_decoded(tmp_path):
    assert opened(tmp_path, Image.new("RGB", (200, 2))).size == (200, 2)


def test_large_sizes_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 60 * 40)
    assert opened(tmp_path, photograph(60, 40))
    content = encoded(photograph(60, 41), "PNG")
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(ValueError, match="b.png .* 60 x 41 pixels, more than"):
        image_files.open_image(tmp_path / "b.png")
    with pytest.raises(ValueError, match="upload .* 60 x 41 pixels, more than"):
        image_files.read_image(content, "upload")


def test_errors_name_the_file_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no image .*gone.jpg"):
        image_files.open_image(tmp_path / "gone.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"nonsense")
    message = "bad.jpg cannot be used as an image: not an image. Replace it or move it out"
    with pytest.raises(ValueError, match=message):
        image_files.open_image(str(tmp_path / "bad.jpg"))
    with pytest.raises(ValueError, match="not a file"):
        image_files.open_image(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.jpg is empty, 0 bytes: give an image, JPEG, PNG"),
        (b"hello, this is text", "a.jpg cannot be used as an image: not an image. Give another"),
        (packed("JPEG")[:-200], "a.jpg cannot be used as an image: "),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.jpg is a HEIC photograph"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ],
)
def test_bytes_that_are_not_an_image(content, message):
    with pytest.raises(ValueError, match=message):
        image_files.read_image(content, "a.jpg")


def test_a_path_may_begin_at_home(home):
    photograph().save(home / "a.png")
    assert image_files.open_image("~/a.png").size == (60, 40)
    with pytest.raises(FileNotFoundError, match=f"there is no image {home}/b.png"):
        image_files.open_image("~/b.png")
