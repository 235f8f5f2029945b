"""Pictures: read, brought to a size and to one light, written; RGB uint8 (height, width, 3).

`read_image` is the only place that decodes a picture, and `square_crop` the one way from a segment
to what the network sees, for archive and prediction alike.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
import cv2
import numpy as np

from hematovision.console import UserError
from hematovision.files import written_whole

# Share of full brightness that empty ground is brought to: exact in half precision, in which the
# models that level the light themselves are exported.
GROUND = 27 / 32
MOST_PIXELS = 100_000_000
SLICE = 256  # crops that are worked on at a time, of however many there are


def read_image(path: Path, data: bytes | None = None) -> np.ndarray:
    """Read an image file into (height, width, 3) uint8 RGB.

    Raises UserError where the file is missing, empty, cut short or no image at all.
    """
    try:
        data = Path(path).read_bytes() if data is None else data
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); give an image file") from None
    if not data:
        raise UserError(f"{path}: the file is empty; give an image file")
    # OpenCV decodes half a JPEG or PNG to a half grey picture without complaint.
    ends = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND"}
    for start, end in ends.items():
        if data.startswith(start) and end not in data[-1024:]:
            raise UserError(f"{path}: the image is cut short; copy the file again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # for one, more pixels than OpenCV's limit
        image = None
    if image is None:
        raise UserError(f"{path}: not an image that OpenCV can read; give a JPEG, PNG, BMP or TIFF")
    # A third faster than to have the decoder swap the channels.
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def check_pixels(path: Path, data: bytes) -> None:
    """UserError where a picture file promises more than MOST_PIXELS."""
    # Pixels compress a thousandfold: a small file may be more than memory holds.
    if len(data) > 1 << 20 or data.startswith(b"RIFF"):
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None
        with contextlib.suppress(OSError), Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise UserError(
                    f"{path}: {width} x {height} pixels are more than {MOST_PIXELS:,}; "
                    "cut the slide into fields"
                )


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB uint8 picture, whole or not at all; the suffix of `path` names the format."""
    ok, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise UserError(f"{path}: can't write a picture of that kind; try .png")
    with written_whole(path) as temporary:
        temporary.write_bytes(data.tobytes())


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


def slices(crops: np.ndarray) -> Iterator[np.ndarray]:
    """The crops SLICE at a time: as floats, or as many views, they would fill the memory."""
    return (crops[start : start + SLICE] for start in range(0, len(crops), SLICE))


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at another size: areas averaged where it shrinks, else interpolated."""
    shrinks = width < image.shape[1]
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def level_light(image: np.ndarray) -> np.ndarray:
    """Bring the empty ground of a field, its brightest twentieth, to one colour (Land, 1977)."""
    size = max(1, image.shape[1] // 8), max(1, image.shape[0] // 8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    white = np.maximum(np.percentile(small, 95, axis=0), 48)
    table = np.clip(np.arange(256)[:, np.newaxis] * (round(255 * GROUND) / white), 0, 255).astype(
        np.uint8
    )
    return cv2.LUT(image, table[:, np.newaxis])
