"""JPEG and JPEG 2000: walked from start to end marker, whatever lies within or behind."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from hematovision.pictures.header import FormatError
from hematovision.pictures.jpeg import MOST_SCANS, read_jp2, read_jpeg

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
JPEG = cv2.imencode(".jpg", PICTURE)[1].tobytes()
JP2 = cv2.imencode(".jp2", PICTURE)[1].tobytes()


def test_size_and_cost_are_told() -> None:
    header = read_jpeg(JPEG)
    assert (header.kind, header.width, header.height, header.orientation) == ("JPEG", 60, 40, 1)
    progressive = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert read_jpeg(progressive).cost > header.cost  # its coefficients wait in memory
    header = read_jp2(JP2)
    assert (header.kind, header.width, header.height, header.bits) == ("JPEG 2000", 60, 40, 8)


def test_a_scan_without_end_and_scans_without_number_are_refused() -> None:
    with pytest.raises(FormatError, match="cut short"):
        read_jpeg(JPEG[:-2])
    start = JPEG.index(b"\xff\xda")
    many = JPEG[:-2] + JPEG[start:-2] * (MOST_SCANS + 1) + b"\xff\xd9"
    with pytest.raises(FormatError, match="damaged"):
        read_jpeg(many)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xCB, 0xF7])
def test_kinds_that_no_decoder_here_knows_are_named(marker: int) -> None:
    at = JPEG.index(b"\xff\xc0")
    with pytest.raises(FormatError, match="save it as PNG or TIFF"):
        read_jpeg(JPEG[: at + 1] + bytes([marker]) + JPEG[at + 2 :])


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("value", [1, 6, 8])
def test_orientation_is_found_where_it_stands(order: str, value: int) -> None:
    exif = b"Exif\0\0" + {">": b"MM", "<": b"II"}[order] + struct.pack(order + "HI", 42, 8)
    exif += struct.pack(order + "HHHIHHI", 1, 274, 3, 1, value, 0, 0)
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + JPEG[2:]
    tag = read_jpeg(data).tag
    assert tag.value == value
    assert struct.unpack_from(order + "H", data, tag.at) == (value,)
