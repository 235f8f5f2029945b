"""Stains: a whole window as a far laboratory stains it, every cell of it alike.

What a window's red cells have in common with each other, and its nuclei with each other, is kept;
what colour they have is drawn. So colour in itself tells little, colour against the neighbours
much: a dense navy cell among dense navy cells is one of the many.
"""

from __future__ import annotations

import cv2
import numpy as np

from hematovision.pictures.light import DENSITY
from hematovision.training.views import STAINS, expose, restain

FAR = 0.35  # share of the windows in far colours
# Optical density of red cells elsewhere, as directions (red, green, blue) and how dense, in parts
# of the density that they came with: navy, black-blue, saturated magenta, bright red, grey, tan,
# and ghosts.
RED_FAR = (
    ((0.78, 0.60, 0.20), (1.2, 3.0)),
    ((0.62, 0.62, 0.48), (1.5, 3.5)),
    ((0.16, 0.95, 0.28), (1.2, 3.0)),
    ((0.05, 0.70, 0.71), (1.0, 2.2)),
    ((0.58, 0.58, 0.58), (0.6, 2.0)),
    ((0.30, 0.55, 0.78), (0.6, 1.8)),
    ((0.45, 0.80, 0.40), (0.2, 0.5)),
)
NUCLEUS_FAR = ((0.76, 0.62, 0.20), (0.85, 0.50, 0.15), (0.45, 0.85, 0.28), (0.60, 0.60, 0.53))


def stain_anew(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A window (h, w, 3) uint8 in another laboratory's stain, light, focus and noise."""
    return stain_far(image, rng) if rng.random() < FAR else restain(image, rng)


def stain_far(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A window whose red cells have any colour and density, its nuclei one that is darker still.

    What eosin and azure stained is taken apart (Ruifrok and Johnston, 2001) and each given its
    colour. In a third, density saturates, so that discs lose their pale middle.
    """
    colour, (low, high) = RED_FAR[rng.integers(len(RED_FAR))]
    red = turn_colour(np.array(colour), rng)
    dense = np.exp(rng.uniform(np.log(low), np.log(high)))
    own = turn_colour(np.array(NUCLEUS_FAR[rng.integers(len(NUCLEUS_FAR))]), rng)
    likeness = rng.uniform(0, 0.9)  # of a nucleus's colour to the red cells'
    nucleus = likeness * red + (1 - likeness) * own
    nucleus *= max(0.9, dense * rng.uniform(0.6, 1.1)) / np.linalg.norm(nucleus)
    mix = np.linalg.inv(STAINS) @ np.stack([red * dense, nucleus, STAINS[2] * rng.uniform(0, 0.5)])
    density = cv2.LUT(image, DENSITY)
    clear = np.percentile(density[::4, ::4].reshape(-1, 3), 5, axis=0)
    density = cv2.transform(np.maximum(density - clear, 0), mix.T.astype(np.float32))
    np.maximum(density, 0, out=density)
    if rng.random() < 0.35:
        density = saturate(density, rng.uniform(1, 4))
    ground = np.maximum(rng.normal(0, 0.08, 3), -0.05) + rng.uniform(0, 0.15)
    return expose((density + ground).astype(np.float32), rng)


def turn_colour(colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A direction of density (3,) near another."""
    near = np.maximum(colour + rng.normal(0, 0.07, 3), 0.03)
    return near / np.linalg.norm(near)


def saturate(density: np.ndarray, steep: float) -> np.ndarray:
    """Optical density (h, w, 3) that rises ever more slowly to its own top: thick or overstained
    cells, flat in the middle."""
    top = max(float(np.percentile(density, 99)), 0.1)
    return (1 - np.exp(-density * (steep / top))) * (top / (1 - np.exp(-steep)))
