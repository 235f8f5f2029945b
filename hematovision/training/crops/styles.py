"""Styles: a crop in the colours of another laboratory's cell of the same label.

    styles = collect_styles(split, seed)
    view = styles.restyle(split, i, rng)      # crop i, as it is or in another laboratory's colours

Mean and spread of the optical density, channel by channel, are brought part of the way to those of
the other crop (after Reinhard et al., 2001; drawn at random as in RandStainNA, Shen et al., 2022).
Nucleus, granules and what lies beside them change together, and only ever to colours that this
very kind of cell has somewhere: no neutrophil gets an eosinophil's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from hematovision.archive.contents import Split
from hematovision.pictures.light import DENSITY

EACH = 32  # crops of a laboratory's label whose colours are kept
CHANCE = 0.5  # share of the views that are restyled
SPARSE = 3  # every so many pixels tell a crop's colours
FLATTEST = 0.02  # spread of density below which a channel is taken to show nothing


def measure_style(crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (3,) of the optical density of a crop (size, size, 3) uint8."""
    density = DENSITY[crop[::SPARSE, ::SPARSE].reshape(-1, 3)]
    return density.mean(axis=0), density.std(axis=0)


class Styles(NamedTuple):
    """The colours of some crops of every label of every laboratory."""

    lab: np.ndarray  # (n,) text
    label: np.ndarray  # (n,) text
    mean: np.ndarray  # (n, 3) of optical density
    spread: np.ndarray  # (n, 3)

    def restyle(self, split: Split, i: int, rng: np.random.Generator) -> np.ndarray:
        """Crop `i` (size, size, 3) uint8, one in two in the colours of another laboratory's crop of
        its label, where there is one."""
        crop = split.X[i]
        others = np.flatnonzero((self.label == split.label[i]) & (self.lab != split.lab[i]))
        if not len(others) or rng.random() >= CHANCE:
            return crop
        lab = rng.choice(np.unique(self.lab[others]))
        k = rng.choice(others[self.lab[others] == lab])
        return transfer(crop, self.mean[k], self.spread[k], rng.random())


def transfer(crop: np.ndarray, mean: np.ndarray, spread: np.ndarray, share: float) -> np.ndarray:
    """A crop (size, size, 3) uint8 whose optical density comes `share` of the way to another mean
    and spread (3,)."""
    own_mean, own_spread = measure_style(crop)
    gain = 1 + share * (np.maximum(spread, FLATTEST) / np.maximum(own_spread, FLATTEST) - 1)
    shift = own_mean + share * (mean - own_mean) - gain * own_mean
    table = DENSITY[:, np.newaxis] * gain + shift
    light = np.clip(255 * np.exp(-np.maximum(table, 0)), 0, 255).round().astype(np.uint8)
    return cv2.LUT(crop, light[np.newaxis])


def collect_styles(split: Split, seed: Sequence[int]) -> Styles:
    """The styles of EACH crops at random of every label of every laboratory."""
    rng = np.random.default_rng(seed)
    chosen = []
    for lab in np.unique(split.lab):
        for label in np.unique(split.label[split.lab == lab]):
            crops = np.flatnonzero((split.lab == lab) & (split.label == label))
            chosen.append(np.sort(rng.permutation(crops)[:EACH]))
    places = np.concatenate(chosen) if chosen else np.empty(0, int)
    measured = [measure_style(split.X[i]) for i in places.tolist()]
    mean, spread = (np.array([m[k] for m in measured]).reshape(-1, 3) for k in (0, 1))
    return Styles(split.lab[places], split.label[places], mean, spread)
