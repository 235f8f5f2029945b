"""Ground: free of every cell, boxed or not; background patches that lie on nothing else."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import decode_rgb, read_dataset, write_png
from drawing import PLATELET, RBC

from hematovision.archive.metadata import SPLITS
from hematovision.cells.cells import Segment
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.ground import find_free_area
from hematovision.preparing.background import find_room, measure_room, place_background

Corners = tuple[int, int, int, int]


def overlap(a: Corners, b: Corners) -> bool:
    return common(a, b) > 0


def common(a: Corners, b: Corners) -> int:
    """The area that two boxes share, in pixels."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def check_background(fields: list[Field], patches: dict[str, list[Segment]]) -> int:
    """Check every patch against the frame, the boxes and its neighbours; count them."""
    sizes = {(b[2] - b[0], b[3] - b[1]) for f in fields for _, b in f.segments}
    for field in fields:
        height, width = decode_rgb(field.path).shape[:2]
        of_field = patches[field.name]
        for label, (xmin, ymin, xmax, ymax) in of_field:
            assert label == "Background"
            assert 0 <= xmin < xmax <= width and 0 <= ymin < ymax <= height
            assert (xmax - xmin, ymax - ymin) in sizes
        for (_, a), (_, b) in combinations(of_field, 2):
            assert not overlap(a, b), field.name
        for (_, a), (_, b) in ((p, s) for p in of_field for s in field.segments):
            assert not overlap(a, b), field.name
    return sum(map(len, patches.values()))


@pytest.mark.parametrize("odd", [0, 3])
def test_background_keeps_off_boxes_frame_and_other_patches(
    voc_dataset: Callable[..., Path], odd: int
) -> None:
    # But for the first, the boxes hold bare ground: only the box says that something is there.
    boxes = [RBC, PLATELET, ("WBC", 61, 61, 118, 119), ("RBC", 205, 141, 240, 180)]
    root = voc_dataset({f"f{i}": boxes for i in range(4)})
    for path in (root / "JPEGImages").iterdir():
        image = np.full((180 - odd, 240 - odd, 3), (228, 214, 222), np.uint8)
        cv2.circle(image, (30, 29), 18, (205, 120, 125), -1)
        write_png(path, image)
    fields, _ = read_dataset(root, workers=2)
    patches, unplaced = place_background(fields, 10.0, np.random.default_rng(0))
    placed = check_background(fields, patches)
    assert placed >= 30, "too few to tell anything"
    assert unplaced == 10 * 16 - placed > 0


def ring(image: np.ndarray, x: int, y: int, radius: int, pallor: int) -> None:
    """Draw a red cell with a bright centre that is as pale as the ground."""
    ground = image[0, -1].tolist()
    cv2.circle(image, (x, y), radius, (205, 120, 125), -1, cv2.LINE_AA)
    cv2.circle(image, (x, y), pallor, ground, -1, cv2.LINE_AA)


@pytest.mark.parametrize(
    "unboxed",
    [
        pytest.param([(130, 100)], id="alone"),
        pytest.param([(130, 0)], id="cut by the frame"),
        pytest.param([(239, 179)], id="in the corner"),
        pytest.param([(110, 70), (158, 96), (120, 120)], id="clump"),
    ],
)
@pytest.mark.parametrize("light", [1.0, 0.7])
@pytest.mark.parametrize(
    "platelets",
    [1, 5],
)
def test_background_shows_no_cell_though_it_has_no_box(
    voc_dataset: Callable[..., Path],
    unboxed: list[tuple[int, int]],
    light: float,
    platelets: int,
) -> None:
    radius, pallor = 28, 13
    boxed = [(32, 32), (32, 148), (208, 32)]
    boxes = [("RBC", x - radius, y - radius, x + radius, y + radius) for x, y in boxed]
    root = voc_dataset({"f": boxes + [("Platelets", 100, 168, 110, 178)] * platelets})
    image = np.full((180, 240, 3), (228, 214, 222), np.uint8)
    for x, y in boxed + unboxed:
        ring(image, x, y, radius, pallor)
    noise = np.random.default_rng(3).normal(0, 3, image.shape)
    image = np.clip(image * light + noise, 0, 255).astype(np.uint8)
    write_png(root / "JPEGImages" / "f.png", image)

    fields, _ = read_dataset(root, workers=1)
    y, x = np.mgrid[:180, :240]
    cells = np.zeros((180, 240), bool)
    for cx, cy in boxed + unboxed:
        cells |= (x - cx) ** 2 + (y - cy) ** 2 <= radius**2
    free = np.kron(fields[0].free.unpack(), np.ones((4, 4), bool))
    assert not (free & cells).any()
    assert free.mean() > 0.25

    patches, _ = place_background(fields, 10.0, np.random.default_rng(0))
    assert check_background(fields, patches) >= 8
    for _, (xmin, ymin, xmax, ymax) in patches["f.png"]:
        assert not cells[ymin:ymax, xmin:xmax].any()


def test_background_sizes_follow_the_boxes(voc_dataset: Callable[..., Path]) -> None:
    # In four fields of five the box is small: so must about four patches of five be.
    small, large = ("RBC", 0, 0, 20, 24), ("RBC", 0, 0, 44, 40)
    root = voc_dataset({f"f{i}": [large if i % 5 == 0 else small] for i in range(40)})
    fields, _ = read_dataset(root, workers=2)
    patches, _ = place_background(fields, 5.0, np.random.default_rng(0))
    count = Counter((b[2] - b[0], b[3] - b[1]) for of in patches.values() for _, b in of)
    assert count.keys() == {(20, 24), (44, 40)}
    assert count[20, 24] + count[44, 40] == 200
    assert 20 <= count[44, 40] <= 60


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2, 3), (1, 300, 3), (7, 9, 3), (180, 240, 3)])
def test_an_even_field_makes_no_chatter(shape: tuple[int, int, int]) -> None:
    free = find_free_area(np.full(shape, 200, np.uint8), [], cell_px=10.0)
    assert free.shape == (-(-shape[0] // 4), -(-shape[1] // 4))


@pytest.mark.parametrize("shape", [(30, 40), (300, 20)])
def test_the_tallest_free_window_of_each_width_is_found(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    masks = [np.ones(shape, np.uint8), np.zeros(shape, np.uint8)]
    masks += [
        (cv2.blur(rng.random(shape), (9, 9)) > level).astype(np.uint8) for level in (0.3, 0.45, 0.5)
    ]
    tallest = measure_room([*masks, np.ones((7, 7), np.uint8)], 45)
    assert tallest.shape == (6, 46)
    for i, mask in enumerate(masks):
        for width in (1, 2, 3, 8, 19, 40, 45):
            height = tallest[i, width]
            fits = [find_room(mask, width, h) is not None for h in (height, height + 1) if h]
            assert fits == [True, False][-len(fits) :], (i, width, height)
    assert tallest[5, 7] == 7
    assert tallest[5, 8] == 0


def test_bccd_background_keeps_off_cells_whose_boxes_it_was_not_shown(
    bccd: Path, bccd_fields: tuple
) -> None:
    # Over half of the red cells have no box. Take the boxes away: patches must still avoid them.
    fields = []
    for field in bccd_fields[0][::4]:
        rest = [s for s in field.segments if s.label != "RBC"]
        free = find_free_area(decode_rgb(field.path), rest, cell_px=102.0)
        fields.append(dataclasses.replace(field, free=Mask.pack(free)))
    patches, _ = place_background(fields, 1.0, np.random.default_rng(0))
    on_a_cell = total = 0
    for field in fields:
        for _, patch in patches[field.name]:
            total += 1
            for label, (x0, y0, x1, y1) in field.segments:
                w, h = x1 - x0, y1 - y0  # a box's corners are ground: its middle isn't
                middle = (x0 + w // 5, y0 + h // 5, x1 - w // 5, y1 - h // 5)
                if label == "RBC" and common(patch, middle) > 0.1 * common(middle, middle):
                    on_a_cell += 1
                    break
    assert total >= 100
    assert on_a_cell <= 0.02 * total


def test_bccd_background_keeps_off_every_box(
    bccd: Path, bccd_fields: tuple, bccd_archive: dict[str, np.ndarray]
) -> None:
    fields = {f.name: f for f in bccd_fields[0]}
    for split in SPLITS:
        classes = bccd_archive["classes"][bccd_archive[f"y_{split}"]]
        patches: dict[str, list[Segment]] = {name: [] for name in fields}
        of_split = zip(
            classes, bccd_archive[f"source_{split}"], bccd_archive[f"box_{split}"], strict=True
        )
        for label, name, box in of_split:
            if label == "Background":
                patches[str(name)].append(Segment("Background", tuple(box.tolist())))
        with_patches = [f for f in fields.values() if patches[f.name]]
        sizes = {(b[2] - b[0], b[3] - b[1]) for f in fields.values() for _, b in f.segments}
        for field in with_patches:
            boxes = [s.box for s in field.segments]
            for i, (_, patch) in enumerate(patches[field.name]):
                assert (patch[2] - patch[0], patch[3] - patch[1]) in sizes
                assert patch[0] >= 0 and patch[1] >= 0 and patch[2] <= 640 and patch[3] <= 480
                others = boxes + [p.box for p in patches[field.name][:i]]
                assert not any(overlap(patch, box) for box in others), field.name
