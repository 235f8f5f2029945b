"""Which way up: the orientation tag that cameras write, obeyed or, where boxes ignore it, settled.

    data = settle_frame(data, width, height)    # a file whose tag agrees with its boxes
    image = turn_upright(image, 6)

1 to 8 are EXIF's.
"""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from hematovision.pictures.formats import read_header
from hematovision.pictures.header import FormatError


def settle_frame(data: bytes, width: int, height: int) -> bytes:
    """The file of a picture whose boxes were drawn in a frame of `width` x `height` pixels.

    Where that is the picture as stored, not as its orientation tag would turn it, the tag is set to
    "upright", so that everyone who reads the file sees the frame of the boxes. Where the two frames
    are of one size (a half turn, a square) the tag is obeyed, as most annotation tools do.
    """
    try:
        header = read_header(data)
    except FormatError:  # whoever reads it will say so
        return data
    stored, shown = (header.width, header.height), (header.height, header.width)
    if header.orientation < 5 or (width, height) != stored or stored == shown:
        return data
    changed = bytearray(data)
    tag = header.tag
    struct.pack_into((">" if tag.big_endian else "<") + "H", changed, tag.at, 1)
    start, end = tag.chunk
    if end:
        struct.pack_into(">I", changed, end, zlib.crc32(changed[start:end]))
    return bytes(changed)


def turn_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """The picture as EXIF's orientation, 1 to 8, says that it is to be looked at."""
    if orientation >= 5:
        image = cv2.transpose(image)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return image if flip is None else cv2.flip(image, flip)
