"""What the scripts say on a terminal: progress, and no word of native libraries."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hematovision.program.console import progress, quiet_stderr, run_ahead, say, say_once


@pytest.mark.parametrize("seconds", [0.0, 0.4])
def test_progress_hands_on_every_item_and_shows_a_bar_after_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    seen = []
    for item in progress(iter("abcdefgh"), 8, "spelling"):
        seen.append(item)
        if item > "d":
            time.sleep(seconds)
    assert seen == list("abcdefgh")
    assert ("spelling" in capsys.readouterr().err) == bool(seconds)
    assert list(progress([], 0, "nothing")) == []


def test_threads_that_hush_native_libraries_leave_stderr_open() -> None:
    """Every thread of a prediction does, when it starts its interpreter."""
    kept, before = os.dup(2), os.fstat(2)

    def hush(_: int) -> None:
        with quiet_stderr():
            time.sleep(0.001)

    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(hush, range(200)))
        after = os.fstat(2)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


def test_results_come_in_order_and_no_further_ahead_than_asked_for() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for i in range(20):
            drawn.append(i)
            yield i

    with ThreadPoolExecutor(4) as pool:
        results = run_ahead(pool, lambda i: i * i, items(), 3)
        assert next(results) == 0
        assert len(drawn) == 4  # the one that was asked for, and three more
        assert list(results) == [i * i for i in range(1, 20)]


def test_notices_have_the_order_of_the_items_whatever_the_threads_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The later an item, the sooner its thread is done; the sixth fails after it has spoken."""

    def read(i: int) -> int:
        time.sleep(0.05 * (6 - i))
        say(f"notice: {i}")
        say_once(f"notice: {i} is the first of its kind", "kind")
        if i == 5:
            raise ValueError("the sixth")
        return i

    with ThreadPoolExecutor(6) as pool:
        results = run_ahead(pool, read, range(6), 6)
        assert [next(results) for _ in range(5)] == list(range(5))
        with pytest.raises(ValueError, match="the sixth"):
            next(results)
    said = [f"notice: {i}" for i in range(6)]
    said.insert(1, "notice: 0 is the first of its kind")
    assert capsys.readouterr().err.splitlines() == said
