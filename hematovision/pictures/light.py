"""The light of a picture: the density that it makes of what it passes, and one colour of ground.

level_light(image)     # as if every laboratory lit its slides alike
DENSITY[image]         # what stain takes from it
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


def level_light(image: np.ndarray, frame: np.ndarray | None = None) -> np.ndarray:
    """Bring the empty ground of a field, its brightest twentieth, to one colour (Land, 1977).

    Where a `frame` is given (see `find_frame`), ground is measured in the smear alone, and the
    frame is painted over with its colour.
    """
    size = max(1, image.shape[1] // 8), max(1, image.shape[0] // 8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    framed = frame is not None and frame.any() and not frame.all()
    if framed:
        frame = enlarge(frame, image)
        shown = cv2.resize(frame.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) == 0
        small = small[shown.ravel()] if shown.any() else small
    white = np.maximum(np.percentile(small, 95, axis=0), 48)
    ground = round(255 * GROUND)
    table = np.clip(np.arange(256)[:, np.newaxis] * (ground / white), 0, 255).astype(np.uint8)
    levelled = cv2.LUT(image, table[:, np.newaxis])
    if framed:
        levelled[frame] = ground
    return levelled
