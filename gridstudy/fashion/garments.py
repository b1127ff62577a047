"""The built-in stand-in data for a machine without a network: garments drawn by this program.

Only additions, multiplications, divisions, minima and maxima of float32 are used, which every machine rounds alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GARMENTS_VERSION = 1
"""Raised by hand when the images change."""

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The classes of Fashion-MNIST, which the garments share, by label."""

SIDE = 28
CHUNK = 250
"""Images drawn at once: as many as stay in a processor's cache."""

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Range = tuple[float, float]

ROWS: Floats = np.arange(SIDE, dtype=np.float32).reshape(1, SIDE, 1)
COLUMNS: Floats = np.arange(SIDE, dtype=np.float32).reshape(1, 1, SIDE)

# Per part of a garment its least and greatest value in each class. Widths are half widths in pixels; `sleeve` is a
# share of the garment's length; `opening` and `collar` are contrasts; the straps of a shoe are what its `gaps` leave.
UPPER_BODIES = (0, 2, 3, 4, 6)
UPPER_BODY_PARTS: dict[str, tuple[Range, Range, Range, Range, Range]] = {
    #            T-shirt      pullover      dress        coat         shirt
    "top":      ((1.0, 4.0), (1.0, 4.0),   (0.0, 2.5),  (0.0, 3.0),  (0.5, 4.0)),
    "length":   ((20., 25.), (20., 25.),   (24., 27.),  (22., 26.5), (20., 26.)),
    "shoulder": ((6.5, 9.0), (6.0, 8.0),   (3.5, 6.0),  (5.5, 8.0),  (5.5, 8.5)),
    "waist":    ((5.5, 8.0), (5.5, 8.0),   (2.5, 5.0),  (5.0, 8.0),  (5.0, 8.0)),
    "hem":      ((5.5, 8.0), (5.5, 8.0),   (3.5, 9.0),  (5.5, 8.5),  (5.5, 8.0)),
    "sleeve":   ((0.1, 0.5), (.75, 1.0),   (0.0, 0.6),  (.75, 1.0),  (0.2, 1.3)),
    "spread":   ((1.5, 5.0), (1.0, 4.5),   (0.0, 3.5),  (1.0, 4.0),  (1.0, 4.5)),
    "cuff":     ((3.0, 5.0), (2.5, 4.0),   (1.5, 3.5),  (2.5, 4.0),  (2.5, 4.5)),
    "neck":     ((2.0, 4.0), (2.0, 3.5),   (1.5, 3.5),  (1.5, 3.0),  (1.5, 3.5)),
    "depth":    ((0.5, 4.0), (0.0, 3.0),   (0.5, 5.0),  (0.0, 5.0),  (0.0, 4.5)),
    "opening":  ((-.1, 0.1), (-.15, 0.2),  (-.1, .15),  (0.0, 0.6),  (-.1, .35)),
    "collar":   ((-.2, 0.2), (-.3, 0.3),   (-.2, 0.2),  (-.1, 0.5),  (-.1, 0.4)),
}  # fmt: skip
SHOES = (5, 7, 9)
SHOE_PARTS: dict[str, tuple[Range, Range, Range]] = {
    #            sandal       sneaker      ankle boot
    "sole":     ((18., 24.), (17., 22.),   (21., 26.)),
    "toe":      ((1.0, 5.0), (2.5, 5.5),   (3.0, 7.0)),
    "shaft":    ((5.0, 13.), (6.5, 11.),   (10., 21.)),
    "throat":   ((8.0, 17.), (10., 17.),   (10., 17.)),
    "heel":     ((-1., 5.0), (-1.5, 1.0),  (-1., 4.0)),
    "gaps":     ((.25, .75), (-.2, 0.2),   (-.4, 0.1)),
}  # fmt: skip


def draw_garments(n_train: int, n_test: int) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Draw training and test images (n, 28, 28) with labels (n,), all uint8, the same on every call."""
    train_images, train_labels = _draw(n_train, part=0)
    test_images, test_labels = _draw(n_test, part=1)
    return train_images, train_labels, test_images, test_labels


def _draw(n_images: int, *, part: int) -> tuple[Bytes, Bytes]:
    rng = np.random.Generator(np.random.PCG64((GARMENTS_VERSION, n_images, part)))
    labels = (np.argsort(rng.random(n_images), kind="stable") % len(CLASS_NAMES)).astype(np.uint8)
    images = np.empty((n_images, SIDE, SIDE), dtype=np.uint8)
    for label in range(len(CLASS_NAMES)):
        members = np.flatnonzero(labels == label)
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            images[chunk] = _draw_class(rng, len(chunk), label)
    return images, labels


def _draw_class(rng: np.random.Generator, n: int, label: int) -> Bytes:
    """Draw n images of one class: silhouette times shade, fabric and noise."""
    if label in UPPER_BODIES:
        grey = _upper_body(rng, n, UPPER_BODIES.index(label))
    elif label in SHOES:
        grey = _shoe(rng, n, SHOES.index(label))
    else:
        grey = _trouser(rng, n) if label == 1 else _bag(rng, n)
    grey = grey * _fabric(rng, n)
    noise = rng.random((n, SIDE, SIDE), dtype=np.float32) - rng.random((n, SIDE, SIDE), dtype=np.float32)
    grey = grey + noise * (np.float32(0.02) + grey * _uniform(rng, n, 0.05, 0.35))
    return (np.clip(grey, 0, 1) * np.float32(255)).astype(np.uint8)


def _upper_body(rng: np.random.Generator, n: int, column: int) -> Floats:
    """Torso, sleeves, neck, collar and front opening; T-shirt to coat differ in their ranges alone."""
    of = {part: _uniform(rng, n, *ranges[column]) for part, ranges in UPPER_BODY_PARTS.items()}
    down = ROWS - of["top"]
    aside = np.abs(COLUMNS - _uniform(rng, n, 12.7, 14.3))
    bottom = np.minimum(of["length"], 27 - of["top"])
    half = _path(down, (0, of["neck"] + 1), (2.5, of["shoulder"]), (12, of["waist"]), (bottom, of["hem"]))
    torso = _cover(down, bottom - down) * _cover(half - aside)
    end = bottom * np.clip(of["sleeve"], 0, 1)
    outer = _path(down, (0, of["neck"] + 1), (2.5, of["shoulder"]), (end + 3, of["shoulder"] + of["spread"]))
    sleeve = _cover(down, end - down) * _cover(outer - aside, aside - outer + of["cuff"])
    seam = sleeve * _cover(np.float32(0.8) - np.abs(aside - half)) * _cover(down - 6)
    neckline = of["depth"] * np.maximum(1 - aside / of["neck"], 0)
    collar = _cover(neckline + 2 - down) * _cover(of["neck"] + 1 - aside)
    front = _cover(np.float32(0.6) - np.abs(COLUMNS - _uniform(rng, n, 12.5, 14.5)))
    shade = 1 - _uniform(rng, n, 0.1, 0.6) * seam - of["collar"] * collar - of["opening"] * front
    grey: Floats = np.maximum(torso, sleeve) * _cover(down - neckline) * shade
    return grey


def _trouser(rng: np.random.Generator, n: int) -> Floats:
    """Two legs that part below the crotch."""
    aside = np.abs(COLUMNS - _uniform(rng, n, 12.7, 14.3))
    top, crotch = _uniform(rng, n, 0, 2), _uniform(rng, n, 6, 13)
    waist, hip, hem = _uniform(rng, n, 3, 5), _uniform(rng, n, 3.5, 6.5), _uniform(rng, n, 3.5, 7.5)
    outer = _path(ROWS, (top, waist), (crotch, hip), (27, hem))
    gap = _path(ROWS, (crotch, -0.5), (27, _uniform(rng, n, 0, 3)))
    return _cover(ROWS - top, _uniform(rng, n, 25, 28) - ROWS) * _cover(outer - aside, aside - gap)


def _bag(rng: np.random.Generator, n: int) -> Floats:
    """A box, a flap across it, and a handle above it (or none)."""
    aside = np.abs(COLUMNS - _uniform(rng, n, 12.7, 14.3))
    top, bottom = _uniform(rng, n, 5, 14), _uniform(rng, n, 20, 27)
    half = _path(ROWS, (top, _uniform(rng, n, 7, 13)), (bottom, _uniform(rng, n, 8, 13.5)))
    flap = top + _uniform(rng, n, 2, 9)
    box = _cover(ROWS - top, bottom - ROWS) * _cover(half - aside)
    box = box * (1 - _uniform(rng, n, -0.2, 0.5) * _cover(np.float32(0.6) - np.abs(ROWS - flap)))
    height, reach, thick = _uniform(rng, n, -2, 12), _uniform(rng, n, 3, 8), _uniform(rng, n, 0.5, 1.6)
    rise = top - height * np.maximum(1 - (aside / reach) * (aside / reach), 0)
    handle = _cover(rise + thick * 2 - ROWS, ROWS - rise) * _cover(reach - aside) * _cover(top - ROWS)
    grey: Floats = np.maximum(box, handle)
    return grey


def _shoe(rng: np.random.Generator, n: int, column: int) -> Floats:
    """A shoe seen from the side, toe to the left: sole, upper to the throat, shaft, and straps where there are gaps."""
    of = {part: _uniform(rng, n, *ranges[column]) for part, ranges in SHOE_PARTS.items()}
    toe_tip, back = _uniform(rng, n, 0, 3), _uniform(rng, n, 24, 27.5)
    ground = of["sole"] + _path(COLUMNS, (9, 0), (18, -of["heel"] * np.float32(0.5)), (back, 0))
    toe, throat, shaft = of["toe"], of["throat"], of["shaft"]
    instep = ((toe_tip, toe * np.float32(0.5)), (toe_tip + 4, toe), (throat, toe + 2), (throat + 4, shaft))
    height = _path(COLUMNS, *instep, (back, shaft * _uniform(rng, n, 0.85, 1.1)))
    above = ground - ROWS
    upper = _cover(above, height - above) * _cover(COLUMNS - toe_tip, back - COLUMNS)
    slant = COLUMNS * _uniform(rng, n, -0.25, 0.25) + ROWS * _uniform(rng, n, 0.05, 0.35) + _uniform(rng, n, 0, 1)
    straps = _cover((_wave(slant) - of["gaps"]) * 4)
    sole = _cover(_uniform(rng, n, 1, 3) - above)
    arch = _cover(of["heel"] - 2 - above) * _cover(COLUMNS - 11, back - 5 - COLUMNS)
    grey: Floats = upper * np.maximum(straps, sole) * (1 - arch) * (1 + _uniform(rng, n, -0.5, 0.5) * sole)
    return grey


def _fabric(rng: np.random.Generator, n: int) -> Floats:
    """Brightness with a slope, stripes along or across in some, and soft blotches."""
    brightness = _uniform(rng, n, 0.25, 1.0)
    slope = 1 + _uniform(rng, n, -0.25, 0.25) * (ROWS - 14) / 14 + _uniform(rng, n, -0.15, 0.15) * (COLUMNS - 14) / 14
    along = _uniform(rng, n, -0.3, 0.3)
    across = np.maximum(_uniform(rng, n, -0.1, 0.3), 0)
    stripes = _wave(COLUMNS * along + ROWS * across + _uniform(rng, n, 0, 1))
    striped = np.maximum(_uniform(rng, n, -0.5, 0.6), 0)
    blocks = rng.random((n, 8, 8), dtype=np.float32).repeat(4, axis=1).repeat(4, axis=2)
    blotches = (blocks[:, :SIDE, :SIDE] + blocks[:, 2:-2, 2:-2]) * np.float32(0.5)
    blotched = np.maximum(_uniform(rng, n, -0.3, 0.5), 0)
    fabric: Floats = brightness * slope * (1 - striped * stripes) * (1 - blotched * blotches)
    return fabric


def _uniform(rng: np.random.Generator, n: int, low: float, high: float) -> Floats:
    """One number per image, (n, 1, 1)."""
    numbers: Floats = np.float32(low) + np.float32(high - low) * rng.random((n, 1, 1), dtype=np.float32)
    return numbers


def _cover(*depths: Floats) -> Floats:
    """How much of each pixel is covered, 0 to 1, by what lies within all edges; depths in pixels, negative outside."""
    depth = depths[0]
    for other in depths[1:]:
        depth = np.minimum(depth, other)
    covered: Floats = np.clip(depth + np.float32(0.5), 0, 1)
    return covered


def _path(t: Floats, *knots: tuple[float | Floats, float | Floats]) -> Floats:
    """Piecewise linear through knots (t, value) given in order, constant beyond them; each may differ per image."""
    start, value = (np.asarray(number, dtype=np.float32) for number in knots[0])
    path = value
    for knot in knots[1:]:
        end, next_value = (np.asarray(number, dtype=np.float32) for number in knot)
        reached = np.clip((t - start) / np.maximum(end - start, np.float32(0.5)), 0, 1)
        path = path + (next_value - value) * reached
        start, value = end, next_value
    return path


def _wave(t: Floats) -> Floats:
    """A triangle wave from 0 to 1 with period 1."""
    wave: Floats = np.abs(t - np.floor(t) - np.float32(0.5)) * 2
    return wave
