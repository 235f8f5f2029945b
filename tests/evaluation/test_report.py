"""The report's page in a real browser: alone, legible, at any width, leading somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, SampleRun, load
from driver import WIDTHS

from hematovision.archive.loading import load_archive
from hematovision.evaluation.report import show_fields


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
    browser, sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    arrays = load(sample_run.archive)
    arrays["label_test"] = np.array(["<img src=x onerror=alert(1)>"] * len(arrays["y_test"]))
    np.savez(tmp_path / "odd.npz", **arrays)
    args = ["--data", tmp_path / "odd.npz", "--model", sample_run.judged, "--output-dir", tmp_path]
    assert run("evaluate_model.py", "--resamples", 50, *args).status == 0
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("img[src=x]").count() == 0
    assert "<img src=x" in page.inner_text("#mistakes")
    page.close()


def test_the_fields_behind_the_crops_come_from_the_archive(sample_run: SampleRun) -> None:
    fields = load_archive(sample_run.archive, ["test"]).fields["test"]
    rows = [{"source": name} for name in fields.name.tolist()]
    shown = show_fields(rows, fields)
    assert set(shown) == set(fields.name.tolist())
    assert {(row["width"], row["height"]) for row in shown.values()} == {(640, 480)}
