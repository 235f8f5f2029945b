"""TIFFs of every make-up: planes, negatives, further channels, pages; right, told or refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from drawing import draw_field

from hematovision.pictures.images import read_image
from hematovision.pictures.orientation import settle_frame
from hematovision.pictures.tiff import MOST_PAGES, read_pages, read_tiff
from hematovision.program.console import UserError

SMEAR = draw_field([("RBC", 20, 20, 60, 58), ("WBC", 80, 30, 130, 90)], (160, 112))
SMEAR[0, 0] = 0  # as much as bits can hold, also in a negative
GREY = cv2.cvtColor(SMEAR, cv2.COLOR_RGB2GRAY)
COVER = np.full_like(GREY, 255)
COVER[:30] = 0
DEPTHS = {8: (np.uint8, 1), 12: (np.uint16, 16), 16: (np.uint16, 257)}
CUTS: list[dict[str, Any]] = [{}, {"tile": (64, 48)}, {"rowsperstrip": 16}]


@pytest.fixture(autouse=True)
def _forget_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hematovision.program.console.SAID", set())


def write(picture: np.ndarray, bits: int = 8, planes: bool = False, **how: Any) -> bytes:
    kind, times = DEPTHS[bits]
    stored = picture.astype(kind) * times
    if planes:
        stored, how = np.moveaxis(stored, 2, 0), how | {"planarconfig": "separate"}
    file = io.BytesIO()
    tifffile.imwrite(file, np.ascontiguousarray(stored), **({"metadata": None} | how))
    return file.getvalue()


def read(data: bytes) -> np.ndarray:
    """The picture; what memory held before is nothing that it depends on."""
    found = []
    for level in (0, 90, 180):
        junk = [np.full(SMEAR.shape, level, np.uint8) for _ in range(50)]
        del junk
        found.append(read_image(Path("a.tif"), data))
    assert all((picture == found[0]).all() for picture in found)
    return found[0]


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("packed", [None, "zlib"])
def test_planes_and_negatives_are_read_as_the_pictures_they_are(
    bits: int, cut: dict[str, Any], packed: str | None
) -> None:
    how = {"compression": packed, **cut}
    planes = write(SMEAR, bits, planes=True, photometric="rgb", **how)
    np.testing.assert_array_equal(read(planes), SMEAR)
    negative = write(255 - GREY, bits, photometric="miniswhite", **how)
    np.testing.assert_array_equal(read(negative), np.dstack([GREY] * 3))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("how", [{"bigtiff": True}, {"byteorder": ">"}], ids=str)
def test_planes_of_other_tiffs(bits: int, how: dict[str, Any]) -> None:
    data = write(SMEAR, bits, planes=True, photometric="rgb", **how)
    np.testing.assert_array_equal(read(data), SMEAR)
    with pytest.raises(UserError, match=r"cut short|damaged"):
        read_image(Path("a.tif"), data[: len(data) // 2])


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_in_a_plane_of_its_own(bits: int, planes: bool) -> None:
    rgba = np.dstack([SMEAR, COVER])
    image = read(write(rgba, bits, planes, photometric="rgb", extrasamples=["unassalpha"]))
    assert (image[:30] == 255).all()
    np.testing.assert_array_equal(image[30:], SMEAR[30:])


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_further_channel_is_left_out_and_said_more_are_refused(
    bits: int, planes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    four = np.dstack([SMEAR, GREY // 3])
    data = write(four, bits, planes, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read(data), SMEAR)
    assert "a further channel" in capsys.readouterr().err
    five = np.dstack([four, GREY])
    for data in (
        write(five, bits, planes, photometric="rgb", extrasamples=["unspecified"] * 2),
        write(SMEAR, bits, planes, photometric="minisblack", planarconfig="contig")
        if not planes else write(SMEAR, bits, planes, photometric="minisblack"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"a TIFF of \d channels; save it as RGB"):
            read_image(Path("a.tif"), data)


@pytest.mark.parametrize("planes", [False, True])
def test_printers_colours_of_16_bits_are_refused(planes: bool) -> None:
    cmyk = np.dstack([255 - SMEAR, np.zeros_like(GREY)])
    with pytest.raises(UserError, match="save it as"):
        read_image(Path("a.tif"), write(cmyk, 16, planes, photometric="separated"))


@pytest.mark.parametrize("bits", [8, 16])
def test_imagejs_composite_is_one_picture_in_colour(
    bits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    channels = np.moveaxis(SMEAR, 2, 0)
    how = {"imagej": True, "metadata": {"axes": "CYX", "mode": "composite"}}
    np.testing.assert_array_equal(read(write(channels, bits, **how)), SMEAR)
    assert "channels are read as red, green and blue" in capsys.readouterr().err
    stack = write(channels, bits, imagej=True, metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(read(stack), np.dstack([SMEAR[..., 0]] * 3))
    assert "of several pages or channels the first is read" in capsys.readouterr().err


@pytest.mark.parametrize("orientation", [3, 6])
def test_planes_are_turned_as_their_tag_says(orientation: int) -> None:
    tag = (274, "H", 1, orientation, True)
    data = write(SMEAR, 16, planes=True, photometric="rgb", extratags=[tag])
    turned = np.rot90(SMEAR, {3: 2, 6: -1}[orientation])
    np.testing.assert_array_equal(read(data), turned)
    if orientation == 6:
        np.testing.assert_array_equal(read(settle_frame(data, 160, 112)), SMEAR)


def test_planes_that_tags_do_not_fit_are_refused() -> None:
    data = bytearray(write(SMEAR, 16, planes=True, photometric="rgb", rowsperstrip=16))
    at = data.index(b"\x15\x01\x03\0\x01\0\0\0\x03\0")  # samples of a pixel: 3
    data[at + 8] = 2
    with pytest.raises(UserError, match=r"damaged|cut short|channels|OpenCV"):
        read_image(Path("a.tif"), bytes(data))


def test_pages_are_counted_and_a_ring_of_them_ends() -> None:
    data = write(np.stack([GREY] * 4), photometric="minisblack")
    assert [page.one(256, 0) for page in read_pages(data)] == [160] * 4
    assert "several pages" in read_tiff(data).note
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    ring = bytearray(data)
    ring[at + 2 + 12 * count : at + 6 + 12 * count] = data[4:8]  # the next page is the first
    assert len(list(read_pages(bytes(ring)))) == 1 < MOST_PAGES
