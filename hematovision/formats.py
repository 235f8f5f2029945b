"""What a picture's file says of itself before a pixel of it is decoded.

    read_header(data) -> Header      # kind, size, depth, transparency, pages, orientation

Decoders trust: they ask for the memory that a header promises, and make half a grey picture of
half a file. So the structure is walked here first, for the six kinds that are read: JPEG, PNG,
TIFF, BMP, WebP and JPEG 2000. A file counts as whole from its first byte to its own end marker;
what follows that (the film of a motion photo, padding) is nobody's business. A file that ends
before is cut short, also where zeros fill it up to its old length, as downloads leave it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from hematovision.tiff import Directory, read_first_page

CUT = "the image is cut short; copy the file again"
DAMAGED = "the image is damaged; copy the file again"
MOST_PARTS, MOST_SCANS = 500_000, 100  # of a file, of a JPEG: hostile ones would take hours
# After a JPEG's entropy-coded data comes a marker that is neither a stuffed byte nor a restart...
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# ... but the end, another scan, or what may stand before one.
MAY_FOLLOW_SCAN = frozenset((0xD9, 0xDA, 0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)))
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6  # of a TIFF
TIFF_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946}  # that OpenCV's libtiff was built with


class FormatError(ValueError):
    """Why a file is not a picture that can be read, and what to do: an error line's second half."""


class Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    kind: str
    width: int  # as stored, before its orientation is obeyed
    height: int
    bits: int = 8  # of a sample
    alpha: bool = False
    premultiplied: bool = False  # colours were already multiplied by alpha
    pages: int = 1  # of a TIFF; frames of an animation
    orientation: int = 1  # EXIF's: 1 to 8
    orientation_at: int = 0  # where in the file that number stands, 0: nowhere
    big_endian: bool = False  # how it is written there
    cost: float = 3  # bytes that a pixel takes while it is decoded, at most
    chunk: tuple[int, int] = 0, 0  # of a PNG: what the checksum after it is of


def read_header(data: bytes) -> Header:
    """Walk the structure of a picture's file; FormatError where it is cut short, damaged, of a
    variant that can't be decoded, or of no kind that is read."""
    for signature, reader in READERS:
        if data.startswith(signature):
            try:
                header = reader(data)
            except FormatError:
                raise
            except (struct.error, IndexError):  # it goes on where the file doesn't
                raise FormatError(CUT) from None
            except (ValueError, TypeError, KeyError, OverflowError):  # numbers that make no sense
                raise FormatError(DAMAGED) from None
            if header.width < 1 or header.height < 1:
                raise FormatError(DAMAGED)
            return header
    raise FormatError("not a picture that can be read; give a JPEG, PNG, BMP or TIFF")


# --- JPEG (ITU T.81) ------------------------------------------------------------------------------


def read_jpeg(data: bytes) -> Header:
    """Segment by segment, and over the entropy-coded data, to the end of the main picture.

    A thumbnail's own end marker lies inside a segment, so it is never taken for that one.
    """
    frame: dict[str, Any] = {}
    orientation: dict[str, Any] = {}
    at, scans = 2, 0
    for _ in range(MOST_PARTS):
        at = data.index(b"\xff", at) if b"\xff" in data[at : at + 4096] else len(data)
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xD9:
            break
        if marker == 0xD8 or scans > MOST_SCANS:
            raise FormatError(DAMAGED)
        at += 2
        if marker <= 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a segment
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise FormatError(DAMAGED)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, samples = struct.unpack_from(">BHHB", data, at + 2)
            if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) or bits != 8:
                raise FormatError(f"a lossless or {bits}-bit JPEG; save it as PNG or TIFF")
            progressive = marker in (0xC2, 0xCA)  # its coefficients wait in memory
            cost = 3 + 2 * samples * progressive + (samples == 4)
            frame = {"width": width, "height": height, "cost": cost}
        elif marker == 0xF7:
            raise FormatError("a JPEG-LS picture; save it as PNG or TIFF")
        elif marker == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0" and not orientation:
            orientation = find_orientation(data, at + 8, at + length)
        at += length
        if marker == 0xDA:
            scans += 1
            found = MARKER.search(data, at)
            if found is None or data[found.start() + 1] not in MAY_FOLLOW_SCAN:
                raise FormatError(CUT)
            at = found.start()
    else:
        raise FormatError(DAMAGED)
    if not frame or not scans:
        raise FormatError(CUT)
    return Header("JPEG", **frame, **orientation)


def find_orientation(data: bytes, start: int, end: int) -> dict[str, Any]:
    """Where EXIF, a TIFF without pixels from `start`, holds the orientation, and which it is."""
    order = {b"II": "<", b"MM": ">"}.get(data[start : start + 2])
    if order is None:
        return {}
    try:
        first = start + struct.unpack_from(order + "I", data, start + 4)[0]
        (count,) = struct.unpack_from(order + "H", data, first)
        for at in range(first + 2, min(first + 2 + 12 * count, end - 11), 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", data, at)
            if tag == 274 and kind == 3 and 1 <= value <= 8:
                return {
                    "orientation": value,
                    "orientation_at": at + 8,
                    "big_endian": order == ">",
                }
    except struct.error:  # EXIF is a courtesy: damage there is no reason to refuse the picture
        pass
    return {}


# --- PNG (ISO/IEC 15948) --------------------------------------------------------------------------


def read_png(data: bytes) -> Header:
    """Chunk by chunk to IEND, each with its checksum: zeros in the middle don't pass for pixels."""
    view, at, facts = memoryview(data), 8, {}
    alpha, pages, pixels = False, 1, False
    for _ in range(MOST_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        critical = kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND")
        if critical and zlib.crc32(view[at + 4 : end]) != checksum:
            raise FormatError(DAMAGED)
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack_from(">IIBB", data, at + 8)
            facts = {"width": width, "height": height, "bits": bits}
            alpha = colour in (4, 6)
        elif kind == b"tRNS":
            alpha = True
        elif kind == b"acTL":
            (pages,) = struct.unpack_from(">I", data, at + 8)
        elif kind == b"IDAT":
            pixels = True
        elif kind == b"eXIf":
            facts |= find_orientation(data, at + 8, end) | {"chunk": (at + 4, end)}
        elif kind == b"IEND":
            break
        at = end + 4
    if kind != b"IEND" or "width" not in facts or not pixels:
        raise FormatError(DAMAGED)
    cost = 12 if facts["bits"] > 8 else 8 if alpha else 4
    return Header("PNG", alpha=alpha, pages=pages, cost=cost, **facts)


# --- BMP ------------------------------------------------------------------------------------------


def read_bmp(data: bytes) -> Header:
    offset, size = struct.unpack_from("<II", data, 10)
    alpha, packed = False, 0
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits, packed = struct.unpack_from("<iiHHI", data, 18)
        height = abs(height)
        alpha = packed == 3 and size >= 56 and struct.unpack_from("<I", data, 66)[0] != 0
    if packed in (4, 5):
        raise FormatError("a BMP that wraps a JPEG or PNG; save it as PNG")
    if packed not in (1, 2):
        row = (width * bits + 31) // 32 * 4
        if len(data) < offset + row * height or is_filled_up(data, offset, row, height):
            raise FormatError(CUT)
    return Header("BMP", width, height, alpha=alpha, cost=8)


def is_filled_up(data: bytes, start: int, row: int, rows: int) -> bool:
    """Whether uncompressed pixels, `rows` of `row` bytes each, end in the zeros of a file that was
    cut short and filled up: from the middle of a row on, in which the row before goes on.

    A black bar begins with a row, and a black frame around a disc has the zeros in the row before.
    """
    end = start + row * rows
    if rows < 4 or any(memoryview(data)[end - 2 * row : end]):
        return False
    last = end - 2 * row
    while last > start and not any(memoryview(data)[max(start, last - row) : last]):
        last -= row
    filled = len(data[max(start, last - row) : last].rstrip(b"\0"))
    if last - 2 * row < start or not row // 50 < filled < row - row // 50:
        return False
    before = data[last - 2 * row + filled : last - row]
    return before.count(0) < 0.6 * len(before)


# --- WebP -----------------------------------------------------------------------------------------


def read_webp(data: bytes) -> Header:
    if data[8:12] != b"WEBP":
        raise FormatError("not a picture (a sound or a film); give a JPEG, PNG, BMP or TIFF")
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    # Compressed pixels don't end in zeros; a download that was cut and filled up does.
    if len(data) < end or end < 30 or not any(data[end - 64 : end]):
        raise FormatError(CUT)
    kind, facts = data[12:16], {}
    if kind == b"VP8 ":
        width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        facts = {"alpha": bool(packed >> 28 & 1)}
    elif kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        facts = {"alpha": bool(data[20] & 0x10), "pages": 1 + bool(data[20] & 0x02)}
        at = 12
        for _ in range(MOST_PARTS):
            if at + 8 > end or "orientation" in facts:
                break
            name, length = struct.unpack_from("<4sI", data, at)
            if name == b"EXIF":
                skip = 6 * (data[at + 8 : at + 14] == b"Exif\0\0")
                facts |= find_orientation(data, at + 8 + skip, at + 8 + length)
            at += 8 + length + length % 2
    else:
        raise FormatError(DAMAGED)
    return Header("WebP", width, height, cost=11, **facts)


# --- JPEG 2000 (ITU T.800) ------------------------------------------------------------------------


def read_jp2(data: bytes) -> Header:
    """Box by box to the codestream, and there from tile to tile to its end."""
    at = 0
    if not data.startswith(b"\xff\x4f"):
        for _ in range(MOST_PARTS):
            length, kind = struct.unpack_from(">I4s", data, at)
            head = 8
            if length == 1:
                (length,), head = struct.unpack_from(">Q", data, at + 8), 16
            if kind == b"jp2c":
                at += head
                break
            if length < head:
                raise FormatError(DAMAGED)
            at += length
        else:
            raise FormatError(DAMAGED)
    right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
    samples, depth = struct.unpack_from(">HB", data, at + 40)
    at += 2
    for _ in range(MOST_PARTS):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == 0xFFD9:
            break
        if marker == 0xFF90:  # a tile
            (part,) = struct.unpack_from(">I", data, at + 6)
            if part == 0:  # the last one, to the end
                if data.rfind(b"\xff\xd9", at) < 0:
                    raise FormatError(CUT)
                break
            length = part - 2
        if marker < 0xFF00 or length < 2:
            raise FormatError(CUT)
        at += 2 + length
        if data[at : at + 2] == b"\xff\xd9":
            break
    else:
        raise FormatError(DAMAGED)
    bits = (depth & 0x7F) + 1
    if samples not in (1, 2, 3, 4) or depth & 0x80:
        raise FormatError(f"a JPEG 2000 picture of {samples} channels; save it as PNG or TIFF")
    return Header(
        "JPEG 2000", right - left, bottom - top, bits, alpha=samples in (2, 4),
        cost=8 * samples + 8,
    )  # fmt: skip


# --- TIFF 6.0 and BigTIFF -------------------------------------------------------------------------


def read_tiff(data: bytes) -> Header:
    """The first page, and whether all its strips or tiles are there."""
    page, pages = read_first_page(data)
    width, height = page.one(256, 0), page.one(257, 0)
    bits, samples = max(page.get(258, (1,))), page.one(277, 1)
    packed, colours = page.one(259, 1), page.one(262, BLACK_IS_ZERO)
    if 50706 in page.entries or colours in (32803, 34892):
        raise FormatError("a camera's raw data; develop it, and export it as JPEG or TIFF")
    if page.one(339, 1) != 1 or bits not in (1, 2, 4, 8, 10, 12, 14, 16):
        what = {3: "floating-point", 2: "signed"}.get(page.one(339, 1), "") + f" {bits}-bit"
        raise FormatError(f"a TIFF of {what.strip()} numbers; save it with 8 or 16 bits a channel")
    if packed not in TIFF_COMPRESSIONS:
        raise FormatError(f"a TIFF of compression {packed}; save it uncompressed or with LZW")
    extra = page.get(338)
    known = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, SEPARATED: 4, YCBCR: 3}
    if colours not in known:
        raise FormatError(f"a TIFF of colour space {colours} (Lab?); save it as RGB")
    if samples > known[colours] + 1:
        raise FormatError(f"a TIFF of {samples} channels; save it as RGB or as one grey channel")
    check_strips(page, packed, (width * samples * bits + 7) // 8, height)
    orientation = {}
    if 274 in page.entries and 1 <= (value := page.one(274, 1)) <= 8:
        orientation = {"orientation": value, "orientation_at": page.at(274)}
    alpha = samples == known[colours] + 1 and samples in (2, 4) and extra[:1] in ((1,), (2,))
    return Header(
        "TIFF", width, height, bits, alpha, premultiplied=bits == 8 or extra[:1] == (1,),
        pages=pages, big_endian=page.order == ">", cost=14 if bits > 8 else 8, **orientation,
    )  # fmt: skip


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


READERS: tuple[tuple[bytes, Callable[[bytes], Header]], ...] = (
    (b"\xff\xd8", read_jpeg),
    (b"\x89PNG\r\n\x1a\n", read_png),
    (b"BM", read_bmp),
    *((start, read_tiff) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"RIFF", read_webp),
    (b"\0\0\0\x0cjP  \r\n\x87\n", read_jp2),
    (b"\xff\x4f\xff\x51", read_jp2),
)


# --- orientation ----------------------------------------------------------------------------------


def settle_frame(data: bytes, width: int, height: int) -> bytes:
    """The file of a picture whose boxes were drawn in a frame of `width` x `height` pixels.

    Where that is the picture as stored, not as its orientation tag would turn it, the tag is set to
    "upright", so that everyone who reads the file sees the frame of the boxes. Where the two frames
    are of one size (a half turn, a square) the tag is obeyed, as most annotation tools do.
    """
    try:
        header = read_header(data)
    except FormatError:  # whoever reads it will say so
        return data
    stored, shown = (header.width, header.height), (header.height, header.width)
    if header.orientation < 5 or (width, height) != stored or stored == shown:
        return data
    changed = bytearray(data)
    struct.pack_into((">" if header.big_endian else "<") + "H", changed, header.orientation_at, 1)
    start, end = header.chunk
    if end:
        struct.pack_into(">I", changed, end, zlib.crc32(changed[start:end]))
    return bytes(changed)
