"""The page that counts in Chromium, for the benchmarks of it: opened, given fields, waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from driver import CHROMIUM, FLAGS

from hematovision.program.console import UserError

FIELD = ROOT / "data" / "examples" / "field.jpg"
COUNTED = """async (n) => {
  await hematovision.ready;
  const {session, intake} = hematovision;
  const isDone = () => session.fields.length === n && session.fields[n - 1].state === "done";
  while (!isDone() || intake.running) await new Promise((go) => setTimeout(go, 5));
}"""


@contextmanager
def launch() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def check_page(file: Path) -> None:
    """UserError where there is no page."""
    if not file.is_file():
        raise UserError(f"{file}: No such file or directory; make it with `make page`")


def open_page(browser: Any, file: Path) -> Any:
    """The page, ready, in a window as on a desk."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, offline=True)
    page.set_default_timeout(0)
    page.goto(file.absolute().as_uri())
    page.evaluate("hematovision.ready")
    return page


def count_field(page: Any, number: int, jpeg: bytes) -> None:
    """Give the page its `number`th field, and wait until it is counted."""
    file = {"name": f"{number:04}.jpg", "mimeType": "image/jpeg", "buffer": jpeg}
    page.set_input_files("#file", [file])
    page.evaluate(COUNTED, number)
