"""The journal: what a long run has answered so far, a line each, so that a cut one goes on.

    journal = Journal(folder / "answers.jsonl", run, resume=True)
    done = journal.take_up(images)      # how many of these, the first ones, it holds answers to
    journal.add(path, {"answer": ...})
    for entry in journal: ...           # all so far, in order, one at a time

Tables are made of it at the end, so that no answer is kept in memory. Of another run, or of
pictures that have changed, nothing is taken. Each line ends with a digest of itself and of all
before it, so that an answer that somebody changed, moved or took out isn't taken either.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hematovision.program.console import UserError, can_go_on, say
from hematovision.program.files import open_regular, stamp, write_text

BAD = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
LONGEST = 64 << 20  # bytes of a line


def digest_run(run: dict[str, Any]) -> str:
    """SHA-256 of all that what a run leaves hangs on, whatever the order."""
    told = json.dumps(run, sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


class Journal:
    """A file of JSON, a line an image, in the order of the images."""

    def __init__(self, path: Path, run: dict[str, Any], resume: bool) -> None:
        """`run`: what the answers hang on beside the images; `resume`: whether what is there
        counts. UserError where something that is no journal stands there."""
        self._head = json.dumps({"run": digest_run(run)}) + "\n"
        self._last = chain("", self._head)
        self.path = path
        self.unread = 0  # of the images taken up, those that couldn't be read
        path.parent.mkdir(parents=True, exist_ok=True)
        can_go_on()
        first = self._read_first()
        if resume and first == self._head:
            return
        if first is not None and resume:
            say(f"warning: {path}: of another model or other options; starting anew")
        write_text(path, self._head)

    def _read_first(self) -> str | None:
        """The first line of the journal that stands there; None where nothing does."""
        if not os.path.lexists(self.path):
            return None
        if self.path.is_symlink():
            raise UserError(f"{self.path}: is a link; remove it, or name another output")
        with open_regular(self.path, "journal") as file:
            line = file.readline(1000)
        if not line:  # an empty file is nobody's loss
            return None
        try:
            if len(json.loads(line)["run"]) == 64:
                return line.decode()
        except BAD:
            pass
        raise UserError(f"{self.path}: is no journal of ours; move it, or name another output")

    def take_up(
        self, images: Sequence[Path], stands: Callable[[dict[str, Any]], bool] = lambda entry: True
    ) -> int:
        """How many of the images, from the first on, have their answers here; what comes after is
        cut off. `stands`: whether what else was left of an answer is there as it was."""
        done, end = 0, len(self._head)
        with open_regular(self.path, "journal") as file:
            file.seek(end)
            for image in images:
                line = file.readline(LONGEST)
                try:
                    entry = self._parse(line)
                    known = entry["image"] == str(image) and entry["file"] == stamp(image)
                    known = known and stands(entry)
                except BAD:
                    known = False
                if not known:
                    if line.endswith(b"\n"):
                        say(f"warning: {self.path}: {image} or its answer has changed; asking anew")
                    break
                self._last = entry["sha256"]
                done, end = done + 1, end + len(line)
                self.unread += "answer" not in entry
        os.truncate(self.path, end)
        if done:
            say(f"{self.path}: going on after {done} of {len(images)} images")
        return done

    def _parse(self, line: bytes) -> dict[str, Any]:
        """The entry of the line after the last one; ValueError where it isn't as we wrote it."""
        entry = json.loads(line)
        told = entry.pop("sha256")
        if not line.endswith(b"\n") or told != chain(self._last, json.dumps(entry)):
            raise ValueError("it isn't as it was written")
        return entry | {"sha256": told}

    def add(self, image: Path, entry: dict[str, Any]) -> None:
        """Note what was answered to the next image; {} where it couldn't be read."""
        whole = {"image": str(image), "file": stamp(image), **entry}
        self._last = chain(self._last, json.dumps(whole))
        with open(self.path, "ab") as file:
            file.write((json.dumps(whole | {"sha256": self._last}) + "\n").encode())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The entries of images that could be read, in order."""
        try:
            with open_regular(self.path, "journal") as file:
                file.readline()
                while line := file.readline(LONGEST):
                    entry = json.loads(line)
                    if "answer" in entry:
                        yield entry
        except BAD as error:
            raise UserError(f"{self.path}: can't be read ({error}); run without --resume") from None

    def list_images(self) -> list[Path]:
        """The images of all entries that can be read, in order."""
        images = []
        with contextlib.suppress(*BAD), open_regular(self.path, "journal") as file:
            file.readline()
            while line := file.readline(LONGEST):
                images.append(Path(json.loads(line)["image"]))
        return images

    def clear(self) -> None:
        """What came of it stands: it can go."""
        self.path.unlink(missing_ok=True)


def chain(before: str, text: str) -> str:
    """The digest of a line and of all before it, which have the digest `before`."""
    return hashlib.sha256(f"{before}{text}".encode()).hexdigest()
