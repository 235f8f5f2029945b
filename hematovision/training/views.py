"""Views: a picture as another laboratory might show it. Stain, light, focus; cuts and turns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from hematovision.archive.arrays import StoredArray
from hematovision.archive.contents import Split
from hematovision.cells.cells import BACKGROUND
from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import is_a
from hematovision.pictures.images import crop_content, resize, slices, square_crop
from hematovision.pictures.light import DENSITY

Restyle = Callable[[Split, int, np.random.Generator], np.ndarray]
# What eosin makes of red cells and azure of nuclei, as directions of density (red, green, blue),
# and what is left: rows of length 1.
EOSIN, AZURE = np.array([0.13, 0.86, 0.49]), np.array([0.76, 0.62, 0.20])
STAINS = np.stack([v / np.linalg.norm(v) for v in (EOSIN, AZURE, np.cross(EOSIN, AZURE))])
# Colours that red cells and nuclei come in elsewhere: of red cells pink, magenta, grey, blue-grey,
# violet and tan; of nuclei purple, blue, magenta and black.
RED_COLOURS = np.array(
    [EOSIN, [0.25, 0.93, 0.25], [0.58, 0.58, 0.58], [0.78, 0.54, 0.32], [0.6, 0.75, 0.28],
     [0.25, 0.55, 0.8]]
)  # fmt: skip
NUCLEUS_COLOURS = np.array([AZURE, [0.85, 0.5, 0.15], [0.45, 0.85, 0.28], [0.6, 0.6, 0.53]])
NEAR = 0.7  # share of the views of crops that stay near the stains of the laboratories
KEPT = 0.3  # share of the views of white cells whose colours stay: what eosin stains tells types


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


def draw_mix(rng: np.random.Generator) -> np.ndarray:
    """How the colours of one laboratory become another's: a matrix (3, 3) that a density (..., 3)
    is multiplied by from the right.

    One view in four keeps its colours nearly. Half of them go from pink towards blue, red light
    being absorbed as green is: a buffer a little too alkaline, or more of the blue dye, turns all
    red cells of a laboratory grey-blue. Some turn grey. In one of seven, what eosin and azure
    stained is taken apart (Ruifrok and Johnston, 2001) and each given another colour: that a cell
    is red or white must be seen by its shape and texture.
    """
    kind = rng.random()
    if kind < 0.25:
        return np.eye(3) + rng.normal(0, 0.08, (3, 3))
    if kind < 0.75:
        mix = np.eye(3) + rng.normal(0, 0.06, (3, 3))
        mix[1, 0] += rng.uniform(0, 1)
        mix[:, 2] *= rng.uniform(0.4, 1)
        return mix
    if kind < 0.85:
        other = np.outer(rng.dirichlet((2, 2, 2)), 1.1 * np.exp(rng.normal(0, 0.15, 3)))
        share = rng.uniform(0.6, 1)
    else:
        red = draw_colour(RED_COLOURS, rng) * rng.uniform(0.7, 1.2)
        blue = draw_colour(NUCLEUS_COLOURS, rng) * rng.uniform(0.8, 1.3)
        rest = STAINS[2] * rng.uniform(0, 0.6)
        other = np.linalg.inv(STAINS) @ np.stack([red, blue, rest])
        share = rng.uniform(0.5, 1)
    return (1 - share) * np.eye(3) + share * other


def draw_colour(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A direction of density (3,) between some of the colours (n, 3), and near them."""
    mixed = rng.dirichlet(np.full(len(colours), 0.4)) @ colours + rng.normal(0, 0.08, 3)
    return np.maximum(mixed, 0.03) / np.linalg.norm(mixed)


def recolour(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary stain, light, white balance, focus and noise of a uint8 crop.

    Most views as laboratories of one stain differ, the others in any colours and worse optics: so
    many that a cell's shape is learnt, and so few that what colour tells isn't forgotten.
    """
    return tint(crop, rng) if rng.random() < NEAR else colour_anew(crop, rng)


def tint(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another batch of the same dyes, and another camera.

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
    return expose(mix_density(crop, gain, haze, mix), rng, uneven=0)


def colour_anew(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary stain, light, ground, sharpness and noise of a crop (size, size, 3) uint8.

    Stain and light multiply what is let through, so they are varied in optical density (after
    Tellez et al., 2019): its mix of colours, and its amount from pale to nearly black.
    """
    density = cv2.LUT(crop, DENSITY.astype(np.float32))
    some = density[::4, ::4].reshape(-1, 3)
    clear = np.partition(some, len(some) // 20, axis=0)[len(some) // 20]
    density -= clear * np.float32(rng.uniform(0.5, 1))
    gain = np.exp(rng.uniform(-0.4, 0.6) + rng.normal(0, 0.12, 3))
    light = cv2.transform(density, -(draw_mix(rng) * gain).T)
    np.minimum(light, 0, out=light)
    if rng.random() < 0.3:
        light = -cv2.pow(-light, float(np.exp(rng.uniform(-0.3, 0.3))))
    ground = rng.normal(0, 0.18, 3)
    light += (ground - ground.max() + np.log(255 * rng.uniform(0.5, 1))).astype(np.float32)
    return degrade(cv2.exp(light, light), rng)


def degrade(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture (size, size, 3) float32 of 0 to 255 as worse optics and cameras would show it:
    out of focus, of fewer pixels, noisy, compressed; uint8."""
    size = len(picture)
    if rng.random() < 0.5:
        sigma = np.exp(rng.uniform(np.log(0.3), np.log(0.035 * size)))
        picture = cv2.GaussianBlur(picture, (0, 0), float(sigma))
    if rng.random() < 0.35:
        pixels = int(np.exp(rng.uniform(np.log(14), np.log(size))))
        method = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (pixels, pixels), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (size, size), interpolation=method)
    if rng.random() < 0.6:
        spread = np.float32(rng.uniform(0, 8))
        picture = picture + spread * rng.standard_normal(picture.shape, np.float32)
    picture = cv2.convertScaleAbs(np.maximum(picture, 0))  # rounds and saturates
    if rng.random() < 0.25:
        picture = recompress(picture, int(rng.integers(25, 80)))
    return picture


def recompress(picture: np.ndarray, quality: int) -> np.ndarray:
    """A picture (h, w, 3) uint8 as JPEG of that quality, 0 to 100, gives it back."""
    data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def restain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another laboratory's stain, light, focus and noise for a uint8 picture of a field.

    In optical density, its colours mixed as in `recolour`. Most views go all the way, the others
    less.
    """
    extent = 1.0 if rng.random() < 0.6 else rng.random()
    gain = np.exp(extent * (rng.uniform(-0.6, 0.5) + rng.normal(0, 0.2, 3)))
    haze = extent * rng.uniform(-0.08, 0.12, 3)
    mix = (1 - extent) * np.eye(3) + extent * draw_mix(rng).T
    return expose(mix_density(image, gain, haze, mix), rng)


def mix_density(
    image: np.ndarray, gain: np.ndarray, haze: np.ndarray, mix: np.ndarray
) -> np.ndarray:
    """Optical density (h, w, 3) of a uint8 picture, times `gain` (3,) and plus `haze` (3,) for each
    channel, then each channel mixed from all by `mix` (3, 3)."""
    table = DENSITY[:, np.newaxis] * gain + haze
    return cv2.transform(cv2.LUT(image, table[:, np.newaxis].astype(np.float32)), mix)


def expose(density: np.ndarray, rng: np.random.Generator, uneven: float = 0.2) -> np.ndarray:
    """The uint8 picture of an optical density, in and out of focus, with and without noise; a share
    `uneven` of them unevenly lit."""
    light = cv2.exp(-np.maximum(density, 0))
    if rng.random() < uneven:
        light *= shade(light.shape[:2], rng)
    if rng.random() < 0.35:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 2.5))
    if rng.random() < 0.25:
        spread = np.float32(rng.uniform(0.005, 0.025))
        light = light + spread * rng.standard_normal(light.shape, np.float32)
    return cv2.convertScaleAbs(np.maximum(light, 0), alpha=255)  # rounds and saturates


def shade(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Uneven light over a picture of `size` (height, width), in [0.65, 1]: (h, w, 1) float32."""
    height, width = size
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    y, x = np.linspace(-0.5, 0.5, height)[:, np.newaxis], np.linspace(-0.5, 0.5, width)
    slope = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)
    return (1 - depth * slope).astype(np.float32)[..., np.newaxis]


def coarsen(image: np.ndarray, cell_px: float, rng: np.random.Generator) -> np.ndarray:
    """A picture (h, w, 3) uint8 as a camera of fewer pixels takes it, at its size again.

    A red cell, `cell_px` across, is left 10 pixels or more; most pictures are compressed there.
    """
    height, width = image.shape[:2]
    pixels = np.exp(rng.uniform(np.log(min(10, 0.9 * cell_px)), np.log(0.9 * cell_px)))
    share = pixels / cell_px
    small = resize(image, max(8, round(width * share)), max(8, round(height * share)))
    if rng.random() < 0.7:
        small = recompress(small, int(rng.integers(40, 96)))
    method = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return cv2.resize(small, (width, height), interpolation=method)


def augment(crop: np.ndarray, box: np.ndarray, label: str, rng: np.random.Generator) -> np.ndarray:
    """Another view of a crop, (size, size, 3) uint8: cut, stretched, turned, recoloured."""
    size = len(crop)
    left, top, width, height = crop_content(box[2] - box[0], box[3] - box[1], size)
    segment = crop[top : top + height, left : left + width]
    # A sliver of a red cell or of background is still that; one of a white cell may be anything.
    chance, min_share = (0.5, 0.2) if is_rbc(label) or label == BACKGROUND else (0.3, 0.5)
    segment = cut_out(segment, rng, chance, min_share)
    # Red cells alone come as ovals, drops and sickles; a nucleus so long would be another cell's.
    reach = 0.6 if is_rbc(label) and rng.random() < 0.3 else 0.15
    stretched = max(2, round(segment.shape[1] * np.exp(rng.uniform(-reach, reach))))
    segment = cv2.resize(segment, (stretched, segment.shape[0]), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        segment = segment[:, ::-1]
    segment = np.ascontiguousarray(np.rot90(segment, int(rng.integers(4))))
    view = square_crop(segment, size)
    if rng.random() < 0.3:
        view = turn(view, rng)
    if is_a(label, "WBC") and rng.random() < KEPT:
        return degrade(view.astype(np.float32), rng)
    return recolour(view, rng)


def turn(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A crop turned by up to 45 degrees and slightly skewed and scaled about its middle."""
    size = len(crop)
    angle, scale = rng.uniform(-45, 45), rng.uniform(0.85, 1.1)
    move = np.asarray(cv2.getRotationMatrix2D((0, 0), angle, scale), np.float64)
    move[:, :2] += rng.normal(0, 0.1, (2, 2))
    move[:, 2] = size / 2 - move[:, :2].sum(axis=1) * size / 2
    return cv2.warpAffine(crop, move, (size, size), borderMode=cv2.BORDER_REPLICATE)


def draw_views(
    split: Split, chosen: np.ndarray, seed: Sequence[int], restyle: Restyle | None = None
) -> Iterator[np.ndarray]:
    """A new view of each chosen crop (n,), in that order and SLICE at a time:
    (s, size, size, 3) uint8; `restyle`: what gives a crop before, by its index.

    Each has a random generator of its own, so that threads don't change what comes out.
    """

    def draw(place: int, i: int) -> np.ndarray:
        rng = np.random.default_rng([*seed, place])
        crop = restyle(split, i, rng) if restyle else split.X[i]
        return augment(crop, split.box[i], split.label[i], rng)

    with ThreadPoolExecutor() as pool:
        for at, of in zip(slices(np.arange(len(chosen))), slices(chosen), strict=True):
            yield np.stack(list(pool.map(draw, at.tolist(), of.tolist())))


def add_views(split: Split, seed: Sequence[int]) -> Split:
    """The split twice over: its crops as they are, and as another laboratory might show them; on
    the disk."""
    views = draw_views(split, np.arange(len(split.y)), seed)
    shape = (2 * len(split.y), *split.X.shape[1:])
    X = StoredArray.fill(shape, np.uint8, itertools.chain(slices(split.X), views))
    return Split(X, *(np.concatenate([column, column]) for column in split[1:]))
