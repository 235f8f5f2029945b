"""Strangers: pictures that show no cell, drawn for training, so that the model learns what it
doesn't know (outlier exposure; Hendrycks et al., 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from hematovision.pictures.images import Crops, slices
from hematovision.training.views import recolour

LETTERS = list("abcdefghijklmnopqrstuvwxyz    ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-")
Draw = Callable[[int, np.random.Generator], np.ndarray]


def draw_strangers(count: int, crops: Crops, seed: Sequence[int]) -> Iterator[np.ndarray]:
    """As many pictures of no cell, SLICE at a time: (s, size, size, 3) uint8, each kind in turn.

    `crops` (n, size, size, 3) uint8 are cut into tiles for one of the kinds. Each picture has a
    random generator of its own, so that threads don't change what comes out.
    """
    size = crops.shape[1]

    def draw(i: int) -> np.ndarray:
        rng = np.random.default_rng([*seed, i])
        kind = i % (len(KINDS) + 1)
        if kind == len(KINDS):
            picture = shuffle_tiles(crops[rng.integers(len(crops))], rng)
        else:
            picture = np.clip(KINDS[kind](size, rng), 0, 255).astype(np.uint8)
        if rng.random() < 0.3:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 2))
        return recolour(picture, rng) if rng.random() < 0.3 else picture

    with ThreadPoolExecutor() as pool:
        for indices in slices(np.arange(count)):
            yield np.stack(list(pool.map(draw, indices.tolist())))


def choose_inks(rng: np.random.Generator) -> np.ndarray:
    """Two colours that can be told apart, coloured or of grey, black and white: (2, 3)."""
    inks = rng.uniform(0, 255, (2, 3))
    if rng.random() < 0.4:
        inks = np.repeat(rng.choice((0, 255, rng.uniform(0, 255)), (2, 1)), 3, axis=1)
    if np.abs(inks[0] - inks[1]).max() < 40:
        inks[1] = 255 - inks[0]
    return inks


def mix_inks(share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two colours mixed by a share (h, w), clipped to [0, 1]: (h, w, 3)."""
    ground, ink = choose_inks(rng)
    share = np.clip(share, 0, 1)[..., np.newaxis]
    return ground * (1 - share) + ink * share


def plain(size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[float]]:
    """An empty canvas (size, size, 3) uint8 and an ink to draw on it with."""
    ground, ink = choose_inks(rng)
    return np.full((size, size, 3), ground).astype(np.uint8), ink.tolist()


def span(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x, y of a square, -1 to 1: (size, size) each."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return x, y


def spread_log(rng: np.random.Generator, low: float, high: float) -> float:
    """A number drawn evenly by its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_cloud(size: int, rng: np.random.Generator, fall: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the power of `fall`: (size, size) in [0, 1]."""
    frequency = np.fft.fftfreq(size)
    distance = np.hypot(frequency[:, np.newaxis], frequency) + 1e-3
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) / distance**fall
    cloud = np.fft.ifft2(spectrum).real
    return (cloud - cloud.min()) / (np.ptp(cloud) + 1e-9)


def draw_clouds(size: int, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        return mix_inks(
            draw_cloud(size, rng, rng.uniform(0.3, 2.5)) * rng.uniform(0.5, 2) - 0.3, rng
        )
    return 255 * np.stack([draw_cloud(size, rng, rng.uniform(0.3, 2.2)) for _ in range(3)], axis=-1)


def draw_leaves(size: int, rng: np.random.Generator) -> np.ndarray:
    """Shapes that cover each other, small ones oftener than large ones: the statistics of
    photographs (Lee, Mumford and Huang, 2001), with texture, shade and blur."""
    base, spread = rng.uniform(0, 255, 3), rng.uniform(20, 110)
    if rng.random() < 0.5:  # hardly any colour, as skin, stone and old photographs
        base = base.mean() + rng.normal(0, 20, 3)
    canvas: np.ndarray = np.full((size, size, 3), base, np.float32)
    smallest = rng.uniform(0.02, 0.1) * size
    for _ in range(int(spread_log(rng, 4, 120))):
        radius = smallest / np.sqrt(max(rng.random(), 0.003))
        middle = rng.uniform(-0.1 * size, 1.1 * size, 2)
        colour = base + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
        colour = np.clip(colour, 0, 255).tolist()
        if rng.random() < 1 / 3:
            axes = 2 * radius, 2 * radius * rng.uniform(0.3, 1)
            cv2.ellipse(
                canvas, (middle.tolist(), axes, rng.uniform(0, 180)), colour, -1, cv2.LINE_AA
            )
        else:
            corners = rng.integers(3, 7)
            angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
            reach = radius * rng.uniform(0.5, 1.2, (corners, 1))
            outline = middle + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            cv2.fillPoly(canvas, [outline.astype(np.int32)], colour, cv2.LINE_AA)
    if rng.random() < 0.6:
        texture = draw_cloud(size, rng, rng.uniform(0.5, 1.5))[..., np.newaxis] - 0.5
        canvas = canvas + texture * rng.uniform(20, 160)
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 3))
    if rng.random() < 0.4:
        first, last = map(float, rng.uniform(0.5, 1.3, 2))
        canvas = canvas * np.linspace(first, last, size)[:, np.newaxis, np.newaxis]
    return canvas


def draw_mirrored(size: int, rng: np.random.Generator) -> np.ndarray:
    """The same with a left half like the right, as most faces, animals and fronts of things."""
    canvas: np.ndarray = np.asarray(draw_leaves(size, rng), np.float32)
    canvas[:, size - size // 2 :] = canvas[:, : size // 2][:, ::-1]
    if rng.random() < 0.7:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, size / 24))
    shift = np.array([[1, rng.normal(0, 0.1), rng.normal(0, size / 8)], [0, 1, 0]], np.float32)
    return cv2.warpAffine(canvas, shift, (size, size), borderMode=cv2.BORDER_REFLECT)


def draw_waves(size: int, rng: np.random.Generator) -> np.ndarray:
    """Stripes, checks and weaves."""
    (x, y), angle, pitch = span(size), rng.uniform(0, np.pi), spread_log(rng, 1.5, 28)
    wave = np.sin(np.pi * pitch * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 6))
    if rng.random() < 0.5:
        angle, pitch = angle + rng.uniform(0.4, 1.6), pitch * rng.uniform(0.4, 2)
        other = np.sin(np.pi * pitch * (x * np.cos(angle) + y * np.sin(angle)))
        wave = wave * other if rng.random() < 0.5 else np.maximum(wave, other)
    return mix_inks(wave * rng.uniform(0.35, 4) + 0.5, rng)


def draw_ripples(size: int, rng: np.random.Generator) -> np.ndarray:
    """Many circles about a point, spirals and rays."""
    (x, y), (left, top) = span(size), rng.uniform(-0.7, 0.7, 2)
    distance = np.hypot(x - left, (y - top) * rng.uniform(0.5, 2))
    turn = np.arctan2(y - top, x - left)
    if rng.random() < 0.7:
        arms = rng.integers(1, 9) if rng.random() < 0.5 else 0
        wave = np.sin(arms * turn + spread_log(rng, 8, 70) * distance)
    else:
        wave = np.sin(rng.integers(4, 20) * turn)
    return mix_inks(wave * rng.uniform(0.35, 3) + 0.5, rng)


def draw_lines(size: int, rng: np.random.Generator) -> np.ndarray:
    """Drawings of lines, circles, arcs, frames and dots."""
    canvas, ink = plain(size, rng)

    def point() -> tuple[int, int]:
        return int(rng.integers(size)), int(rng.integers(size))

    for _ in range(rng.integers(2, 9)):
        colour = ink if rng.random() < 0.8 else rng.uniform(0, 255, 3).tolist()
        kind, width = rng.integers(5), int(rng.integers(1, 5))
        if kind == 0:
            cv2.circle(canvas, point(), int(rng.integers(2, size // 2)), colour, width, cv2.LINE_AA)
        elif kind == 1:
            cv2.line(canvas, point(), point(), colour, width, cv2.LINE_AA)
        elif kind == 2:
            axes, turn = rng.integers(3, size // 2, 2).tolist(), rng.uniform(0, 360)
            reach = rng.uniform(30, 330)
            cv2.ellipse(canvas, point(), axes, turn, 0, reach, colour, width, cv2.LINE_AA)
        elif kind == 3:
            filled = rng.random() < 0.4
            cv2.rectangle(canvas, point(), point(), colour, -1 if filled else width)
        else:
            for _ in range(rng.integers(1, 6)):
                cv2.circle(canvas, point(), int(rng.integers(1, 5)), colour, -1, cv2.LINE_AA)
    return canvas


def draw_writing(size: int, rng: np.random.Generator) -> np.ndarray:
    canvas, ink = plain(size, rng)
    scale, font, width = rng.uniform(0.25, 1.8), int(rng.integers(8)), int(rng.integers(1, 3))
    step = max(6, int(24 * scale))
    for bottom in range(int(rng.integers(2, step + 4)), size + step, step):
        line, left = "".join(rng.choice(LETTERS, 28)), int(rng.integers(-20, 12))
        cv2.putText(canvas, line, (left, bottom), font, scale, ink, width, cv2.LINE_AA)
    return canvas


def draw_blank(size: int, rng: np.random.Generator) -> np.ndarray:
    """One colour, a gradient, or a vignette."""
    (x, y), angle, kind = span(size), rng.uniform(0, 2 * np.pi), rng.random()
    if kind < 0.5:
        canvas = mix_inks((x * np.cos(angle) + y * np.sin(angle)) / 2 + 0.5, rng)
    else:
        canvas = np.full((size, size, 3), choose_inks(rng)[0])
    if kind > 0.85:
        canvas *= 1 - rng.uniform(0.1, 0.9) * (x * x + y * y)[..., np.newaxis] / 2
    return canvas + rng.normal(0, rng.choice((0, 0, 1, 5)), canvas.shape)


def draw_tiles(size: int, rng: np.random.Generator) -> np.ndarray:
    """Mosaics, smooth or hard, and blocks of two colours as codes are made of."""
    coarse = rng.uniform(0, 255, (*rng.integers(2, 20, 2), 3)).astype(np.float32)
    methods = cv2.INTER_NEAREST, cv2.INTER_CUBIC, cv2.INTER_LINEAR
    canvas = cv2.resize(coarse, (size, size), interpolation=methods[rng.integers(3)])
    if rng.random() < 0.4:
        return mix_inks((canvas.mean(axis=-1) > 127).astype(float), rng)
    return canvas


def draw_noise(size: int, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.4:
        return mix_inks((rng.random((size, size)) < rng.uniform(0.02, 0.5)).astype(float), rng)
    channels = rng.choice((1, 3))  # grey or coloured
    spread = rng.uniform(15, 120)
    return choose_inks(rng)[0] + rng.normal(0, spread, (size, size, channels))


def draw_layers(size: int, rng: np.random.Generator) -> np.ndarray:
    """Bands with rough borders, as strata, clouds over land, or shores."""
    canvas, _ = plain(size, rng)
    bands = rng.integers(1, 5)
    for band in range(1, bands + 1):
        rough = np.cumsum(rng.normal(0, rng.uniform(0.1, 2), size))
        below = np.arange(size)[:, np.newaxis] > size * band / (bands + 1) + rough
        canvas = np.where(below[..., np.newaxis], rng.uniform(0, 255, 3), canvas)
    canvas = canvas + rng.normal(0, rng.uniform(0, 12), (size, size, 1))
    canvas += (draw_cloud(size, rng, 1.0)[..., np.newaxis] - 0.5) * rng.uniform(0, 100)
    return np.rot90(canvas) if rng.random() < 0.25 else canvas


def draw_shapes(size: int, rng: np.random.Generator) -> np.ndarray:
    """A few filled polygons."""
    canvas, _ = plain(size, rng)
    for _ in range(rng.integers(1, 6)):
        corners = rng.uniform(0, size, 2) + rng.normal(0, size / 4, (rng.integers(3, 9), 2))
        colour = rng.uniform(0, 255, 3).tolist()
        cv2.fillPoly(canvas, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    return canvas


def shuffle_tiles(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A crop cut into 3x3 to 5x5 tiles in another order: its colours and textures, and no cell."""
    size, across = len(crop), int(rng.integers(3, 6))
    side = size // across
    grid = crop[: side * across, : side * across].reshape(across, side, across, side, 3)
    tiles = rng.permutation(grid.swapaxes(1, 2).reshape(-1, side, side, 3))
    grid = tiles.reshape(across, across, side, side, 3).swapaxes(1, 2)
    return cv2.resize(grid.reshape(side * across, side * across, 3), (size, size))


# Leaves and mirrored ones twice: photographs are what people show a model most of all.
KINDS: tuple[Draw, ...] = (
    draw_clouds, draw_leaves, draw_leaves, draw_mirrored, draw_mirrored, draw_waves, draw_ripples,
    draw_lines, draw_writing, draw_blank, draw_tiles, draw_noise, draw_layers, draw_shapes,
)  # fmt: skip
