"""Picture files before they are decoded: whole or cut short, padded, hostile, of other kinds."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import draw_field
from PIL import Image

from hematovision.pictures.formats import read_header
from hematovision.pictures.header import FormatError
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError

SMEAR = draw_field([("RBC", 20, 20, 60, 58), ("WBC", 80, 30, 130, 90)], (160, 120))
NOISE = np.random.default_rng(1).integers(1, 256, SMEAR.shape, np.uint8)
FILM = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(40_000)


def encode(suffix: str, picture: np.ndarray = SMEAR, *options: int) -> bytes:
    return cv2.imencode(suffix, picture, list(options))[1].tobytes()


def with_thumbnail(data: bytes) -> bytes:
    """A JPEG with an EXIF thumbnail, a JPEG with an end of its own."""
    inner = encode(".jpg", SMEAR[:40, :40])
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + inner
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encode(".jpg"),
    "progressive JPEG": lambda: encode(".jpg", SMEAR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "JPEG with restarts": lambda: encode(".jpg", SMEAR, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "JPEG with a thumbnail": lambda: with_thumbnail(encode(".jpg")),
    "PNG": lambda: encode(".png"),
    "BMP": lambda: encode(".bmp", NOISE),
    "TIFF": lambda: encode(".tif", NOISE, cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "TIFF, LZW": lambda: encode(".tif"),
    "WebP": lambda: encode(".webp"),
    "JPEG 2000": lambda: encode(".jp2"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_a_picture_is_nobodys_business(kind: str) -> None:
    data = KINDS[kind]()
    name = Path(f"a.{kind}")
    for trailer in (b"MotionPhoto_Data" + FILM, bytes(5000), b"\xff" * 300):
        np.testing.assert_array_equal(read_image(name, data + trailer), read_image(name, data))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.4, 0.637, 0.87])
def test_what_is_cut_short_is_refused_also_where_zeros_fill_it_up(kind: str, share: float) -> None:
    data = KINDS[kind]()
    cut = data[: int(share * len(data))]
    for what in (cut, cut + bytes(len(data) - len(cut)), cut + bytes(5000)):
        with pytest.raises(UserError, match=r"cut short|damaged"):
            read_image(Path("a.picture"), what)


@pytest.mark.parametrize("suffix", [".bmp", ".tif"])
def test_a_black_bar_or_a_disc_in_black_is_no_picture_that_was_filled_up(suffix: str) -> None:
    bars = cv2.copyMakeBorder(SMEAR, 30, 30, 0, 0, cv2.BORDER_CONSTANT)
    disc = np.zeros_like(SMEAR)
    cv2.circle(disc, (80, 60), 50, (255, 255, 255), -1)
    for picture in (bars, disc & SMEAR, np.zeros_like(SMEAR)):
        data = encode(suffix, picture, *((cv2.IMWRITE_TIFF_COMPRESSION, 1) * (suffix == ".tif")))
        assert read_header(data).width == 160


def test_a_jpeg_that_goes_on_as_another_is_cut_short() -> None:
    data = encode(".jpg")
    with pytest.raises(FormatError, match="cut short"):
        read_header(data[: len(data) // 2] + encode(".jpg"))


def test_headers_say_what_the_pictures_are(tmp_path: Path) -> None:
    rgba = Image.fromarray(SMEAR).convert("RGBA")
    rgba.save(tmp_path / "a.png")
    assert read_header((tmp_path / "a.png").read_bytes())[:5] == ("PNG", 160, 120, 8, True)
    deep = encode(".tif", SMEAR.astype(np.uint16) * 16)
    assert read_header(deep)[:5] == ("TIFF", 160, 120, 16, False)
    rgba.save(tmp_path / "a.webp", lossless=True)
    assert read_header((tmp_path / "a.webp").read_bytes())[:3] == ("WebP", 160, 120)
    deep = read_header(encode(".jp2", SMEAR.astype(np.uint16) * 16))
    assert (deep.kind, deep.width, deep.height, deep.bits) == ("JPEG 2000", 160, 120, 16)


@pytest.mark.parametrize(
    ("mode", "what"), [("F", "floating-point 32-bit"), ("I", "signed 32-bit"), ("LAB", "Lab")]
)
def test_tiffs_of_other_numbers_are_refused_by_name(tmp_path: Path, mode: str, what: str) -> None:
    picture = Image.fromarray(SMEAR)
    (picture if mode == "LAB" else picture.convert("L")).convert(mode).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=what):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_picture_gives_a_picture_or_one_line(seed: int, monkeypatch) -> None:
    monkeypatch.setattr("hematovision.pictures.images.say_once", lambda *_: None)
    rng = random.Random(seed)
    whole = [make() for make in KINDS.values()]
    for _ in range(400):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(min(len(data), rng.choice((400, len(data)))))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.choice((0, 255, rng.randrange(256)))
                case 1:
                    data[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
                case 2:
                    del data[at : at + rng.randrange(1, 50)]
                case 3:
                    data[at:at] = rng.randbytes(rng.randrange(1, 9))
        try:
            image = read_image(Path("a.picture"), bytes(data))
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
