"""Versions: pictures that somebody made of one picture to have more of them, told by their names.

Roboflow writes ``x_jpg.rf.HASH.jpg`` for each, other programs ``x_aug_3.png`` or ``x_rot90.png``.
What turned, zoomed and relit copies show is one field, so that they stand on one side of a split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from hematovision.datasets.field import Field
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
    stem = PurePosixPath(name).stem.casefold()
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
    return stem[words[first][0] : words[last - 1][1]] if words else stem


def count_version_words(words: Sequence[str]) -> int:
    """How many of the last words of a name say what was done to the picture, and are not all."""
    last = words[-1]
    if last in BARE or (not last.isdigit() and NUMBER_AT_END.sub("", last) in NUMBERED):
        return 1
    return 2 if last.isdigit() and len(words) > 2 and words[-2] in NUMBERED else 0


def find_versions(fields: Sequence[Field]) -> list[tuple[int, int]]:
    """Pairs of fields that are versions of one picture: the first of each source, and another.

    Where all fields of a laboratory would be of one source, its names say something else.
    """
    sources: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, field in enumerate(fields):
        sources[field.lab][name_source(field.name)].append(i)
    pairs = []
    for of_lab in sources.values():
        for members in of_lab.values() if len(of_lab) > 1 else ():
            pairs += [(members[0], other) for other in members[1:]]
    return pairs
