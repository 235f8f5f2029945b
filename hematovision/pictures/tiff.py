"""TIFF: how a file that holds almost anything says what it holds, and whether all of it is there.

    page = next(read_pages(data))
    page.one(256, 0)                    # its width

TIFF 6.0 and BigTIFF, either byte order. Where tags point beyond the end of the file, `struct.error`
is raised, as by any read of numbers that aren't there.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence

from hematovision.pictures.header import (
    CUT,
    DAMAGED,
    FormatError,
    Header,
    OrientationTag,
    Planes,
    is_filled_up,
)

# More is not looked at: whole slides have fewer, and hostile files would take hours.
MOST_PAGES, MOST_TAGS, MOST_VALUES = 10_000, 4096, 1_000_000
TAG_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
# Channels of each colour space that is read, without transparency.
CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, SEPARATED: 4, YCBCR: 3}
# What stays as it is where a plane is taken for itself: size, bits, how it is packed and cut.
GREY_TAGS = (256, 257, 258, 259, 266, 278, 317, 322, 323, 339)
COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946}  # that OpenCV's libtiff was built with


class Directory:
    """One page of a TIFF: its tags."""

    def __init__(self, data: bytes, order: str, big: bool, at: int) -> None:
        self.data, self.order, self.big = data, order, big
        head, entry, self.inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
        (count,) = struct.unpack_from(order + head, data, at)
        if count > MOST_TAGS:
            raise struct.error("more tags than any writer makes")
        self._first = at + struct.calcsize(order + head)
        self._count, self._entry, self._size = count, order + entry, 20 if big else 12
        self.next = self._first + count * self._size  # where the place of the next page stands

    @functools.cached_property
    def entries(self) -> dict[int, tuple[int, int, int]]:
        """Type, number of values and place in the file of each tag."""
        found = {}
        for i in range(self._first, self.next, self._size):
            tag, kind, many = struct.unpack_from(self._entry, self.data, i)
            found[tag] = kind, many, i + self._size - self.inline
        return found

    def at(self, tag: int) -> int:
        """Where the values of a tag stand in the file."""
        kind, many, at = self.entries[tag]
        if many * struct.calcsize("<" + TAG_TYPES.get(kind, "Q")) <= self.inline:
            return at
        return struct.unpack_from(self.order + ("Q" if self.big else "I"), self.data, at)[0]

    def get(self, tag: int, default: tuple = ()) -> tuple:
        """The values of a tag: numbers, or one bytes."""
        if tag not in self.entries or self.entries[tag][0] not in TAG_TYPES:
            return default
        kind, many, _ = self.entries[tag]
        if many > MOST_VALUES:
            raise struct.error("more values than any writer makes")
        return struct.unpack_from(f"{self.order}{many}{TAG_TYPES[kind]}", self.data, self.at(tag))

    def one(self, tag: int, default: int) -> int:
        values = self.get(tag)
        return values[0] if values else default


def read_pages(data: bytes) -> Iterator[Directory]:
    """The tags of each page of a TIFF."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word = "Q" if big else "I"
    (at,) = struct.unpack_from(order + word, data, 8 if big else 4)
    seen = {0}
    while at not in seen and len(seen) <= MOST_PAGES:
        page = Directory(data, order, big, at)
        yield page
        seen.add(at)
        (at,) = struct.unpack_from(order + word, data, page.next)


def read_tiff(data: bytes) -> Header:
    """The first page, and whether all its strips or tiles are there."""
    pages = list(read_pages(data))
    page = pages[0]
    width, height, bits, samples = check_kind(page)
    colours, extra = page.one(262, BLACK_IS_ZERO), page.get(338)
    alpha = samples == CHANNELS[colours] + 1 and samples in (2, 4) and extra[:1] in ((1,), (2,))
    separate = bits > 8 and samples > 1 and page.one(284, 1) == 2
    planes, note = None, ""
    if is_composite(pages):
        channels = tuple(write_directories(page, 1)[0] for page in pages)
        planes = Planes(channels, alpha=False, white_is_zero=False)
        note, pages = "three grey channels are read as red, green and blue", pages[:1]
    elif separate and colours not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise FormatError(f"a TIFF of {bits}-bit planes that aren't RGB; save it as RGB")
    elif separate or (bits > 8 and samples == 1 and colours == WHITE_IS_ZERO):
        # OpenCV fills the first plane alone, and leaves the negative as it is.
        shown = write_directories(page, samples)[: samples if alpha else CHANNELS[colours]]
        planes = Planes(shown, alpha, colours == WHITE_IS_ZERO)
    if len(pages) > 1:
        note = "of several pages or channels the first is read"
    elif samples > CHANNELS[colours] + alpha:
        note = "a further channel, of which the file doesn't say what it is, is left out"
    tag = OrientationTag()
    if 274 in page.entries and 1 <= (value := page.one(274, 1)) <= 8:
        tag = OrientationTag(value, page.at(274), page.order == ">")
    return Header(
        "TIFF", width, height, bits, alpha, premultiplied=bits == 8 or extra[:1] == (1,),
        tag=tag, cost=14 if bits > 8 else 8, planes=planes, note=note,
    )  # fmt: skip


def check_kind(page: Directory) -> tuple[int, int, int, int]:
    """Width, height, bits of a sample and samples of a pixel; FormatError where a page is of a
    variant that isn't decoded, or not all there."""
    width, height = page.one(256, 0), page.one(257, 0)
    bits, samples = max(page.get(258, (1,))), page.one(277, 1)
    packed, colours = page.one(259, 1), page.one(262, BLACK_IS_ZERO)
    if 50706 in page.entries or colours in (32803, 34892):
        raise FormatError("a camera's raw data; develop it, and export it as JPEG or TIFF")
    if page.one(339, 1) != 1 or bits not in (1, 2, 4, 8, 10, 12, 14, 16):
        what = {3: "floating-point", 2: "signed"}.get(page.one(339, 1), "") + f" {bits}-bit"
        raise FormatError(f"a TIFF of {what.strip()} numbers; save it with 8 or 16 bits a channel")
    if packed not in COMPRESSIONS:
        raise FormatError(f"a TIFF of compression {packed}; save it uncompressed or with LZW")
    if colours not in CHANNELS:
        raise FormatError(f"a TIFF of colour space {colours} (Lab?); save it as RGB")
    if not 0 < samples <= CHANNELS[colours] + 1:
        raise FormatError(f"a TIFF of {samples} channels; save it as RGB or as one grey channel")
    if page.one(284, 1) == 2:
        check_strips(page, packed, (width * bits + 7) // 8, height * samples)
    else:
        check_strips(page, packed, (width * samples * bits + 7) // 8, height)
    return width, height, bits, samples


def is_composite(pages: Sequence[Directory]) -> bool:
    """Whether three grey pages are the channels of one picture, as ImageJ writes them."""
    said = pages[0].get(270)
    if len(pages) != 3 or not said or not said[0].startswith(b"ImageJ="):
        return False
    if b"channels=3" not in said[0].split(b"\n"):
        return False
    kinds = {(*check_kind(page), page.one(262, BLACK_IS_ZERO)) for page in pages}
    _, _, _, samples, colours = min(kinds)
    return len(kinds) == 1 and (samples, colours) == (1, BLACK_IS_ZERO)


def write_directories(page: Directory, planes: int) -> tuple[bytes, ...]:
    """For each of the planes that a page is made of, the directory of a grey TIFF of it alone."""
    places = (324, 325) if 324 in page.entries else (273, 279)
    starts, lengths = (page.get(tag) for tag in places)
    each, left = divmod(len(starts), planes)
    if left or len(starts) != len(lengths):
        raise FormatError(DAMAGED)
    kept = {tag: page.get(tag)[:1] for tag in GREY_TAGS if tag in page.entries}
    kept |= {262: (BLACK_IS_ZERO,), 277: (1,), 284: (1,)}
    found = []
    for k in range(planes):
        tags = kept | {
            tag: values[k * each : (k + 1) * each]
            for tag, values in zip(places, (starts, lengths), strict=True)
        }
        behind = directory_at(page.data) + 2 + 12 * len(tags) + 4
        entries, values = b"", b""
        for tag, numbers in sorted(tags.items()):
            words = struct.pack(f"{page.order}{len(numbers)}I", *numbers)
            if len(words) > 4:
                words, values = struct.pack(page.order + "I", behind + len(values)), values + words
            entries += struct.pack(page.order + "HHI", tag, 4, len(numbers)) + words
        found.append(struct.pack(page.order + "H", len(tags)) + entries + bytes(4) + values)
    return tuple(found)


def directory_at(data: bytes) -> int:
    """Where a directory that is added to a file stands: an even place."""
    return len(data) + len(data) % 2


def write_plane(data: bytes, directory: bytes) -> bytes:
    """A TIFF's file with another first directory: the grey plane that this is of."""
    order, at = ("<" if data[:2] == b"II" else ">"), directory_at(data)
    head = data[:2] + struct.pack(order + "HI", 42, at)
    return head + data[8:] + bytes(at - len(data)) + directory


def check_strips(page: Directory, packed: int, row: int, rows: int) -> None:
    """FormatError where a strip or tile of a page lies beyond the end of the file, or is zeros.

    `row`: bytes of a row of pixels, unpacked.
    """
    tiled = 324 in page.entries
    starts, lengths = (page.get(tag) for tag in ((324, 325) if tiled else (273, 279)))
    if not starts or (not lengths and len(starts) > 1):
        raise FormatError(CUT)
    lengths = lengths or (row * rows if packed == 1 else 1,)  # some old writers leave them out
    ends = [start + length for start, length in zip(starts, lengths, strict=False)]
    if len(starts) != len(lengths) or max(ends) > len(page.data) or min(lengths) == 0:
        raise FormatError(CUT)
    if packed != 1:  # what was compressed doesn't end in zeros
        if not any(page.data[max(starts[-1], ends[-1] - 64) : ends[-1]]):
            raise FormatError(CUT)
    elif sum(lengths) < row * rows:
        raise FormatError(DAMAGED)
    elif (
        not tiled
        and list(starts[1:]) == ends[:-1]
        and is_filled_up(page.data, starts[0], row, rows)
    ):
        raise FormatError(CUT)
