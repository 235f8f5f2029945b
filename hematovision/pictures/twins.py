"""Twins: pictures that show the same field, as the same file or as a changed copy of it.

Two perceptual hashes of 63 bits stand for a picture's look. The first keeps the signs of the low
frequencies of a picture squashed to a square (Zauner, 2010: pHash) and is compared in all eight
flips and quarter turns. The second is taken on rings around the centre: how strongly brightness
changes around each ring, whatever its phase, is the same however far a picture was turned, as
Keras's image generator does for Kaggle's `dataset2`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Of 63 bits. Pictures of the same cells recompressed, relit, halved, flipped or turned differ in
# up to 2 (95 of 100) and 5 (90 of 100); different pictures of one laboratory, in 7 and 9 at least.
NEAR_SQUARE, NEAR_RINGS = 5, 5
# Beside the thousands that a model has learnt from, some picture is as near as that by chance.
NEAR_AMONG_MANY = 3
SIGNS = (-1.0) ** np.arange(8)
TALL, WIDE = 512, 2048  # looks that are compared at a time, with so many others


def look(image: np.ndarray) -> str:
    """A picture's two hashes, of (h, w, 3) uint8 RGB, as 32 hexadecimal digits."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    square = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(square)[:8, :8].ravel()[1:] > 0
    height, width = grey.shape
    side = min(height, width)
    side = side // 64 * 64 or side  # whole numbers make the averaging exact
    y, x = (height - side) // 2, (width - side) // 2
    disc = cv2.resize(grey[y : y + side, x : x + side], (64, 64), interpolation=cv2.INTER_AREA)
    disc = cv2.GaussianBlur(disc.astype(np.float32), (0, 0), 1.5)
    polar = cv2.warpPolar(
        disc, (32, 64), (31.5, 31.5), 30, cv2.INTER_LINEAR | cv2.WARP_POLAR_LINEAR
    )
    around = np.log(np.abs(np.fft.rfft(polar, axis=0))[:7, 2::3] / 64 + 1)  # (waves, rings)
    rings = np.diff(around, axis=1).ravel() > 0
    return "".join(np.packbits(bits).tobytes().hex() for bits in (low, rings))


def unpack(looks: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes' bits: (n, 63) bool each."""
    data = np.frombuffer(bytes.fromhex("".join(looks)), np.uint8).reshape(-1, 16)
    bits = np.unpackbits(data, axis=1).astype(bool)
    return bits[:, :63], bits[:, 64:127]


def turn(bits: np.ndarray) -> np.ndarray:
    """The first hash (n, 63) of the eight flips and quarter turns of each picture: (8, n, 63)."""
    signs = np.concatenate([np.ones((len(bits), 1)), np.where(bits, 1.0, -1.0)], axis=1)
    signs = signs.reshape(-1, 8, 8)
    turned = [
        s * a * b
        for s in (signs, signs.transpose(0, 2, 1))
        for a in (1.0, SIGNS[:, np.newaxis])
        for b in (1.0, SIGNS)
    ]
    return np.stack([t.reshape(-1, 64)[:, 1:] > 0 for t in turned])


def find_twins(
    first: Sequence[str], second: Sequence[str] | None = None, near_rings: int = NEAR_RINGS
) -> list[tuple[int, int]]:
    """Pairs i < j of looks that are twins, or of one list's with another's; "" has no twin.

    `near_rings`: bits of the second hash in which twins may differ.

    Compared as products of vectors of ones and minus ones, block by block: bits that differ are
    (63 - product) / 2. Beside the bits themselves memory stays the same however many there are.
    """
    mine = [i for i, k in enumerate(first) if k]
    theirs = mine if second is None else [j for j, k in enumerate(second) if k]
    if not mine or not theirs:
        return []
    square, rings = unpack([first[i] for i in mine])
    other_square, other_rings = (
        (square, rings) if second is None else unpack([second[j] for j in theirs])
    )

    def signs(bits: np.ndarray) -> np.ndarray:
        return np.where(bits, np.float32(1), np.float32(-1))

    pairs: list[tuple[int, int]] = []
    for left in range(0, len(theirs), WIDE):
        columns = slice(left, left + WIDE)
        turned = [signs(t) for t in turn(other_square[columns])]
        ringed = signs(other_rings[columns])
        # Of one list, the rows after these columns are compared as columns of rows before.
        rows_before = len(mine) if second is not None else min(len(mine), left + WIDE)
        for start in range(0, rows_before, TALL):
            rows = slice(start, start + TALL)
            own = signs(square[rows])
            near = signs(rings[rows]) @ ringed.T >= 63 - 2 * near_rings
            for t in turned:
                near |= own @ t.T >= 63 - 2 * NEAR_SQUARE
            for i, j in np.argwhere(near).tolist():
                a, b = mine[start + i], theirs[left + j]
                if second is not None or a < b:
                    pairs.append((a, b))
    return sorted(pairs)


def link(n: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each of n things the least index of those that `pairs` link it with (union-find)."""
    home = list(range(n))

    def root(i: int) -> int:
        while home[i] != i:
            home[i] = i = home[home[i]]
        return i

    for i, j in pairs:
        a, b = sorted((root(i), root(j)))
        home[b] = a
    return [root(i) for i in range(n)]
