"""Live at the microscope: a camera is followed and taken from, a folder watched, nothing sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import ROOT
from driver import WIDTHS, Page

FIELD = ROOT / "data" / "examples" / "field.jpg"
FAKE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
GIVES_BOXES = "document.querySelectorAll('#live rect').length > 5"


def write_film(path: Path, size: tuple[int, int] = (640, 480)) -> Path:
    """The example as a camera's film: every fourth frame is sharp, no two of them are alike."""
    field = cv2.resize(cv2.imread(str(FIELD)), size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(field, (0, 0), 3)
    frames = [blurred] * 12
    for k in (0, 4, 8):
        frames[k] = cv2.add(field, np.full_like(field, k // 4))  # a lamp that flickers
    encoded = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1] for frame in frames]
    path.write_bytes(b"".join(frame.tobytes() for frame in encoded))
    return path


@pytest.fixture
def cameras(
    launch: Callable[..., Any], page_file: Path, tmp_path: Path
) -> Iterator[Callable[..., Page]]:
    """Open the page in a browser that has a camera, which shows a film of a size."""
    opened = []

    def open_(width: str = "desk", size: tuple[int, int] = (640, 480), **options: Any) -> Page:
        film = write_film(tmp_path / f"{size[0]}.mjpeg", size)
        chromium = launch(*FAKE, f"--use-file-for-fake-video-capture={film}")
        viewport = {"width": WIDTHS[width], "height": 800}
        page = Page(chromium.new_page(viewport=viewport, **options))
        opened.append((chromium, page))
        return page.start(page_file)

    yield open_
    for chromium, page in opened:
        chromium.close()
        assert page.problems == [] and page.fetched() == []


def test_a_field_is_followed_and_its_sharpest_frame_taken(cameras: Callable[..., Page]) -> None:
    page = cameras()
    page.page.click("#camera-on")
    page.wait(GIVES_BOXES)
    assert page.text("#state").startswith("Camera: 640 × 480 pixels.")  # noqa: RUF001
    assert "white cell" in page.text("#live-counts")
    assert page.text("#light-said") == "bright enough"
    page.page.keyboard.press(" ")
    page.wait("hematovision.session.fields.length === 1")
    page.settle()
    (field,) = page.fields()
    assert field["name"].startswith("camera ") and field["state"] == "done"
    assert page.page.is_visible("#camera")  # and goes on
    blob = page.page.evaluate(
        """async () => {
          const bytes = new Uint8Array(await hematovision.session.now.blob.arrayBuffer());
          return Array.from(bytes);
        }"""
    )
    taken = cv2.imdecode(np.array(blob, np.uint8), cv2.IMREAD_COLOR)
    sharp = [cv2.Laplacian(image, cv2.CV_64F).var() for image in (taken, cv2.imread(str(FIELD)))]
    assert sharp[0] > 0.5 * sharp[1]  # a blurred frame has a hundredth of it
    # Another key, as a pedal's, can be named; the same field again is told, and counted once.
    page.page.click("#name-key")
    page.page.keyboard.press("F9")
    assert page.text("#state") == "F9 takes a field."
    page.page.evaluate("document.activeElement.blur()")  # Space presses the button that has focus
    page.page.keyboard.press(" ")
    page.wait("!hematovision.live.isTaking")
    assert page.text("#state") == "F9 takes a field."
    for _ in range(20):  # the film goes round: the very frame that was taken is open already
        page.page.keyboard.press("F9")
        page.wait("!hematovision.live.isTaking")
        if len(page.fields()) == 2:
            break
        page.page.wait_for_timeout(200)
    assert len(page.fields()) == 2
    page.settle()
    counts = [
        sum(cell["counted"] for cell in field["cells"] if not cell["deleted"])
        for field in page.fields()
    ]
    twice = page.page.evaluate("hematovision.session.again.size")
    assert twice >= 0.9 * min(counts)
    assert page.text("#twice").startswith("Of 2 fields, ")
    page.page.keyboard.press("Escape")
    assert page.page.is_visible("#stage") and not page.page.is_visible("#camera")
    assert page.page.evaluate("hematovision.live.camera.video.srcObject") is None  # it is off


@pytest.mark.parametrize("size", [(320, 240), (3840, 2160)], ids=["320x240", "4K"])
def test_cameras_small_and_large(cameras: Callable[..., Page], size: tuple[int, int]) -> None:
    page = cameras(size=size)
    page.page.click("#camera-on")
    page.wait(GIVES_BOXES)
    words = page.text("#state")
    assert words.startswith(f"Camera: {size[0]} × {size[1]} pixels.")  # noqa: RUF001
    assert ("That is few" in words) == (size[0] == 320)
    page.page.click("#take")
    page.wait("hematovision.session.fields.length === 1")
    assert page.page.evaluate("hematovision.session.now.width") == size[0]


FAILING = """(name) => {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", name); };
}"""


def test_a_camera_that_is_lost_refused_or_none_costs_nothing(cameras: Callable[..., Page]) -> None:
    page = cameras("phone", has_touch=True)
    page.open(FIELD)
    page.page.click("#camera-on")
    page.wait(GIVES_BOXES)
    page.page.evaluate(
        """(() => {
          const [track] = hematovision.live.camera.stream.getVideoTracks();
          track.dispatchEvent(new Event("ended"));
        })()"""
    )
    assert page.text("#state").startswith("The camera is gone")
    assert not page.page.is_visible("#camera") and len(page.fields()) == 1
    for name, words in {
        "NotFoundError": "No camera found",
        "NotAllowedError": "The browser refused the camera",
        "NotReadableError": "The camera is in use",
        "TypeError": "The camera can't be started",
    }.items():
        page.page.evaluate(FAILING, name)
        page.page.click("#camera-on")
        page.wait(f"document.querySelector('#state').textContent.startsWith(`{words}`)")
        assert page.page.is_visible("#stage") and len(page.fields()) == 1
    page.page.click("#camera-on")


def test_a_camera_that_stands_still_is_told(cameras: Callable[..., Page]) -> None:
    page = cameras()
    page.page.click("#camera-on")
    page.wait("hematovision.live.camera.frames.length > 0")
    page.page.evaluate("hematovision.live.camera.video.pause()")
    page.wait("document.querySelector('#state').textContent.includes('stands still')")
    page.page.evaluate("hematovision.live.camera.video.play()")
    page.wait("document.querySelector('#state').textContent.includes('moves again')")


# A folder as the browser hands it over; what it holds can be changed.
FOLDER = """(() => {
  globalThis.held = new Map();
  const entry = (name) => ({
    kind: "file",
    name,
    getFile: async () => {
      if (!held.has(name)) throw new DOMException("", "NotFoundError");
      return held.get(name);
    },
  });
  globalThis.gone = false;
  const folder = {
    name: "snapshots",
    async *values() {
      if (gone) throw new DOMException("", "NotFoundError");
      for (const name of held.keys()) yield entry(name);
      yield {kind: "directory", name: "deeper"};
    },
  };
  globalThis.showDirectoryPicker = async () => folder;
})()"""
PUT = """async ([name, text, length]) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).slice(0, length);
  held.set(name, new File([bytes], name, {lastModified: bytes.length}));
}"""


def test_a_folder_is_watched_and_a_growing_file_waited_for(app: Callable[..., Page]) -> None:
    import base64

    page = app()
    page.page.evaluate(FOLDER)
    data = FIELD.read_bytes()
    text = base64.b64encode(data).decode()

    def put(name: str, length: int | None = None) -> None:
        page.page.evaluate(PUT, [name, text, length or len(data)])

    put("notes.txt")
    put("old_cells.png")
    put("a.jpg")
    page.page.click("#watch")
    assert page.text("#watch") == "Stop watching"
    page.wait("hematovision.session.fields.length === 1")
    for part in (
        1000,
        20_000,
        40_000,
    ):  # another picture, by a byte at its end, while it is written
        put("b.jpg", part)
        page.page.wait_for_timeout(700)
    page.page.evaluate(
        """(text) => {
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          held.set("b.jpg", new File([bytes, new Uint8Array(1)], "b.jpg", {lastModified: 9e9}));
        }""",
        text,
    )
    page.wait("hematovision.session.fields.length === 2")
    page.settle()
    assert [field["name"] for field in page.fields()] == ["a.jpg", "b.jpg"]
    assert all(field["state"] == "done" for field in page.fields())
    page.page.evaluate("globalThis.gone = true")
    page.wait("document.querySelector('#state').textContent.startsWith('snapshots: the folder')")
    assert page.text("#watch") == "Watch a folder" and len(page.fields()) == 2


SENDS = """async (port) => {
  const {stream} = hematovision.live.camera;
  const servers = [{urls: `turn:127.0.0.1:${port}?transport=tcp`, username: "a", credential: "b"}];
  const tried = [
    async () => {
      const peer = new RTCPeerConnection({iceServers: servers});
      for (const track of stream.getTracks()) peer.addTrack(track, stream);
      await peer.setLocalDescription(await peer.createOffer());
      await new Promise((resolve) => setTimeout(resolve, 1500));
    },
    () => new WebTransport(`https://127.0.0.1:${port}/`).ready,
    () => fetch(`http://127.0.0.1:${port}/frame`, {method: "POST", body: new Blob(["x"])}),
    () => navigator.sendBeacon(`http://127.0.0.1:${port}/frame`, new Blob(["x"])),
  ];
  const failed = [];
  for (const way of tried) {
    try { await way(); failed.push(false); } catch { failed.push(true); }
  }
  return failed;
}"""


def test_nothing_of_the_camera_is_sent(cameras: Callable[..., Page], listener) -> None:
    port, heard = listener
    page = cameras()
    page.page.click("#camera-on")
    page.wait("hematovision.live.camera.frames.length > 0")
    page.page.evaluate(SENDS, port)
    assert heard == []
    page.problems.clear()  # what the policy said of the ways it closed
    page.requests.clear()


# A window of its own has constructors of its own: each of these would make one.
WINDOWS = {
    "frame": "document.createElement('iframe')",
    "frame of a name space": "document.createElementNS('http://www.w3.org/1999/xhtml', 'a:iframe')",
    "frame of another document": "new Document().createElement('iframe')",
    "frame of a document made": """
        document.implementation.createHTMLDocument().createElement('iframe')""",
    "object": "Object.assign(document.createElement('object'), {data: 'about:blank'})",
    "element of one's own": """(() => {
        class Own extends HTMLIFrameElement {}
        customElements.define('an-own', Own, {extends: 'iframe'});
        return new Own();
      })()""",
    "text": """(() => {
        const box = document.createElement('div');
        box.innerHTML = '<iframe></iframe>';
        return box.firstChild;
      })()""",
    "clean text": """(() => {
        const box = document.createElement('div');
        box.setHTML('<iframe></iframe>');
        return box.firstChild;
      })()""",
    "popup": "({contentWindow: window.open('about:blank')})",
    "popup of the document": "({contentWindow: document.open('about:blank', 'a', '')})",
}
FRAME = """async ([port, way]) => {
  const servers = [{urls: `turn:127.0.0.1:${port}?transport=tcp`, username: "a", credential: "b"}];
  const ways = {WAYS};
  const held = ways[way]();
  if (held instanceof Node) document.body.append(held);
  const peer = new held.contentWindow.RTCPeerConnection({iceServers: servers});
  peer.createDataChannel("a");
  await peer.setLocalDescription(await peer.createOffer());
  await new Promise((resolve) => setTimeout(resolve, 1500));
}""".replace("{WAYS}", "{" + ",".join(f'"{k}": () => {v}' for k, v in WINDOWS.items()) + "}")


def test_no_other_window_sends_by_webrtc(app: Callable[..., Page], listener) -> None:
    from playwright.sync_api import Error

    port, heard = listener
    page = app()
    for way in WINDOWS:
        with pytest.raises(Error):
            page.page.evaluate(FRAME, [port, way])
        assert page.page.evaluate("window.length") == 0 and len(page.page.context.pages) == 1, way
    assert heard == []
    page.problems.clear()  # what trusted types said of text


def test_no_module_of_the_page_makes_a_frame_or_a_connection() -> None:
    """One names them, to take them away."""
    modules = [
        path for part in ("engine", "ui") for path in (ROOT / "hematovision/page" / part).rglob("*")
    ]
    texts = {path.name: path.read_text("utf-8") for path in modules if path.suffix == ".js"}
    assert [name for name, text in texts.items() if re.search("iframe|WebTransport", text)] == []
    assert [name for name, text in texts.items() if "RTCPeer" in text] == ["ways_out.js"]
