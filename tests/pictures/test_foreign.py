"""Files of kinds that aren't read: each named, with a way out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hematovision.pictures.foreign import name_foreign, name_suffix
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError


def encode(suffix: str) -> bytes:
    return cv2.imencode(suffix, np.full((40, 50, 3), 200, np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(500), "HEIC.*Most Compatible"),
        ("a.jpg", b"\0\0\0\x18ftypmif1" + bytes(500), "HEIC"),
        ("a.jpg", b"\0\0\0\x18ftypcrx " + bytes(500), "raw data"),
        ("a.avif", b"\0\0\0\x1cftypavif" + bytes(100), "AVIF"),
        ("a.jpg", b"\xff\x0a" + bytes(50), "JPEG XL"),
        ("a.dcm", bytes(128) + b"DICM" + bytes(500), "DICOM"),
        ("a.svs", b"II*\0" + bytes(300), "whole slide"),
        ("a.mrxs", encode(".jpg"), "whole slide"),
        ("a.czi", b"ZISRAWFILE" + bytes(100), "microscope"),
        ("a.tif", b"\xda\xce\xbe\x0a" + bytes(100), "microscope"),
        ("a.nef", encode(".tif"), "raw data"),
        ("a.pdf", b"%PDF-1.7\n", "PDF"),
        ("a.png", b"GIF89a" + bytes(100), "GIF"),
        ("a.jpg", b"PK\x03\x04" + bytes(100), "unpack"),
        ("a.jpg", b"\n <!DOCTYPE html><html>not found</html>", "web page"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.jpg", bytes(4096), "nothing but zeros"),
        ("a.jpg", b"\0\x05\x16\x07" + bytes(4000), "side file"),
        ("a.jpg", b"no picture, just words", "give a JPEG, PNG, BMP or TIFF"),
        ("a.jpg", b"", "empty"),
        ("a.webp", b"RIFF\x24\0\0\0WAVEfmt " + bytes(100), "sound"),
    ],
)
def test_files_of_other_kinds_are_named_with_a_way_out(name: str, data: bytes, what: str) -> None:
    with pytest.raises(UserError, match=f"^{name}: .*{what}.*") as refused:
        read_image(Path(name), data)
    assert "\n" not in str(refused.value)


def test_what_is_read_is_not_foreign() -> None:
    for suffix in (".jpg", ".png", ".tif", ".bmp", ".webp", ".jp2"):
        assert name_foreign(encode(suffix)) == name_suffix(suffix) == ""
    assert name_foreign(b"") and name_suffix(".SVS") == name_suffix(".svs") != ""
