"""How long does the page take for its first field, for further ones, and for a large one?

    make page && python3 tests/benchmarks/page_speed.py --page hematovision.html [another.html ...]

Opens each page in Chromium, anew `--times` times, in turns, and gives it the same fields one after
the other: the first, further ones of its size, then one as large as a camera's. Prints medians in
seconds, from the file to the last answer, and of that the seconds of a processor, which a busy
machine stretches less. Needs Chromium and tests/requirements.txt.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np

from hematovision.pictures.images import read_image
from hematovision.program.console import UserError, command
from hematovision.program.options import option, parse_options

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
COUNTED = """async (n) => {
  await hematovision.ready;
  const {session, intake} = hematovision;
  const isDone = () => session.fields[n - 1]?.state === "done" && !intake.running;
  while (!isDone()) await new Promise((go) => setTimeout(go, 5));
}"""


@dataclass(frozen=True)
class Options:
    page: tuple[Path, ...] = option((Path("hematovision.html"),), "pages, as `make page` writes")
    picture: Path = option(ROOT / "data" / "examples" / "field.jpg", "a field")
    further: int = option(3, "fields after the first", low=1)
    times: int = option(3, "how often each page is opened", low=1)
    large: int = option(1750, "pixels along the longer side of the large field", low=640)


def write_fields(options: Options) -> list[bytes]:
    """The field, again a little darker each time, and mirrored to a large one, as JPEGs."""
    field = read_image(options.picture)[..., ::-1]
    darker = [(field * (1 - 0.01 * k)).astype(np.uint8) for k in range(options.further + 1)]
    height = options.large * field.shape[0] // field.shape[1]
    pad = max(0, height - field.shape[0]), max(0, options.large - field.shape[1])
    large = cv2.copyMakeBorder(field, 0, pad[0], 0, pad[1], cv2.BORDER_REFLECT)
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in (*darker, large)]


def read_clocks(session: Any) -> np.ndarray:
    """Seconds of the wall and of the processors that the browser's pages have taken: (2,)."""
    of_browser = session.send("SystemInfo.getProcessInfo")["processInfo"]
    busy = sum(process["cpuTime"] for process in of_browser if process["type"] == "renderer")
    return np.array([time.perf_counter(), busy])


def time_page(browser: Any, page_file: Path, fields: Sequence[bytes]) -> np.ndarray:
    """Seconds for each of the fields (n, 2): of the wall, and of the processors."""
    session = browser.new_browser_cdp_session()
    page = browser.new_page(viewport={"width": 1280, "height": 800}, offline=True)
    page.set_default_timeout(0)
    page.goto(page_file.absolute().as_uri())
    page.evaluate("hematovision.ready")
    took = []
    for n, data in enumerate(fields, 1):
        file = {"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": data}
        before = read_clocks(session)
        page.set_input_files("#file", [file])
        page.evaluate(COUNTED, n)
        took.append(read_clocks(session) - before)
    page.context.close()
    return np.array(took)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    from playwright.sync_api import sync_playwright

    for page in options.page:
        if not page.is_file():
            raise UserError(f"{page}: No such file or directory; make it with `make page`")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    fields, took = write_fields(options), {page: [] for page in options.page}
    print(f"{'first':>16}{'further':>16}{'large':>16}   seconds (of a processor)", flush=True)
    with sync_playwright() as playwright:
        for turn in range(1, options.times + 1):
            for page in options.page:
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                took[page].append(time_page(browser, page, fields))
                browser.close()
                seconds = np.median(took[page], axis=0)
                rows = seconds[0], np.median(seconds[1:-1], axis=0), seconds[-1]
                told = "".join(f"{f'{wall:.2f} ({busy:.2f})':>16}" for wall, busy in rows)
                print(f"{told}   {page.name}, {turn} times", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
