"""The page that counts is one file, sends nothing, refuses in words, and works for everyone."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, Run, only_error, read_model_card, run_script
from driver import Page
from PIL import Image

from hematovision.networks.card import PRETRAINED
from hematovision.page import build
from hematovision.pictures.images import read_image

FIELD = ROOT / "data" / "examples" / "field.jpg"
PAGE = ROOT / "hematovision" / "page"
MODULES = sorted(path for part in ("engine", "ui") for path in (PAGE / part).rglob("*.js"))


# --- the file -------------------------------------------------------------------------------------


def test_the_page_is_one_file_under_its_policy(page_file: Path) -> None:
    html = page_file.read_text("utf-8")
    assert build.make_page(PRETRAINED) == html  # the same, built again
    assert re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="([^"]*)"', html) == ["data:,"]
    assert not re.search(r"\son\w+=|javascript:|style=", html.split("<script")[0])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
    style = re.search(r"<style>(.*?)</style>", html, re.S)[1]
    script = re.search(r"<script>(.*?)</script>", html, re.S)[1]
    assert rules["style-src"] == build.sha256_source(style)
    assert rules["script-src"] == f"{build.sha256_source(script)} 'wasm-unsafe-eval'"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_are_short_and_make_no_html_of_text(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < (300 if path.stem != "texts" else 500)  # that is a table
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert not re.search(
        r"https?://(?!www\.npmjs\.com|flatbuffers\.dev|www\.w3\.org/2000/svg)", text
    )


def test_texts_stand_in_one_table_and_all_are_used() -> None:
    table = (PAGE / "ui" / "texts.js").read_text("utf-8")
    keys = set(re.findall(r"^  (\w+):", table, re.M))
    html = (PAGE / "ui" / "page.html").read_text("utf-8")
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', html))
    code = "".join(p.read_text("utf-8") for p in MODULES if p.stem != "texts")
    assert used <= keys
    spoken = used | set(re.findall(r'"(\w+)"', code)) | {"RBC", "WBC", "Platelets"}
    assert keys - spoken == set()


def test_a_model_without_fields_makes_no_page(tmp_path: Path, run: Run) -> None:
    card = read_model_card(PRETRAINED)
    del card["fields"]
    shutil.copy(PRETRAINED / "hematovision.tflite", tmp_path)
    (tmp_path / "hematovision.json").write_text(json.dumps(card))
    done = run_script(
        "hematovision.page.build", "--model", tmp_path, "--output", tmp_path / "p.html"
    )
    assert "can't find cells in whole fields" in only_error(done)
    assert not (tmp_path / "p.html").exists()


def test_a_changed_litert_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in build.LITERT.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "LITERT", tmp_path)
    assert len(build.litert_script()) > 300_000
    (tmp_path / "index.js").write_text("export {};")
    with pytest.raises(build.UserError, match="not the file"):
        build.litert_script()


def test_a_name_declared_twice_is_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "PAGE", tmp_path)
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = () => a;\n')
    script = build.bundle("a")
    assert script.index("const b") < script.index("const a") and "import" not in script
    (tmp_path / "b.js").write_text("export const b = 1;\nfunction a() {}\n")
    with pytest.raises(ValueError, match="declared twice: a"):
        build.bundle("a")


# --- nothing is sent, nothing breaks out ----------------------------------------------------------


# Ways out that a page has; each is tried, and none may say anything to the listener.
WAYS_OUT = """async (port) => {
  const url = (kind) => `http://127.0.0.1:${port}/${kind}`;
  const add = (tag, set) => document.body.append(Object.assign(document.createElement(tag), set));
  const tried = [
    () => fetch(url("fetch"), {mode: "no-cors"}),
    () => new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.onloadend = resolve;
      request.open("GET", url("xhr"));
      request.send();
    }),
    () => navigator.sendBeacon(url("beacon"), "x"),
    () => new WebSocket(`ws://127.0.0.1:${port}/socket`),
    () => new EventSource(url("events")),
    () => add("img", {src: url("img")}),
    () => add("script", {src: url("script")}),
    () => add("script", {textContent: `fetch("${url("inline")}")`}),
    () => add("iframe", {src: url("iframe")}),
    () => add("link", {rel: "stylesheet", href: url("style")}),
    () => add("link", {rel: "prefetch", href: url("prefetch")}),
    () => add("style", {textContent: `@import "${url("import")}";`}),
    () => add("style", {textContent: `body {background: url(${url("css")})}`}),
    () => { document.body.style.backgroundImage = `url(${url("background")})`; },
    () => add("video", {src: url("video")}),
    () => add("object", {data: url("object")}),
    () => { document.body.innerHTML += `<img src="${url("html")}">`; },
    () => { add("form", {action: url("form"), method: "post"}); document.forms[1].submit(); },
    () => new Worker(url("worker")),
    () => new Worker(URL.createObjectURL(new Blob([`importScripts("${url("blob")}")`]))),
    () => import(url("module")),
    () => (0, eval)(`fetch("${url("eval")}")`),
    () => new Function(`fetch("${url("function")}")`)(),
    () => setTimeout(`fetch("${url("timeout")}")`),
    () => navigator.serviceWorker.register(url("service")),
  ];
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  for (const way of tried) {
    try { await Promise.race([way(), pause(100)]); } catch {}
  }
  await pause(500);
  return tried.length;
}"""


def test_nothing_is_sent_anywhere(
    browser, page_file: Path, listener: tuple[int, list[bytes]]
) -> None:
    port, heard = listener
    context = browser.new_context()  # online: the policy alone stands in the way
    page = Page(context.new_page()).start(page_file).open(FIELD)
    assert page.fields()[0]["state"] == "done"
    page.save("#save-boxes")
    assert page.fetched() == [] and page.problems == []
    assert page.page.evaluate(WAYS_OUT, port) == 25
    assert heard == []
    answered = page.fields()[0]["cells"]
    assert answered  # and the page is still itself
    free = context.new_page()  # the listener does hear, where no policy stands
    free.goto(f"http://127.0.0.1:{port}/heard")
    assert heard[0].startswith(b"GET /heard")
    context.close()


SHOW = "(k) => hematovision.session.show(hematovision.session.fields[k])"
HOSTILE = [
    '<img src=x onerror="document.title=1">.jpg',
    '"><script>document.title=1</script>.jpg',
    '=HYPERLINK(1,2),\n"x".jpg',
    "../../up & <away>.jpg",
]


def test_names_of_files_stay_text(app: Callable[..., Page]) -> None:
    page = app()
    field = cv2.imencode(".jpg", cv2.imread(str(FIELD))[:300, :340])[1].tobytes()
    title = page.page.title()
    page.page.evaluate(
        """async ([names, text]) => {
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const files = names.map((name, k) =>  // each another picture, by a comment at its end
            new File([bytes, new Uint8Array(k)], name, {type: "image/jpeg"}));
          await hematovision.intake.take(files);
        }""",
        [HOSTILE, base64.b64encode(field).decode()],
    )
    page.settle()
    names = [entry["name"] for entry in page.fields()]
    assert names == HOSTILE and page.page.title() == title
    assert page.count("#strip img") == 4 and page.count("aside img, h2 *, header img") == 0
    for k, name in enumerate(HOSTILE):  # the first is shown, the others when they are asked for
        if k:
            page.page.evaluate(SHOW, k)
        assert page.page.text_content("#name") == name
    assert page.count("aside img, h2 *, header img") == 0 and page.page.title() == title
    *rows, total = csv.DictReader(io.StringIO(page.save("#save-counts").decode()))
    assert [row["image"].lstrip("'") for row in rows] == HOSTILE
    assert total["image"] == "all 4 fields"
    assert rows[2]["image"].startswith("'=")  # no formula
    with zipfile.ZipFile(io.BytesIO(page.save("#save-boxes"))) as archive:
        inside = archive.namelist()
        xml = archive.read(next(n for n in inside if n.endswith(".xml")))
    assert len(inside) == 8
    assert all(re.fullmatch(r'(JPEGImages|Annotations)/[^/\\:*?"<>|\n]+', n) for n in inside)
    assert not any(".." in Path(n).parts for n in inside)
    assert b"<img" not in xml


# --- refused in words -----------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + head + bytes(40) + b"IEND"


JPEG = FIELD.read_bytes()
REFUSED = {
    "slide.tif": (b"II*\0" + bytes(500), "the terminal takes it: python3 predict.py --field"),
    "big.tiff": (b"MM\0*" + bytes(500), "the terminal takes it"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(500), "save it as JPEG or PNG"),
    "empty.jpg": (b"", "the file is empty"),
    "page.jpg": (b"<html>not found</html>", "not a picture"),
    "half.jpg": (JPEG[: len(JPEG) // 2], "cut short"),
    "filled.jpg": (JPEG[: len(JPEG) // 2] + bytes(5000), "cut short"),
    "bomb.png": (png_header(20_000, 20_000), "20000 × 20000 pixels are more than 100,000,000"),  # noqa: RUF001
    "damaged.png": (png_header(200, 200), "can't be read as a picture"),
}


def test_what_is_no_picture_is_refused_in_words(app: Callable[..., Page]) -> None:
    page = app()
    bmp = cv2.imencode(".bmp", cv2.imread(str(FIELD)))[1].tobytes()
    webp = cv2.imencode(".webp", cv2.imread(str(FIELD)))[1].tobytes()
    cut = {f"half.{k}": (v[: len(v) // 2], "cut short") for k, v in (("bmp", bmp), ("webp", webp))}
    for name, (data, words) in (REFUSED | cut).items():
        page.open({"name": name, "mimeType": "", "buffer": data})
        assert page.text("#state").startswith(f"{name}: "), name
        assert words in page.text("#state"), name
    assert page.fields() == []
    dim = cv2.imencode(".png", cv2.imread(str(FIELD)).astype(np.uint16) * 16)[1].tobytes()
    page.open({"name": "twelve bits.png", "mimeType": "", "buffer": dim})
    assert "16 bits, of which it uses the lower ones" in page.text("#state")
    assert page.page.locator("#skipped-list li").count() == len(REFUSED | cut) + 1
    page.page.click("#close")
    page.wait("hematovision.session.fields.length === 0")
    page.open({"name": "good.jpg", "mimeType": "", "buffer": JPEG})
    page.open({"name": "again.jpg", "mimeType": "", "buffer": JPEG})
    assert page.text("#state") == "again.jpg: is open already"
    assert len(page.fields()) == 1


def write_formats(field: np.ndarray) -> dict[str, bytes]:
    """One field in the formats and with the orientation tags that the page takes."""
    picture = Image.fromarray(field)

    def saved(kind: str, image: Image.Image = picture, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    def turned(orientation: int) -> Image.Exif:
        exif = Image.Exif()
        exif[0x112] = orientation
        return exif

    wide = np.dstack([field, np.full(field.shape[:2], 255, np.uint8)])
    half = wide.copy()
    half[:200, :, 3] = np.arange(200)[:, np.newaxis]
    deep = field.astype(np.uint16)[..., ::-1] * 257
    return {
        "plain.png": saved("PNG"),
        "alpha.png": saved("PNG", Image.fromarray(wide)),
        "half.png": saved("PNG", Image.fromarray(half)),
        "palette.png": saved("PNG", picture.quantize(64)),
        "grey.png": saved("PNG", picture.convert("L")),
        "deep.png": cv2.imencode(".png", deep)[1].tobytes(),
        "turned.png": saved("PNG", exif=turned(6)),
        "plain.bmp": saved("BMP"),
        "lossy.webp": saved("WEBP", quality=80),
        "exact.webp": saved("WEBP", lossless=True),
        "fine.jpg": saved("JPEG", quality=95, subsampling=0),
        "progressive.jpg": saved("JPEG", quality=60, progressive=True),
        "grey.jpg": saved("JPEG", picture.convert("L")),
        **{f"turned{k}.jpg": saved("JPEG", quality=90, exif=turned(k)) for k in range(2, 9)},
    }


def test_pixels_are_those_that_predict_reads(browser) -> None:
    page = browser.new_page()
    page.goto("about:blank")
    page.evaluate(
        "(text) => document.head.append(Object.assign(document.createElement('script'), {text}))",
        build.bundle("ui/pictures/files"),
    )
    read = """async (text) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const blob = new Blob([bytes], {type: inspect(bytes, "a")});
      const {data, width, height} = readPixels(await decodePicture(blob, "a"));
      let found = "";
      for (let i = 0; i < data.length; i += 32768)
        found += String.fromCharCode(...data.subarray(i, i + 32768));
      return [btoa(found), width, height];
    }"""
    field = read_image(FIELD)[:251, :333]
    trailer = b"MotionPhoto_Data" + np.random.default_rng(0).bytes(9000).replace(b"\xff", b"\0")
    formats = write_formats(field)
    formats["motion.jpg"] = formats["fine.jpg"] + trailer
    for name, data in formats.items():
        text, width, height = page.evaluate(read, base64.b64encode(data).decode())
        found = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 3)
        plain = data.removesuffix(trailer)
        apart = np.abs(found.astype(int) - read_image(Path(name), plain))
        assert apart.max() <= (1 if name == "half.png" else 0), name
    page.close()


# --- for everyone ---------------------------------------------------------------------------------

# Text that stands out too little from what is behind it (WCAG 2.2, 1.4.3: 4.5 to 1).
PALE = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const pale = [];
  for (const element of document.querySelectorAll("body *:not(script, option, svg *)")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(":disabled")) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.push([element.textContent, contrast]);
  }
  return pale;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input:not([hidden]), select, summary")]
  .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim()))
  .map((e) => e.outerHTML)"""


CUT = """(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(
  document.querySelector("aside"))"""


@pytest.mark.parametrize("width", ["desk", "phone"])
def test_page_for_everyone(app: Callable[..., Page], width: str) -> None:
    phone = {"has_touch": True, "is_mobile": True} if width == "phone" else {}
    page = app(width, **phone).open(FIELD)
    look_around(page)
    page.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    look_around(page)
    page.page.emulate_media(color_scheme="light", contrast="more")
    look_around(page)
    page.page.emulate_media(forced_colors="active")
    look_around(page, colours=False)


def look_around(page: Page, colours: bool = True) -> None:
    """Each tab: nothing too wide, too pale, without a name or in motion."""
    page.page.click("#save summary")
    assert page.page.is_visible("#save-boxes")
    if colours:
        assert page.page.evaluate(PALE) == []
    page.page.keyboard.press("Escape")
    assert not page.page.is_visible("#save-boxes")
    for tab in ("count", "review", "differential", "sizes", "sample", "help"):
        page.page.click(f"#tab-{tab}")
        if tab == "review":
            page.page.keyboard.press("u")
        assert page.count("[role=tabpanel]:visible") == 1
        wide = page.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (tab, wide)
        cut = page.page.evaluate(
            "(({scrollWidth: w, clientWidth: c}) => w - c)(document.querySelector('aside'))"
        )
        assert cut <= 0, (tab, cut)
        assert page.page.evaluate(NAMELESS) == [], tab
        if colours:
            assert page.page.evaluate(PALE) == [], tab
    assert page.page.evaluate("document.getAnimations().length") == 0
    assert page.page.is_visible("footer strong")
    assert page.text("footer strong") == "Not a medical device."


def test_everything_by_keyboard_and_as_a_list(app: Callable[..., Page]) -> None:
    page = app()
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.id") == "open"
    page.open(FIELD)
    reached = set()
    for _ in range(40):
        page.page.keyboard.press("Tab")
        reached.add(page.page.evaluate("document.activeElement.id"))
    wanted = {"open", "fit", "add", "zoom-in", "stage", "tab-count", "kind", "close"}
    assert wanted <= reached
    page.page.focus("#tab-count")
    page.page.keyboard.press("ArrowRight")
    assert page.page.get_attribute("#tab-review", "aria-selected") == "true"
    page.page.focus("#cells")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowDown")
    active = page.page.get_attribute("#cells", "aria-activedescendant")
    words = page.text(f"#{active}")
    assert re.match(r"(red cell|white cell|platelet) 0\.\d\d, at \d+, \d+", words)
    assert page.text("#state") == f"Chosen: {words}"
    tree = page.page.locator("aside").aria_snapshot()
    assert 'listbox "Cells"' in tree and f'option "{words}" [selected]' in tree
    assert page.count("#cells li") >= len(
        [c for c in page.fields()[0]["cells"] if c["counted"]]
    )  # every box is in the list
