"""Pictures: read, refused, squared, scaled to [0, 1] and back, brought to one light."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, decode_rgb, write_png
from drawing import draw_field
from PIL import Image, TiffImagePlugin

from hematovision.pictures.images import read_image, scale_pixels, square_crop, unscale_pixels
from hematovision.program.console import UserError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        pytest.param(GREY, np.dstack([GREY] * 3), id="grey"),
        pytest.param(GREY.astype(np.uint16) * 257, np.dstack([GREY] * 3), id="16 bit grey"),
        pytest.param(
            np.dstack([GREY, GREY // 2, GREY // 3]).astype(np.uint16) * 257,
            np.dstack([GREY, GREY // 2, GREY // 3]),
            id="16 bit colour",
        ),
        pytest.param(
            np.dstack([GREY, GREY // 2, GREY // 3, np.full_like(GREY, 255)]),
            np.dstack([GREY, GREY // 2, GREY // 3]),
            id="RGBA, opaque",
        ),
        pytest.param(
            np.dstack([GREY, GREY // 2, GREY // 3, np.zeros_like(GREY)]),
            np.dstack([GREY, GREY // 2, GREY // 3]),
            id="RGBA, alpha left unused",
        ),
    ],
)
def test_every_kind_of_png_becomes_8_bit_rgb(
    tmp_path: Path, stored: np.ndarray, wanted: np.ndarray
) -> None:
    write_png(tmp_path / "a.png", stored)
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, wanted)


SMEAR = draw_field([("RBC", 20, 20, 60, 58), ("WBC", 80, 30, 130, 90)], (160, 120))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("grey", [False, True])
def test_cameras_bits_are_stretched_to_their_range(
    tmp_path: Path, suffix: str, bits: int, grey: bool
) -> None:
    eight = SMEAR[..., 1] if grey else SMEAR
    stored = eight.astype(np.uint16) << (bits - 8) | 1  # and a lowest bit that 8 bits don't hold
    image = read_image(write_png(tmp_path / f"a{suffix}", stored))
    np.testing.assert_array_equal(image, np.dstack([eight] * 3) if grey else eight)


def test_a_stretched_picture_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hematovision.program.console.SAID", set())
    for name in "ab":
        read_image(write_png(tmp_path / f"{name}.tif", SMEAR.astype(np.uint16) * 16))
    assert capsys.readouterr().err == (
        f"notice: {tmp_path / 'a.tif'}: 12 of 16 bits are used, stretched to their range\n"
    )


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparency_is_laid_over_white(tmp_path: Path, suffix: str) -> None:
    alpha = np.zeros(SMEAR.shape[:2], np.uint8)
    alpha[30:, :80], alpha[30:, 80:] = 255, 128
    rgba = Image.fromarray(np.dstack([SMEAR, alpha]))
    rgba.save(tmp_path / f"a{suffix}", lossless=True)
    image = read_image(tmp_path / f"a{suffix}").astype(int)
    assert (image[:30] == 255).all()
    np.testing.assert_array_equal(image[30:, :80], SMEAR[30:, :80])
    assert np.abs(image[30:, 80:] - (SMEAR[30:, 80:] / 2 + 127.5)).max() <= 2


def test_transparency_of_16_bits_and_of_a_palette(tmp_path: Path) -> None:
    alpha = np.full(SMEAR.shape[:2], 65535, np.uint16)
    alpha[:30] = 0
    image = read_image(
        write_png(tmp_path / "a.png", np.dstack([SMEAR.astype(np.uint16) * 16, alpha]))
    )
    assert (image[:30] == 255).all()
    np.testing.assert_array_equal(image[30:], SMEAR[30:])
    palette = Image.fromarray(SMEAR).quantize(32)
    palette.save(tmp_path / "p.png", transparency=int(palette.getpixel((0, 0))))
    assert (read_image(tmp_path / "p.png")[0, 0] == 255).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_every_way_to_store_colours_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    try:
        Image.fromarray(SMEAR).convert(mode).save(path)
        wanted = np.array(Image.open(path).convert("RGB")).astype(int)
    except OSError:
        pytest.skip(f"Pillow can't do {mode} in {suffix}")
    difference = np.abs(read_image(path).astype(int) - wanted)
    assert difference.mean() < 2, difference.max()


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiffs_are_read_whatever_packs_them(tmp_path: Path, compression: str) -> None:
    Image.fromarray(SMEAR).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), SMEAR)


def test_of_a_stack_the_first_page_is_read_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hematovision.program.console.SAID", set())
    first, second = Image.fromarray(SMEAR), Image.fromarray(255 - SMEAR)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second] * 2)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), SMEAR)
    assert "pages or channels the first is read" in capsys.readouterr().err


def test_ordinary_pictures_are_what_opencv_makes_of_them(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".bmp", ".tif"):
        path = write_png(tmp_path / f"a{suffix}", SMEAR)
        np.testing.assert_array_equal(read_image(path), decode_rgb(path))


def png_promising(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content)
        )  # fmt: skip

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def tiff_promising(width: int, height: int) -> bytes:
    """Deflated, in one strip of few bytes."""
    pixels = zlib.compress(bytes(1000))
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1),
            (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(pixels))]  # fmt: skip
    start = 8 + len(pixels) + len(pixels) % 2
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return (
        b"II*\0" + struct.pack("<I", start) + pixels.ljust(start - 8, b"\0") + directory + bytes(4)
    )


def jpeg_promising(width: int, height: int, progressive: bool = False) -> bytes:
    data = bytearray(
        cv2.imencode(".jpg", SMEAR, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    )
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jpg", jpeg_promising(32_000, 32_000)),
        ("p.jpg", jpeg_promising(10_000, 9_999 + 2, progressive=True)),
        ("a.png", png_promising(50_000, 50_000)),
        ("a.tif", tiff_promising(60_000, 60_000)),
    ],
)
def test_what_promises_too_many_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(UserError, match=r"x \d+ pixels are more than [\d,]+; cut the slide"):
        read_image(tmp_path / name, data)


LIBRARIES = """
import sys
from pathlib import Path
import cv2  # before us, and without our environment
from hematovision.program.console import UserError, command
from hematovision.pictures.images import read_image

@command
def main(argv=None):
    for path in sorted(Path(sys.argv[1]).iterdir()):
        try:
            read_image(path)
        except UserError:
            pass
    return 0

sys.exit(main())
"""


def test_libraries_never_write_to_the_screen_whoever_imports_them_first(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[65100], tags.tagtype[65100] = "objective 100x", 2  # a maker's own
    Image.fromarray(SMEAR).save(tmp_path / "maker.tif", tiffinfo=tags)
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        data = cv2.imencode(suffix, SMEAR)[1].tobytes()
        for i in range(1, 5):  # bits that flipped
            broken = bytearray(data)
            broken[len(data) * i // 5] ^= 0x5A
            (tmp_path / f"{i}{suffix}").write_bytes(broken)
    done = subprocess.run(
        [sys.executable, "-c", LIBRARIES, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_256_levels_of_a_pixel_come_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled = scale_pixels(levels)
    assert (scaled.min(), scaled.max()) == (0, 1)
    for kind in (np.float16, np.float32, np.float64):
        assert (unscale_pixels(scaled.astype(kind)) == levels).all(), kind


def test_scaled_pixels_give_all_256_levels_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    scaled = scale_pixels(levels)
    assert scaled.dtype.kind == "f"
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert np.abs(scaled.astype(float) - levels / 255).max() < 3e-4
    np.testing.assert_array_equal(np.rint(scaled.astype(np.float32) * 255), levels)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 640), (480, 1), (2, 500), (96, 96), (97, 95), (17, 200), (600, 300), (3, 4)],
)
@pytest.mark.parametrize("size", [32, 96, 97])
def test_square_crop_always_gives_the_shape(shape: tuple[int, int], size: int) -> None:
    segment = np.full((*shape, 3), (10, 120, 250), np.uint8)
    crop = square_crop(segment, size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    assert (crop == (10, 120, 250)).all()  # nothing but the segment's own pixels


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("scale", [1, 4])
def test_square_crop_keeps_proportions(turned: bool, scale: int) -> None:
    # A disc in a segment twice as wide as high, with the left half of its ground darker.
    segment = np.full((64 * scale, 128 * scale, 3), 200, np.uint8)
    segment[:, : 64 * scale] = 100
    cv2.circle(segment, (64 * scale, 32 * scale), 24 * scale, (0, 0, 0), -1)
    crop = square_crop(segment.transpose(1, 0, 2) if turned else segment, 96)
    crop = crop.transpose(1, 0, 2) if turned else crop
    rows, columns = np.nonzero(crop[..., 0] < 50)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1  # still a disc
    assert abs(np.ptp(columns) - 96 * 48 / 128) <= 2
    assert abs(rows.mean() - 47.5) <= 1 and abs(columns.mean() - 47.5) <= 1  # in the middle
    np.testing.assert_array_equal(crop[0], crop[23])  # its edge repeated above ...
    np.testing.assert_array_equal(crop[-1], crop[-24])  # ... and below
    assert (crop[0, :40] == 100).all() and (crop[0, 56:] == 200).all()
