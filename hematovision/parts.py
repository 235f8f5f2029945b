"""Parts: an archive in several files, each valid alone, that machines write and read side by side.

    preprocessed_data-00001-of-00064.npz ... preprocessed_data-00064-of-00064.npz

They are named as one, preprocessed_data.npz, wherever an archive is wanted; a part's own name means
that part alone.
"""

from __future__ import annotations

import glob
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.console import UserError

if TYPE_CHECKING:
    from hematovision.field import Field

MOST = 99_999  # parts
ENDING = re.compile(r"-(\d{5})-of-(\d{5})$")


class Share(NamedTuple):
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


def find_parts(path: Path) -> list[Path]:
    """The files of an archive in order: `path` itself, or the parts that are named like it; none
    where there is neither.

    Raises UserError where a part is missing, or parts of several wholes, or the whole too, stand
    side by side.
    """
    found: dict[int, list[int]] = {}
    for other in path.parent.glob(f"{glob.escape(path.stem)}-*-of-*{path.suffix}"):
        ending = ENDING.search(other.stem)
        if ending and other.stem[: ending.start()] == path.stem:
            found.setdefault(int(ending[2]), []).append(int(ending[1]))
    if path.exists():
        if found:
            raise UserError(
                f"{path}: stands beside an archive of that name in {min(found)} parts; remove one"
            )
        return [path]
    if not found:
        return []
    if len(found) > 1:
        ways = " and ".join(str(count) for count in sorted(found))
        raise UserError(f"{path}: parts of {ways} stand side by side; remove those of one")
    ((count, numbers),) = found.items()
    missing = sorted(set(range(1, count + 1)) - set(numbers))
    if missing:
        raise UserError(
            f"{Share(missing[0], count).name(path)}: {len(missing)} of {count} parts are missing; "
            f"make them with preprocess_data.py --shard {missing[0]}/{count}"
        )
    return [Share(number, count).name(path) for number in range(1, count + 1)]


def deal_parts(fields: Sequence[Field], count: int) -> list[int]:
    """The part (1 up) of each field: of every split and laboratory as many in each, pictures that
    show the same in one.

    It hangs on the files' digests alone, so that every machine deals alike. Raises UserError where
    there are fewer different pictures than parts.
    """
    groups: dict[int, list[int]] = {}
    for i, field in enumerate(fields):
        groups.setdefault(field.group, []).append(i)
    if len(groups) < count:
        raise UserError(
            f"--shards {count}: there are but {len(groups)} different pictures; ask for fewer parts"
        )

    def rank(members: list[int]) -> tuple[str, str, str]:
        first = min((fields[i] for i in members), key=lambda f: f.digest)
        return first.split, first.lab, first.digest

    home = [0] * len(fields)
    for place, members in enumerate(sorted(groups.values(), key=rank)):
        for i in members:
            home[i] = place % count + 1
    return home


def is_written(path: Path, metadata: dict[str, Any]) -> bool:
    """Whether an archive stands already that says of itself what this one would."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(str(file["metadata"])) == json.loads(json.dumps(metadata))
    except Exception:  # whatever it is, it is written anew
        return False


def join_metadata(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the archive of all parts says of itself; ValueError where they aren't of one whole."""
    first = parts[0]
    for key in ("task", "image_size", "dataset_sha256", "seed", "split", "background"):
        if any(part.get(key) != first.get(key) for part in parts):
            raise ValueError(f"its parts differ in {key}: they are of different runs")
    joined = {key: value for key, value in first.items() if key not in ("part", "left_out_here")}
    joined["fields"] = add(part["fields"] for part in parts)
    joined["boxes"] = add(part["boxes"] for part in parts)
    joined["counts"] = {
        split: add(part["counts"][split] for part in parts) for split in first["counts"]
    }
    for key in ("field_sha256", "field_look"):
        joined[key] = {
            split: {n: v for part in parts for n, v in part.get(key, {}).get(split, {}).items()}
            for split in first.get(key, {})
        }
    if "folds" in first:
        joined["folds"] = {name: fold for part in parts for name, fold in part["folds"].items()}
    everywhere = Counter(first["left_out"])
    everywhere.subtract(first.get("left_out_here", {}))
    here = add(part.get("left_out_here", {}) for part in parts)
    joined["left_out"] = {k: n for k, n in add([dict(everywhere), here]).items() if n}
    return joined


def add(counts: Any) -> dict[str, int]:
    """Counts by name, summed up."""
    total: dict[str, int] = {}
    for of_part in counts:
        for name, n in of_part.items():
            total[name] = total.get(name, 0) + n
    return total
