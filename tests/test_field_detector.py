"""Finding cells in whole fields: geometry, tiles, scale, training views, and how well it does."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.fields import score_folder
from conftest import COLOURS, GROUND, ROOT, SAMPLE, SampleRun, draw_field

import field_detector as F
from preprocess_data import read_boxes, read_image
from train_model import PRETRAINED, load_archive, read_card

LABELS = ["Platelets", "RBC", "WBC"]
RED = np.array([False, True, False])
TYPICAL = np.array([0.4, 1.0, 1.85])


def draw_discs(
    width: int, height: int, side: int, step: float = 1.6
) -> tuple[np.ndarray, np.ndarray]:
    """A field of red discs on a lattice, some of them cut by the border; and their boxes."""
    image = np.full((height, width, 3), F.GROUND, np.uint8)
    boxes = []
    for y in np.arange(0, height + side / 2, side * step):
        for x in np.arange(0, width + side / 2, side * step):
            cv2.circle(image, (round(x), round(y)), side // 2, COLOURS["RBC"], -1)
            boxes.append((x - side / 2, y - side / 2, x + side / 2, y + side / 2))
    return image, np.clip(boxes, 0, [width, height, width, height])


def find_discs(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A stand-in for the network: each dark island is a red cell, if it's of a size to be seen."""
    h, w = (n // F.STRIDE for n in picture.shape[:2])
    heat, reach = np.zeros((h, w, 3), np.float32), np.ones((h, w, 4), np.float32)
    dark = (picture[..., 1] < 165).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(dark)
    for x, y, wide, high, area in stats[1:]:
        if area < 60 or max(wide, high) > 3 * F.CELL:
            continue
        cx, cy = (x + wide / 2) / F.STRIDE, (y + high / 2) / F.STRIDE
        i, j = min(int(cy), h - 1), min(int(cx), w - 1)
        heat[i, j, 1] = 0.9
        reach[i, j] = np.array([
            j + 0.5 - x / 4, i + 0.5 - y / 4, (x + wide) / 4 - j - 0.5, (y + high) / 4 - i - 0.5
        ])  # fmt: skip
    return heat, reach


# --- geometry -------------------------------------------------------------------------------------


def test_overlap_by_hand() -> None:
    box = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], float)
    other = np.array([[5, 0, 15, 10], [0, 0, 10, 10]], float)
    assert F.overlap(box, other) == pytest.approx(np.array([[1 / 3, 1], [0, 0]]))
    assert F.overlap(box[:0], other).shape == (0, 2)


def test_a_sliver_is_thin_and_at_the_border() -> None:
    box = np.array([[0, 20, 9, 60], [0, 20, 40, 60], [30, 30, 38, 70], [40, 92, 80, 100]], float)
    assert F.is_sliver(box, 100, 100, 10).tolist() == [True, False, False, True]


def test_the_light_is_levelled_whatever_its_colour() -> None:
    field = draw_field([("RBC", 40, 40, 90, 90)])
    for gain in ((1, 1, 1), (0.6, 0.7, 0.5)):
        lit = np.clip(field * np.array(gain), 0, 255).astype(np.uint8)
        ground = np.median(F.level_light(lit).reshape(-1, 3), axis=0)
        assert ground == pytest.approx(np.full(3, F.GROUND), abs=4)


@pytest.mark.parametrize("length", [64, 640, 4001, 20_000])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.1])
def test_every_place_is_one_tiles_and_well_inside_it(length: int, scale: float) -> None:
    tiles = F.spread_tiles(length, scale)
    assert tiles[0][0][0] == 0 and tiles[-1][0][1] == length
    for (start, end), (low, high) in tiles:
        assert (end - start) * scale <= F.TILE + scale
        assert low == -np.inf or (low - start) * scale > F.OVERLAP / 2 - 2 * scale - 1
        assert high == np.inf or (end - high) * scale > F.OVERLAP / 2 - 2 * scale - 1
    seams = [part for _, part in tiles]
    assert all(a[1] == b[0] for a, b in pairwise(seams))


@pytest.mark.parametrize(
    ("size", "side"), [((640, 480), 100), ((2600, 1900), 80), ((300, 300), 60)]
)
def test_cells_are_found_where_they_are_in_one_look_or_in_tiles(
    size: tuple[int, int], side: int
) -> None:
    image, boxes = draw_discs(*size, side)
    cells = F.find_cells(find_discs, image, side, 0.5)
    assert len(cells.label) == len(boxes)
    assert F.overlap(cells.box, boxes).max(axis=1).min() > 0.75
    assert F.overlap(cells.box, boxes).max(axis=0).min() > 0.75


@pytest.mark.parametrize(
    ("size", "side"),
    [
        ((640, 480), 105),
        ((575, 575), 140),
        ((363, 360), 80),
        ((1600, 1200), 60),
        ((3000, 2000), 70),
    ],
)
def test_the_size_of_a_cell_is_found_in_fields_of_any_magnification(
    size: tuple[int, int], side: int
) -> None:
    image, _ = draw_discs(*size, side)
    assert F.estimate_cell(find_discs, image, TYPICAL) == pytest.approx(side, rel=0.15)


def test_a_field_without_a_cell_has_a_scale_and_no_cells() -> None:
    blank = np.full((480, 640, 3), 220, np.uint8)
    cell = F.estimate_cell(find_discs, blank, TYPICAL)
    assert cell > 0
    assert F.find_cells(find_discs, blank, cell, 0.3).box.shape == (0, 4)


def test_of_two_answers_for_one_cell_the_likelier_stays() -> None:
    heat, reach = np.zeros((20, 20, 3), np.float32), np.full((20, 20, 4), 5, np.float32)
    heat[8, 8, 1], heat[8, 10, 1], heat[8, 12, 2], heat[15, 15, 1] = 0.6, 0.9, 0.5, 0.2
    cells = F.decode(heat, reach, (80, 80), 0.3)
    # Another label may lie over it; 0.2 is too little.
    order = np.argsort(cells.label)
    assert cells.label[order].tolist() == [1, 2]
    assert cells.probability[order].tolist() == pytest.approx([0.9, 0.5])
    red = cells.box[cells.label == 1][0]
    assert red.tolist() == [22, 14, 62, 54]


# --- what is learnt from --------------------------------------------------------------------------


def make_field(boxes: list, cell: float = 40.0) -> F.TrainingField:
    image = draw_field(boxes)
    data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    label = np.array([LABELS.index(name) for name, *_ in boxes])
    box = np.array([b[1:] for b in boxes], float).reshape(-1, 4)
    free = np.zeros((45, 60), bool)
    free[:, 40:] = True
    return F.TrainingField("f.png", data, box, label, len(box), cell, free, box[:0])


BOXES = [("RBC", 20, 20, 60, 60), ("WBC", 90, 60, 160, 130), ("Platelets", 200, 20, 214, 36)]


def test_ground_that_may_hide_a_cell_is_unsure_and_boxed_cells_are_not() -> None:
    unsure = make_field(BOXES).unsure()
    assert unsure[10, 10] == 0  # in the boxed red cell
    assert unsure[30, 5] == 1  # no box, and not free
    assert unsure[30, 50] == 0  # free


def test_boxes_of_a_window_follow_the_picture() -> None:
    source = make_field(BOXES)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        view, zoom = F.cut_window(source, (192, 256), (0.5, 0.8), rng)
        view = F.flip(view, rng)
        assert view.image.shape == (192, 256, 3)
        assert view.unsure.shape == (48, 64)
        assert 0.4 < zoom < 2.5
        for (x0, y0, x1, y1), k in zip(view.box.astype(int), view.label, strict=True):
            middle = view.image[(y0 + y1) // 2, (x0 + x1) // 2].astype(int)
            distance = {n: np.abs(middle - c).sum() for n, c in COLOURS.items()}
            distance["ground"] = np.abs(middle - F.GROUND).sum()
            if min(x1 - x0, y1 - y0) > 25:
                assert min(distance, key=distance.get) != "ground", (k, middle, GROUND)


def test_laid_over_cells_are_boxed_and_show_enough() -> None:
    source = make_field(BOXES)
    cells = F.cut_cells([source], 3)
    assert [len(c) for c in cells] == [1, 1, 1]
    added = 0
    for seed in range(20):
        view, zoom = F.cut_window(source, (288, 352), (0.75, 1.3), np.random.default_rng(seed))
        before = view.image.copy()
        crowd = F.lay_over(view, zoom, cells, TYPICAL, RED, np.random.default_rng(seed))
        assert (view.image == before).all()
        new = crowd.box[len(view.box) :]
        added += len(new)
        assert (new >= 0).all() and (new[:, 2:] <= (352, 288)).all()
        assert (new[:, 2:] > new[:, :2]).all()
        for (x0, y0, x1, y1), k in zip(new.astype(int), crowd.label[len(view.box) :], strict=True):
            if LABELS[k] == "RBC":  # it only darkens
                was = before[y0:y1, x0:x1].astype(int).sum()
                assert crowd.image[y0:y1, x0:x1].astype(int).sum() < was * 1.01
    assert added > 20


def test_the_same_seed_draws_the_same_view() -> None:
    source = make_field(BOXES)
    course = F.Course(F.cut_cells([source], 3), TYPICAL, RED, RED)
    one, same, other = (F.draw_view(source, course, 1, [seed, 0]) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert (one[0] != other[0]).any()


def test_the_wanted_answer_is_one_at_centres_and_unknown_where_a_cell_may_be() -> None:
    view = F.View(
        np.zeros((160, 160, 3), np.uint8),
        np.array([[20, 20, 100, 100], [52, 50, 70, 68]], float),
        np.array([1, 0]),
        np.pad(np.ones((40, 10), np.uint8), ((0, 0), (30, 0))),
    )
    heat, known, corner, weight = F.draw_target(view, RED)
    assert heat.shape == (40, 40, 3) and heat[..., 1].max() == 1 and heat[..., 2].max() == 0
    assert heat[14:16, 14:16, 1].max() == 1 and heat[14:16, 14:16, 0].max() == 1
    assert (known[:, 30:, 1] == 0).all() and (known[:, :30, 1] == 1).all()
    assert (known[..., 0] == 1).all()
    assert corner[14, 15].tolist() == [13, 12.5, 17.5, 17]  # the small one lies on top
    assert weight.sum() > 0


def test_slivers_that_were_found_are_taken_for_no_cell() -> None:
    from dataclasses import replace

    source = make_field([])
    assert source.unsure()[30, 5] == 1
    dismissed = replace(source, dismissed=np.array([[0, 100, 40, 140.0]]))
    assert dismissed.unsure()[30, 5] == 0


def test_losses_are_nothing_for_the_right_answer_and_blind_to_what_is_unknown() -> None:
    tf = pytest.importorskip("tensorflow")
    view = F.View(np.zeros((160, 160, 3), np.uint8), np.array([[20, 20, 100, 100.0]]),
                  np.array([1]), np.zeros((40, 40), np.uint8))  # fmt: skip
    heat, known, corner, weight = (a[np.newaxis] for a in F.draw_target(view, RED))
    perfect = (heat == 1).astype(np.float32)
    wrong = np.full_like(heat, 0.5)
    assert float(F.heat_loss(perfect, heat, known)) < 0.01
    assert float(F.heat_loss(wrong, heat, known)) > 10
    assert float(F.heat_loss(wrong, heat, np.zeros_like(known))) == 0
    place = np.arange(40) + 0.5
    reach = np.stack(
        [np.tile(place - 5, (40, 1)), np.tile(place[:, None] - 5, (1, 40)),
         np.tile(25 - place, (40, 1)), np.tile(25 - place[:, None], (1, 40))], axis=-1
    )[np.newaxis].astype(np.float32)  # fmt: skip
    assert float(F.box_loss(reach, corner, weight)) < 1e-4
    assert float(F.box_loss(tf.ones_like(reach), corner, weight)) > 0.5


def test_a_find_is_matched_once_and_by_the_surest() -> None:
    truth, kind = np.array([[0, 0, 10, 10], [50, 50, 60, 60.0]]), np.array([1, 2])
    found = F.Cells(np.array([[0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 60, 60.0]]),
                    np.array([1, 1, 1]), np.array([0.6, 0.9, 0.8]))  # fmt: skip
    assert F.match(found, truth, kind).tolist() == [-1, 0, -1]
    assert F.match(found, truth[:0], kind[:0]).tolist() == [-1, -1, -1]


def test_the_threshold_overlooks_finds_where_boxes_may_be_missing() -> None:
    source = make_field(BOXES)
    box = np.array([[20, 20, 60, 60], [0, 90, 40, 130], [170, 90, 210, 130.0]])
    found = F.Cells(box, np.array([1, 1, 1]), np.array([0.5, 0.9, 0.3]))
    assert F.choose_thresholds([found], [source], RED)[1] == 0.5
    # Where no box is ever missing, the sure find without one counts: both have to be taken.
    assert F.choose_thresholds([found], [source], ~RED)[1] == 0.5
    assert F.choose_thresholds([found.pick(np.array([1, 2]))], [source], RED).tolist()[0] == 0.5


# --- the trained network --------------------------------------------------------------------------


def test_the_archive_gives_the_fields_back(sample_run: SampleRun) -> None:
    archive = load_archive(sample_run.archive, ["train", "val", "test"])
    names = set()
    for split, fields in archive.fields.items():
        for i, (name, data) in enumerate(fields.files()):
            names.add(name)
            assert data == (SAMPLE / "JPEGImages" / name).read_bytes()
            boxes = read_boxes(SAMPLE / "Annotations" / f"{Path(name).stem}.xml")
            mine = fields.index == i
            assert fields.label[mine].tolist() == [label for label, _ in boxes], split
    assert len(names) == len(list((SAMPLE / "Annotations").glob("*.xml")))


def test_the_exported_network_agrees_with_the_keras_one(sample_run: SampleRun) -> None:
    keras = pytest.importorskip("keras")
    network = keras.models.load_model(sample_run.model / f"{F.NAME}.keras", compile=False)
    detector = F.Detector.load(sample_run.model, read_card(sample_run.model))
    image = F.level_light(read_image(next((SAMPLE / "JPEGImages").iterdir())))
    for size in ((352, 288), (192, 256)):
        picture = F.resize(image, *size)
        heat, reach = detector.run(picture)
        wanted = network(picture[np.newaxis].astype(np.float32), training=False).numpy()[0]
        assert heat == pytest.approx(wanted[..., :3], abs=0.01)
        assert np.abs(reach / wanted[..., 3:] - 1).max() < 0.05


def test_the_card_says_what_the_detector_was_made_of(sample_run: SampleRun) -> None:
    card = json.loads((sample_run.model / "hematovision.json").read_text())["fields"]
    assert card["labels"] == LABELS
    assert set(card["thresholds"]) == set(LABELS)
    assert all(0 < t < 1 for t in card["thresholds"].values())
    assert card["typical_side"]["RBC"] == 1
    assert card["typical_side"]["Platelets"] < 0.8 < 1.2 < card["typical_side"]["WBC"]


def test_cells_of_completely_boxed_fields_are_found_and_counted(bccd: Path) -> None:
    notes = ROOT / "tests" / "complete_val"
    found = score_folder(PRETRAINED, bccd / "JPEGImages", notes)
    assert found["RBC"]["ap50"] > 0.9
    assert found["WBC"]["ap50"] > 0.95
    assert found["RBC"]["counting_accuracy"] > 0.9


def test_cells_of_another_laboratory_are_found_and_counted(bccd: Path) -> None:
    elsewhere = bccd.parent / "raabin"
    if not elsewhere.is_dir():
        pytest.skip(f"no fields of another laboratory at {elsewhere}")
    notes = elsewhere / "Annotations"
    stems = sorted(path.stem for path in notes.glob("*.xml"))[:40]
    found = score_folder(PRETRAINED, elsewhere / "JPEGImages", notes, stems)
    assert found["RBC"]["ap50"] > 0.9
    assert found["RBC"]["counting_accuracy"] > 0.85


def test_answers_do_not_depend_on_threads(bccd: Path) -> None:
    image = read_image(bccd / "JPEGImages" / "BloodImage_00007.jpg")
    card = read_card(PRETRAINED)
    one, two = (F.Detector.load(PRETRAINED, card, n).find(image, 0.02) for n in (1, 2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_drawn_cells_are_boxed_in_the_colours_of_their_labels() -> None:
    image = np.full((200, 300, 3), 230, np.uint8)
    cells = F.Cells(np.array([[50, 60, 120, 130.0]]), np.array([1]), np.array([0.9]))
    drawn = F.draw_cells(image, cells, LABELS)
    assert drawn.shape[1] == 1200 and drawn.shape[0] > 800
    assert tuple(drawn[400, 200]) == F.choose_colours(LABELS)["RBC"]
    assert (image == 230).all()
