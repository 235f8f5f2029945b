"""Pictures: read, brought to a size, written; RGB uint8 (height, width, 3).

`read_image` is the only place that decodes a picture, and `square_crop` the one way from a segment
to what the network sees, for archive and prediction alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from hematovision import MOST_PIXELS
from hematovision.pictures.foreign import name_foreign, name_suffix
from hematovision.pictures.formats import read_header
from hematovision.pictures.header import FormatError, Header, Planes
from hematovision.pictures.orientation import turn_upright
from hematovision.pictures.tiff import write_plane
from hematovision.program.console import UserError, say_once
from hematovision.program.files import read_file, write_bytes
from hematovision.program.marks import mark_picture

# What is decoded takes at most so many bytes on the way.
MOST_BYTES = 900_000_000
# Where somebody else imported OpenCV first, it has read the environment without that.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras store in 16
BAND = 256  # rows that are worked on at a time
SLICE = 256  # crops that are worked on at a time, of however many there are


def read_image(path: Path, data: bytes | None = None) -> np.ndarray:
    """Read a picture's file, or `data`, what it holds, into (height, width, 3) uint8 RGB.

    - More than 8 bits are stretched to their range: a microscope camera's 12 bits lie in the lowest
      of 16. Which range that is, the brightest value of the picture tells: the smallest of 8, 10,
      12, 14 and 16 bits that holds it.
    - What is transparent is laid over white, the colour of empty ground.
    - The orientation tag is obeyed; `settle_frame` clears it where boxes were drawn without it.
    - Grey, palette, CMYK and 1 bit become RGB; of pages or frames the first is read.

    What of this changes the picture's values is said once a run and kind. Raises UserError where
    the file is missing, empty, cut short, too large or of a kind that isn't read.
    """
    if data is None:
        data = read_file(path, "picture")
    if not data:
        raise UserError(f"{path}: the file is empty; give an image file")
    header = check_header(path, data)
    image = decode(data, header)
    if image is None:
        raise UserError(
            f"{path}: the image is damaged, or a kind of {header.kind} that OpenCV doesn't know; "
            "copy the file again, or save it as PNG"
        )
    notes = [header.note] if header.note else []
    if image.dtype == np.uint16:
        image, used = reduce_depth(image)
        if used < 16:
            notes.append(f"{used} of 16 bits are used, stretched to their range")
    if header.planes and header.planes.white_is_zero:
        image[..., :3] = 255 - image[..., :3]
    if image.shape[2] == 4:
        image, seen = lay_over_white(image, header.premultiplied)
        if seen:
            notes.append("what is transparent is laid over white")
    if header.planes or (header.alpha and header.kind != "TIFF"):
        image = turn_upright(image, header.orientation)
    for note in notes:
        say_once(f"notice: {path}: {note}", note)
    # A third faster than to have the decoder swap the channels.
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def check_header(path: Path, data: bytes) -> Header:
    """What a picture's file says of itself; UserError where it can't or mustn't be decoded."""
    if foreign := name_suffix(path.suffix):
        raise UserError(f"{path}: {name_foreign(data) or foreign}")
    try:
        header = read_header(data)
    except FormatError as error:
        raise UserError(f"{path}: {name_foreign(data) or error}") from None
    most = min(MOST_PIXELS, int(MOST_BYTES / header.cost))
    if header.width * header.height > most:
        raise UserError(
            f"{path}: {header.width} x {header.height} pixels are more than {most:,}; "
            "cut the slide into fields"
        )
    return header


def decode(data: bytes, header: Header) -> np.ndarray | None:
    """What a file holds: (h, w, 3 or 4) BGR or BGRA, uint8 or uint16; None where it is damaged.

    It is turned upright but for what is made of planes, and what is transparent and no TIFF.
    """
    try:
        if header.planes:
            return merge_planes(data, header.planes)
        depth = cv2.IMREAD_ANYDEPTH if header.bits > 8 else 0
        mode = cv2.IMREAD_UNCHANGED if header.alpha else cv2.IMREAD_COLOR | depth
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        return None
    if image is not None and image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return image


def merge_planes(data: bytes, planes: Planes) -> np.ndarray | None:
    """The picture (h, w, 3 or 4) BGR or BGRA that a TIFF's planes make up."""
    found: list[np.ndarray] = []
    for directory in planes.directories:
        file = np.frombuffer(write_plane(data, directory), np.uint8)
        plane = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
        if plane is None or plane.ndim != 2:
            return None
        found.append(plane)
    cover = [found.pop()] if planes.alpha else []
    return cv2.merge([*(found[::-1] if len(found) == 3 else found * 3), *cover])


def reduce_depth(image: np.ndarray) -> tuple[np.ndarray, int]:
    """(h, w[, c]) uint16 to uint8, and the number of bits that were in use."""
    colours = image[..., :3] if image.ndim == 3 else image
    used = next(n for n in DEPTHS if int(colours.max(initial=0)) < 1 << n)
    reduced = np.empty(image.shape, np.uint8)
    for y in range(0, len(image), BAND):  # the whole at once would take the memory twice
        np.right_shift(image[y : y + BAND], used - 8, out=reduced[y : y + BAND], casting="unsafe")
    if image.ndim == 3 and image.shape[2] == 4:  # transparency has a range of its own
        full = next(n for n in DEPTHS if int(image[..., 3].max(initial=0)) < 1 << n)
        reduced[..., 3] = image[..., 3] >> (full - 8)
    return reduced, used


def lay_over_white(image: np.ndarray, premultiplied: bool) -> tuple[np.ndarray, bool]:
    """(h, w, 4) uint8 BGRA over white: (h, w, 3) BGR, and whether anything was transparent.

    A transparency of nothing at all, everywhere, is a channel that some writers leave unused.
    """
    opaque = np.ascontiguousarray(image[..., :3])
    low, high, *_ = cv2.minMaxLoc(cv2.extractChannel(image, 3))
    if low == 255 or (high == 0 and opaque.any()):
        return opaque, False
    for y in range(0, len(image), BAND):
        band, cover = opaque[y : y + BAND], image[y : y + BAND, :, 3:].astype(np.uint16)
        shown = band if premultiplied else (band * cover + 127) // 255
        band[:] = np.minimum(shown + (255 - cover), 255)
    return opaque, True


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB uint8 picture, whole or not at all; the suffix of `path` names the format."""
    write_bytes(path, encode_image(path, image))


def write_drawing(path: Path, image: np.ndarray) -> None:
    """The same of what we drew, which says so within, and so is never taken for a field."""
    write_bytes(path, mark_picture(encode_image(path, image)))


def encode_image(path: Path, image: np.ndarray) -> bytes:
    """The file of an RGB uint8 picture in the format that the suffix of `path` names."""
    ok, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise UserError(f"{path}: can't write a picture of that kind; try .png")
    return data.tobytes()


def square_crop(segment: np.ndarray, size: int) -> np.ndarray:
    """Resize a segment (h, w, 3) uint8 into (size, size, 3) uint8, keeping its proportions.

    The longer side fills the crop, the shorter is centred and its edge pixels repeated outwards.
    This is the one way from a segment to what the network sees, for archive and prediction alike.
    """
    left, top, width, height = crop_content(segment.shape[1], segment.shape[0], size)
    method = cv2.INTER_AREA if max(segment.shape[:2]) > size else cv2.INTER_LINEAR
    resized = cv2.resize(segment, (width, height), interpolation=method)
    right, bottom = size - width - left, size - height - top
    return cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_REPLICATE)


def crop_content(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Where a segment of that size lies in its crop: left, top, width, height in pixels."""
    scale = size / max(width, height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return (size - inner[0]) // 2, (size - inner[1]) // 2, *inner


def scale_pixels(crops: np.ndarray) -> np.ndarray:
    """Map uint8 crops to float16 in [0, 1]. Half precision holds all 256 levels of a pixel."""
    if crops.size == 0:
        return np.empty(crops.shape, np.float16)
    levels = (np.arange(256) / 255).astype(np.float16)
    # OpenCV looks levels up three times as fast as NumPy, as bits for want of half precision.
    found = cv2.LUT(np.ascontiguousarray(crops).reshape(-1, 1), levels.view(np.uint16))
    return found.view(np.float16).reshape(crops.shape)


def unscale_pixels(crops: np.ndarray) -> np.ndarray:
    """Map crops in [0, 1] to uint8, the inverse of `scale_pixels`, in slices."""
    pixels = np.empty(crops.shape, np.uint8)
    for part, out in zip(slices(crops), slices(pixels), strict=True):
        np.rint(part * np.float32(255), out=out, casting="unsafe")
    return pixels


class Crops(Protocol):
    """Crops (n, size, size, 3), in memory or on the disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, index: Any, /) -> Any: ...


def slices(crops: Crops) -> Iterator[np.ndarray]:
    """The crops SLICE at a time: as floats, or as many views, they would fill the memory."""
    return (crops[start : start + SLICE] for start in range(0, len(crops), SLICE))


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at another size: areas averaged where it shrinks, else interpolated."""
    shrinks = width < image.shape[1]
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
