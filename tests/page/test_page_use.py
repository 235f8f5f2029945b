"""What a person does with the page that counts: corrects, tallies, measures, takes away."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, SAMPLE, Run, load, write_png
from driver import Page

from hematovision.cells.cells import sides, touches
from hematovision.networks.card import PRETRAINED

FIELD = ROOT / "data" / "examples" / "field.jpg"
LABELS = ["Platelets", "RBC", "WBC"]
DRAWN = [SAMPLE / "JPEGImages" / f"drawn_{k:03}.jpg" for k in (0, 1)]


def counts(page: Page) -> dict[str, int]:
    """What the table says of the field at hand."""
    rows = page.page.eval_on_selector_all(
        "#counts tbody tr", "(rows) => rows.map((row) => row.cells[1].textContent)"
    )
    return dict(zip(LABELS, map(int, rows), strict=True))


def chosen(page: Page) -> dict | None:
    return page.page.evaluate("hematovision.session.chosen")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.page.keyboard.press(key)


@pytest.fixture(scope="module")
def with_field(app_of_module: Callable[..., Page]) -> Page:
    return app_of_module().open(FIELD)


@pytest.fixture
def opened(with_field: Page) -> Page:
    """The page with one real field."""
    return with_field.reset()


def test_pictures_are_dropped_and_pasted_several_at_once(app: Callable[..., Page]) -> None:
    cells = sorted((ROOT / "data" / "examples").glob("*.png"))
    page = app()
    give = """([texts, type]) => {
      const transfer = new DataTransfer();
      for (const [k, text] of texts.entries()) {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        transfer.items.add(new File([bytes], `${type}${k}.png`, {type: "image/png"}));
      }
      const [Kind, name] = type === "drop"
        ? [DragEvent, "dataTransfer"] : [ClipboardEvent, "clipboardData"];
      dispatchEvent(new Kind(type, {[name]: transfer, bubbles: true, cancelable: true}));
    }"""
    texts = [base64.b64encode(path.read_bytes()).decode() for path in cells]
    page.page.evaluate(give, [texts[:2], "drop"])
    page.wait("hematovision.session.fields.length === 2")
    page.page.evaluate(give, [texts[2:3], "paste"])
    page.wait("hematovision.session.fields.length === 3")
    page.settle()
    assert [f["name"] for f in page.fields()] == ["drop0.png", "drop1.png", "paste0.png"]
    assert all(field["single"] for field in page.fields())
    assert page.page.is_visible("#single") and not page.page.is_visible("#counts")
    assert page.count("#strip button") == 3
    assert page.text("#name") == "paste0.png"  # the first of what was given last
    press(page, "PageUp")
    assert page.text("#name") == "drop1.png"


def test_the_first_picture_is_shown_and_what_was_left_out_stays_written(
    app: Callable[..., Page],
) -> None:
    page = app()
    tiff = {"name": "slide.tif", "mimeType": "", "buffer": b"II*\0" + bytes(500)}
    pdf = {"name": "report.pdf", "mimeType": "", "buffer": b"%PDF-1.7" + bytes(500)}
    files = [{"name": p.name, "mimeType": "", "buffer": p.read_bytes()} for p in (FIELD, *DRAWN)]
    page.open(tiff, files[0], pdf, *files[1:])
    assert page.text("#name") == "field.jpg"
    assert page.text("#skipped-count") == "2 files were left out"
    assert [line.split(":")[0] for line in page.text("#skipped-list").splitlines()] == [
        "slide.tif", "report.pdf",
    ]  # fmt: skip
    page.open(files[0])  # is open already: nothing is left out
    assert page.text("#skipped-count") == "2 files were left out"
    page.page.click("#skipped-clear")
    assert not page.page.is_visible("#skipped")


# --- look again and correct -----------------------------------------------------------------------


def test_doubtful_cells_come_up_first_and_one_key_settles_them(opened: Page) -> None:
    page, before = opened, counts(opened)
    ten = "hematovision.session.lookAt().map(({cell}) => cell.id)"
    doubt = page.page.evaluate(ten)
    assert 0 < len(doubt) <= 10
    page.page.click("#tab-review")
    press(page, "u")
    first = chosen(page)
    assert first["id"] == doubt[0]
    listed = page.page.eval_on_selector_all("#cells li", "(items) => items.map((i) => i.cell.id)")
    assert listed[: len(doubt)] == doubt
    assert page.count("#cells li[aria-selected=true]") == 1
    press(page, "3")  # a white cell, whatever it was
    after = counts(page)
    lost = {first["label"]: 1} if first["counted"] else {}
    assert Counter(after) == Counter(before) + Counter(WBC=1) - Counter(lost)
    assert "1 named" in page.text("#by-hand")
    assert "✎" not in page.text("#strip")  # one picture has no strip
    if len(doubt) > 1:
        assert chosen(page)["id"] == doubt[1]
        press(page, "Enter")  # it's right: settled, and counted
        assert doubt[1] not in page.page.evaluate(ten)
    press(page, "Control+z", *(["Control+z"] if len(doubt) > 1 else []))
    assert counts(page) == before
    assert not page.page.is_visible("#by-hand")


def test_delete_undo_redo(opened: Page) -> None:
    page, before = opened, counts(opened)
    press(page, "j")
    cell = chosen(page)
    assert cell
    press(page, "Delete")
    assert sum(counts(page).values()) == sum(before.values()) - cell["counted"]
    assert "1 deleted" in page.text("#by-hand")
    press(page, "Control+z")
    assert counts(page) == before
    press(page, "Control+Shift+z")
    assert sum(counts(page).values()) == sum(before.values()) - cell["counted"]
    page.page.click("#undo")
    assert counts(page) == before
    assert page.page.is_disabled("#undo") and page.page.is_enabled("#redo")


def test_a_box_is_added_by_dragging_or_by_keys_and_moved(opened: Page) -> None:
    page, before = opened, counts(opened)
    frame = page.page.locator("#stage").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    press(page, "a")
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 40, y + 20)
    page.page.mouse.move(x + 90, y + 70)
    page.page.mouse.up()
    assert sum(counts(page).values()) == sum(before.values()) + 1
    scale = page.page.evaluate("hematovision.keys.parts.view.scale")
    box = np.array(chosen(page)["box"])
    assert box[2:] - box[:2] == pytest.approx([90 / scale, 70 / scale], abs=0.6)
    page.wait("!document.querySelector('#state').textContent.startsWith('Drag')")
    press(page, "a", "Enter")  # one in the middle of what is seen
    assert sum(counts(page).values()) == sum(before.values()) + 2
    assert "2 added" in page.text("#by-hand")
    assert page.page.get_attribute("#add", "aria-pressed") == "false"  # one box at a time
    start = np.array(chosen(page)["box"])
    press(page, "g", "ArrowRight", "ArrowDown")
    moved = np.array(chosen(page)["box"])
    assert (moved > start).all() and moved - start == pytest.approx(moved[0] - start[0])
    press(page, "g", "ArrowLeft")
    assert chosen(page)["box"][2] < moved[2] and chosen(page)["box"][0] == moved[0]
    # A corner is dragged with the mouse.
    corner = page.page.locator("#boxes circle").nth(2).bounding_box()
    at = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    page.page.mouse.move(*at)
    page.page.mouse.down()
    page.page.mouse.move(at[0] + 30, at[1] + 30, steps=4)
    page.page.mouse.up()
    assert chosen(page)["box"][2] > moved[2]
    assert chosen(page)["box"][:2] == pytest.approx(list(moved[:2]))


def test_adding_ends_after_a_box_and_with_the_picture(app: Callable[..., Page]) -> None:
    page = app().open(FIELD, DRAWN[1])  # the second has no white cell
    before = counts(page)
    press(page, "a", "PageDown")
    assert page.page.get_attribute("#add", "aria-pressed") == "false"
    press(page, "Enter", "PageUp", "w", "Enter", "Enter", "w", "Enter")  # nothing is added
    assert sum(counts(page).values()) == sum(before.values())
    frame = page.page.locator("#stage").bounding_box()
    x, y = frame["x"] + 40, frame["y"] + 40
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 700, y + 500, steps=5)
    page.page.mouse.up()
    assert page.page.evaluate("getSelection().toString()") == ""
    assert page.page.evaluate("getSelection().isCollapsed")


def test_labels_hide_no_cells_on_a_phone(app: Callable[..., Page]) -> None:
    seen = """[...document.querySelectorAll("#boxes text")]
      .filter((e) => e.getAttribute("visibility") === "visible").length"""
    wide, narrow = app("desk").open(FIELD), app("phone").open(FIELD)
    assert wide.page.evaluate(seen) > 20
    assert narrow.page.evaluate(seen) <= 3  # of the largest alone
    press(narrow, "j")
    assert narrow.page.evaluate(seen) >= 1  # and the chosen one's


def test_ten_cells_of_all_pictures_are_asked_about(app: Callable[..., Page]) -> None:
    page = app().open(FIELD, *DRAWN)
    page.page.evaluate(
        """(() => {
          const {session} = hematovision;
          for (const field of session.found)
            for (const cell of field.cells) cell.second = {label: "Background", probability: 1};
          session.changed("cells");
        })()"""
    )
    page.page.click("#tab-review")
    assert page.text("#doubts").startswith("The 10 cells to look at first, in all pictures. ")
    fields = page.page.eval_on_selector_all(
        "#cells li", "(items) => items.slice(0, 10).map((item) => item.field.name)"
    )
    order = [field["name"] for field in page.fields()]
    assert [order.index(name) for name in fields] == sorted(order.index(name) for name in fields)
    first = fields[0]
    press(page, "u", "c")  # gone through: nothing of that picture is asked about any more
    fields = page.page.eval_on_selector_all(
        "#cells li", "(items) => items.slice(0, 10).map((item) => item.field.name)"
    )
    assert first not in fields and page.page.is_checked("#through")


def test_white_cells_of_open_type_are_asked_about_and_a_letter_names_them(
    app: Callable[..., Page],
) -> None:
    """Those least sure first, spread over the types proposed; what is named so isn't tallied."""
    page = app().open(FIELD)
    page.page.evaluate(
        """(() => {
          const {session} = hematovision;
          const cells = session.now.cells.filter((cell) => cell.counted).slice(0, 8);
          for (const cell of session.now.cells) cell.seen = !cells.includes(cell);
          for (const [k, cell] of cells.entries()) {
            const proposed = k < 6 ? "Neutrophil" : "Monocyte";
            Object.assign(cell, {label: "WBC", probability: 0.99, proposed, type: proposed});
            cell.origin.label = "WBC";
            const sure = k === 7 ? 0.99 : 0.5 + k / 100;
            cell.second = {label: proposed, probability: sure, sure};
          }
          session.changed("cells");
        })()"""
    )
    asked = page.page.evaluate("hematovision.session.lookAt().map(({cell}) => cell.proposed)")
    assert asked.count("Neutrophil") == 6 and asked.count("Monocyte") == 1  # one is sure
    assert "Monocyte" in asked[:3]
    page.page.click("#tab-review")
    press(page, "u")
    first = chosen(page)
    assert "of which type?" in page.text("#cells li[aria-selected=true]")
    press(page, "l")
    cell = page.page.evaluate(
        f"hematovision.session.now.cells.find((cell) => cell.id === {first['id']})"
    )
    assert (cell["type"], cell["named"], cell["tallied"]) == ("Lymphocyte", True, False)
    assert len(page.page.evaluate("hematovision.session.lookAt()")) == 6
    assert chosen(page)["id"] != first["id"]  # the next one comes up


def test_zoom_pan_and_pinch(app: Callable[..., Page]) -> None:
    page = app("phone", has_touch=True).open(FIELD)
    get = "(({left, top, scale}) => [left, top, scale])(hematovision.keys.parts.view)"
    fitted = page.page.evaluate(get)
    press(page, "+")
    assert page.page.evaluate(get)[2] == pytest.approx(1.25 * fitted[2])
    press(page, "f", "ArrowRight")
    left, top, scale = page.page.evaluate(get)
    assert left > fitted[0] and (top, scale) == pytest.approx((fitted[1], fitted[2]))
    press(page, "f")
    touch = page.page.context.new_cdp_session(page.page)
    frame = page.page.locator("#stage").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [] if kind == "touchEnd" else points},
        )

    fingers("touchStart", 30)
    for apart in (40, 50, 60):
        fingers("touchMove", apart)
    fingers("touchEnd", 0)
    assert page.page.evaluate(get)[2] == pytest.approx(2 * fitted[2], rel=0.02)
    assert chosen(page) is None


def test_corrections_survive_a_reload_until_the_picture_is_closed(
    app: Callable[..., Page], page_file: Path
) -> None:
    page = app().open(FIELD)
    before = counts(page)
    press(page, "j", "Delete", "j", "3")
    corrected = counts(page)
    assert corrected != before
    page.wait("hematovision.storage.unwritten.size === 0")
    page.start(page_file)
    assert page.text("#state") == "One picture of last time is back."
    assert counts(page) == corrected
    assert "1 deleted" in page.text("#by-hand")
    page.page.click("#close")  # asks before corrections are lost
    assert page.page.is_visible("#asking")
    page.page.click("#asking button[value=no]")
    assert counts(page) == corrected
    page.page.click("#close")
    page.page.click("#yes")
    page.wait("hematovision.session.fields.length === 0")
    page.start(page_file)
    assert page.fields() == []
    assert page.text("#name") == "No picture yet"


@pytest.mark.parametrize("what", ["cells", "shape", "picture", "none"])
def test_one_damaged_record_costs_only_itself(
    app: Callable[..., Page], page_file: Path, what: str
) -> None:
    page = app().open(FIELD, *DRAWN)
    before = [field["name"] for field in page.fields()]
    page.wait("hematovision.storage.unwritten.size === 0")
    spoil = """async ([name, what]) => {
      const base = await hematovision.storage.database;
      const stores = base.transaction(["fields", "pictures"], "readwrite");
      const fields = stores.objectStore("fields"), pictures = stores.objectStore("pictures");
      const get = (request) =>
        new Promise((done) => request.onsuccess = () => done(request.result));
      const record = (await get(fields.getAll())).find((one) => one.name === name);
      const changes = {
        cells: () => fields.put({...record, cells: [{id: 1, label: "RBC", box: [0, "x"]}]}),
        shape: () => fields.put({key: record.key, model: record.model}),
        picture: () => pictures.put({key: record.key, bytes: new ArrayBuffer(9)}),
        none: () => pictures.delete(record.key),
      };
      await get(changes[what]());
    }"""
    page.page.evaluate(spoil, [before[1], what])
    page.start(page_file)
    assert [field["name"] for field in page.fields()] == [before[0], before[2]]
    assert page.text("#skipped-count") == "One file was left out"
    assert page.text("#state") == "2 pictures of last time are back."
    page.settle()
    page.open(DRAWN[0])  # it can be opened again
    assert page.fields()[2]["state"] == "done"


def test_a_warning_stands_before_corrections_are_lost(
    app: Callable[..., Page], page_file: Path
) -> None:
    page = app()
    leave = """(() => {
      const event = new Event("beforeunload", {cancelable: true});
      dispatchEvent(event);
      return event.defaultPrevented;
    })()"""
    page.page.add_init_script(
        "indexedDB.open = () => { throw new DOMException('', 'QuotaError'); }"
    )
    page.start(page_file).open(FIELD)
    assert not page.page.evaluate(leave)  # nothing was corrected
    press(page, "j", "Delete")
    page.wait("hematovision.storage.broken")
    assert page.page.evaluate(leave)
    press(page, "Control+z")
    assert not page.page.evaluate("hematovision.session.now.cells.some((cell) => cell.deleted)")


def test_single_keys_can_be_turned_off(opened: Page) -> None:
    page, before = opened, counts(opened)
    page.page.click("#tab-help")
    page.page.uncheck("#letters")
    press(page, "j", "u")
    assert chosen(page) is None
    page.page.check("#letters")
    press(page, "j")
    assert chosen(page) and counts(page) == before


# --- differential ---------------------------------------------------------------------------------


def give_whites(page: Page, n: int, proposed: str | None = None) -> None:
    """Lay n white cells over the field, as if the model had found (and typed) them."""
    page.page.evaluate(
        """([n, type]) => {
          const {session} = hematovision;
          if (type) session.model.types = [type, "Eosinophil"];
          for (const cell of session.now.cells) cell.deleted = true;
          for (let k = 0; k < n; k++) {
            const box = [k, k, k + 30, k + 30], label = "WBC", counted = true;
            const made = {label, box, probability: 0.9, origin: {label, box, counted}, type};
            session.now.cells.push(session.makeCell({...made, proposed: type}));
          }
          session.changed("cells");
        }""",
        [n, proposed],
    )


def tally(page: Page) -> dict[str, list[str]]:
    rows = page.page.eval_on_selector_all(
        "#types tr:not(thead *)",
        "(rows) => rows.map((r) => [...r.cells].map((c) => c.textContent))",
    )
    return {name.split()[0]: rest for name, *rest in rows}


def test_differential_stops_at_a_hundred(opened: Page) -> None:
    page = opened
    give_whites(page, 102)
    press(page, "w")
    assert page.page.is_visible("#differential") and chosen(page)["label"] == "WBC"
    assert page.text("#proposal") == "White cell: press the key of its type."
    press(page, *("n" * 60), *("l" * 30), *("m" * 8), "e")
    assert page.text("#stand") == "99 of 100 white cells counted"
    press(page, "b")
    assert page.text("#stand") == "100 of 100 white cells counted"
    assert page.text("#state") == "100 white cells counted: done. Stopped."
    press(page, "n", "w", "n")  # the hundred and first isn't
    found = tally(page)
    assert page.text("#stand") == "100 of 100 white cells counted"
    dash = "\N{EN DASH}"
    wilson = {"neutrophil": f"50{dash}69", "lymphocyte": f"22{dash}40"}  # by hand
    for name, n in {"neutrophil": 60, "lymphocyte": 30, "monocyte": 8, "eosinophil": 1}.items():
        assert found[name][:2] == [str(n), f"{n:.1f}"]
        assert found[name][2] == wilson.get(name, found[name][2])
    page.page.select_option("#stop", "200")
    press(page, "w", "s")
    assert page.text("#stand") == "101 of 200 white cells counted"
    press(page, "w", "r", "w")  # counted apart
    assert page.text("#state").startswith("No white cell is left")
    assert page.text("#stand") == "101 of 200 white cells counted"
    assert tally(page)["erythroblast"] == ["1", "1.0\N{THIN SPACE}/100", "", "0"]
    press(page, "Control+z", "Control+z")
    assert page.text("#stand") == "100 of 200 white cells counted"
    assert "tallied by hand" in page.text("#trust")


def test_differential_with_proposals_counts_the_corrected(opened: Page) -> None:
    page = opened
    give_whites(page, 4, "Neutrophil")
    press(page, "w")
    assert page.text("#proposal") == "Proposed: neutrophil"
    press(page, "Enter", "Enter", "e")
    page.page.click("#confirm")
    found = tally(page)
    assert (found["neutrophil"][0], found["eosinophil"][0]) == ("3", "1")
    assert page.text("#trust") == (
        "Confirmed by hand: 4 of 4 white cells (100 %); shares and intervals are of these. "
        "Types proposed by the model are not checked in your stain until 100 of them were looked "
        "at. Of 4 proposals looked at, 1 corrected."
    )
    assert page.page.evaluate("hematovision.session.now.cells.filter((c) => c.tallied).length") == 4


def test_what_is_only_proposed_stands_apart(opened: Page) -> None:
    page = opened
    give_whites(page, 120, "Neutrophil")
    press(page, "w", "Enter", "Enter", "e")
    found = tally(page)
    assert found["neutrophil"] == ["2", "66.7", "21\N{EN DASH}94", "117"]
    assert found["eosinophil"][::3] == ["1", "0"] and found["all"] == ["3", "100", "", "117"]
    rows = list(csv.DictReader(io.StringIO(page.save("#save-differential").decode("utf-8-sig"))))
    by_type = {row["type"]: row for row in rows}
    assert by_type["Neutrophil"]["confirmed"] == "2" and by_type["Neutrophil"]["count"] == "119"
    assert by_type["Neutrophil"]["share"] == "0.9917" and by_type["Neutrophil"]["ci95_low"] == ""
    assert by_type["all"]["confirmed"] == "3" and by_type["erythroblasts"]["count"] == "0"
    assert "not checked in your stain" in page.text("#trust")
    press(page, "w", *["Enter"] * 97)
    assert "not checked in your stain" not in page.text("#trust")
    assert "Of 100 proposals looked at, 1 corrected." in page.text("#trust")


def test_a_type_of_ones_own_has_a_key_and_is_kept(
    app: Callable[..., Page], page_file: Path
) -> None:
    page = app().open(FIELD)
    give_whites(page, 6)
    press(page, "w", "x", "t", "d", "o")
    page.page.fill("#type-name", "hairy cell")
    page.page.fill("#type-key", "m")
    page.page.click("#add-type button")
    assert page.text("#state").startswith("That key has another use")
    page.page.fill("#type-key", "h")
    page.page.click("#add-type button")
    press(page, "w", "h")
    found = tally(page)
    names = ("blast", "atypical", "smudge", "other", "hairy")
    assert [found[name][0] for name in names] == ["1"] * 5
    page.wait("hematovision.storage.unwritten.size === 0")
    page.start(page_file)
    page.page.click("#tab-differential")
    assert tally(page)["hairy"][0] == "1"


# --- the sample ---------------------------------------------------------------------------------


def test_a_sample_goes_on_after_a_reload_until_all_is_deleted(
    app: Callable[..., Page], page_file: Path
) -> None:
    page = app().open(FIELD, DRAWN[0])
    press(page, "w", "n", "c")
    page.page.click("#tab-sample")
    page.page.fill("#sample-name", "2026-117 <b>")
    page.page.fill("#sample-who", "A. Nurse")
    totals = page.text("#totals")
    assert "fields\t2" in totals and "of them gone through\t1" in totals
    page.page.click("#pause")
    page.page.set_input_files("#file", [str(DRAWN[1])])
    page.wait("hematovision.session.fields.length === 3")
    assert page.fields()[2]["state"] == "waiting"
    page.wait("hematovision.storage.unwritten.size === 0")
    page.start(page_file)
    page.settle()  # what waited goes on
    page.page.click("#tab-sample")
    assert page.page.input_value("#sample-name") == "2026-117 <b>"
    assert "fields\t3" in page.text("#totals")
    page.page.click("#delete-all")
    page.page.click("#asking button[value=no]")
    assert len(page.fields()) == 3
    page.page.click("#delete-all")
    page.page.click("#yes")
    page.wait("document.querySelector('#state').textContent === 'All deleted.'")
    page.start(page_file)
    assert page.fields() == [] and page.page.input_value("#sample-name") == ""


def test_the_report_is_one_page(app: Callable[..., Page]) -> None:
    page = app().open(FIELD, *DRAWN)
    page.page.evaluate(
        """(() => {  // a day's work
          const {session} = hematovision;
          for (let k = 0; k < 40; k++) session.fields.push({...session.fields[k % 3], key: `${k}`});
        })()"""
    )
    press(page, "w", "n")
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    words = page.page.evaluate("document.querySelector('#report').textContent")
    assert "and 19 fields more" in words and "neutrophil" in words
    assert (
        "Not a medical device." in words
        and page.page.evaluate("hematovision.session.model.id") in words
    )
    pdf = page.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    assert not page.page.is_visible("#report")


# --- take it away ---------------------------------------------------------------------------------


def test_tables_are_those_of_predict(app: Callable[..., Page], run: Run, tmp_path: Path) -> None:
    page = app().open(FIELD, DRAWN[0])
    out = tmp_path / "found"
    done = run("predict.py", "--field", FIELD, DRAWN[0], "--model", PRETRAINED, "--output", out)
    assert done.status == 0, done.err
    wanted = list(csv.DictReader((out / "cells.csv").open()))
    found = list(csv.DictReader(io.StringIO(page.save("#save-cells").decode())))
    assert len(found) == len(wanted) > 20
    for mine, theirs in zip(found, wanted, strict=True):
        assert list(mine) == list(theirs)
        assert mine["image"] == Path(theirs.pop("image")).name
        assert float(mine["probability"]) == pytest.approx(
            float(theirs.pop("probability")), abs=1e-3
        )
        assert {k: mine[k] for k in theirs} == theirs
    summary = list(csv.DictReader((out / "summary.csv").open()))
    table = list(csv.DictReader(io.StringIO(page.save("#save-counts").decode())))
    assert table[-1]["image"] == "all 2 fields"
    for mine, theirs in zip(table, summary, strict=True):
        assert mine.pop("by_hand") == "0"
        assert mine == theirs | {"image": Path(theirs["image"]).name}
    press(page, "j", "3")
    found = list(csv.DictReader(io.StringIO(page.save("#save-cells").decode())))
    (row,) = [row for row in found if not row["probability"]]  # a person said so
    assert row["label"] == "WBC"
    table = list(csv.DictReader(io.StringIO(page.save("#save-counts").decode())))
    assert [row["by_hand"] for row in table] == ["1", "0", "1"]


def test_the_same_cells_are_to_be_looked_at_as_by_predict(opened: Page, run: Run) -> None:
    """Counted or not; but for cells within a thousandth of where the rule changes its mind."""
    least = opened.page.evaluate(
        "Math.min(...hematovision.session.now.cells.map((c) => c.probability))"
    )
    done = run("predict.py", "--field", FIELD, "--json", "--model", PRETRAINED,
               "--min-probability", f"{max(least, 0.05):.3f}")  # fmt: skip
    theirs = {(c["label"], *c["box"]): c["look"] for c in json.loads(done.out)["cells"]}
    mine = opened.page.evaluate(
        """hematovision.session.now.cells.map((cell) => [
             cell.label, ...cell.box.map((v, k) => (k < 2 ? Math.floor(v) : Math.ceil(v))),
             hematovision.session.doubt(cell) > 0])"""
    )
    same = [theirs[tuple(key)] == look for *key, look in mine if tuple(key) in theirs]
    assert len(same) > 60 and all(same)
    assert {look for *_, look in mine} == {True, False}


def test_picture_with_boxes(opened: Page) -> None:
    data = np.frombuffer(opened.save("#save-picture"), np.uint8)
    drawn, field = cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.imread(str(FIELD))
    height, width = field.shape[:2]
    assert drawn.shape[1] == 2 * width and drawn.shape[0] > 2 * height
    plain = cv2.resize(field, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    apart = np.abs(drawn[: 2 * height].astype(int) - plain).max(axis=2)
    assert 0.01 < (apart > 60).mean() < 0.3  # boxes
    assert np.median(apart) < 8  # and the field behind them


def test_boxes_train_the_next_model(app: Callable[..., Page], run: Run, tmp_path: Path) -> None:
    again = tmp_path / "drawn_001.jpg"  # the same name twice: both are kept
    again.write_bytes(FIELD.read_bytes())
    page = app().open(*DRAWN, again)
    press(page, "j", "Delete", "j", "3", "w", "n")  # the first white cell is a neutrophil
    press(page, "c")  # and the picture is gone through
    with zipfile.ZipFile(io.BytesIO(page.save("#save-boxes"))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        archive.extractall(tmp_path / "mine")
    assert {n.split("/")[0] for n in names} == {"JPEGImages", "Annotations", "complete.json"}
    complete = json.loads((tmp_path / "mine" / "complete.json").read_text())
    through = page.text("#name")
    labels = sorted(LABELS)
    assert complete == {"hematovision": "complete 1", "labels": labels, "pictures": [through]}
    verified = [
        path.stem
        for path in (tmp_path / "mine" / "Annotations").iterdir()
        if 'verified="yes"' in path.read_text()
    ]
    assert verified == [Path(through).stem]
    assert sorted(Path(n).stem for n in names if n.endswith(".xml")) == [
        "drawn_000", "drawn_001", "drawn_001_2",
    ]  # fmt: skip
    done = run(
        "preprocess_data.py", "--data-dir", tmp_path / "mine", "--task", "multiclass", "--split",
        "test", "--image-size", 32, "--output", tmp_path / "a.npz",
    )  # fmt: skip
    assert done.status == 0, done.err
    boxes = load(tmp_path / "a.npz")
    total = Counter()
    for field in page.fields():
        total.update(c["label"] for c in field["cells"] if c["counted"] and not c["deleted"])
    learnt = Counter(boxes["label_test"].tolist())
    assert learnt["Neutrophil"] == 1
    learnt["WBC"] += 1
    assert {k: learnt[k] for k in LABELS} == dict(total)


# --- sizes ----------------------------------------------------------------------------------------


def test_sizes_by_the_median_red_cell_or_a_scale_of_ones_own(opened: Page) -> None:
    page = opened
    page.page.click("#tab-sizes")
    (field,) = page.fields()
    red = [c["box"] for c in field["cells"] if c["counted"] and c["label"] == "RBC"]
    box = np.array(red)
    whole = sides(box[~touches(box, 640, 480).any(axis=1)])
    pixel = 7.5 / np.median(whole)
    low, middle, high = np.percentile(whole * pixel, [5, 50, 95])
    words = page.text("#measured")
    assert f"{len(whole)} whole cells: median {middle:.2f} µm" in words
    assert f"5 to 95 %: {low:.2f} to {high:.2f} µm" in words
    assert f"(CV) {100 * whole.std(ddof=1) / whole.mean():.1f} %" in words
    assert f"A pixel is {pixel:.4f} µm; this field {640 * pixel:.0f} " in words
    bars = page.page.eval_on_selector_all(
        "#plot .bar", "(bars) => bars.map((bar) => +bar.getAttribute('height'))"
    )
    assert sum(1 for bar in bars if bar) > 3
    page.page.fill("#micrometres", "6")
    assert "median 6.00 µm" in page.text("#measured")
    page.page.select_option("#scale-by", "own")
    page.page.fill("#own", "0.08")
    assert f"median {0.08 * np.median(whole):.2f} µm" in page.text("#measured")


def test_the_size_of_a_red_cell_can_be_stated(app: Callable[..., Page], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(205, 220, (300, 400, 3), dtype=np.uint8)
    page = app().open(write_png(tmp_path / "noise.png", noise))
    assert not page.page.is_visible("#size-line")  # it shows no field
    page.page.select_option("#kind", "field")
    page.settle()
    assert page.page.is_visible("#uncertain")
    page.page.fill("#cell-size", "60")
    page.page.keyboard.press("Enter")
    page.settle()
    assert page.fields()[0]["scale"] == {"cellPx": 60, "certain": True}
    assert not page.page.is_visible("#uncertain")
    page.page.fill("#cell-size", "2")  # out of range: nothing is done
    page.page.keyboard.press("Enter")
    page.settle()
    assert page.fields()[0]["scale"]["cellPx"] == 60


# --- large pictures -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Twelve megapixels of the example, mirrored side by side without a seam."""
    field = cv2.imread(str(FIELD))
    twice = np.hstack([field, field[:, ::-1]])
    large = np.tile(np.vstack([twice, twice[::-1]]), (4, 4, 1))[:3072, :4096]
    path = tmp_path_factory.mktemp("large") / "large.png"
    cv2.imwrite(str(path), large)
    yield path


def test_a_large_picture_shows_progress_and_is_given_up(
    app: Callable[..., Page], mosaic: Path
) -> None:
    page = app()
    page.page.set_input_files("#file", [str(mosaic)])
    page.wait("document.querySelector('#progress').value > 0")
    assert page.page.is_visible("#cancel")
    assert page.text("#state").endswith("%")
    page.page.click("#cancel")
    page.settle()
    assert page.fields()[0]["state"] == "cancelled"
    assert page.text("#state") == "large.png: cancelled"
    assert page.page.is_visible("#again") and not page.page.is_visible("#working")
    page.open(FIELD)
    assert page.fields()[1]["state"] == "done"
