"""Splits: which field is trained on, which is validated and which is tested on.

Whole fields are dealt, and pictures of one field (see `twins`) always to the same side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hematovision.archive.folds import LEAST, MOST, deal_folds
from hematovision.archive.loading import SPLITS
from hematovision.datasets.findings import Example, Findings
from hematovision.pictures.twins import find_twins, link
from hematovision.program.console import UserError

if TYPE_CHECKING:
    from hematovision.datasets.field import Field

HELD_OUT = 0.15  # share of the fields that val and test get each
DEALS = 200
RANK = ("", *SPLITS)  # where a picture stands on two sides, the later one keeps it


def deal(fields: Sequence[Field], parts: int, seed: int) -> list[int]:
    """Deal fields at random: 0 for the bulk of them, 1 to `parts` for parts of 15 % each.

    Groups stay together. Of 200 deals the one that spreads each label most evenly. Raises UserError
    where there are no more groups than parts.
    """
    group = [f.group for f in fields]
    of_group: defaultdict[int, list[int]] = defaultdict(list)
    for i, g in enumerate(group):
        of_group[g].append(i)
    groups = list(of_group.values())
    if len(groups) <= parts:
        same = f", of {len(groups)} different pictures" if len(groups) < len(group) else ""
        number = {2: "three", 1: "two"}[parts]
        raise UserError(
            f"only {len(group)} usable field(s){same}: a split into {number} wants at least "
            f"{parts + 1}"
        )
    labels = sorted({s.label for f in fields for s in f.segments})
    column = {label: k for k, label in enumerate(labels)}
    counts = np.zeros((len(groups), len(labels)))
    for g, members in enumerate(groups):
        for i in members:
            for s in fields[i].segments:
                counts[g, column[s.label]] += 1
    share = counts / counts.sum(axis=0)
    held = max(1, round(HELD_OUT * len(group)))
    sizes = np.array([len(members) for members in groups])
    rng = np.random.default_rng(seed)

    def cut(order: np.ndarray) -> list[np.ndarray]:
        """The groups of each held-out part, then the bulk."""
        found = []
        for left in range(parts, 0, -1):
            filled = np.cumsum(sizes[order])
            n = int(np.searchsorted(filled, held)) + 1
            n = min(n, len(order) - left)  # at least one group for each part to come
            found.append(order[:n])
            order = order[n:]
        return [*found, order]

    def unevenness(parted: Sequence[np.ndarray]) -> float:
        off = [share[part].sum(axis=0) - HELD_OUT for part in parted[:-1]]
        return float(np.abs(off).max(initial=0))

    deals = [cut(rng.permutation(len(groups))) for _ in range(DEALS)]
    best = min(deals, key=unevenness)
    side = [0] * len(group)
    for number, part in enumerate(best[:-1], 1):
        for g in part:
            for i in groups[g]:
                side[i] = number
    return side


def split_fields(
    fields: Sequence[Field], how: str, missing: Sequence[str], seed: int
) -> tuple[list[str], str]:
    """The split of each of one laboratory's fields ("": in none), and the way taken.

    `missing`: official lists that aren't there. Raises UserError where a split is asked for that
    can't be made.
    """
    if how == "test":
        return ["test"] * len(fields), how
    listed, home = [f.listed for f in fields], [f.given for f in fields]
    if how != "random" and not missing and any(listed):
        return listed, "official"
    sides = set(home)
    if how != "random" and "train" in sides and sides & {"val", "test"}:
        absent = [s for s in ("val", "test") if s not in sides]
        if absent:  # what a dataset's own split lacks is dealt out of its training fields
            pool = [i for i, side in enumerate(home) if side == "train"]
            dealt = deal([fields[i] for i in pool], len(absent), seed)
            for i, part in zip(pool, dealt, strict=True):
                home[i] = ("train", *absent)[part]
        return home, "official"
    if how == "official":
        raise UserError(f"--split official: no list {', '.join(missing)}; try --split random")
    return [SPLITS[part] for part in deal(fields, 2, seed)], "random"


def deal_few(fields: Sequence[Field], how: str, seed: int) -> bool:
    """Deal fields to folds where `auto` would have to split few of them, and say whether it did:
    all are trained on, and each is tested by a model that hasn't seen it.

    Raises UserError where there are too few even for that.
    """
    given = any(f.listed or f.given in ("val", "test") for f in fields)
    pictures = len({f.group for f in fields})
    if how not in ("auto", "folds") or (how == "auto" and (given or pictures > MOST)):
        return False
    if pictures < LEAST:
        same = f", of {pictures} different pictures" if pictures < len(fields) else ""
        raise UserError(
            f"only {len(fields)} usable field(s){same}: to train on some and test on others "
            f"wants at least {LEAST}; annotate more, or score a model on these with --split test"
        )
    for field, fold in zip(fields, deal_folds([f.group for f in fields], seed), strict=True):
        field.split, field.fold = "train", fold
    return True


def mark_twins(fields: Sequence[Field], findings: Findings) -> None:
    """Note in each field the group of pictures that show the same, and say how many do."""
    pairs = find_twins([f.look for f in fields])
    digests: dict[str, int] = {}
    for i, field in enumerate(fields):
        j = digests.setdefault(field.digest, i)
        if j != i:
            pairs.append((j, i))
    for field, group in zip(fields, link(len(fields), pairs), strict=True):
        field.group = group
    sizes = Counter(f.group for f in fields)
    of_several = {g: n for g, n in sizes.items() if n > 1}
    if of_several:
        first = next(iter(of_several))
        names = [f.name for f in fields if f.group == first][:2]
        findings.notices.append(
            f"{sum(of_several.values())} pictures are (nearly) the same as another, in "
            f"{len(of_several)} group(s), e.g. {' and '.join(names)}: each group stays on one side "
            "of the split"
        )


def assign_splits(
    fields: Sequence[Field],
    missing: Mapping[str, Sequence[str]],
    how: str,
    seed: int,
    findings: Findings,
) -> dict[str, str]:
    """Set the split of all fields, laboratory by laboratory; returns the way taken by laboratory.

    `missing`: which of the official lists a laboratory lacks. Where a split that is given puts
    pictures of one field on two sides, those in test stay, else those in val; the others are left
    out ("" for their split), and counted in `findings`.
    """
    ways: dict[str, str] = {}
    labs = list(dict.fromkeys(f.lab for f in fields))
    try:
        if (len(labs) == 1 or how == "folds") and deal_few(fields, how, seed):
            return dict.fromkeys(labs, "folds")
    except UserError as error:
        raise UserError(f"{labs[0]}: {error} ({findings.tell_why()})") from None
    for lab in labs:
        members = [f for f in fields if f.lab == lab]
        try:
            home, ways[lab] = split_fields(members, how, missing.get(lab, ()), seed)
        except UserError as error:
            raise UserError(f"{lab}: {error} ({findings.tell_why()})") from None
        for field, side in zip(members, home, strict=True):
            field.split = side
            if not side:
                findings.add(
                    "left out", "field in no official list", Example(field.name, field.path)
                )
    kept: dict[int, str] = {}
    for field in fields:
        if field.split:
            kept[field.group] = max(kept.get(field.group, ""), field.split, key=RANK.index)
    for field in fields:
        if field.split and field.split != kept[field.group]:
            reason = (
                f"picture of {field.split} that is (nearly) the same as one of {kept[field.group]}"
            )
            findings.add("left out", reason, Example(field.name, field.path))
            field.split = ""
    return ways


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
