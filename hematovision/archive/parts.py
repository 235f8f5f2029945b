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
from typing import Any

import numpy as np

from hematovision.program.console import UserError
from hematovision.program.share import Share

MOST = 99_999  # parts
ENDING = re.compile(r"-(\d{5})-of-(\d{5})$")


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
