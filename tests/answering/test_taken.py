"""Fields that overlap: a cell that was counted before is counted once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import EXAMPLES, PRETRAINED, ROOT, Run, answers, only_error, write_png

from hematovision.answering.counting import FieldCounter, HowToCount
from hematovision.answering.taken import Taken
from hematovision.pictures.images import read_image

WIDE, HIGH = 560, 420


@pytest.fixture(scope="module")
def counter() -> FieldCounter:
    return FieldCounter.load(PRETRAINED, HowToCount(), 2)


def photograph(field: np.ndarray, x: int, y: int, seed: int) -> np.ndarray:
    """A window of a large field under light that falls askew, flickers and is noisy."""
    rng = np.random.default_rng(seed)
    window = field[y : y + HIGH, x : x + WIDE].astype(float)
    across = np.linspace(0.8, 1.05, WIDE)[None, :, None]
    window *= (across if seed % 2 else across[:, ::-1]) * rng.uniform(0.9, 1.05)
    return np.clip(window + rng.normal(0, 4, window.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def large() -> list[np.ndarray]:
    """Two real fields (768, 1024, 3), larger than what a window of them shows."""
    folder = ROOT.parent / "shared" / "bcisc" / "JPEGImages"
    if not folder.is_dir():
        pytest.skip(f"the BCISC dataset isn't at {folder}")
    return [read_image(folder / f"bcisc_baso_{name}.jpg") for name in ("4-2", "7-1")]


def test_the_union_of_overlapping_windows_counts_each_cell_once(
    large: list[np.ndarray], counter: FieldCounter
) -> None:
    """Within 3 % of what the large fields count."""
    places = [(0, 0), (464, 10), (230, 170), (0, 348), (464, 340)]
    union, seen, alone, whole = 0, 0, 0, 0
    for field in large:
        taken = Taken(counter)
        for k, (x, y) in enumerate(places):
            window = counter.count(Path(f"{k}.png"), photograph(field, x, y, k))
            alone += sum(window.answer.counts.values())
            answer = taken.take(window).answer
            union += sum(answer.counts.values())
            seen += answer.seen
            assert len(answer.overlaps or ()) >= min(k, 1)
        whole += sum(counter.count(Path("large.png"), field).answer.counts.values())
    print(f"union {union}, whole {whole}, one by one {alone}, seen twice {seen}")
    assert union == pytest.approx(whole, rel=0.03)
    assert alone == union + seen and seen > 0.3 * union


def test_fields_of_different_places_share_nothing(bccd: Path, counter: FieldCounter) -> None:
    taken = Taken(counter)
    for n in (4, 5, 9, 11):
        path = bccd / "JPEGImages" / f"BloodImage_{n:05}.jpg"
        answer = taken.take(counter.count(path, read_image(path))).answer
        assert (answer.overlaps, answer.seen) == ((), 0)


def test_predict_tells_overlaps_and_goes_on_with_resume(count: Run, tmp_path: Path) -> None:
    field = cv2.resize(read_image(EXAMPLES / "field.jpg"), (800, 600))
    windows = [
        write_png(tmp_path / f"{name}.png", np.ascontiguousarray(field[:480, x : x + 560]))
        for name, x in (("a", 0), ("b", 200))
    ]
    out = tmp_path / "out"
    result = count(*windows, "--overlap", "--json", "--output", out, "--resume")
    assert result.status == 0, result.err
    first, second = answers(result)
    assert first["overlaps"] == []
    (overlap,) = second["overlaps"]
    assert overlap["image"] == str(windows[0])
    assert overlap["shift"] == pytest.approx([200, 0], abs=2)
    assert overlap["share"] == pytest.approx(360 / 560, abs=0.02)
    seen = [cell for cell in second["cells"] if cell.get("seen")]
    assert seen and not any(cell["counted"] for cell in seen)
    assert f"{len(seen)} cells seen again are counted once" in result.err
    text = count(*windows, "--overlap").out
    assert f"of 2 fields, {len(seen)} cells seen twice" in text
    third = write_png(tmp_path / "c.png", np.ascontiguousarray(field[:480, 240:800]))
    more = count(*windows, third, "--overlap", "--json", "--output", out, "--resume")
    assert answers(more)[:2] == [first, second]
    assert len(answers(more)[2]["overlaps"]) == 2


def test_it_goes_with_fields_in_their_order(count: Run, run: Run) -> None:
    field = EXAMPLES / "field.jpg"
    assert "--overlap" in only_error(count(field, "--overlap", "--shard", "1/2"))
    assert "--field" in only_error(run("predict.py", field, "--overlap"))
