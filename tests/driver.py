"""The page that counts, driven in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
WIDTHS = {"desk": 1280, "phone": 390}


class Page:
    """A page in the browser, and what is asked of it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on(
            "console",
            lambda m: m.type in ("error", "warning") and self.problems.append(m.text),
        )
        page.context.on("request", lambda request: self.requests.append(request.url))

    def start(self, file: Path) -> Page:
        self.page.goto(file.as_uri())
        self.page.evaluate("hematovision.ready")
        return self

    def wait(self, condition: str) -> None:
        """Until a condition holds; Playwright's own way would want `eval`."""
        self.page.evaluate(
            f"""async () => {{
              for (let n = 0; n < 6000; n++) {{
                if ({condition}) return;
                await new Promise((resolve) => setTimeout(resolve, 50));
              }}
              throw Error("waited in vain");
            }}"""
        )

    def open(self, *files: Path | dict) -> Page:
        """Open files, and wait for the answers."""
        self.page.set_input_files("#file", list(files))
        self.settle()
        return self

    def settle(self) -> None:
        self.wait("!document.querySelector('#file').value && !hematovision.intake.running")

    def reset(self) -> Page:
        """As after opening: without corrections, nothing chosen, at the first tab."""
        self.page.evaluate(
            """(() => {
              const {session, keys} = hematovision;
              globalThis.firstCells ??= structuredClone(session.now.cells);
              session.now.cells = structuredClone(firstCells);
              Object.assign(session, {done: [], taken: [], chosenId: null});
              session.model.types = [];
              keys.escape();
              document.querySelector("#tab-count").click();
              session.changed("field");
            })()"""
        )
        return self

    def fields(self) -> list[dict]:
        return self.page.evaluate(
            """hematovision.session.fields.map(({name, state, cells, single, scale, doubts}) =>
                 ({name, state, cells, single, scale, doubts}))"""
        )

    def fetched(self) -> list[str]:
        """What was asked of the network."""
        return [url for url in self.requests if not url.startswith(("file:", "blob:", "data:"))]

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def save(self, button: str) -> bytes:
        self.page.evaluate("document.querySelector('#save').open = true")
        with self.page.expect_download() as download:
            self.page.click(button)
        return Path(download.value.path()).read_bytes()
