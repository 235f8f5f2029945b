"""Versions: pictures that somebody made of one picture to have more of them, told by their names.

Roboflow writes ``x_jpg.rf.HASH.jpg`` for each, other programs ``x_aug_3.png`` or ``x_rot90.png``.
What turned, zoomed and relit copies show is one field, so that they stand on one side of a split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from hematovision.datasets.field import Field
from hematovision.datasets.pairing.layout import ROLES, normal, split_of
from hematovision.program.files import IMAGE_SUFFIXES

# What is done to a picture, as a word of a name: alone, or with a number in it or after it.
NUMBERED = frozenset(
    ("aug", "augmented", "augmentation", "flip", "flipped", "hflip", "vflip", "fliplr", "flipud",
     "lr", "ud", "mirror", "mirrored", "rot", "rotate", "rotated", "rotation", "shear", "sheared",
     "zoom", "zoomed", "jitter", "elastic", "cutout", "mixup", "shift", "shifted", "translate",
     "translated")
)  # fmt: skip
# As the last word only: with a number after it may be how a field was taken.
BARE = NUMBERED | frozenset(
    ("bright", "brighter", "brightness", "dark", "darker", "contrast", "blur", "blurred", "noise",
     "noisy", "gauss", "gaussian", "hue", "saturation", "grey", "gray", "clahe", "equalized",
     "equalised", "copy", "duplicate", "original", "orig")
)  # fmt: skip
WORD = re.compile(r"[^\W_]+")
NUMBER_AT_END = re.compile(r"\d+$")


def name_source(name: str) -> str:
    """The name of the picture that this one is a version of, in small letters: its own where
    nothing tells of another."""
    stem = PurePath(name).stem.casefold()
    source, mark, _ = stem.partition(".rf.")
    if mark:
        bare, _, suffix = source.rpartition("_")
        return bare if bare and "." + suffix in IMAGE_SUFFIXES else source
    words = [(m.start(), m.end(), m[0]) for m in WORD.finditer(stem)]
    first, last = 0, len(words)
    while last - first > 1 and (cut := count_version_words([w for *_, w in words[first:last]])):
        last -= cut
    while last - first > 1 and NUMBER_AT_END.sub("", words[first][2]) in NUMBERED:
        first += 1
    # As it is where nothing goes, so that what is told from it is a mark.
    return stem if last - first == len(words) else stem[words[first][0] : words[last - 1][1]]


def count_version_words(words: Sequence[str]) -> int:
    """How many of the last words of a name say what was done to the picture, and are not all."""
    last = words[-1]
    if last in BARE or (not last.isdigit() and NUMBER_AT_END.sub("", last) in NUMBERED):
        return 1
    return 2 if last.isdigit() and len(words) > 2 and words[-2] in NUMBERED else 0


def find_home(path: PurePath) -> str:
    """The folder that a picture belongs to: the innermost that isn't named by what it holds or by a
    split, in which copies are strewn."""
    parents = (normal(folder.name) for folder in path.parents)
    return next((p for p in parents if p not in ROLES and not split_of(p)), "")


def find_versions(fields: Sequence[Field]) -> list[tuple[int, int]]:
    """Pairs of fields that are versions of one picture: the first of each source, and another.

    One of the two has a name that says so: pictures of one name in two folders are two. Where all
    fields of a laboratory would be of one source, its names say something else.
    """
    sources: defaultdict[str, defaultdict[tuple[str, str], list[int]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for i, field in enumerate(fields):
        key = find_home(field.path), name_source(field.name)
        sources[field.lab][key].append(i)
    pairs = []
    for of_lab in sources.values():
        for (_, source), members in of_lab.items() if len(of_lab) > 1 else ():
            made = [i for i in members if PurePath(fields[i].name).stem.casefold() != source]
            plain = [i for i in members if i not in made]
            together = sorted(made + plain[:1] if len(plain) == 1 else made)
            pairs += [(together[0], other) for other in together[1:]]
    return pairs
