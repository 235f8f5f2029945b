"""Does the page stay as small as it was, over hundreds of fields of a sample?

    make page && python3 tests/benchmarks/page_memory.py --fields 500

Windows of a field, each turned and lit in its own way, go into the page in Chromium one after the
other, as from a camera. Prints what the page's objects take after the garbage is collected, what
its process takes, and seconds a field; then by how much both grow a field over the second half.
Linux, Chromium and tests/requirements.txt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import cv2
import numpy as np
from chromium import FIELD, check_page, count_field, launch, open_page

from hematovision.pictures.images import read_image
from hematovision.program.console import UserError, command
from hematovision.program.options import option, parse_options


@dataclass(frozen=True)
class Options:
    page: Path = option(Path("hematovision.html"), "the page, as `make page` writes it")
    picture: Path = option(FIELD, "field that windows are cut of")
    fields: int = option(500, "how many fields", low=4)
    every: int = option(50, "fields between two measures", low=1)
    side: int = option(320, "pixels along the longer side of a window", low=240)
    seed: int = option(0, "seed of the windows")


class Taken(NamedTuple):
    """What the page takes, in MB."""

    objects: float  # of the page's own script, after the garbage is collected
    process: float  # resident, with networks, pictures and the worker


def cut_windows(options: Options) -> Iterator[bytes]:
    """JPEGs of windows of the picture, no two alike."""
    field, rng = read_image(options.picture), np.random.default_rng(options.seed)
    width, height = options.side, 3 * options.side // 4
    if field.shape[0] < height or field.shape[1] < width:
        raise UserError(f"{options.picture}: smaller than a window of {width} x {height}")
    while True:
        x, y = rng.integers(field.shape[1] - width + 1), rng.integers(field.shape[0] - height + 1)
        window = field[y : y + height, x : x + width]
        window = window[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])] * rng.uniform(0.85, 1)
        yield cv2.imencode(".jpg", window[..., ::-1].astype(np.uint8))[1].tobytes()


def measure(page: Any, session: Any, renderer: int) -> Taken:
    """What the page takes; `renderer`: the number of its process."""
    session.send("HeapProfiler.collectGarbage")
    metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    status = Path(f"/proc/{renderer}/status").read_text()
    resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return Taken(metrics["JSHeapUsedSize"] / 1e6, int(resident) / 1e3)


def fill_page(browser: Any, options: Options) -> Iterator[tuple[int, Taken, float]]:
    """Fields in the page, what it takes with them, and seconds a field since the last measure."""
    page = open_page(browser, options.page)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    of_browser = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    renderer = max(p["id"] for p in of_browser["processInfo"] if p["type"] == "renderer")
    start = time.perf_counter()
    for n, data in zip(range(1, options.fields + 1), cut_windows(options), strict=False):
        count_field(page, n, data)
        if n % options.every == 0 or n == options.fields:
            seconds = (time.perf_counter() - start) / options.every
            yield n, measure(page, session, renderer), seconds
            start = time.perf_counter()


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    check_page(options.page)
    print(f"{'fields':>6}{'objects, MB':>13}{'process, MB':>13}{'seconds each':>14}", flush=True)
    rows = []
    with launch() as browser:
        for n, taken, seconds in fill_page(browser, options):
            rows.append((n, *taken))
            print(f"{n:>6}{taken.objects:>13.1f}{taken.process:>13.0f}{seconds:>14.2f}", flush=True)
    fields, objects, process = np.array(rows[len(rows) // 2 :]).T
    if len(fields) > 1:
        slopes = [1e3 * np.polyfit(fields, column, 1)[0] for column in (objects, process)]
        print(
            "a field more, over the second half: objects {:.0f} kB, process {:.0f} kB".format(
                *slopes
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
