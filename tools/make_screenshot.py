"""Photograph a report for the README: a desk's screen in light, beside it a phone in dark.

    python3 tools/make_screenshot.py report/report.html   # -> data/report_phone_desk.png

Needs Chromium (Debian: ``apt-get install chromium``) and tests/requirements.txt.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from playwright.sync_api import Browser, sync_playwright

TARGET = Path(__file__).resolve().parents[1] / "data" / "report_phone_desk.png"
HEIGHT = 900  # pixels of the picture
GROUND = (200, 200, 200)
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def photograph(
    browser: Browser, url: str, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> np.ndarray:
    """The part of the page that a screen of `size` (width, height) shows, HEIGHT pixels high."""
    scale = HEIGHT / size[1]
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        device_scale_factor=scale,
        reduced_motion="reduce",
        offline=True,
    )
    page.goto(url)
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None  # a browser writes PNG
    return picture


def main() -> None:
    url = Path(sys.argv[1]).resolve().as_uri()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        desk = photograph(browser, url, (1240, 1450), "light")
        phone = photograph(browser, f"{url}#why", (430, 1100), "dark")
        browser.close()
    both = np.hstack([desk, np.full((HEIGHT, 24, 3), GROUND, np.uint8), phone])
    framed = cv2.copyMakeBorder(both, 24, 24, 24, 24, cv2.BORDER_CONSTANT, value=GROUND)
    cv2.imwrite(str(TARGET), framed, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{TARGET}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
