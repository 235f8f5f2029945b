"""A field: one annotated picture as preprocessing keeps it, without the picture itself.

Of a million fields neither the image files nor their boxes fit into memory: so a file is read where
its pixels are wanted, and boxes and what was found free of cells lie in the dataset's store.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hematovision.cells.cells import Segment
from hematovision.datasets.store import Kept, Store
from hematovision.pictures.orientation import settle_frame
from hematovision.program.console import UserError
from hematovision.program.files import read_file


class Mask(NamedTuple):
    """Yes or no for each place of a picture, (h, w), as deflated bits."""

    bits: bytes | Kept[bytes]
    shape: tuple[int, int]

    @classmethod
    def pack(cls, places: np.ndarray) -> Mask:
        """The mask of an array (h, w) bool."""
        height, width = places.shape
        return cls(zlib.compress(np.packbits(places).tobytes(), 1), (height, width))

    def unpack(self) -> np.ndarray:
        """The array (h, w) bool that was packed."""
        count = self.shape[0] * self.shape[1]
        bits = np.frombuffer(zlib.decompress(self.read()), np.uint8)
        places = np.unpackbits(bits, count=count)
        return places.view(bool).reshape(self.shape)

    def read(self) -> bytes:
        """The bits, wherever they are."""
        return self.bits.load() if isinstance(self.bits, Kept) else self.bits


@dataclass(frozen=True, slots=True)
class Field:
    """One microscope image, its annotated segments, and where it shows no cell.

    Each step of preprocessing gives new fields that know more: `reading` all that the picture and
    its annotation say, `completeness` the labels that lack no box, `joining` a name that no other
    has, `splits` the group of pictures that show the same and where it stands.
    """

    path: Path
    segments: Sequence[Segment]
    free: Mask  # (height / 4, width / 4): certainly no cell here
    name: str = ""  # the file's name; with its folders where two have the same
    lab: str = ""  # its laboratory: the dataset's name
    size: int = 0  # bytes of what `read` gives
    digest: str = ""  # SHA-256 of the file
    frame: tuple[int, int] | None = None  # width and height that its annotation states
    look: str = ""  # perceptual hashes, see `twins`
    unboxed: float = 0.0  # red cells' worth of dark area outside of all boxes
    complete: tuple[str, ...] = ()  # labels of which every cell here has its box
    gone_through: tuple[str, ...] | None = None  # labels that it's said to lack no box of
    whole: bool = False  # one cell fills the picture
    group: int = 0  # the same for pictures that show the same, see `splits.group_twins`
    split: str = ""  # train, val, test, or "" for none
    given: str = ""  # the split that its folder or annotation names
    listed: str = ""  # the split that its dataset's official lists name
    fold: int | None = None  # of few fields, which are in every split, see `folds`

    def is_in(self, split: str) -> bool:
        """Whether it is in a split: one of few fields is in all of them."""
        return self.split == split or (bool(self.split) and self.fold is not None)

    def keep(self, store: Store) -> Field:
        """The same field, its boxes and its mask in a store."""
        free = Mask(store.keep(self.free.read()), self.free.shape)
        return replace(self, segments=store.keep_list(self.segments), free=free)

    def read(self) -> bytes:
        """The image file, as it goes into the archive; UserError where it is another by now."""
        data = read_file(self.path, "picture")
        if self.digest and digest_bytes(data) != self.digest:
            raise UserError(f"{self.path}: it changed while the dataset was read; start again")
        return settle_frame(data, *self.frame) if self.frame else data


def digest_bytes(data: bytes) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
