"""Pairs: the pictures of a dataset and what was annotated in each of them.

Where a picture was annotated in several files, one counts: XML first, then JSON, tables and texts,
of one kind the first by its path; what another says otherwise is told. A file that speaks of one
picture belongs to the picture of its own name, else to the one that it states; a file that speaks
of many, to those that it states.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hematovision.annotations.complete import read_complete
from hematovision.annotations.reading import SUFFIXES
from hematovision.archive.metadata import SPLITS
from hematovision.datasets.dataset import ALL, Dataset, Noted
from hematovision.datasets.findings import Example, Findings
from hematovision.datasets.pairing.claims import Claim, Claims, Strange, settle
from hematovision.datasets.pairing.class_folders import read_class_folders
from hematovision.datasets.pairing.layout import Layout, bare_name, normal, scan
from hematovision.datasets.pairing.picture_index import PictureIndex
from hematovision.datasets.pairing.split_lists import find_lists, read_lists
from hematovision.datasets.store import Store
from hematovision.program.console import UserError, say
from hematovision.program.marks import is_drawn


def open_dataset(root: Path, lab: str, keep: int = 1, named: Collection[str] = ()) -> Dataset:
    """Find and pair what a folder holds; `named`: labels that --labels renames.

    Raises UserError where nothing in it is annotated.
    """
    layout = scan(root)
    findings = Findings(keep, files=layout.kinds)
    index = PictureIndex(layout.pictures)
    lists = find_lists(layout)
    store = Store()
    reader = Claims(layout, index, findings, store)
    notes = pair_up(layout, reader, set(lists.values()), named, findings)
    notes = note_gone_through(layout, notes, findings)
    missing = tuple(f"{s}.txt" for s in SPLITS if s not in lists)
    listed = read_lists(layout, index) if notes else {}
    dataset = Dataset(root, lab, layout, notes, listed, missing, findings, store=store)
    if not notes:
        raise dataset.refuse_empty()
    return dataset


def pair_up(
    layout: Layout,
    reader: Claims,
    lists: set[PurePosixPath],
    named: Collection[str],
    findings: Findings,
) -> list[Noted]:
    """Each picture with its annotation, sorted by name; what has no partner goes to `findings`."""
    ranked = sorted(
        (p for p in layout.annotations if p not in lists),
        key=lambda p: SUFFIXES.index(p.suffix.lower()),
    )
    claims = [claim for relative in ranked for claim in reader.read(relative)]
    paired = {
        claim.picture: Noted(
            claim.picture, claim.kept, claim.split, gone_through=ALL if claim.verified else None
        )
        for claim in settle(claims, findings)
        if claim.picture is not None
    }
    tell_orphans(claims, findings)
    broken = reader.broken - paired.keys()
    strange = tell_strange(layout, reader.strange, paired, findings)
    rest = [p for p in layout.pictures if p not in paired and p not in broken]
    rest = [p for p in rest if not is_drawn(layout.path(p))]  # by predict.py
    only_known = bool(paired or broken or strange or reader.unreadable)
    for note in read_class_folders(layout, rest, named, only_known, findings):
        paired[note.picture] = replace(note, noted=reader.store.keep(note.annotation))
    count_unpaired(layout, rest, {*paired, *broken}, findings)
    return sorted(
        paired.values(), key=lambda n: (n.picture.parent.parts, bare_name(n.picture.name))
    )


def tell_orphans(claims: Sequence[Claim], findings: Findings) -> None:
    """Count the annotations whose picture isn't there."""
    orphans = [claim.name() for claim in claims if claim.picture is None]
    if orphans:
        findings.add("left out", "annotation without image", Example(orphans[0]), len(orphans))


def tell_strange(
    layout: Layout,
    strange: Sequence[Strange],
    paired: Collection[PurePosixPath],
    findings: Findings,
) -> bool:
    """Warn of annotations of a kind that isn't read, where a picture that they speak of has no
    other; whether there are any."""
    lacking = [s for s in strange if any(p not in paired for p in s.pictures)]
    for file, _, told in lacking:
        say(f"warning: {layout.path(file)}: {told}")
        findings.add("left out", "annotation of a kind that isn't read", Example(str(file)))
    return bool(lacking)


def note_gone_through(layout: Layout, notes: list[Noted], findings: Findings) -> list[Noted]:
    """The notes with the labels that no cell lacks its box of, as the dataset's own file says."""
    said: dict[tuple[PurePosixPath, str], tuple[str, ...]] = {}
    for relative in layout.completes:
        try:
            complete = read_complete(layout.path(relative))
        except UserError as error:
            say(f"warning: {error}")
            findings.add("left out", "unreadable annotation", Example(str(relative)))
            continue
        for name in complete.pictures:
            said[relative.parent, normal(bare_name(name))] = complete.labels
    noted = []
    for note in notes:
        name = normal(bare_name(note.picture.name))
        found = next((said[f, name] for f in note.picture.parents if (f, name) in said), None)
        noted.append(note if found is None else replace(note, gone_through=found))
    return noted


def count_unpaired(
    layout: Layout, rest: Sequence[PurePosixPath], known: set[PurePosixPath], findings: Findings
) -> None:
    """Count the pictures without an annotation in those folders where others have one."""
    seen = {p.parent for p in known}
    taken = {(p.parent, bare_name(p.name)) for p in known}
    for path in rest:
        if path in known or path.parent not in seen:
            continue
        second = (path.parent, bare_name(path.name)) in taken
        reason = "second image of the same name" if second else "image without annotation"
        findings.add("left out", reason, Example(path.name, layout.path(path)))
