"""Splits: which field is trained on, which is validated and which is tested on.

Whole fields are dealt, and pictures of one field (see `twins`) always to the same side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hematovision.archive.folds import LEAST, MOST, deal_folds
from hematovision.archive.metadata import SPLITS
from hematovision.datasets.field import Field
from hematovision.datasets.findings import Example, Findings
from hematovision.pictures.twins import find_twins, link
from hematovision.preparing.copies import find_copies
from hematovision.preparing.versions import find_versions
from hematovision.program.console import UserError

HELD_OUT = 0.15  # share of the fields that val and test get each
DEALS = 200
RANK = ("", *SPLITS)  # where a picture stands on two sides, the later one keeps it


class Groups(NamedTuple):
    """Pictures that are dealt together."""

    members: list[list[int]]  # the fields of each group
    share: np.ndarray  # (groups, labels) of each label's boxes

    @classmethod
    def of(cls, fields: Sequence[Field]) -> Groups:
        of_group: defaultdict[int, list[int]] = defaultdict(list)
        for i, field in enumerate(fields):
            of_group[field.group].append(i)
        members = list(of_group.values())
        labels = sorted({s.label for f in fields for s in f.segments})
        column = {label: k for k, label in enumerate(labels)}
        counts = np.zeros((len(members), len(labels)))
        for g, places in enumerate(members):
            for i in places:
                for s in fields[i].segments:
                    counts[g, column[s.label]] += 1
        return cls(members, counts / counts.sum(axis=0))


def deal(fields: Sequence[Field], parts: int, seed: int) -> list[int]:
    """Deal fields at random: 0 for the bulk of them, 1 to `parts` for parts of 15 % each.

    Groups stay together. Of 200 deals the one that spreads each label most evenly. Raises UserError
    where there are no more groups than parts.
    """
    groups = Groups.of(fields)
    if len(groups.members) <= parts:
        pictures = len(groups.members)
        same = f", of {pictures} different pictures" if pictures < len(fields) else ""
        ways = {2: "three", 1: "two"}[parts]
        raise UserError(
            f"only {len(fields)} usable field(s){same}: a split into {ways} wants at least "
            f"{parts + 1}"
        )
    held = max(1, round(HELD_OUT * len(fields)))
    sizes = np.array([len(members) for members in groups.members])
    rng = np.random.default_rng(seed)

    def unevenness(parted: Sequence[np.ndarray]) -> float:
        off = [groups.share[part].sum(axis=0) - HELD_OUT for part in parted[:-1]]
        return float(np.abs(off).max(initial=0))

    deals = [cut(rng.permutation(len(sizes)), sizes, held, parts) for _ in range(DEALS)]
    best = min(deals, key=unevenness)
    side = [0] * len(fields)
    for number, part in enumerate(best[:-1], 1):
        for g in part.tolist():
            for i in groups.members[g]:
                side[i] = number
    return side


def cut(order: np.ndarray, sizes: np.ndarray, held: int, parts: int) -> list[np.ndarray]:
    """The groups of each held-out part, which are `held` fields or a group more, then the bulk."""
    found = []
    for left in range(parts, 0, -1):
        filled = np.cumsum(sizes[order])
        n = int(np.searchsorted(filled, held)) + 1
        n = min(n, len(order) - left)  # at least one group for each part to come
        found.append(order[:n])
        order = order[n:]
    return [*found, order]


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


def deal_few(fields: Sequence[Field], how: str, seed: int) -> list[Field] | None:
    """Fields dealt to folds where `auto` would have to split few of them, else None: all are
    trained on, and each is tested by a model that hasn't seen it.

    Raises UserError where there are too few even for that.
    """
    given = any(f.listed or f.given in ("val", "test") for f in fields)
    pictures = len({f.group for f in fields})
    if how not in ("auto", "folds") or (how == "auto" and (given or pictures > MOST)):
        return None
    if pictures < LEAST:
        same = f", of {pictures} different pictures" if pictures < len(fields) else ""
        raise UserError(
            f"only {len(fields)} usable field(s){same}: to train on some and test on others "
            f"wants at least {LEAST}; annotate more, or score a model on these with --split test"
        )
    folds = deal_folds([f.group for f in fields], seed)
    return [
        replace(field, split="train", fold=fold) for field, fold in zip(fields, folds, strict=True)
    ]


def group_twins(fields: Sequence[Field], findings: Findings) -> list[Field]:
    """The fields with the group of pictures that show the same, by what they show, how its cells
    lie, their bytes or their names; how many do is said."""
    versions = find_versions(fields)
    if versions:
        made, sources = {j for _, j in versions}, {i for i, _ in versions}
        i, j = versions[0]
        findings.notices.append(
            f"{len(made | sources)} pictures are by their names augmented versions of "
            f"{len(sources)} sources, e.g. {fields[i].name} and {fields[j].name}: each source "
            "stays on one side of the split with its versions"
        )
    firsts: dict[str, int] = {}  # of each file, so that the same one isn't compared once more
    pairs = versions
    for i, field in enumerate(fields):
        j = firsts.setdefault(field.digest, i)
        if j != i:
            pairs.append((j, i))
    places = list(firsts.values())
    pairs += [(places[a], places[b]) for a, b in find_twins([fields[i].look for i in places])]
    groups = link(len(fields), pairs + find_copies(fields))
    sizes = Counter(groups)
    of_several = {g: n for g, n in sizes.items() if n > 1}
    if of_several:
        first = next(iter(of_several))
        names = [f.name for f, group in zip(fields, groups, strict=True) if group == first][:2]
        findings.notices.append(
            f"{sum(of_several.values())} pictures show (nearly) the same as another, in "
            f"{len(of_several)} group(s), e.g. {' and '.join(names)}: each group stays on one side "
            "of the split"
        )
    return [replace(field, group=group) for field, group in zip(fields, groups, strict=True)]


def assign_splits(
    fields: Sequence[Field],
    missing: Mapping[str, Sequence[str]],
    how: str,
    seed: int,
    findings: Findings,
) -> tuple[list[Field], dict[str, str]]:
    """The fields with their splits, and the way taken by laboratory, each of which is split alone.

    `missing`: which of the official lists a laboratory lacks. What is in no list has "" for its
    split, and is counted in `findings`.
    """
    labs = list(dict.fromkeys(f.lab for f in fields))
    try:
        few = deal_few(fields, how, seed) if len(labs) == 1 or how == "folds" else None
    except UserError as error:
        raise UserError(f"{labs[0]}: {error} ({findings.tell_why()})") from None
    if few is not None:
        return few, dict.fromkeys(labs, "folds")
    ways: dict[str, str] = {}
    home = [""] * len(fields)
    for lab in labs:
        places = [i for i, f in enumerate(fields) if f.lab == lab]
        members = [fields[i] for i in places]
        try:
            sides, ways[lab] = split_fields(members, how, missing.get(lab, ()), seed)
        except UserError as error:
            raise UserError(f"{lab}: {error} ({findings.tell_why()})") from None
        for i, side in zip(places, sides, strict=True):
            home[i] = side
            if not side:
                example = Example(fields[i].name, fields[i].path)
                findings.add("left out", "field in no official list", example)
    placed = [replace(field, split=side) for field, side in zip(fields, home, strict=True)]
    return keep_groups_together(placed, findings), ways


def keep_groups_together(fields: Sequence[Field], findings: Findings) -> list[Field]:
    """The fields, each group on one side: where a split that is given puts pictures of one field on
    two, those in test stay, else those in val; the others are left out ("" for their split)."""
    kept: dict[int, str] = {}
    for field in fields:
        if field.split:
            kept[field.group] = max(kept.get(field.group, ""), field.split, key=RANK.index)
    together = []
    for field in fields:
        if field.split and field.split != kept[field.group]:
            reason = (
                f"picture of {field.split} that is (nearly) the same as one of {kept[field.group]}"
            )
            findings.add("left out", reason, Example(field.name, field.path))
            field = replace(field, split="")
        together.append(field)
    return together


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
