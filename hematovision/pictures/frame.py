"""What of a picture shows nothing of the smear: bars, the black around an eyepiece, scale bars.

    find_frame(image)     # (ceil(h / 4), ceil(w / 4)) bool; nothing, at next to no cost, as a rule

Ground is looked for by brightness, and a black frame makes all of a field look bright beside it: so
whoever measures ground or light leaves the frame out, and whoever looks for cells paints it over.
"""

from __future__ import annotations

import cv2
import numpy as np

# Frames, ground, and what a network for fields answers, are drawn at a quarter of the resolution:
# 16 times less work, and the blur of the reduction removes the noise that a threshold trips over.
QUARTER = 4
CORNER = 6  # pixels, the side of the patch in each corner that is looked at first
EVEN = 2  # grey levels that a bar differs from its corner by, and no smear so little
BLACK, SHARE = 60, 0.3  # darker than this, and than this share of the brightest ground, is black
# The smallest smear in a frame, in parts of the picture (larger than a cell on blank ground), and
# how much of a frame may bulge into it: twilight has no sharp edge.
BLACK_FRAME, EVEN_FRAME = (0.03, 0.2), (0.25, 0.03)
RIM = 2  # places of a black frame's blurred inner rim
LOW, HIGH = 50, 225  # lettering is darker or brighter in green, whatever its colour
PLAIN = 10  # grey levels of spread along a scale bar
CONTRAST = 50  # grey levels between a scale bar and what is above and below it


def find_frame(image: np.ndarray) -> np.ndarray:
    """Where a picture (h, w, 3) uint8 shows no smear: (ceil(h / 4), ceil(w / 4)) bool.

    A frame takes in a corner, is black or as even as no smear is, and bulges nowhere into the
    picture: what it leaves is (nearly) convex, as a rectangle or a disc is. A dark nucleus in the
    corner bulges, and so does overexposed ground, around every cell.
    """
    height, width = image.shape[:2]
    frame = np.zeros((-(-height // QUARTER), -(-width // QUARTER)), bool)
    if min(height, width) < 16 * QUARTER:
        return frame
    corners = find_even_corners(image)
    if corners:
        frame |= grow_frame(image, corners)
    for left, top, right, bottom in find_scale_bars(image):
        area = np.s_[top // QUARTER : -(-bottom // QUARTER), left // QUARTER : -(-right // QUARTER)]
        frame[area] = True
    return frame


def enlarge(frame: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A frame for every pixel of its picture: (h, w) bool."""
    full = np.repeat(np.repeat(frame, QUARTER, axis=0), QUARTER, axis=1)
    return full[: image.shape[0], : image.shape[1]]


def trim(frame: np.ndarray, image: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a picture outside of which there is frame alone."""
    height, width = image.shape[:2]
    if frame.all() or not frame.any():
        return slice(0, height), slice(0, width)
    y, x = np.flatnonzero(~frame.all(axis=1)), np.flatnonzero(~frame.all(axis=0))
    return (
        slice(QUARTER * int(y[0]), min(QUARTER * int(y[-1] + 1), height)),
        slice(QUARTER * int(x[0]), min(QUARTER * int(x[-1] + 1), width)),
    )


def find_even_corners(image: np.ndarray) -> list[tuple[int, int]]:
    """Which corners (0 or -1: top or bottom, left or right) show nothing: black, or quite even.

    And so does the border from there, one way at least.
    """
    first, last = slice(0, CORNER), slice(-CORNER, None)
    along = [max(2 * CORNER, side // 12) for side in image.shape[:2]]

    def is_even(patch: np.ndarray) -> bool:
        green = patch[..., 1]
        low, high = int(green.min()), int(green.max())  # settles nearly all of them
        if high < BLACK and patch.max() < BLACK:
            return True
        return high - low <= EVEN and int(np.ptp(patch, axis=(0, 1)).max()) <= EVEN

    found = []
    for y, rows in ((0, first), (-1, last)):
        for x, columns in ((0, first), (-1, last)):
            if is_even(image[rows, columns]):
                down = slice(0, along[0]) if y == 0 else slice(-along[0], None)
                across = slice(0, along[1]) if x == 0 else slice(-along[1], None)
                if is_even(image[rows, across]) or is_even(image[down, columns]):
                    found.append((y, x))
    return found


def grow_frame(image: np.ndarray, corners: list[tuple[int, int]]) -> np.ndarray:
    """The frames that begin in `corners`, at a quarter of the resolution: (h, w) bool."""
    height, width = image.shape[:2]
    size = -(-width // QUARTER), -(-height // QUARTER)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    value = small.max(axis=2)
    black = int(min(BLACK, SHARE * float(np.percentile(value, 95))))
    frame = np.zeros(value.shape, bool)
    for y, x in corners:
        seed = (x % size[0], y % size[1])
        region_is_black = value[seed[::-1]] < black
        if region_is_black:
            region = flood(fill_cells(value), seed, 255, black - int(value[seed[::-1]]))
        else:
            region = flood(small, seed, EVEN, EVEN)
        if is_frame(region, *(BLACK_FRAME if region_is_black else EVEN_FRAME)):
            rim = RIM if region_is_black and not is_bar(region) else 1
            grown = cv2.dilate(region.astype(np.uint8), np.ones((2 * rim + 1, 2 * rim + 1)))
            frame |= grown.astype(bool)
    return frame


def fill_cells(value: np.ndarray) -> np.ndarray:
    """A picture's brightness (h, w) without dark spots smaller than a quarter of it, but for those
    that hang together with the border: cells in the twilight of a vignette would join its black."""
    side = max(3, min(value.shape) // 4) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    padded = cv2.copyMakeBorder(value, side, side, side, side, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
    return np.ascontiguousarray(closed[side:-side, side:-side])


def flood(small: np.ndarray, seed: tuple[int, int], below: int, above: int) -> np.ndarray:
    """What hangs together with `seed` and differs by no more in any channel: (h, w) bool."""
    mask = np.zeros((small.shape[0] + 2, small.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | 255 << 8
    cv2.floodFill(small, mask, seed, 0, (int(below),) * 3, (int(above),) * 3, flags)
    return mask[1:-1, 1:-1] > 0


def is_frame(region: np.ndarray, smallest: float, bulge: float) -> bool:
    """Whether what `region` leaves is one convex piece, `smallest` of the picture or more, but
    for a share `bulge` of the region that bulges into it."""
    share = region.mean()
    if not 0.002 <= share <= 1 - smallest:
        return False
    _, pieces, stats, _ = cv2.connectedComponentsWithStats((~region).astype(np.uint8))
    largest = pieces == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if largest.sum() < max(0.8 * (~region).sum(), smallest * region.size):
        return False
    outline, _ = cv2.findContours(
        largest.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    hull = np.zeros(region.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(outline)), 1)
    inside = (region & (hull > 0)).sum()
    return bool(inside < bulge * region.sum() and inside < 0.03 * largest.sum())


def is_bar(region: np.ndarray) -> bool:
    """Whether what `region` leaves is a rectangle, whose edges are sharp."""
    y, x = np.nonzero(~region)
    return bool(len(y) >= 0.98 * (np.ptp(y) + 1) * (np.ptp(x) + 1))


def find_scale_bars(image: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Scale bars with the lettering beside them, each as left, top, right, bottom in pixels.

    A bar is a long, thin rectangle, a fourteenth of the picture or more, that stands out from what
    is above and below, as nothing in a smear does. Black and white, red, green and yellow: all of
    them are extreme in green.
    """
    height, width = image.shape[:2]
    # Odd, so that an opening stays where it is.
    length, thickest = max(24, width // 14) | 1, max(6, height // 40)
    kernel = np.ones((1, length), np.uint8)
    high = np.ones((thickest // 3 + 2 | 1, 1), np.uint8)
    sample = np.ascontiguousarray(image[::3, :, 1])
    found = []
    for level, kind, most in ((LOW, cv2.THRESH_BINARY_INV, 0.2), (HIGH, cv2.THRESH_BINARY, 0.02)):
        _, drawn = cv2.threshold(sample, level, 1, kind)
        if cv2.countNonZero(drawn) < length:
            continue
        runs = cv2.erode(drawn, kernel, borderValue=0)
        # Where so much is that bright, it is the ground, on which no bar of that kind can be seen.
        if not 0 < cv2.countNonZero(runs) < most * sample.size:
            continue
        # Nuclei have long runs too, but hardly where they aren't high as well.
        thin = drawn - cv2.morphologyEx(drawn, cv2.MORPH_OPEN, high, borderValue=0)
        if not cv2.countNonZero(cv2.erode(thin, kernel, borderValue=0)):
            continue
        green = cv2.extractChannel(image, 1)
        _, drawn = cv2.threshold(green, level, 1, kind)
        opened = cv2.morphologyEx(drawn, cv2.MORPH_OPEN, kernel, borderValue=0)
        _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
        for x, y, w, h, area in stats[1:].tolist():
            thin = 2 <= h <= thickest and w >= 6 * h and area >= 0.9 * w * h
            if thin and y > 0 and y + h < height:
                beside = [green[k, x : x + w] for k in (y - 3, y + h + 2) if 0 <= k < height]
                core = image[y + h // 3 : y + h - h // 3, x + 2 : x + w - 2]
                bar = float(np.median(core[..., 1]))
                if (
                    measure_piece(drawn, x, y, w, h) < 1.5 * w * h
                    and core.std(axis=1).max() <= PLAIN
                    and all(abs(float(np.median(row)) - bar) >= CONTRAST for row in beside)
                ):
                    found.append(add_lettering(drawn, x, y, w, h))
    return found


def measure_piece(drawn: np.ndarray, x: int, y: int, w: int, h: int) -> int:
    """Pixels near a bar that hang together with it: few more than its own, but for end caps."""
    near = drawn[max(0, y - 4 * h) : y + 5 * h, max(0, x - 4 * h) : x + w + 4 * h]
    _, pieces = cv2.connectedComponents(near)
    return int((pieces == pieces[min(y, 4 * h) + h // 2, min(x, 4 * h) + w // 2]).sum())


def add_lettering(drawn: np.ndarray, x: int, y: int, w: int, h: int) -> tuple[int, int, int, int]:
    """The box around a scale bar and what is written in its ink just above or below it."""
    height, width = drawn.shape
    tall = max(height // 12, 4 * h)
    top, bottom = max(0, y - 2 * tall), min(height, y + h + 2 * tall)
    left, right = max(0, x - w // 2), min(width, x + w + w // 2)
    _, _, stats, _ = cv2.connectedComponentsWithStats(drawn[top:bottom, left:right])
    x0, y0, x1, y1 = x, y, x + w, y + h
    for dx, dy, wide, high, _ in stats[1:].tolist():
        if high <= tall and wide <= 2 * tall:
            x0, y0 = min(x0, left + dx), min(y0, top + dy)
            x1, y1 = max(x1, left + dx + wide), max(y1, top + dy + high)
    margin = max(2, h)
    return (
        max(0, x0 - margin), max(0, y0 - margin), min(width, x1 + margin), min(height, y1 + margin)
    )  # fmt: skip
