"""Photograph the page that counts for the README: a cell to look at, and a camera's live view.

    make page && python3 tools/make_page_screenshot.py    # -> data/page_desk.png, page_camera.png

Needs Chromium (Debian: ``apt-get install chromium``) and tests/requirements.txt.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FIELD = ROOT / "data" / "examples" / "field.jpg"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
SIZE: ViewportSize = {"width": 1280, "height": 760}
# A fake camera bears the path of its film.
NAMED = """(() => {
  const devices = navigator.mediaDevices;
  const ask = devices.enumerateDevices.bind(devices);
  devices.enumerateDevices = async () =>
    (await ask()).map(({deviceId, kind}) => ({deviceId, kind, label: "Microscope camera"}));
})()"""
UNTIL = """async (isDone) => {
  await hematovision.ready;
  while (!isDone()) await new Promise((go) => setTimeout(go, 50));
}"""
COUNTED = f"({UNTIL})(() => hematovision.session.now?.state === 'done')"
FOLLOWED = f"({UNTIL})(() => document.querySelectorAll('#live rect').length > 5)"


def save(picture: bytes, target: Path) -> None:
    """A screenshot in 256 colours, dithered."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    palette = image.quantize(256)
    small = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    small.save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1e3:.0f} kB")


def show_review(page: Any) -> None:
    """The example, at the first cell to look at."""
    page.evaluate("hematovision.ready.then(() => document.querySelector('#example').click())")
    page.evaluate(COUNTED)
    page.click("#tab-review")
    page.keyboard.press("u")


def show_camera(page: Any) -> None:
    """A camera at the example, one field taken."""
    page.evaluate("hematovision.ready")
    page.click("#camera-on")
    page.evaluate(FOLLOWED)
    page.keyboard.press(" ")
    page.evaluate(COUNTED)
    page.evaluate(FOLLOWED)


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mjpeg")
        field = cv2.imread(str(FIELD))
        assert field is not None  # it lies in the repository
        film.write_bytes(10 * cv2.imencode(".jpg", field)[1].tobytes())
        flags = (*FLAGS, *CAMERA, f"--use-file-for-fake-video-capture={film}")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for name, show in (("page_desk", show_review), ("page_camera", show_camera)):
            page = browser.new_page(viewport=SIZE, offline=True)
            page.add_init_script(NAMED)
            page.set_default_timeout(0)
            page.goto((ROOT / "hematovision.html").as_uri())
            show(page)
            save(page.screenshot(), ROOT / "data" / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
