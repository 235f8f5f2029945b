"""The light of a picture: brought to one colour, as density, or none where there should be some.

    level_light(image)     # as if every laboratory lit its slides alike
    DENSITY[image]         # what stain takes of it
    is_dark_field(image)   # its ground passes no light: fluorescence, dark field, a negative

All of RGB uint8 (height, width, 3).
"""

from __future__ import annotations

import cv2
import numpy as np

from hematovision.pictures.frame import enlarge

# Share of full brightness that empty ground is brought to: exact in half precision, in which the
# models that level the light themselves are exported.
GROUND = 27 / 32
# Optical density by pixel value, in which what stains absorb adds up (Beer and Lambert), of red,
# green and blue light each: (256,) float64. Black counts as what passes a fiftieth of the light.
DENSITY = -np.log(np.maximum(np.arange(256) / 255, 0.02))
# Ground is where the middle of a picture, without so much at each border, is smoothest: SMOOTHEST
# percent of windows of so many pixels. It is dark below so much of 255.
BORDER, WINDOW, SMOOTHEST, DARK = 0.2, 9, 20, 72


def level_light(image: np.ndarray, frame: np.ndarray | None = None) -> np.ndarray:
    """Bring the empty ground of a field, its brightest twentieth, to one colour (Land, 1977).

    Where a `frame` is given (see `find_frame`), ground is measured in the smear alone, and the
    frame is painted over with its colour.
    """
    size = max(1, image.shape[1] // 8), max(1, image.shape[0] // 8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    framed = None
    if frame is not None and frame.any() and not frame.all():
        framed = enlarge(frame, image)
        shown = cv2.resize(framed.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) == 0
        small = small[shown.ravel()] if shown.any() else small
    white = np.maximum(np.percentile(small, 95, axis=0), 48)
    ground = round(255 * GROUND)
    table = np.clip(np.arange(256)[:, np.newaxis] * (ground / white), 0, 255).astype(np.uint8)
    levelled = cv2.LUT(image, table[:, np.newaxis])
    if framed is not None:
        levelled[framed] = ground
    return levelled


def is_dark_field(image: np.ndarray, frame: np.ndarray | None = None) -> bool:
    """Whether a field (h, w, 3) uint8 can't be one in bright field, since its ground is dark.

    Ground is where it is smoothest, outside its `frame` (see `find_frame`). Where that
    is dark and nearer to the darkest than to the brightest of the picture, the light comes from the
    cells: fluorescence, dark field, phase contrast or a negative. Bright field that is underexposed
    has its ground among the brightest.
    """
    reduction = max(1, max(image.shape[:2]) // 400)
    size = max(1, image.shape[1] // reduction), max(1, image.shape[0] // reduction)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = cv2.transform(small, np.full((1, 3), 1 / 3, np.float32))
    y, x = (round(BORDER * side) for side in grey.shape)
    inside = np.zeros(grey.shape, bool)
    inside[y : len(grey) - y, x : grey.shape[1] - x] = True  # what is round has black corners
    if frame is not None and frame.any():
        framed = cv2.dilate(enlarge(frame, image).astype(np.uint8), np.ones((WINDOW, WINDOW)))
        inside &= cv2.resize(framed, size, interpolation=cv2.INTER_NEAREST) == 0
    if not inside.any():
        return False
    mean = cv2.blur(grey, (WINDOW, WINDOW))
    # Half of the smoothest have to be dark: where fewer are in all, nothing else need be asked.
    if (mean[inside] < DARK).sum() < SMOOTHEST / 200 * inside.sum():
        return False
    spread = (cv2.blur(grey**2, (WINDOW, WINDOW)) - mean**2)[inside]
    ground = np.median(mean[inside][spread <= np.percentile(spread, SMOOTHEST)])
    low, high = np.percentile(grey[inside], [2, 98])
    return bool(ground < min(DARK, (low + high) / 2))
