"""Draws the pictures of the demo: coloured things on busy backgrounds, with their boxes.

`scene(rng, width, height)` returns an H x W x 3 uint8 picture and a list of `(class, cx, cy, w, h)`, centre and size
relative to the picture. The same generator state gives the same picture at the same size. A box is the thing's whole
outline clipped to the picture, also where another thing or a line hides a part of it.

    python3 draw.py out.png [seed [width height]]     draws one picture with its boxes, to look at
"""

import colorsys
import math
import sys

import numpy as np
from PIL import Image, ImageDraw

NAMES = ["ball", "box", "triangle", "star", "ring"]


def _colour(rng):
    rgb = colorsys.hsv_to_rgb(rng.random(), 0.25 + 0.75 * rng.random(), 0.25 + 0.75 * rng.random())
    return np.array(rgb, np.float32)


def _circle(n=48):
    a = np.arange(n) * (2 * math.pi / n)
    return np.stack([np.cos(a), np.sin(a)], 1)


def _outline(rng, kind):
    """Outline of a thing of about unit radius: outer polygon and, for a ring, its hole."""
    hole = None
    if kind == 0:
        p = _circle()
        p[:, 0] *= rng.uniform(0.85, 1.15)
    elif kind == 1:
        a = rng.uniform(0.6, 1.0)
        p = np.array([[-1, -a], [1, -a], [1, a], [-1, a]]) * 0.9
    elif kind == 2:
        a = math.pi * (0.5 + np.array([0, 2 / 3, 4 / 3]) + rng.uniform(-0.08, 0.08, 3))
        p = np.stack([np.cos(a), -np.sin(a)], 1)
        p[:, 0] *= rng.uniform(0.8, 1.2)
    elif kind == 3:
        a = np.arange(10) * (math.pi / 5)
        r = np.where(np.arange(10) % 2 == 0, 1.0, rng.uniform(0.38, 0.52))
        p = np.stack([r * np.sin(a), -r * np.cos(a)], 1)
    else:
        p = _circle()
        p[:, 0] *= rng.uniform(0.75, 1.25)
        hole = p * rng.uniform(0.45, 0.68)
    turn = rng.uniform(0, 2 * math.pi)
    m = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return p @ m.T, None if hole is None else hole @ m.T


def _background(rng, w, h):
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = x / h, y / h
    a = rng.uniform(0, 2 * math.pi)
    t = x * math.cos(a) + y * math.sin(a)
    t = (t - t.min()) / (t.max() - t.min())
    c0, c1 = _colour(rng), _colour(rng)
    c1 = c0 + (c1 - c0) * rng.uniform(0.2, 0.9)
    img = c0 + (c1 - c0) * t[..., None]
    texture = rng.integers(0, 6)
    depth = rng.uniform(0.04, 0.14)
    a = rng.uniform(0, 2 * math.pi)
    u, v = x * math.cos(a) + y * math.sin(a), y * math.cos(a) - x * math.sin(a)
    n = rng.uniform(4, 14)
    if texture == 1:
        img = img + depth * np.sin(u * n * 2 * math.pi)[..., None]
    elif texture == 2:
        img = img + depth * (np.floor(u * n) % 2)[..., None]
    elif texture == 3:
        img = img + depth * ((np.floor(u * n) + np.floor(v * n)) % 2)[..., None]
    elif texture == 4:
        k = int(rng.integers(3, 9))
        blobs = Image.fromarray(rng.uniform(0, 255, (k, k + 1, 3)).astype(np.uint8)).resize((w, h), Image.BICUBIC)
        img = img + 2 * depth * (np.asarray(blobs, np.float32) / 255 - 0.5)
    for _ in range(rng.integers(0, 3)):  # bands that run through the picture, like a table's edge or a wall
        a, d = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 1.0)
        side = x * math.cos(a) + y * math.sin(a)
        band = (side > d) & (side < d + rng.uniform(0.05, 0.6))
        img[band] = img[band] * 0.6 + 0.4 * _colour(rng)
    return img


def _paste(img, polygon, colour_of, hole=None, opacity=1.0):
    """Fills a polygon in place with smoothed edges. `colour_of(xs, ys)` gives the colours of pixel centres."""
    h, w, _ = img.shape
    x0, y0 = np.maximum(np.floor(polygon.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(polygon.max(0)).astype(int) + 1, (w, h))
    if x0 >= x1 or y0 >= y1:
        return
    s = 4
    mask = Image.new("L", ((x1 - x0) * s, (y1 - y0) * s), 0)
    pen = ImageDraw.Draw(mask)
    pen.polygon([tuple(p) for p in (polygon - (x0, y0)) * s], fill=255)
    if hole is not None:
        pen.polygon([tuple(p) for p in (hole - (x0, y0)) * s], fill=0)
    alpha = np.asarray(mask.reduce(s), np.float32)[..., None] * (opacity / 255)
    ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    part = img[y0:y1, x0:x1]
    img[y0:y1, x0:x1] = part + alpha * (colour_of(xs + 0.5, ys + 0.5) - part)


def _stroke(img, rng, unit, thick):
    """A line, a bent line, a cross or a dot: clutter that is none of the things."""
    h, w, _ = img.shape
    c = _colour(rng)
    at = rng.uniform(0, 1, 2) * (w, h)
    a = rng.uniform(0, 2 * math.pi)
    d = np.array([math.cos(a), math.sin(a)])
    n = np.array([-d[1], d[0]]) * thick * unit / 2
    kind = rng.integers(0, 4)
    if kind == 0:
        parts = [(at - d * 300 * unit, at + d * 300 * unit)]
    elif kind == 1:
        p, parts = at, []
        for _ in range(4):
            b = a + rng.uniform(-0.9, 0.9)
            q = p + np.array([math.cos(b), math.sin(b)]) * rng.uniform(8, 25) * unit
            parts.append((p, q))
            p = q
    elif kind == 2:
        r, e = rng.uniform(4, 12) * unit, np.array([-d[1], d[0]])
        parts = [(at - d * r, at + d * r), (at - e * r, at + e * r)]
    else:
        parts = []
        _paste(img, at + _circle(16) * rng.uniform(0.8, 2.5) * unit, lambda x, y: c)
    for p, q in parts:
        e = (q - p) / np.linalg.norm(q - p)
        n = np.array([-e[1], e[0]]) * thick * unit / 2
        _paste(img, np.array([p + n, q + n, q - n, p - n]), lambda x, y: c)


def _finish(rng, centre, radius):
    """How a thing is painted: plain, shaded, striped or lit from one side."""
    base = _colour(rng)
    other = np.clip(base * rng.uniform(0.45, 0.8) if rng.random() < 0.5 else base + rng.uniform(0.15, 0.4), 0, 1)
    a = rng.uniform(0, 2 * math.pi)
    d = (math.cos(a), math.sin(a))
    style = rng.integers(0, 4)
    n = rng.uniform(0.8, 2.0)

    def paint(x, y):
        u = ((x - centre[0]) * d[0] + (y - centre[1]) * d[1]) / radius
        if style == 0:
            t = np.zeros_like(u)
        elif style == 1:
            t = np.clip(0.5 + 0.5 * u, 0, 1)
        elif style == 2:
            t = (np.floor(u * n * 2) % 2 == 0).astype(np.float32)
        else:
            hx, hy = centre[0] + d[0] * 0.4 * radius, centre[1] + d[1] * 0.4 * radius
            t = np.clip(np.hypot(x - hx, y - hy) / (1.3 * radius), 0, 1)
        return base + (other - base) * t[..., None]

    return base, other, paint


def scene(rng, width, height, things=None, grain=None):
    unit = height / 120
    img = _background(rng, width, height)
    for _ in range(rng.integers(0, 7)):
        _stroke(img, rng, unit, rng.uniform(0.8, 2.5))
    boxes, pixels = [], []
    wanted = int(rng.integers(1, 8)) if things is None else things
    for _ in range(wanted * 12):
        if len(boxes) == wanted:
            break
        kind = int(rng.integers(0, len(NAMES)))
        radius = 8 * unit * math.exp(rng.uniform(0, math.log(4.2)))
        outer, hole = _outline(rng, kind)
        centre = rng.uniform(0.04, 0.96, 2) * (width, height)
        outer = outer * radius + centre
        hole = None if hole is None else hole * radius + centre
        lo, hi = outer.min(0), outer.max(0)
        clo, chi = np.maximum(lo, 0), np.minimum(hi, (width, height))
        if np.prod(chi - clo) < 0.75 * np.prod(hi - lo):
            continue
        area = np.prod(chi - clo)
        if any(
            np.prod(np.maximum(np.minimum(chi, b) - np.maximum(clo, a), 0)) > 0.22 * min(area, np.prod(b - a))
            for a, b in pixels
        ):
            continue
        around = img[int(clo[1]) : int(chi[1]) + 1, int(clo[0]) : int(chi[0]) + 1].mean((0, 1))
        for _ in range(20):  # a thing must stand out from what it lies on
            base, other, paint = _finish(rng, centre, radius)
            if min(np.abs(base - around).max(), np.abs(other - around).max()) > 0.25:
                break
        if rng.random() < 0.3:
            off = rng.uniform(-2.5, 2.5, 2) * unit
            _paste(img, outer + off, lambda x, y: around * 0.4, None if hole is None else hole + off, 0.6)
        _paste(img, outer, paint, hole)
        pixels.append((clo, chi))
        c, s = (clo + chi) / 2 / (width, height), (chi - clo) / (width, height)
        boxes.append((kind, float(c[0]), float(c[1]), float(s[0]), float(s[1])))
    for _ in range(rng.integers(0, 3)):  # thin lines over everything
        _stroke(img, rng, unit, rng.uniform(0.6, 1.6))
    img = img * 255
    if rng.random() < 0.2 if grain is None else grain:
        img = img + rng.normal(0, rng.uniform(1, 5), img.shape[:2] + (1,))
    return np.clip(np.rint(img), 0, 255).astype(np.uint8), boxes


def main():
    out, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    w, h = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (640, 480)
    picture, boxes = scene(np.random.default_rng(seed), w, h)
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for kind, x, y, bw, bh in boxes:
        pen.rectangle([(x - bw / 2) * w, (y - bh / 2) * h, (x + bw / 2) * w, (y + bh / 2) * h], outline="white")
        pen.text(((x - bw / 2) * w + 2, (y - bh / 2) * h + 1), NAMES[kind], fill="white")
    image.save(out)


if __name__ == "__main__":
    main()
