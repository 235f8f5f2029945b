"""Shapes: cells crenated, drawn out and bent, and what lies on a slide that is no cell."""

from __future__ import annotations

import cv2
import numpy as np

WAVES = (0.10, 0.22)  # length of a crenation in parts of a red cell
DEPTH = 0.045  # how deep, at most, in parts of a red cell


def crenate(image: np.ndarray, cell_px: float, rng: np.random.Generator) -> np.ndarray:
    """A window (h, w, 3) uint8 in which every outline is wavy, as of cells that dry slowly.

    A smooth random displacement far shorter than a cell: boxes stay where they are.
    """
    h, w = image.shape[:2]
    wave = max(2.0, rng.uniform(*WAVES) * cell_px)
    shift = rng.normal(0, 1, (2, h, w)).astype(np.float32)
    depth = rng.uniform(0.4, 1) * DEPTH * cell_px
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    moved: list[np.ndarray] = []
    for axis, field in zip((x, y), shift, strict=True):
        smooth = cv2.GaussianBlur(field, (0, 0), wave / 2.5)
        moved.append(axis + smooth * np.float32(depth / max(float(smooth.std()), 1e-6)))
    return cv2.remap(image, moved[0], moved[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def misshape(
    patch: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A cell (h, w, 3) float32 and its mask (h, w, 1) as a drop, an ellipse or a sickle: squeezed,
    tapering to one end, or bent; both as large as it then is."""
    h, w = patch.shape[:2]
    long, kind = round(h * rng.uniform(1.0, 1.3)), rng.random()
    v, u = np.mgrid[-1 : 1 : long * 1j, -1 : 1 : w * 1j].astype(np.float32)
    narrow = rng.uniform(1.3, 3.0)  # how many times narrower it becomes
    if kind < 0.35:  # a drop
        across = u * (1 + (narrow - 1) * (v + 1) / 2)
    elif kind < 0.7:  # a sickle: narrow, bent to one side
        bend = rng.uniform(0.2, 0.6)
        across = (u + bend * (1 - 2 * v * v) / 2) * narrow
    else:
        across = u * narrow
    at_x, at_y = (across + 1) * (w - 1) / 2, (v + 1) * (h - 1) / 2
    moved = cv2.remap(patch, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.remap(mask, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    shown = np.argwhere(cover > 0.3)
    if len(shown) < 9:
        return patch, mask
    (top, left), (bottom, right) = shown.min(axis=0), shown.max(axis=0) + 1
    area = np.s_[top:bottom, left:right]
    return moved[area], cover[area][..., np.newaxis]


def soil(image: np.ndarray, cell_px: float, rng: np.random.Generator) -> np.ndarray:
    """A window (h, w, 3) uint8 with dirt: deposits of stain in grains, rings of bubbles, fibres.

    Grains are far smaller and blacker than platelets, and lie in heaps; none is a cell.
    """
    h, w = image.shape[:2]
    density = np.zeros((h, w), np.float32)
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(0, w), rng.uniform(0, h)
        kind = rng.random()
        if kind < 0.6:  # a heap of grains
            spread = rng.uniform(0.1, 0.8) * cell_px
            for dx, dy in rng.normal(0, spread, (rng.integers(3, 25), 2)):
                radius = max(1, round(rng.uniform(0.015, 0.06) * cell_px))
                centre = round(x + dx), round(y + dy)
                cv2.circle(density, centre, radius, rng.uniform(0.5, 2.0), -1, cv2.LINE_AA)
        elif kind < 0.8:  # a bubble, dark at its rim
            radius = max(2, round(rng.uniform(0.08, 0.3) * cell_px))
            thick = max(1, round(0.04 * cell_px))
            cv2.circle(density, (round(x), round(y)), radius, rng.uniform(0.4, 1.5), thick,
                       cv2.LINE_AA)  # fmt: skip
        else:  # a fibre or scratch
            points = np.cumsum(rng.normal(0, 0.5 * cell_px, (rng.integers(3, 8), 2)), axis=0)
            line = np.rint(points + np.array([x, y])).astype(np.int32)
            thick = max(1, round(rng.uniform(0.01, 0.06) * cell_px))
            cv2.polylines(density, [line], False, rng.uniform(0.3, 1.2), thick, cv2.LINE_AA)
    colour = np.array([[0.6, 0.6, 0.53], [0.76, 0.62, 0.2], [0.4, 0.8, 0.45]])[rng.integers(3)]
    light = np.exp(-density[..., np.newaxis] * (colour * 1.7))
    return np.clip(image * light, 0, 255).astype(np.uint8)
