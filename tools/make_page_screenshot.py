"""Photograph the page that counts for the README, with the example open at a doubtful cell.

    make page && python3 tools/make_page_screenshot.py       # -> data/page_desk.png

Needs Chromium (Debian: ``apt-get install chromium``) and tests/requirements.txt.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "data" / "page_desk.png"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
DONE = """async () => {
  await hematovision.ready;
  document.querySelector("#example").click();
  const {session} = hematovision;
  while (session.now?.state !== "done") await new Promise((go) => setTimeout(go, 50));
}"""


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1180, "height": 720}, offline=True)
        page.goto((ROOT / "hematovision.html").as_uri())
        page.evaluate(DONE)
        page.click("#tab-review")
        page.keyboard.press("u")
        shot = io.BytesIO(page.screenshot())
        browser.close()
    picture = Image.open(shot).convert("RGB")
    palette = picture.quantize(256)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(
        TARGET, optimize=True
    )
    print(f"{TARGET}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
