"""Shares: one run dealt out to several machines, each of which names its part of the work.

share = parse_share("3/64")            # the third of 64, as ``--shard`` says it
mine = pictures[share.cut(len(pictures))]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hematovision.program.console import UserError


@dataclass(frozen=True)
class Share:
    """Part `number` (1 up) of `count`; "3/64" on the command line."""

    number: int
    count: int

    def cut(self, length: int) -> slice:
        """This share of a list, in one piece: all shares, in order, are the whole."""
        return slice(
            length * (self.number - 1) // self.count,
            length * self.number // self.count,
        )

    def name(self, path: Path) -> Path:
        """The file of this share: "cells-00003-of-00064.csv" of "cells.csv"."""
        return path.with_name(f"{path.stem}-{self.number:05}-of-{self.count:05}{path.suffix}")


def parse_share(text: str) -> Share:
    """The share that ``--shard K/N`` names; UserError where it names none."""
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--shard {text}: wants K/N, as 3/64 for the third of 64")
    return Share(int(found[1]), int(found[2]))


def list_shares(shards: int | None, shard: str | None) -> list[Share]:
    """The parts that ``--shards N`` (all) or ``--shard K/N`` (one) asks for; none: it isn't parted.

    Raises UserError where the two contradict each other.
    """
    if shard is None:
        return [Share(k, shards) for k in range(1, shards + 1)] if shards else []
    share = parse_share(shard)
    if shards not in (None, share.count):
        raise UserError(f"--shard {shard} is a part of {share.count}, not of --shards {shards}")
    return [share]
