"""Images and folders of images for the tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def make_set(folder, classes=("ants", "bees"), train=2, val=1):
    """Write a folder of plain red images with train and val; bees have one more in train."""
    for split, count in (("train", train), ("val", val)):
        for label in classes:
            for number in range(count + (label == "bees" and split == "train")):
                path = folder / split / label / f"{label}_{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (24, 16), RED).save(path)
    return folder


def photograph(width=60, height=40):
    """Return an image of noise, which makes a file of some kilobytes."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def png(width, height, *, depth=8, colour=2, rows=b""):
    """Return the bytes of a PNG file whose header may not fit its content."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def encoded(image, kind="JPEG", **settings):
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()
