"""How long does the page take for its first field, for further ones, and for a large one?

    make page && python3 tests/benchmarks/page_speed.py --page hematovision.html [another.html ...]

Opens each page in Chromium, anew `--times` times, in turns, and gives it the same fields one after
the other: the first, further ones of its size, then one as large as a camera's. Prints medians in
seconds, from the file to the last answer, and of that the seconds of a processor, which a busy
machine stretches less. Needs Chromium and tests/requirements.txt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import cv2
import numpy as np
from chromium import FIELD, check_page, count_field, launch, open_page

from hematovision.pictures.images import read_image
from hematovision.program.console import command
from hematovision.program.options import option, parse_options


@dataclass(frozen=True)
class Options:
    page: tuple[Path, ...] = option((Path("hematovision.html"),), "pages, as `make page` writes")
    picture: Path = option(FIELD, "a field")
    further: int = option(3, "fields after the first", low=1, high=3)
    times: int = option(3, "how often each page is opened", low=1)
    pause: float = option(
        2.0, "seconds from the open page to the first field, as of a person", low=0
    )
    large: int = option(1750, "pixels along the longer side of the large field", low=640)


def write_fields(options: Options) -> list[bytes]:
    """The field, again mirrored and turned so that none overlaps another, and mirrored to a large
    one, as JPEGs."""
    field = read_image(options.picture)[..., ::-1]
    turned = [field, field[::-1], field[:, ::-1], field[::-1, ::-1]][: options.further + 1]
    height = options.large * field.shape[0] // field.shape[1]
    pad = max(0, height - field.shape[0]), max(0, options.large - field.shape[1])
    large = cv2.copyMakeBorder(field, 0, pad[0], 0, pad[1], cv2.BORDER_REFLECT)
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in (*turned, large)]


def read_clocks(session: Any) -> np.ndarray:
    """Seconds of the wall and of the processors that the browser's pages have taken: (2,)."""
    of_browser = session.send("SystemInfo.getProcessInfo")["processInfo"]
    busy = sum(process["cpuTime"] for process in of_browser if process["type"] == "renderer")
    return np.array([time.perf_counter(), busy])


def time_page(browser: Any, page_file: Path, fields: Sequence[bytes], pause: float) -> np.ndarray:
    """Seconds for each of the fields (n, 2): of the wall, and of the processors."""
    session = browser.new_browser_cdp_session()
    page = open_page(browser, page_file)
    page.wait_for_timeout(1000 * pause)
    took = []
    for n, data in enumerate(fields, 1):
        before = read_clocks(session)
        count_field(page, n, data)
        took.append(read_clocks(session) - before)
    page.context.close()
    return np.array(took)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    for page in options.page:
        check_page(page)
    fields, took = write_fields(options), {page: [] for page in options.page}
    print(f"{'first':>16}{'further':>16}{'large':>16}   seconds (of a processor)", flush=True)
    for turn in range(1, options.times + 1):
        for page in options.page:
            with launch() as browser:
                took[page].append(time_page(browser, page, fields, options.pause))
            seconds = np.median(took[page], axis=0)
            rows = seconds[0], np.median(seconds[1:-1], axis=0), seconds[-1]
            told = "".join(f"{f'{wall:.2f} ({busy:.2f})':>16}" for wall, busy in rows)
            print(f"{told}   {page.name}, {turn} times", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
