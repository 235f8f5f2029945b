"""Findings: what was left out of a dataset, put right in it, or noticed, by reason.

Every reason carries examples, so that whoever reads "2 x box without area" knows where to look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["left out", "put right", "noticed"]
# "noticed" is for the reader to know; the other two are for somebody to mend in the files.
KINDS: tuple[Kind, ...] = ("left out", "put right", "noticed")


class Example(NamedTuple):
    """One place where a finding was made."""

    name: str  # of the file to look at
    picture: Path | None = None
    boxes: tuple[tuple[str, tuple[float, ...]], ...] = ()  # label and corners of those concerned
    detail: str = ""


@dataclass
class Findings:
    """Counts by reason, and up to `keep` examples of each."""

    keep: int = 1
    counts: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    examples: dict[tuple[Kind, str], list[Example]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)  # whole sentences, said once all went well
    files: Counter[str] = field(default_factory=Counter)  # how many were found of each ending

    def add(self, kind: Kind, reason: str, example: Example | None, n: int = 1) -> None:
        self.counts[kind, reason] += n
        kept = self.examples.setdefault((kind, reason), [])
        if example and len(kept) < self.keep:
            kept.append(example)

    def merge(self, other: Findings) -> None:
        self.notices += other.notices
        self.files += other.files
        for key, n in other.counts.items():
            self.counts[key] += n
            kept = self.examples.setdefault(key, [])
            kept += other.examples[key][: max(0, self.keep - len(kept))]

    def reasons(self, *kinds: Kind) -> Iterator[tuple[Kind, str, int, list[Example]]]:
        """Kind, reason, count and examples, by kind and then in the order in which they came."""
        for kind in kinds or KINDS:
            for (of, reason), n in self.counts.items():
                if of == kind and n:
                    yield of, reason, n, self.examples[of, reason]

    def of(self, kind: Kind) -> dict[str, int]:
        """Counts of one kind by reason."""
        return {reason: n for _, reason, n, _ in self.reasons(kind)}

    def lines(self, *kinds: Kind) -> list[str]:
        """As the closing lines say it: "left out: 2 x box without area (e.g. a.jpg)"."""
        return [
            f"{kind}: {n} x {reason}" + (f" (e.g. {found[0].name})" if found else "")
            for kind, reason, n, found in self.reasons(*kinds)
        ]

    def tell_files(self) -> str:
        """Which files were found, in a few words: "12 .jpg, 3 .txt"."""
        ranked = sorted(self.files.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{n} {kind}" for kind, n in ranked[:8]) or "none"

    def tell_why(self) -> str:
        """Why so little remains: which files were found, and what was left out of them."""
        lines = self.lines("left out")
        return "; ".join((f"files found: {self.tell_files()}", *lines))

    @property
    def to_mend(self) -> int:
        return sum(n for (kind, _), n in self.counts.items() if kind != "noticed")
