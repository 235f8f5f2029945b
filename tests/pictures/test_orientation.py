"""Orientation tags: obeyed, or settled by the frame in which boxes were drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import draw_field
from PIL import Image

from hematovision.pictures.images import read_image
from hematovision.pictures.orientation import settle_frame

SMEAR = draw_field([("RBC", 20, 20, 60, 58), ("WBC", 80, 30, 130, 90)], (160, 120))


TURNS = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2), 8: np.rot90,
}  # fmt: skip


def save_turned(path: Path, picture: np.ndarray, orientation: int) -> bytes:
    """A file whose orientation tag says so; its bytes."""
    exif = Image.Exif()
    exif[274] = orientation
    tags = {"tiffinfo": {274: orientation}} if path.suffix == ".tif" else {"exif": exif}
    quality = {"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {"lossless": True}
    Image.fromarray(picture).save(path, **tags, **quality)
    return path.read_bytes()


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("alpha", [False, True])
def test_orientation_is_obeyed_or_settled_by_the_frame_of_boxes(
    tmp_path: Path, orientation: int, suffix: str, alpha: bool
) -> None:
    if alpha and suffix == ".jpg":
        pytest.skip("no transparency in a JPEG")
    smear = cv2.GaussianBlur(SMEAR, (0, 0), 3)
    stored = np.dstack([smear, np.full(smear.shape[:2], 255, np.uint8)]) if alpha else smear
    data = save_turned(tmp_path / f"a{suffix}", stored, orientation)

    def differs(image: np.ndarray, wanted: np.ndarray) -> float:
        assert image.shape == wanted.shape
        return float(np.abs(image.astype(int) - wanted).mean())

    path = tmp_path / f"a{suffix}"
    turned = TURNS[orientation](smear)
    assert differs(read_image(path), turned) < 2
    # Boxes that were drawn in the picture as shown, or as stored.
    shown = settle_frame(data, turned.shape[1], turned.shape[0])
    assert differs(read_image(path, shown), turned) < 2
    as_stored = settle_frame(data, smear.shape[1], smear.shape[0])
    wanted = smear if orientation >= 5 else turned  # else the frames can't be told apart
    assert differs(read_image(path, as_stored), wanted) < 2
    assert settle_frame(data, 999, 333) == data
