"""Painting a scene on pixels: shadows, shaded parts, and what a small camera does to them.

Source:
    Blinn, "Models of light reflection for computer synthesized images" (1977), the highlights:
    https://doi.org/10.1145/563858.563893
"""

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from tutorial_utils.synthetic.parts import FEET, SHADES, Ball, Camera, Light, Limb, Wing

SUPERSAMPLING = 2  # parts are painted this many times larger and reduced, which smooths their edges


def cast_shadows(rng: Generator, canvas: Image.Image, scene: list, light: Light) -> Image.Image:
    """Darken the ground where parts of the scene stand between it and the sun."""
    mask = Image.new("L", canvas.size)
    ink = ImageDraw.Draw(mask)
    for parts, camera in scene:
        sun = camera.matrix.T @ light.sun
        sun = sun / sun[2]
        fall = np.eye(3) - np.outer(sun, (0, 0, 1))  # along the sun onto z = 0
        flat = Camera(camera.matrix @ fall, camera.origin + (camera.matrix @ sun * FEET)[:2])
        for part in parts:
            if isinstance(part, Ball):
                ink.polygon(_outline(part, flat), 255)
            elif isinstance(part, Wing):
                ink.polygon(_flatten(flat.project(part.points)), 90)
            else:
                width = max(1, round(np.mean(part.widths) * camera.scale))
                ink.line(_flatten(flat.project(part.points)), 230, width)
    mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(1, 5)))
    strength = 1 - rng.uniform(0.35, 0.7)
    return Image.composite(canvas.point(lambda value: value * strength), canvas, mask)


def enlarge(canvas: Image.Image) -> Image.Image:
    """Return the ground at the size that `paint` works in."""
    width, height = canvas.size
    size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
    return canvas.resize(size, Image.Resampling.NEAREST)


def paint(rng: Generator, canvas: Image.Image, scene: list, light: Light) -> None:
    """Paint the insects or objects of a scene on an enlarged canvas, the farthest part first."""
    for parts, camera in scene:
        larger = Camera(camera.matrix * SUPERSAMPLING, camera.origin * SUPERSAMPLING)
        for part in sorted(parts, key=lambda part: larger.project(part[0])[:, 2].mean()):
            if isinstance(part, Limb):
                _paint_limb(rng, canvas, part, larger, light)
            elif isinstance(part, Wing):
                _paint_wing(canvas, part, larger, light)
            else:
                _paint_ball(canvas, part, larger, light)
                if part.fur:
                    _paint_fur(rng, canvas, part, larger, light)


def develop(rng: Generator, canvas: Image.Image) -> Image.Image:
    """Return what a small camera makes of it: focus, exposure, colour, uneven light, noise."""
    canvas = canvas.reduce(SUPERSAMPLING)
    blur = rng.uniform(0, 0.5) if rng.random() < 0.75 else rng.uniform(0.5, 1.3)
    gains, gamma = np.exp(rng.normal(0, 0.06, 3) + rng.normal(0.04, 0.13)), rng.uniform(0.8, 1.1)
    curve = np.clip((np.arange(256) / 255) ** gamma * gains[:, None] * 255, 0, 255)
    canvas = canvas.filter(ImageFilter.BoxBlur(blur)).point(curve.astype(int).ravel().tolist())
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in canvas.size)
    slope, corner = rng.normal(0, 0.15, 2), rng.uniform(0, 0.2)
    field = (1 + slope[0] * x - corner * x * x) + (slope[1] * y - corner * y * y)[:, None]
    noise = rng.standard_normal(field.shape, np.float32) * np.float32(rng.uniform(0, 6))
    values = np.asarray(canvas) * field.astype(np.float32)[..., None] + noise[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _paint_ball(canvas: Image.Image, ball: Ball, camera: Camera, light: Light) -> None:
    """Paint an ellipsoid: solve for its surface at each pixel, shade it and add texture.

    Only its outline is computed at the canvas's full resolution, its shading is not.
    """
    step = SUPERSAMPLING
    frame = camera.matrix @ ball.turn * ball.axes  # from the unit sphere to pixels
    inverse = np.linalg.inv(frame).astype(np.float32)
    metric = inverse.T @ inverse
    centre, half = camera.project(ball.centre)[0, :2], np.sqrt((frame[:2] ** 2).sum(axis=1))
    low = np.clip(np.floor((centre - half) / step) * step, 0, canvas.size).astype(int)
    high = np.clip(np.ceil((centre + half) / step) * step, 0, canvas.size).astype(int)
    if (high <= low).any():
        return
    left_top, right_bottom = low - centre, high - centre
    x = np.arange(left_top[0], right_bottom[0], dtype=np.float32)[None]
    y = np.arange(left_top[1], right_bottom[1], dtype=np.float32)[:, None]
    slope = metric[0, 2] * x + metric[1, 2] * y
    rest = metric[0, 0] * (x * x) + 2 * metric[0, 1] * x * y + metric[1, 1] * (y * y) - 1
    inside = slope * slope - metric[2, 2] * rest  # the discriminant of the quadratic for z
    z = ((np.sqrt(np.maximum(inside, 0)) - slope) / metric[2, 2])[::step, ::step]
    point = np.stack((x[:, ::step] + 0 * z, y[::step] + 0 * z, z), axis=-1).reshape(-1, 3)
    point = point @ inverse.T
    normal = point @ inverse
    normal /= np.sqrt(np.einsum("ij,ij->i", normal, normal))[:, None]
    grain = np.tile(light.grain, (z.shape[0] // 128 + 1, z.shape[1] // 128 + 1))
    grain = grain[: z.shape[0], : z.shape[1]].ravel()
    shade = np.clip((point[:, 0] + 1) * (SHADES / 2) + grain, 0, SHADES - 1).astype(np.intp)
    colour = ball.coat.astype(np.float32).take(shade, axis=0)
    colour *= (1 + 0.12 * (1 - ball.gloss) ** 2 * grain)[:, None].astype(np.float32)
    pixels = Image.fromarray(_shade(colour, normal, ball.gloss, light).reshape(*z.shape, 3))
    pixels = pixels.resize(inside.shape[::-1], Image.Resampling.NEAREST)
    canvas.paste(pixels, tuple(low), Image.fromarray(inside > 0))


def _paint_fur(
    rng: Generator, canvas: Image.Image, ball: Ball, camera: Camera, light: Light
) -> None:
    """Paint hairs that stand on a ball and lean to the rear."""
    area = camera.scale**2 * ball.axes[0] * ball.axes[1]
    spot = rng.normal(size=(int(np.clip(area / 11, 60, 800)), 3))
    spot /= np.linalg.norm(spot, axis=1, keepdims=True)
    normal = spot / ball.axes @ ball.turn.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    facing = normal @ camera.matrix.T / camera.scale
    seen = facing[:, 2] > -0.3
    spot, normal, facing = spot[seen], normal[seen], facing[seen].astype(np.float32)
    foot = ball.centre + spot * ball.axes @ ball.turn.T
    lean = normal - 0.5 * ball.turn[:, 0] + rng.normal(0, 0.3, normal.shape)
    tip = foot + ball.fur * lean * rng.uniform(0.5, 1.1, (len(lean), 1))
    colour = ball.coat[np.clip((spot[:, 0] + 1) * SHADES / 2, 0, SHADES - 1).astype(int)]
    colour = _shade(colour * rng.uniform(0.7, 1.5, (len(foot), 1)) + 0.03, facing, 0, light)
    ends = np.hstack((camera.project(foot)[:, :2], camera.project(tip)[:, :2]))
    ink, width = ImageDraw.Draw(canvas), max(1, round(camera.scale * 0.004))
    for end, tone in zip(ends.tolist(), colour.tolist(), strict=True):
        ink.line(end, tuple(tone), width)


def _paint_limb(
    rng: Generator, canvas: Image.Image, limb: Limb, camera: Camera, light: Light
) -> None:
    """Paint a jointed limb, tapered, shaded as a row of cylinders, with hairs if it has fur."""
    ink, seen = ImageDraw.Draw(canvas), camera.project(limb.points)
    radii = np.maximum(np.multiply(limb.widths, camera.scale / 2), 0.8)[:, None]
    start, end, axis = seen[:-1, :2], seen[1:, :2], np.diff(seen, axis=0)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True) + 1e-9
    lit = light.sky + 0.7 * np.sqrt(np.maximum(0, 1 - (axis @ light.sun) ** 2))
    tones = np.clip(limb.colour * lit[:, None] * 255, 0, 255)
    glows = np.minimum(tones * 1.35 + 22, 255)
    across = axis[:, :2] @ ((0, 1), (-1, 0))
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    a, b = across * radii[:-1], across * radii[1:]
    side = 0.4 * np.sign(across @ light.sun[:2])[:, None]
    quads = np.hstack((start + a, end + b, end - b, start - a)).tolist()
    balls = np.hstack((end - radii[1:], end + radii[1:])).tolist()
    shines = np.hstack((start + a * side, end + b * side)).tolist()
    colours = np.hstack((tones, glows)).astype(int).tolist()
    for row, (*tone, red, green, blue) in enumerate(colours):
        ink.polygon(quads[row], tuple(tone))
        ink.ellipse(balls[row], tuple(tone))
        ink.line(shines[row], (red, green, blue), max(1, round(radii[row, 0] * 0.5)))
        if limb.fur:
            root = start[row] + (end[row] - start[row]) * rng.uniform(0, 1, (12, 1))
            way = across[row] * rng.choice((-1, 1), (12, 1)) + axis[row, :2] * 0.6
            for hair in np.hstack((root, root + way * limb.fur * camera.scale)).tolist():
                ink.line(hair, (red, green, blue), 1)


def _paint_wing(canvas: Image.Image, wing: Wing, camera: Camera, light: Light) -> None:
    """Paint a translucent wing, brighter where it reflects the sun, then its veins."""
    ink, outline = ImageDraw.Draw(canvas, "RGBA"), camera.project(wing.points)
    normal = np.cross(outline[5] - outline[0], outline[-6] - outline[0])
    half = light.sun + (0, 0, 1)
    mirror = abs(normal @ half) / (np.linalg.norm(normal) * np.linalg.norm(half) + 1e-9)
    *tone, alpha = wing.colour
    bright = [min(255, int(value * (0.7 + 0.5 * mirror**4))) for value in tone]
    ink.polygon(_flatten(outline), (*bright, alpha))
    width = max(1, round(camera.scale * 0.006))
    for vein in (wing.points, *wing.veins):
        ink.line(_flatten(camera.project(vein)), (60, 42, 28, 170), width)


def _shade(colour: Array, normal: Array, gloss: float, light: Light) -> Array:
    """Return colours (K, 3), 0 to 1, on surfaces with unit normals (K, 3), lit, 0 to 255."""
    lit = np.maximum(normal @ light.sun * np.float32(0.75) + np.float32(0.15), 0) + light.sky
    shaded = colour * (lit[:, None] + np.maximum(normal[:, 1:2], 0) * (0.35 * light.bounce))
    half = light.sun + np.float32((0, 0, 1))
    facing = np.maximum(normal @ (half / np.linalg.norm(half)), 0)
    rim = (1 - np.maximum(normal[:, 2], 0)) ** 3
    shine = 0.7 * facing ** np.float32(10 + 50 * gloss) + 0.15 * facing**4 + 0.25 * light.sky * rim
    return np.clip((shaded + np.float32(gloss) * shine[:, None]) * 255, 0, 255).astype(np.uint8)


def _flatten(points: Array) -> list[float]:
    return points[:, :2].ravel().tolist()


def _outline(ball: Ball, camera: Camera) -> list[float]:
    """Return the outline of a ball on the canvas as a polygon, x and y in turn."""
    shape, t = (camera.matrix @ ball.turn * ball.axes)[:2], np.linspace(0, 2 * np.pi, 24)
    corner = np.linalg.cholesky(shape @ shape.T + 1e-6 * np.eye(2))
    circle = np.column_stack((np.cos(t), np.sin(t)))
    return _flatten(camera.project(ball.centre)[:, :2] + circle @ corner.T)
