"""Tests of the page that counts, in a real browser: its answers, its safety, its corrections."""

from __future__ import annotations

import base64
import io
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, SAMPLE, write_png
from driver import Page

from hematovision.annotations.complete import format_complete
from hematovision.answering.overlap import Shift, find_again, find_shift, make_small
from hematovision.cells.border import RULES, belongs, is_cut
from hematovision.cells.cells import Cells
from hematovision.cells.taxonomy import find_parent
from hematovision.networks.card import PRETRAINED
from hematovision.networks.classifier import Classifier, decide
from hematovision.networks.detector import Detector, find_doubles
from hematovision.networks.differential import wilson
from hematovision.networks.doubts import DARK_FIELD, find_doubts, measure_brightness
from hematovision.networks.population import recall_many
from hematovision.networks.tiles import (
    CELL,
    CELL_WIDE,
    OVERLAP,
    choose_seen,
    decode,
    network_size,
    spread_tiles,
)
from hematovision.page import build
from hematovision.pictures.frame import find_frame
from hematovision.pictures.images import read_image, resize, scale_pixels, square_crop
from hematovision.pictures.light import is_dark_field, level_light
from hematovision.program.tables import PLAIN, Table

SHARED = ROOT.parent / "shared"
LEAST = 0.05  # probability from which the page finds cells
# Pixels go to the browser and back as base64.
PASS = """
const picture = (text, width, height) => (
  {data: Uint8ClampedArray.from(atob(text), (c) => c.charCodeAt(0)), width, height});
const bytes = (array) => {
  const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = "";
  for (let i = 0; i < view.length; i += 32768)
    text += String.fromCharCode(...view.subarray(i, i + 32768));
  return btoa(text);
};
"""


# --- what the tests share -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twins(browser) -> Iterator[Callable]:
    """Call what the page's worker is made of: ``twins("(a) => round(a)", 0.5)``."""
    page = browser.new_page()
    page.goto("about:blank")
    script = PASS + build.bundle(
        "engine/worker",
        "engine/networks/differential",
        "engine/border",
        "ui/saving/tables",
        "ui/panels/count",
        "ui/saving/dataset",
    )
    page.evaluate(
        "(text) => document.head.append(Object.assign(document.createElement('script'), {text}))",
        script,
    )
    yield page.evaluate
    page.close()


def pack_image(image: np.ndarray) -> list:
    """An image as `picture` of PASS takes it."""
    data = base64.b64encode(np.ascontiguousarray(image).tobytes()).decode()
    return [data, image.shape[1], image.shape[0]]


def unpack_image(text: str, height: int, width: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 3)


@pytest.fixture(scope="module")
def field_files() -> list[Path]:
    """Twenty real fields of three laboratories; of the sample where these aren't at hand."""
    folders = [SHARED / lab / "JPEGImages" for lab in ("bccd", "raabin", "pbc")]
    if not all(folder.is_dir() for folder in folders):
        return sorted((SAMPLE / "JPEGImages").glob("*.jpg"))[:6]
    every = zip(folders, (7, 7, 6), strict=True)
    return [path for folder, n in every for path in pick_evenly(sorted(folder.iterdir()), n)]


def pick_evenly(paths: Sequence[Path], n: int) -> list[Path]:
    return [paths[i] for i in np.linspace(0, len(paths) - 1, n).round().astype(int)]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(PRETRAINED, Classifier.load(PRETRAINED).card, threads=2)


SAMPLE_FIELD = SAMPLE / "JPEGImages" / "drawn_037.jpg"


# --- twins ----------------------------------------------------------------------------------------


def test_resizing_is_opencvs(twins: Callable, field_files: list[Path]) -> None:
    rng = np.random.default_rng(0)
    for path in field_files[::7]:
        image = read_image(path)
        height, width = image.shape[:2]
        twins("([image]) => { globalThis.field = picture(...image); }", [pack_image(image)])
        sizes = [(width // n, height // n) for n in (2, 3, 6, 8)]  # whole blocks
        sizes += [(352, 256), (width - 1, height - 1), (width, height // 2)]
        sizes += [(width - 9, height + 9), (width + 200, height - 40), (width + 32, height + 64)]
        for w, h in sizes:
            found = twins("([w, h]) => bytes(resize(field, w, h).data)", [w, h])
            apart = np.abs(unpack_image(found, h, w).astype(int) - resize(image, w, h))
            assert apart.max() <= (0 if w < width and h <= height else 1), (path.name, w, h)
        for _ in range(20):
            w, h = rng.integers(2, 240, 2).tolist()
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            segment = image[y : y + h, x : x + w]
            given = [x, y, w, h]
            found = twins("(box) => bytes(squareCrop(cut(field, ...box), 96).data)", given)
            apart = np.abs(unpack_image(found, 96, 96).astype(int) - square_crop(segment, 96))
            assert apart.max() <= (0 if max(w, h) > 96 else 1), (path.name, given)


def test_light_and_scale_of_pixels(twins: Callable, field_files: list[Path]) -> None:
    for path in field_files[::5]:
        image = read_image(path)
        found = twins(
            """([image]) => {
              const {width, height, ...rest} = levelLight(picture(...image));
              return bytes(cut({width, height, ...rest}, 0, 0, width, height).data);
            }""",
            [pack_image(image)],
        )
        assert (unpack_image(found, *image.shape[:2]) == level_light(image)).all(), path.name
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    found = twins("([image]) => [...scalePixels(picture(...image))]", [pack_image(levels)])
    assert found == scale_pixels(levels).astype(np.float32).ravel().tolist()


def test_tiles_and_sizes(twins: Callable) -> None:
    for length in (40, 300, 640, 767, 768, 769, 1057, 4000, 12345):
        for scale in (0.21, 0.5, 80 / 111, 1.0, 1.7, 3.9):
            shared = OVERLAP * (CELL if scale > 1 else CELL_WIDE)
            found = twins(
                "([n, s, o]) => spreadTiles(n, s, o).map((t) => t.map(String))",
                [length, scale, shared],
            )
            wanted = [[*map(float, (*a, *b))] for a, b in spread_tiles(length, scale, shared)]
            named = [[float(v.replace("Infinity", "inf")) for v in tile] for tile in found]
            assert named == wanted, (length, scale)
    for length in (1, 48, 80, 112, 352, 399.99, 400, 1000):
        assert twins("networkSize", length) == network_size(length)
    for cell_px in (9, 29.9, 30, 80, 400):
        assert twins("chooseSeen", cell_px) == choose_seen(cell_px)


def test_decoding_of_peaks(twins: Callable, detector: Detector, field_files: list[Path]) -> None:
    rng = np.random.default_rng(1)
    answers = []
    for path in field_files[::4]:
        picture = resize(level_light(read_image(path)), 448, 352)
        answers.append(detector.run(picture))
    for _ in range(3):  # plateaus, ties and crowds that no network draws
        heat = rng.choice([0.0, 0.1, 0.5, 0.5, 0.9], (24, 32, 3)).astype(np.float32)
        answers.append((heat, rng.uniform(0, 9, (24, 32, 4)).astype(np.float32)))
    for heat, reach in answers:
        size = heat.shape[1] * 4, heat.shape[0] * 4
        wanted = decode(heat, reach, size, 0.05)
        joined = np.concatenate([heat, reach], axis=-1).astype(np.float32)
        found = twins(
            """([text, labels, width, height]) => {
              const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
              const answer = new Float32Array(raw.buffer);
              return decode(answer, labels, width, height, 0.05);
            }""",
            [base64.b64encode(joined.tobytes()).decode(), heat.shape[2], *size],
        )
        assert [cell["label"] for cell in found] == wanted.label.tolist()
        assert [cell["probability"] for cell in found] == wanted.probability.tolist()
        boxes = np.array([cell["box"] for cell in found]).reshape(-1, 4)
        assert boxes == pytest.approx(wanted.box, abs=1e-9)


def test_classes_are_chosen_down_the_tree(twins: Callable) -> None:
    classes = ["Background", "Eosinophil", "Neutrophil", "Platelets", "RBC", "WBC"]
    rng = np.random.default_rng(5)
    leaves = rng.dirichlet(np.full(6, 0.4), 300).astype(np.float32)
    leaves[:, 5] += leaves[:, 1] + leaves[:, 2]  # a parent's is the sum
    card = {
        "classes": classes,
        "threshold": None,
        "parents": [find_parent(name, classes) for name in classes],
        "kind_threshold": 0.7,
    }
    choose = """([card, rows]) => {
      const classifier = new Classifier(card, null);
      return rows.map((row) => classifier.choose(row));
    }"""
    found = twins(choose, [card, leaves.tolist()])
    assert found == decide(leaves, classes, None, 0.7).tolist()
    assert set(found) == set(range(6))
    binary = rng.dirichlet([1, 1], 50)
    card |= {"classes": ["Other", "RBC"], "threshold": 0.4, "parents": [None, None]}
    found = twins(choose, [card, binary.tolist()])
    assert found == decide(binary, card["classes"], 0.4).tolist()


def test_doubles_and_intervals(twins: Callable) -> None:
    rng = np.random.default_rng(7)
    typical, red = np.array([0.4, 1.0, 2.0]), np.array([False, True, False])
    for n in (0, 1, 30, 80):
        centre = rng.uniform(0, 400, (n, 2))
        label = rng.integers(0, 3, n)
        half = 20 * typical[label, None] * rng.uniform(0.7, 1.4, (n, 2))
        cells = Cells(np.hstack([centre - half, centre + half]), label, rng.uniform(0.2, 1, n))
        double = find_doubles(cells, cells.probability / 0.5, typical, red)
        given = [
            {"box": box.tolist(), "label": int(k), "probability": float(p)}
            for box, k, p in zip(*cells, strict=True)
        ]
        found = twins(
            """([cells, typical, red]) => {
              const single = findSingles(cells, [0.5, 0.5, 0.5], typical, red);
              return cells.map((cell) => !single.has(cell));
            }""",
            [given, typical.tolist(), red.tolist()],
        )
        assert found == double.tolist() and (n < 30 or double.any())
    for count, total in ((0, 0), (0, 5), (5, 5), (3, 100), (50, 100), (1, 7)):
        found = twins("([n, of]) => wilson(n, of)", [count, total])
        assert found == pytest.approx(wilson(count, total), abs=1e-12)


TYPICAL, RED = np.array([0.4, 1.0, 2.0]), np.array([False, True, False])


def scatter_cells(rng: np.random.Generator, n: int, large: float = 2.0) -> Cells:
    """Cells anywhere in a field of 480 x 360; `large`: of white ones, in red cells."""
    label = rng.choice(3, n, p=[0.1, 0.6, 0.3])
    half = 14 * np.array([0.4, 1.0, large])[label, None] * rng.uniform(0.9, 1.1, (n, 2))
    centre = rng.uniform(0, 1, (n, 2)) * [480, 360]
    box = np.clip(np.hstack([centre - half, centre + half]), 0, [480, 360] * 2)
    return Cells(box, label, rng.uniform(0.2, 1, n))


def as_found(cells: Cells) -> list[dict]:
    return [
        {"box": box.tolist(), "label": int(k), "probability": float(p)}
        for box, k, p in zip(*cells, strict=True)
    ]


def test_the_many_and_doubts(twins: Callable) -> None:
    rng = np.random.default_rng(11)
    kinds = set()
    for n, large, dim in ((0, 2, 1), (6, 2, 1), (40, 2, 1), (60, 1, 1), (60, 1.2, 0.2)):
        field = (rng.integers(90, 240, (360, 480, 3)) * dim).astype(np.uint8)
        cells = scatter_cells(rng, n, large)
        sure = cells.probability >= 0.4
        recalled_cells, recalled = recall_many(cells, field, sure, TYPICAL, RED)
        counted = recalled_cells.pick(sure)
        brightness = measure_brightness(field)
        many = int((recalled & sure).sum())
        wanted = find_doubts(counted, field, many, brightness, TYPICAL, RED)
        found = twins(
            """([image, cells, typical, red]) => {
              const field = picture(...image);
              const isSure = (cell) => cell.probability >= 0.4;
              const {cells: called, recalled} = recallMany(cells, isSure, field, typical, red);
              const counted = called.filter(isSure);
              const many = [...recalled].filter(isSure).length;
              const brightness = measureBrightness(field);
              const doubts = findDoubts(counted, field, many, brightness, typical, red);
              return {labels: called.map((cell) => cell.label), brightness, doubts};
            }""",
            [pack_image(field), as_found(cells), TYPICAL.tolist(), RED.tolist()],
        )
        assert found["labels"] == recalled_cells.label.tolist()
        assert found["brightness"] == brightness
        kinds |= {one["kind"] for one in found["doubts"]}
        words = [twins("(doubt) => doubtWords(doubt)", doubt) for doubt in found["doubts"]]
        assert words == [doubt.words for doubt in wanted]
    assert kinds >= {"white like red", "dark"}


def test_a_dark_ground(twins: Callable) -> None:
    field = read_image(ROOT / "data" / "examples" / "field.jpg")
    glow = 255 - field[..., 1].astype(int)
    fluorescence = np.dstack([glow // 4, glow, glow // 8]).astype(np.uint8)
    eyepiece = cv2.copyMakeBorder(field, 120, 100, 90, 150, cv2.BORDER_CONSTANT)
    seen = []
    for image in (field, fluorescence, 255 - field, field // 4, eyepiece, field[:90, :70]):
        found = twins(
            "(image) => { const field = picture(...image); "
            "return isDarkField(field, findFrame(field)); }",
            pack_image(image),
        )
        assert found == is_dark_field(image, find_frame(image))
        seen.append(found)
    assert seen[:3] == [False, True, True]
    doubt = {"kind": DARK_FIELD.kind, "white": 0, "red": 0}
    assert twins("(doubt) => doubtWords(doubt)", doubt) == DARK_FIELD.words


def test_what_the_border_cuts(twins: Callable) -> None:
    box = scatter_cells(np.random.default_rng(2), 80).box
    for rule in RULES:
        found = twins(
            "([boxes, rule]) => boxes.map((box) => belongs(box, 480, 360, rule))",
            [box.tolist(), rule],
        )
        assert found == belongs(box, 480, 360, rule).tolist()
    found = twins("(boxes) => boxes.map((box) => isCut(box, 480, 360))", box.tolist())
    assert found == is_cut(box, 480, 360).tolist() and 0 < sum(found) < 80


def test_no_field_twice(twins: Callable) -> None:
    field = read_image(ROOT / "data" / "examples" / "field.jpg")
    first, second, third = field[:300, :400], field[60:360, 130:530], field[180:480, 240:]
    for earlier, later in ((first, second), (second, third), (first, first[::-1])):
        wanted = find_shift(make_small(earlier), make_small(later))
        found = twins(
            "([a, b]) => findShift(makeSmall(picture(...a)), makeSmall(picture(...b)))",
            [pack_image(earlier), pack_image(later)],
        )
        assert found == (wanted and pytest.approx(wanted._asdict()))
    assert found is None
    rng = np.random.default_rng(4)
    one, other = scatter_cells(rng, 50), scatter_cells(rng, 60)
    pairs = find_again(one, other, Shift(12, -7, 0.9))
    found = twins("([a, b]) => findAgain(a, b, {x: 12, y: -7})", [as_found(one), as_found(other)])
    assert sorted(map(tuple, found)) == sorted(pairs) and pairs


def test_no_text_of_a_table_is_a_formula(twins: Callable) -> None:
    for text in ("=1+1", "-5", "+1.5e3", "-cmd", "@x", "\tx", "\rx", "a,b", 'a"b', "a\nb", "1"):
        file = io.StringIO()
        Table(file, ["x"], PLAIN).writerow({"x": text})
        assert twins("quote", text) == file.getvalue().removeprefix("x\n").removesuffix("\n")


def test_what_was_gone_through(twins: Callable) -> None:
    labels, pictures = ["WBC", "RBC"], ["ß.jpg", 'a "b".png', "A.jpg"]
    for given in ([labels, pictures], [labels, []]):
        assert twins("(given) => formatComplete(...given)", given) == format_complete(*given)


def frame_fields(field: np.ndarray) -> dict[str, np.ndarray]:
    """A field as it is, behind an eyepiece, between bars, and with a scale bar."""
    height, width = field.shape[:2]
    disc = np.zeros((height, width), np.uint8)
    cv2.circle(disc, (width // 2 + 9, height // 2), int(0.48 * height), 255, -1)
    light = cv2.GaussianBlur(disc, (0, 0), 3).astype(np.float32)[..., np.newaxis] / 255
    bar = field.copy()
    cv2.rectangle(bar, (width - 160, height - 40), (width - 40, height - 33), (0, 0, 0), -1)
    cv2.putText(bar, "10 um", (width - 130, height - 46), 0, 0.6, (0, 0, 0), 2)
    return {
        "plain": field,
        "eyepiece": (field * light + 6 * (1 - light)).astype(np.uint8),
        "black bars": cv2.copyMakeBorder(field, 40, 30, 0, 0, cv2.BORDER_CONSTANT),
        "white bar": cv2.copyMakeBorder(field, 0, 0, 50, 0, cv2.BORDER_CONSTANT, value=[255] * 3),
        "scale bar": bar,
        "even scale bar": bar[:, 65:],  # an opening by an even kernel
    }


def test_frames_are_left_out(twins: Callable, field_files: list[Path]) -> None:
    for path in field_files[:2]:
        for name, image in frame_fields(read_image(path)).items():
            frame = find_frame(image)
            found, levelled = twins(
                """([image]) => {
                  const frame = findFrame(picture(...image));
                  return [bytes(frame.data), bytes(levelLight(picture(...image), frame).data)];
                }""",
                [pack_image(image)],
            )
            assert frame.any() == (name != "plain")
            data = np.frombuffer(base64.b64decode(found), np.uint8).reshape(frame.shape)
            assert (data == frame).all(), (path.name, name)
            wanted = level_light(image, frame)
            assert (unpack_image(levelled, *image.shape[:2]) == wanted).all(), (path.name, name)


# --- answers --------------------------------------------------------------------------------------


def check_fields(page: Page, paths: Sequence[Path], detector: Detector) -> None:
    """The page finds in fields what predict.py finds."""
    found = page.open(*paths).fields()
    assert [field["name"] for field in found] == [path.name for path in paths]
    shift, gap, cells, elsewhere = 0.0, 0.0, 0, 0
    for path, field in zip(paths, found, strict=True):
        assert field["state"] == "done" and field["single"] is None, path.name
        wanted, scale, doubts = detector.search(read_image(path), LEAST)
        assert len(field["doubts"]) == len(doubts), path.name
        assert field["scale"]["certain"] == scale.certain
        assert field["scale"]["cellPx"] == pytest.approx(scale.cell_px, rel=1e-4)
        counted = detector.is_counted(wanted)
        given = field["cells"]
        boxes = np.array([cell["box"] for cell in given]).reshape(-1, 4)
        code = np.array([detector.labels.index(cell["label"]) for cell in given], int)
        sure = np.array([cell["probability"] for cell in given])
        # Of equal probabilities one or the other may come first. A place may be called two labels,
        # and both be red ones where the many called one back: their probabilities tell them apart.
        away = np.abs(boxes[np.newaxis] - wanted.box[:, np.newaxis]).max(axis=2, initial=0)
        away += np.abs(sure - wanted.probability[:, np.newaxis])
        same = (away + 1e6 * (code != wanted.label[:, np.newaxis])).argmin(axis=1)
        assert sorted(same) == list(range(len(code))), path.name
        assert (code[same] == wanted.label).all(), path.name
        count = np.array([cell["counted"] for cell in given])
        assert (count[same] == counted).all(), path.name
        moved = np.abs(boxes[same] - wanted.box).max(axis=1, initial=0)
        shift = max(shift, moved[counted].max(initial=0))
        elsewhere += int((moved[~counted] > 0.05).sum())
        gap = max(gap, np.abs(sure[same] - wanted.probability).max(initial=0))
        cells += len(boxes)
    print(f"{len(found)} fields, {cells} cells: boxes within {shift:.2g} px, p within {gap:.2g}")
    assert cells > 10 * len(found)
    # Of two places of a doubtful cell that are equally likely to 1e-6 either may be its centre.
    assert elsewhere <= cells / 500
    assert shift <= 0.05 and gap <= 1e-3


def test_fields_as_predict_finds_them(
    app: Callable[..., Page], field_files: list[Path], detector: Detector
) -> None:
    check_fields(app(), field_files, detector)


@pytest.mark.parametrize("second", ["there", "none", "broken"])
def test_a_field_of_several_tiles_is_looked_at_by_two_workers(
    app: Callable[..., Page], detector: Detector, tmp_path: Path, second: str
) -> None:
    """Where the second can't be begun, or breaks, the first does it alone."""
    field = read_image(ROOT / "data" / "examples" / "field.jpg")
    large = cv2.copyMakeBorder(field, 0, 840, 0, 1110, cv2.BORDER_REFLECT)
    page, path = app(), write_png(tmp_path / "large.png", large)
    page.page.evaluate(
        """(how) => {
          const Whole = Worker;
          globalThis.begun = 0;
          globalThis.Worker = function (url) {
            begun += 1;
            if (how === "none") throw Error("no more workers");
            const worker = new Whole(url);
            if (how === "broken") {
              worker.terminate();
              setTimeout(() => worker.dispatchEvent(new Event("error")), 100);
            }
            return worker;
          };
        }""",
        second,
    )
    check_fields(page, [path], detector)
    assert page.page.evaluate("begun") == int((os.cpu_count() or 1) > 1)


def test_wide_and_framed_fields_as_predict_finds_them(
    app: Callable[..., Page], detector: Detector, tmp_path: Path
) -> None:
    field = read_image(ROOT / "data" / "examples" / "field.jpg")
    twice = np.hstack([field, field[:, ::-1]])
    wide = np.vstack([twice, twice[::-1]])
    pictures = {
        "wide": cv2.resize(wide, (704, 528), interpolation=cv2.INTER_AREA),  # found in tiles
        "close": cv2.resize(field[:300, :400], None, fx=2, fy=2),
        **{name: frame_fields(field)[name] for name in ("eyepiece", "scale bar")},
    }
    paths = [write_png(tmp_path / f"{name}.png", picture) for name, picture in pictures.items()]
    check_fields(app(), paths, detector)


def test_crops_as_predict_names_them(app: Callable[..., Page]) -> None:
    classifier = Classifier.load(PRETRAINED)
    segments = list(cut_segments(40))
    assert len(segments) == 40
    page = app()
    files = [
        {
            "name": f"{k}.png",
            "mimeType": "image/png",
            "buffer": cv2.imencode(".png", segment[..., ::-1])[1].tobytes(),
        }
        for k, segment in enumerate(segments)
    ]
    page.open(*files)
    gap = 0.0
    for segment, field in zip(segments, page.fields(), strict=True):
        wanted, found = classifier.answer(classifier.crop(segment)), field["single"]
        assert found["label"] == wanted.label
        assert found["uncertain"] == wanted.uncertain
        assert list(found["probabilities"]) == list(wanted.probabilities)
        apart = [found["probabilities"][k] - p for k, p in wanted.probabilities.items()]
        gap = max(gap, *map(abs, apart))
        assert found["probability"] == found["probabilities"][found["label"]]
    print(f"40 crops: probabilities within {gap:.2g}")
    assert gap <= 1e-3


def cut_segments(n: int) -> Iterator[np.ndarray]:
    """Cells of all labels and laboratories at hand, noise among them, too small to be a field."""
    labs = [SHARED / lab for lab in ("bccd", "raabin", "pbc")]
    roots = [lab for lab in labs if lab.is_dir()] or [SAMPLE]
    rng = np.random.default_rng(3)
    yield rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
    cut, k = 1, 0
    while cut < n:
        root = roots[k % len(roots)]
        fields = sorted((root / "Annotations").glob("*.xml"))
        note = fields[(k * 7) % len(fields)]
        k += 1
        picture = next((root / "JPEGImages").glob(f"{note.stem}.*"))
        # One of each label of a field, so that the rare ones come too.
        by_label = {
            item.findtext("name"): [
                round(float(item.findtext(f"bndbox/{corner}")))
                for corner in ("xmin", "ymin", "xmax", "ymax")
            ]
            for item in ET.parse(note).iter("object")
        }
        for x0, y0, x1, y1 in by_label.values():
            segment = read_image(picture)[max(0, y0) : y1, max(0, x0) : x1]
            if cut < n and segment.size and min(segment.shape[:2]) < 256:
                cut += 1
                yield segment
