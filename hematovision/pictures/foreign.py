"""Kinds of files that smears come in and that can't be read here: how they are known, what to do.

name_foreign(data)    # -> "a HEIC picture, as phones take them; ..." or ""
name_suffix(".svs")   # the same by the end of a name, where the content looks harmless
"""

from __future__ import annotations

EXPORT = "export it as JPEG, PNG or TIFF"
SLIDE = "a whole slide; export fields of it as JPEG, PNG or TIFF (QuPath, or the maker's viewer)"
RAW = "a camera's raw data; develop it, and export it as JPEG or TIFF"
FILM = "a film; save one of its frames as PNG"
MICROSCOPE = "a microscope maker's own format; " + EXPORT + " (Fiji with Bio-Formats reads it)"

# Where the content of a file says what it is: offset, bytes, what and what to do.
SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    *(
        (4, b"ftyp" + brand, "a HEIC picture, as phones take them; export it as JPEG (on an "
         "iPhone: Settings, Camera, Formats, Most Compatible)")
        for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    ),
    (4, b"ftypavif", f"an AVIF picture; {EXPORT}"),
    (4, b"ftypavis", f"an AVIF picture; {EXPORT}"),
    (4, b"ftypcrx", RAW),
    (4, b"ftyp", FILM),
    (4, b"moov", FILM),
    (0, b"\x1aE\xdf\xa3", FILM),
    (8, b"AVI ", FILM),
    (0, b"\xff\x0a", f"a JPEG XL picture; {EXPORT}"),
    (0, b"\0\0\0\x0cJXL ", f"a JPEG XL picture; {EXPORT}"),
    (0, b"II\xbc", f"a JPEG XR picture; {EXPORT}"),
    (0, b"GIF8", "a GIF, of 256 colours at most; save the original as PNG or TIFF"),
    (0, b"%PDF", "a PDF; extract its pictures (pdfimages), or export them as PNG"),
    (0, b"%!PS", f"a PostScript file; {EXPORT}"),
    (0, b"8BPS", f"a Photoshop file; {EXPORT}"),
    (0, b"gimp xcf", f"a GIMP file; {EXPORT}"),
    (128, b"DICM", "a DICOM file; export it as PNG or TIFF (dcm2img, or your viewer)"),
    (0, b"ZISRAWFILE", MICROSCOPE),  # Zeiss .czi
    (0, b"\xda\xce\xbe\x0a", MICROSCOPE),  # Nikon .nd2
    (0, b"\x70\0\0\0", MICROSCOPE),  # Leica .lif
    (0, b"\xd0\xcf\x11\xe0", MICROSCOPE),  # Zeiss .zvi, Olympus .oib
    (0, b"IIRO", RAW), (0, b"IIRS", RAW), (0, b"MMOR", RAW), (0, b"IIU\0", RAW),
    (0, b"FUJIFILMCCD-RAW", RAW), (0, b"FOVb", RAW), (0, b"II\x1a\0\0\0HEAPCCDR", RAW),
    (0, b"SIMPLE  =", f"a FITS file; {EXPORT}"),
    (0, b"\x76\x2f\x31\x01", f"an OpenEXR picture; {EXPORT}"),
    (0, b"#?RADIANCE", f"a Radiance picture; {EXPORT}"),
    (0, b"\x89HDF", f"an HDF5 file; {EXPORT}"),
    (0, b"\x93NUMPY", f"a NumPy array; {EXPORT}"),
    (0, b"PK\x03\x04", "an archive (ZIP); unpack it first"),
    (0, b"Rar!", "an archive (RAR); unpack it first"),
    (0, b"7z\xbc\xaf", "an archive (7-Zip); unpack it first"),
    (0, b"\x1f\x8b", "an archive (gzip); unpack it first"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the picture; run: git lfs pull"),
    (0, b"\0\x05\x16\x07", "a Mac's side file (AppleDouble); give the picture that it belongs to"),
)  # fmt: skip

# Where the content looks like a TIFF, a JPEG or nothing in particular, but the name tells.
SUFFIXES: dict[str, str] = {
    **dict.fromkeys(
        (".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".vmu", ".svslide", ".tmap", ".isyntax",
         ".qptiff", ".ets", ".vsi", ".kfb", ".sdpc", ".tron"),
        SLIDE,
    ),
    **dict.fromkeys((".czi", ".nd2", ".lif", ".lsm", ".oib", ".oif", ".oir", ".zvi", ".ims"),
                    MICROSCOPE),
    **dict.fromkeys(
        (".nef", ".nrw", ".cr2", ".cr3", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw",
         ".x3f"),
        RAW,
    ),
    **dict.fromkeys((".heic", ".heif", ".hif"), "a HEIC picture, as phones take them; " + EXPORT),
    **dict.fromkeys((".dcm", ".dicom"), "a DICOM file; " + EXPORT),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), FILM),
    **dict.fromkeys((".avif", ".jxl", ".gif", ".psd", ".xcf", ".pdf", ".exr", ".hdr", ".jxr"),
                    "no kind of picture that is read; " + EXPORT),
}  # fmt: skip


def name_foreign(data: bytes) -> str:
    """What a file is, if not a picture that is read, and what to do; "" where that is not known."""
    for offset, signature, what in SIGNATURES:
        if data.startswith(signature, offset):
            return what
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page saved under a picture's name; download the picture itself"
    if head.startswith((b"<?xml", b"<svg", b"<annotation", b"{", b"[")):
        return "a text, not a picture; give a JPEG, PNG, BMP or TIFF"
    if not any(data):
        return "nothing but zeros, as a cloud folder or a broken copy leaves; fetch the file itself"
    return ""


def name_suffix(suffix: str) -> str:
    """What a file of that suffix is and what to do; "" where the suffix says nothing."""
    return SUFFIXES.get(suffix.lower(), "")
