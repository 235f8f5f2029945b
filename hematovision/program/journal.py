"""The journal: what a long run has answered so far, a line each, so that a cut one goes on.

    journal = Journal(folder / "answers.jsonl", run, resume=True)
    done = journal.take_up(images)      # how many of these, the first ones, it holds answers to
    journal.add(path, {"answer": ...})
    for entry in journal: ...           # all so far, in order, one at a time

Tables are made of it at the end, so that no answer is kept in memory. Of another run, or of
pictures that have changed, nothing is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hematovision.program.console import UserError, say

BAD = (ValueError, LookupError, TypeError, AttributeError)


class Journal:
    """A file of JSON, a line an image, in the order of the images."""

    def __init__(self, path: Path, run: dict[str, Any], resume: bool) -> None:
        """`run`: what the answers hang on beside the images; `resume`: whether what is there
        counts."""
        told = json.dumps(run, sort_keys=True, default=str)
        self._head = json.dumps({"run": hashlib.sha256(told.encode()).hexdigest()}) + "\n"
        self.path = path
        self.unread = 0  # of the images taken up, those that couldn't be read
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (resume and self._is_ours()):
            if resume and path.exists():
                say(f"warning: {path}: of another model or other options; starting anew")
            path.write_text(self._head, "utf-8")

    def _is_ours(self) -> bool:
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.readline() == self._head
        except (OSError, ValueError):
            return False

    def take_up(self, images: Sequence[Path]) -> int:
        """How many of the images, from the first on, have their answers here; what comes after is
        cut off."""
        done, end = 0, len(self._head)
        with open(self.path, "rb") as file:
            file.seek(end)
            for image, line in zip(images, file, strict=False):
                try:
                    entry = json.loads(line)
                    known = entry["image"] == str(image) and entry["file"] == stamp(image)
                except BAD:
                    known = False
                if not known or not line.endswith(b"\n"):
                    break
                done, end = done + 1, end + len(line)
                self.unread += "answer" not in entry
        os.truncate(self.path, end)
        if done:
            say(f"{self.path}: going on after {done} of {len(images)} images")
        return done

    def add(self, image: Path, entry: dict[str, Any]) -> None:
        """Note what was answered to the next image; {} where it couldn't be read."""
        line = json.dumps({"image": str(image), "file": stamp(image), **entry}) + "\n"
        with open(self.path, "ab") as file:
            file.write(line.encode())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The entries of images that could be read, in order."""
        try:
            with open(self.path, encoding="utf-8") as file:
                file.readline()
                for line in file:
                    entry = json.loads(line)
                    if "answer" in entry:
                        yield entry
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path}: can't be read ({error}); run without --resume") from None

    def clear(self) -> None:
        """What came of it stands: it can go."""
        self.path.unlink(missing_ok=True)


def stamp(image: Path) -> list[int]:
    """Size and time of a file, by which a changed one is told; [] where there is none."""
    try:
        status = os.stat(image)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
