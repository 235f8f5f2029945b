"""Tests of the report: its figures against scikit-learn and by hand, its page in a real browser."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, SAMPLE, Outcome, SampleRun, load_arrays, only_error, run_script
from sklearn import metrics as sk

import evaluate_model as E
import predict as R
import train_model as T

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTHS = {"desk": 1280, "phone": 390}


# --- figures, vectorised --------------------------------------------------------------------------


def draw_case(k: int, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities with ties, and the weights of five resamples."""
    rng = np.random.default_rng(k)
    y = rng.integers(0, k, n)
    raw = rng.dirichlet(np.ones(k), n) + np.eye(k)[y] * 0.7
    proba = (raw / raw.sum(axis=1, keepdims=True)).round(2)
    weights = rng.multinomial(n, np.full(n, 1 / n), 5).astype(float)
    return y, proba, weights


@pytest.mark.parametrize("k", [2, 3])
def test_vectorised_figures_equal_scikit_learn(k: int) -> None:
    y, proba, weights = draw_case(k)
    predicted = proba.argmax(axis=1)
    found = E.score_weighted(y, proba, predicted, weights)
    for i, weight in enumerate(weights):
        by_class = np.array(
            [
                [
                    *(f[1] for f in sk.precision_recall_fscore_support(
                        y == c, predicted == c, sample_weight=weight)[:3]),
                    sk.roc_auc_score(y == c, proba[:, c], sample_weight=weight),
                    sk.average_precision_score(y == c, proba[:, c], sample_weight=weight),
                ]
                for c in range(k)
            ]
        )  # fmt: skip
        for j, name in enumerate(E.OF_A_CLASS):
            assert found[f"{name} by class"][i] == pytest.approx(by_class[:, j]), name
            expected = by_class[1, j] if k == 2 else by_class[:, j].mean()
            assert found[name][i] == pytest.approx(expected), name
        options = {"y_true": y, "y_pred": predicted, "sample_weight": weight}
        assert found["accuracy"][i] == pytest.approx(sk.accuracy_score(**options))
        assert found["balanced_accuracy"][i] == pytest.approx(sk.balanced_accuracy_score(**options))
        assert found["mcc"][i] == pytest.approx(sk.matthews_corrcoef(**options))


def test_curves_equal_scikit_learn() -> None:
    y, proba, weights = draw_case(2)
    found = E.trace_curves(y, proba, weights)
    for i, weight in enumerate(weights):
        kept = {"sample_weight": weight, "drop_intermediate": False}
        false, hit, _ = sk.roc_curve(y, proba[:, 1], **kept)
        at = [hit[false <= x + 1e-12].max() for x in E.GRID]
        assert found["roc"][i, 1] == pytest.approx(np.array(at))
        precision, recall, _ = sk.precision_recall_curve(y, proba[:, 1], **kept)
        # The highest threshold at which the recall is reached.
        at = [precision[:-1][recall[:-1] >= max(x, 1e-9) - 1e-12][-1] for x in E.GRID]
        assert found["pr"][i, 1] == pytest.approx(np.array(at))


def test_intervals_are_percentiles_of_the_same_resamples() -> None:
    y, proba, _ = draw_case(2)
    source = np.repeat([f"field{i}" for i in range(12)], 10)

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        scored = E.score_weighted(y, proba, proba.argmax(axis=1), weights)
        return {"accuracy": scored["accuracy"], "weight": weights}

    drawn = E.resample(statistics, source, 300, seed=7)
    # As many fields as there are, and all crops of a field as often.
    assert (drawn["weight"].sum(axis=1) == 120).all()
    by_field = drawn["weight"].reshape(300, 12, 10)
    assert (by_field == by_field[:, :, :1]).all()
    low, high = np.percentile(drawn["accuracy"], [2.5, 97.5])
    found = E.find_intervals(drawn, y, source, 2)
    assert found["accuracy"] == pytest.approx([low, high])


def test_large_samples_are_resampled_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.repeat(["a", "b", "c"], 4)
    whole = E.resample(lambda w: {"w": w}, source, 50, 0)["w"]
    sizes = []

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(len(weights))
        return {"w": weights}

    source = np.repeat(["a", "b", "c"], 40_000)
    sliced = E.resample(statistics, source, 50, 0)["w"]
    assert max(sizes) * len(source) <= 200_000
    assert (sliced[:, ::10_000] == whole).all()


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (9, 1, 2 * 11 / 1024)],
)
def test_mcnemar_by_hand(first: int, second: int, p: float) -> None:
    assert E.mcnemar(first, second) == pytest.approx(p)


def test_comparison_of_two_models_by_hand() -> None:
    y = np.tile([0, 1], 20)
    source = np.repeat([f"field{i}" for i in range(10)], 4)

    def answer(wrong: list[int]) -> E.Answers:
        predicted = y.copy()
        predicted[wrong] = 1 - predicted[wrong]
        return E.Answers(np.eye(2)[predicted], predicted, np.zeros(40, bool))

    found = E.compare(y, answer([0, 1, 2]), answer([0]), source, E.Options(resamples=200))
    assert found["accuracy"] == pytest.approx(39 / 40)
    assert found["difference"]["accuracy"] == pytest.approx(2 / 40)
    low, high = found["difference_ci95"]["accuracy"]
    assert 0 <= low < 2 / 40 < high
    assert found["mcnemar"] == {"only_first_right": 0, "only_second_right": 2, "p": 0.5}


@pytest.mark.parametrize(
    ("n", "fields", "scarce"), [(4, 4, True), (5, 1, True), (5, 2, False), (0, 0, True)]
)
def test_what_is_too_few_for_an_interval(n: int, fields: int, scarce: bool) -> None:
    member = np.arange(20) < n
    source = np.array([f"field{i % max(fields, 1)}" for i in range(20)])
    assert E.is_scarce(member, source) is scarce


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50.0 %"), (0.99941, "99.94 %"), (0.99999, ">99.99 %"),
     (0.00001, "<0.01 %"), (0.0004, "0.04 %"), (None, "-")],
)  # fmt: skip
def test_a_percentage_is_never_rounded_to_all_or_nothing(share: float | None, text: str) -> None:
    assert E.format_percent(share).replace("\xa0", " ") == text


# --- heat maps ------------------------------------------------------------------------------------


class Spotter:
    """Stands in for a classifier: class 1 as far as the crop's top left corner is dark."""

    def predict_proba(self, crops: np.ndarray, workers: int) -> tuple[np.ndarray, np.ndarray]:
        dark = 1 - crops[:, 8:32, 8:32].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - dark, dark], axis=1), np.zeros(len(crops))


def test_a_heat_map_shows_the_place_that_decides() -> None:
    crop = np.full((96, 96, 3), 230, np.uint8)
    crop[8:32, 8:32] = 5
    fall, lowest = E.occlude(Spotter(), crop, 1)
    assert fall.shape == (96, 96)
    y, x = np.unravel_index(fall.argmax(), fall.shape)
    assert 8 <= y < 32 and 8 <= x < 32
    assert fall[12:28, 12:28].min() > 10 * np.abs(fall[60:, 60:]).max()
    assert lowest < 0.5  # of 0.98
    against, _ = E.occlude(Spotter(), crop, 0)
    assert against == pytest.approx(-fall, abs=1e-6)


def test_heat_is_orange_for_and_blue_against() -> None:
    grey = np.full((4, 4, 3), 128, np.uint8)
    painted = E.paint_heat(grey, np.array([[3.0, -3.0, 0.0, 0.0]] * 4))
    red, blue = painted[0, :, 0].astype(int), painted[0, :, 2].astype(int)
    assert red[0] > 180 and blue[0] < 60
    assert red[1] < 60 and blue[1] > 140
    assert (painted[:, 2:] == 128).all()


# --- the files ------------------------------------------------------------------------------------


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*args: object) -> Outcome:
        capsys.readouterr()
        status = E.main([str(a) for a in (*args, "--resamples", 50)])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def report(sample_run: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on the sample, with the model compared with itself."""
    folder = tmp_path_factory.mktemp("page")
    args = [
        "--data", sample_run.archive, "--model", sample_run.model, "--output-dir", folder,
        "--compare", sample_run.model, "--resamples", 100,
    ]  # fmt: skip
    assert E.main([str(a) for a in args]) == 0
    return folder


def edit_archive(source: Path, target: Path, keep: np.ndarray | None = None, **changes) -> Path:
    """A copy of an archive with some of its test crops, and with `changes` to its metadata."""
    arrays = load_arrays(source)
    metadata = json.loads(str(arrays["metadata"])) | changes
    arrays["metadata"] = np.array(json.dumps(metadata))
    if keep is not None:
        arrays |= {
            k: v[keep]
            for k, v in arrays.items()
            if k.endswith("_test") and not k.startswith("field")
        }
    np.savez(target, **arrays)
    return target


def test_predictions_hold_every_test_crop(report: Path, sample_run: SampleRun) -> None:
    arrays = load_arrays(sample_run.archive)
    with open(report / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == arrays["source_test"].tolist()
    assert [row["label"] for row in rows] == arrays["label_test"].tolist()
    box = [[int(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")] for row in rows]
    assert box == arrays["box_test"].tolist()
    metrics = json.loads((report / "metrics.json").read_text())
    right = np.mean([row["truth"] == row["predicted"] for row in rows])
    assert right == pytest.approx(metrics["accuracy"])
    assert all(float(r["p_RBC"]) + float(r["p_Other"]) == pytest.approx(1) for r in rows)


def test_metrics_hold_the_numbers_behind_the_pictures(report: Path) -> None:
    metrics = json.loads((report / "metrics.json").read_text())
    n = metrics["crops"]
    for kind in ("class", "annotated label", "cell size"):
        assert sum(row["crops"] for row in metrics["accuracy_by"][kind]) == n
    assert sum(f["crops"] for f in metrics["accuracy_by_field"]["fields"].values()) == n
    assert sum(b["crops"] for b in metrics["reliability"]) == n
    assert sum(sum(c) for c in metrics["score_histograms"]["RBC"].values()) == n
    for curve in (metrics["curves"][kind]["RBC"] for kind in ("roc", "pr")):
        assert len(curve["height"]) == len(metrics["curves"]["at"])
        low, height, high = (np.array(curve[k]) for k in ("low", "height", "high"))
        assert (low <= high).all()
        assert ((low <= height + 1e-6) & (height <= high + 1e-6)).mean() > 0.9
    assert [row["epoch"] for row in metrics["history"]] == [0, 1]
    assert metrics["split"]["fields"]["test"] == metrics["fields"]


def test_a_model_doesnt_differ_from_itself(report: Path) -> None:
    other = json.loads((report / "metrics.json").read_text())["comparison"]
    assert set(other["difference"].values()) == {0}
    assert other["mcnemar"] == {"only_first_right": 0, "only_second_right": 0, "p": 1}
    assert "Beside a second model" in (report / "report.html").read_text()


def test_too_few_examples_are_said_to_be_too_few(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    y = load_arrays(sample_run.archive)["y_test"]
    keep = np.flatnonzero((y == 1) | (np.cumsum(y == 0) <= 3))
    data = edit_archive(sample_run.archive, tmp_path / "few.npz", keep)
    result = run("--data", data, "--model", sample_run.model, "--output-dir", tmp_path)
    assert result.status == 0, result.err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["ci95"]["accuracy"] is not None
    assert metrics["ci95"]["balanced_accuracy"] is None
    assert metrics["per_class"]["Other"]["ci95"]["recall"] is None
    assert re.search(r"^balanced_accuracy .* too few examples$", result.out, re.MULTILINE)
    assert "too few examples" in (tmp_path / "report.html").read_text()


def test_one_field_has_figures_but_no_interval(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    source = load_arrays(sample_run.archive)["source_test"]
    keep = np.flatnonzero(source == source[0])
    data = edit_archive(sample_run.archive, tmp_path / "one.npz", keep)
    result = run("--data", data, "--model", sample_run.model, "--output-dir", tmp_path)
    assert result.status == 0, result.err
    assert set(json.loads((tmp_path / "metrics.json").read_text())["ci95"].values()) == {None}
    assert "too few examples for an interval" in (tmp_path / "report.html").read_text()


def test_a_model_that_saw_the_test_fields_is_said_to_flatter(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    model = shutil.copytree(sample_run.model, tmp_path / "model")
    card = json.loads((model / "hematovision.json").read_text())
    metadata = json.loads(str(load_arrays(sample_run.archive)["metadata"]))
    card["training_fields"] += metadata["field_sha256"]["test"].values()
    (model / "hematovision.json").write_text(json.dumps(card))
    result = run("--data", sample_run.archive, "--model", model, "--output-dir", tmp_path / "out")
    assert "flatter" in result.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "These figures flatter" in page and "it had never seen" not in page


def test_without_its_history_the_page_says_so(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    model = shutil.copytree(sample_run.model, tmp_path / "model")
    (model / "history.csv").unlink()
    args = ["--data", sample_run.archive, "--model", model, "--output-dir", tmp_path / "a"]
    assert run(*args).status == 0
    page = (tmp_path / "a" / "report.html").read_text()
    assert "without its training history" in page
    assert "<svg" in page


def test_the_fields_behind_the_crops_come_from_the_archive(sample_run: SampleRun) -> None:
    fields = T.load_archive(sample_run.archive, ["test"]).fields["test"]
    rows = [{"source": name} for name in fields.name.tolist()]
    shown = E.show_fields(rows, fields)
    assert set(shown) == set(fields.name.tolist())
    assert {(row["width"], row["height"]) for row in shown.values()} == {(640, 480)}


def test_the_second_model_must_fit(
    sample_run: SampleRun, multiclass_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    error = only_error(
        run("--data", sample_run.archive, "--model", sample_run.model,
            "--compare", multiclass_run.model, "--output-dir", tmp_path)
    )  # fmt: skip
    assert str(multiclass_run.model) in error


def test_the_report_needs_neither_tensorflow_nor_scikit_learn(
    sample_run: SampleRun, tmp_path: Path
) -> None:
    code = (
        "import sys, evaluate_model as E\n"
        "assert E.main(sys.argv[1:]) == 0\n"
        "heavy = {'tensorflow', 'keras', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    args = ["--data", sample_run.archive, "--model", sample_run.model, "--output-dir", tmp_path]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args), "--resamples", "20"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# --- predict.py --explain -------------------------------------------------------------------------

CELL = SAMPLE / "segments" / "white_cell.png"


def test_predict_explains_its_answer(sample_run: SampleRun, tmp_path: Path) -> None:
    target = tmp_path / "why.png"
    result = run_script("predict.py", CELL, "--model", sample_run.model, "--explain", target)
    assert result.status == 0, result.err
    assert result.out.startswith(f"{CELL}: ")
    assert min(cv2.imread(str(target)).shape[:2]) >= 400


@pytest.mark.parametrize("args", [(CELL, CELL, "--explain", "why.png"), (CELL, "--explain", "why")])
def test_predict_refuses_what_it_cannot_explain(
    args: tuple, sample_run: SampleRun, capsys: pytest.CaptureFixture[str]
) -> None:
    status = R.main([str(a) for a in (*args, "--model", sample_run.model)])
    assert "--explain" in only_error(Outcome(status, *capsys.readouterr()))


def test_predict_loads_what_explains_only_on_demand() -> None:
    code = "import sys, predict; assert not {'evaluate_model', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


# --- the page, in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: `apt-get install chromium` to test the page in a browser")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, report: Path) -> Iterator[Callable]:
    """Open the report at a width and in a colour scheme, offline; console and requests recorded."""
    contexts = []

    def open_(width: str = "desk", scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto((report / "report.html").as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()


def test_the_page_loads_alone_and_without_complaint(open_page: Callable, report: Path) -> None:
    page = open_page()
    assert page.complaints == []
    outside = [u for u in page.requests if not u.startswith("data:")]
    assert outside == [(report / "report.html").as_uri()]
    assert page.title() and page.locator("h1").count() == 1
    assert page.locator("h2").count() >= 8
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_picture_has_size_and_a_description(open_page: Callable, width: str) -> None:
    found = open_page(width).evaluate(
        "[...document.images].map(i => [i.alt, i.naturalWidth, i.naturalHeight, i.clientWidth])"
    )
    assert len(found) > 30
    for alt, wide, high, shown in found:
        assert alt and wide >= 64 and high >= 64 and shown >= 64
    assert open_page(width).locator("svg[aria-label] image").count() >= 1


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways(open_page: Callable, width: str) -> None:
    page = open_page(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]


# WCAG 2 contrast of every element with text of its own against the first opaque ground under it.
CONTRASTS = """
() => {
  const rgb = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = c => { const [r, g, b] = rgb(c).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return getComputedStyle(e).backgroundColor; }
    return "rgb(255, 255, 255)"; };
  return [...document.body.querySelectorAll(":not(svg, svg *)")]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
      return [e.textContent.slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(open_page: Callable, scheme: str) -> None:
    page = open_page(scheme=scheme)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [pair for pair in found if pair[1] < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_click_on_a_crop_leads_to_its_box_and_back(open_page: Callable) -> None:
    page = open_page()
    crop = page.locator("#mistakes li").first
    number = crop.get_attribute("id").removeprefix("crop-")
    crop.locator("a").first.click()
    assert page.url.endswith(f"#box-{number}")
    box = page.locator(f"#box-{number} rect").first
    assert box.evaluate("e => e.parentElement.matches(':target')")
    box.scroll_into_view_if_needed()
    box.click()
    assert page.url.endswith(f"#crop-{number}")


def test_links_within_the_page_lead_somewhere(open_page: Callable) -> None:
    dead = open_page().evaluate(
        "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
        ".filter(h => !h.startsWith('#') || !document.getElementById(h.slice(1)))"
    )
    assert dead == []


def test_the_page_prints_dark_on_white(open_page: Callable) -> None:
    page = open_page(scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.querySelector('.plot')).filter") == "none"
    assert page.pdf().startswith(b"%PDF")


def test_what_comes_from_files_is_escaped(
    browser, sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    arrays = load_arrays(sample_run.archive)
    arrays["label_test"] = np.array(["<img src=x onerror=alert(1)>"] * len(arrays["y_test"]))
    np.savez(tmp_path / "odd.npz", **arrays)
    args = ["--data", tmp_path / "odd.npz", "--model", sample_run.model, "--output-dir", tmp_path]
    assert run(*args).status == 0
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("img[src=x]").count() == 0
    assert "<img src=x" in page.inner_text("#mistakes")
    page.close()
