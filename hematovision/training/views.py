"""Views: a picture as another laboratory might show it. Stain, light, focus; cuts and turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from hematovision.archive import Split
from hematovision.cells import BACKGROUND, is_rbc
from hematovision.images import crop_content, slices, square_crop


def cut_out(
    segment: np.ndarray, rng: np.random.Generator, chance: float, min_share: float
) -> np.ndarray:
    """A box drawn a little tighter and, by `chance`, cut off from one or two sides like a cell at
    the border of its field, of which at least `min_share` is left in each direction."""
    spans = []
    cuts = rng.random(2) < (chance, chance / 4)
    for length, is_cut in zip(segment.shape[:2], rng.permutation(cuts), strict=True):
        low, high = rng.uniform(0, 0.08, 2) * length
        high = length - high
        if is_cut:
            keep = rng.uniform(min_share, 0.9) * (high - low)
            low, high = (low, low + keep) if rng.random() < 0.5 else (high - keep, high)
        spans.append(slice(int(low), max(int(low) + 3, round(high))))
    return segment[spans[0], spans[1]]


def recolour(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary stain, light, white balance, focus and noise of a uint8 crop.

    Stain and light multiply what is let through, so they are varied in optical density (after
    Tellez et al., 2019): all of it, each channel, and the mix of the channels. Most of all from
    pink towards blue, by letting red be absorbed as green is: a buffer a little too alkaline, or
    more of the blue dye, turns all red cells of a laboratory grey-blue, as none in BCCD is. Without
    this, they are taken for white cells elsewhere.
    """
    gain = np.exp(rng.uniform(-0.3, 0.5) + rng.normal(0, 0.12, 3))
    haze = rng.uniform(-0.08, 0.12, 3)
    mix = np.eye(3)
    if rng.random() < 0.5:
        mix += rng.normal(0, 0.08, (3, 3))
    if rng.random() < 0.6:
        mix[0] += rng.uniform(0, 1) * mix[1]
        mix[2] *= rng.uniform(0.4, 1)
    return expose(mix_density(crop, gain, haze, mix), rng)


def restain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another laboratory's stain, light, focus and noise for a uint8 picture of a field.

    In optical density, as `recolour`, and wider: a cell's shape says much of what it is, so a
    detector can do with less certainty of its colour. From pink to blue as there; and to magenta,
    by letting less red be absorbed and more blue, as the nuclei of other laboratories are. Most
    views go all the way, the others less.
    """
    extent = 1.0 if rng.random() < 0.6 else rng.random()
    gain = np.exp(extent * (rng.uniform(-0.4, 0.5) + rng.normal(0, 0.2, 3)))
    haze = extent * rng.uniform(-0.08, 0.12, 3)
    mix = np.eye(3)
    if rng.random() < 0.5:
        mix += rng.normal(0, 0.1 * extent, (3, 3))
    kind = rng.random()
    if kind < 0.4:
        mix[0] += extent * rng.uniform(0, 1) * mix[1]
        mix[2] *= 1 - extent * rng.uniform(0, 0.6)
    elif kind < 0.75:
        mix[0] *= 1 - extent * rng.uniform(0, 0.75)
        mix[2] *= 1 + extent * rng.uniform(-0.2, 0.6)
        mix[2] += extent * rng.uniform(0, 0.35) * mix[1]
    return expose(mix_density(image, gain, haze, mix), rng)


def mix_density(
    image: np.ndarray, gain: np.ndarray, haze: np.ndarray, mix: np.ndarray
) -> np.ndarray:
    """Optical density (h, w, 3) of a uint8 picture, times `gain` (3,) and plus `haze` (3,) for each
    channel, then each channel mixed from all by `mix` (3, 3)."""
    density = -np.log(np.maximum(np.arange(256) / 255, 0.02))[:, np.newaxis]
    table = density * gain + haze
    return cv2.transform(cv2.LUT(image, table[:, np.newaxis].astype(np.float32)), mix)


def expose(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The uint8 picture of an optical density, in and out of focus, with and without noise."""
    light = cv2.exp(-np.maximum(density, 0))
    if rng.random() < 0.35:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 2.5))
    if rng.random() < 0.25:
        spread = np.float32(rng.uniform(0.005, 0.025))
        light = light + spread * rng.standard_normal(light.shape, np.float32)
    return cv2.convertScaleAbs(np.maximum(light, 0), alpha=255)  # rounds and saturates


def augment(crop: np.ndarray, box: np.ndarray, label: str, rng: np.random.Generator) -> np.ndarray:
    """Another view of a crop, (size, size, 3) uint8: cut, stretched, turned, recoloured."""
    size = len(crop)
    left, top, width, height = crop_content(box[2] - box[0], box[3] - box[1], size)
    segment = crop[top : top + height, left : left + width]
    # A sliver of a red cell or of background is still that; one of a white cell may be anything.
    chance, min_share = (0.5, 0.2) if is_rbc(label) or label == BACKGROUND else (0.3, 0.5)
    segment = cut_out(segment, rng, chance, min_share)
    stretched = max(2, round(segment.shape[1] * np.exp(rng.uniform(-0.15, 0.15))))
    segment = cv2.resize(segment, (stretched, segment.shape[0]), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        segment = segment[:, ::-1]
    segment = np.ascontiguousarray(np.rot90(segment, rng.integers(4)))
    return recolour(square_crop(segment, size), rng)


def draw_views(split: Split, seed: Sequence[int]) -> Iterator[np.ndarray]:
    """One new view of every crop, in their order and SLICE at a time: (s, size, size, 3) uint8.

    Each has a random generator of its own, so that threads don't change what comes out.
    """

    def draw(i: int) -> np.ndarray:
        rng = np.random.default_rng([*seed, i])
        return augment(split.X[i], split.box[i], split.label[i], rng)

    with ThreadPoolExecutor() as pool:
        for indices in slices(np.arange(len(split.y))):
            yield np.stack(list(pool.map(draw, indices.tolist())))


def add_views(split: Split, seed: Sequence[int]) -> Split:
    """The split twice over: its crops as they are, and as another laboratory might show them."""
    X = np.concatenate([split.X, *draw_views(split, seed)])
    return Split(X, *(np.concatenate([column, column]) for column in split[1:]))
