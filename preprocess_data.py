"""Turn labelled smear fields (Pascal VOC) into an archive of cell crops.

    python3 preprocess_data.py --data-dir DIR            # -> preprocessed_data.npz
    python3 preprocess_data.py --download                # fetch BCCD into data/ first
    python3 preprocess_data.py --task multiclass --preview sheet.png

Every annotated box becomes a square crop, cell-free patches of the same fields are added as
"Background", and fields (never crops) are dealt out to train, val and test, so that no two
segments of one field stand on both sides. Read the archive with
``np.load("preprocessed_data.npz", allow_pickle=False)``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import math
import os
import sys
import tempfile
import threading
import time
import types
import typing
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
SPLITS = ("train", "val", "test")
BACKGROUND = "Background"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
BCCD_COMMIT = "d272fb14cdff6e473fafeeeba32aba5f560e9e43"
BCCD_URL = f"https://github.com/Shenggan/BCCD_Dataset/archive/{BCCD_COMMIT}.zip"
BCCD_SHA256 = "42c72105685e30992983add9ceb860cacfaf7788f78f755ad796c6e32796e142"
# Background is looked for at a quarter of the resolution: 16 times less work, and the blur of the
# reduction removes the noise that a threshold would trip over.
SHRINK = 4
QUIET = threading.RLock()


# --- what the four scripts share: options, errors, progress, whole-or-nothing files ---------------


class UserError(Exception):
    """Something the user can put right; shown as one line ``error: ...`` with exit status 2."""


def option(
    default: Any, help: str, low: float | None = None, high: float | None = None, **extra: Any
) -> Any:
    """Declare one field of an options dataclass: its default, the line `--help` shows, and the
    range that a number must lie in, ends included."""
    return dataclasses.field(
        default=default, metadata={"help": help, "low": low, "high": high, **extra}
    )


def describe_range(low: float | None, high: float | None) -> str:
    """The range of an option in words; empty without one."""
    if low is None:
        return ""
    return f"{low} or more" if high is None else f"{low} to {high}"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaints are the one line that every script promises."""

    def error(self, message: str) -> typing.NoReturn:
        raise UserError(f"{self.prog}: {message} (see --help)")


def parse_options(cls: type, description: str, argv: Sequence[str] | None) -> Any:
    """Fill the dataclass `cls` from the command line; each field is an option of that name."""
    parser = Parser(
        description=description.strip(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    hints = typing.get_type_hints(cls)
    for f in dataclasses.fields(cls):
        extra = {k: v for k, v in f.metadata.items() if k not in ("help", "low", "high")}
        kind = hints[f.name]
        if isinstance(kind, types.UnionType):
            kind = typing.get_args(kind)[0]
        span = describe_range(f.metadata["low"], f.metadata["high"])
        text = f.metadata["help"] + (f", {span}" if span else "")
        if f.default not in (None, dataclasses.MISSING, False, ()):
            text += f" (default: {f.default})"
        if "nargs" in extra:
            parser.add_argument(f.name, type=Path, help=text, **extra)
            continue
        if kind is bool:
            extra["action"] = "store_true"
        elif typing.get_origin(kind) is Literal:
            extra["choices"] = typing.get_args(kind)
        else:
            extra.update(type=kind, metavar=extra.get("metavar", kind.__name__.upper()))
        parser.add_argument("--" + f.name.replace("_", "-"), default=f.default, help=text, **extra)
    options = cls(**vars(parser.parse_args(argv)))
    for f in dataclasses.fields(cls):
        value, low, high = getattr(options, f.name), f.metadata["low"], f.metadata["high"]
        # "Not within", rather than "outside of", refuses NaN too.
        if None not in (value, low) and not low <= value <= (math.inf if high is None else high):
            name = "--" + f.name.replace("_", "-")
            raise UserError(f"{name} {value}: wants {describe_range(low, high)}")
    return options


def command(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Make `main` keep every script's promise on errors: one line, status 2; Ctrl-C is 130."""

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        except UserError as error:
            say(f"error: {error}")
            return 2
        except KeyboardInterrupt:
            say("interrupted")
            return 130
        except BrokenPipeError:  # the reader of our output (`| head`) has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            say(f"error: {error.filename or main.__module__}: {error.strerror or error}")
            return 2

    return guarded


def say(text: str) -> None:
    """Print a notice on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def progress(items: Iterable, total: int, label: str) -> Iterator:
    """Iterate with a bar on stderr, shown only where the work lasts over a second."""
    from tqdm import tqdm

    pace = 0.1 if sys.stderr.isatty() else 10  # seconds: no flood in a log file
    yield from tqdm(
        items, label, total, leave=False, mininterval=pace, miniters=1, delay=1, smoothing=0
    )


def run_ahead(
    pool: ThreadPoolExecutor, function: Callable, items: Iterable, ahead: int
) -> Iterator[Any]:
    """Map in threads and in order, at most `ahead` items further than what is asked for."""
    waiting: deque[Future] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what native libraries write to stderr off the screen, for one thread at a time."""
    with QUIET, open(os.devnull, "wb") as void:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(void.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` on success, and vanishes on any failure."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.umask(mask := os.umask(0))  # mkstemp ignores it, and a user's files should follow it
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


# --- options --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    data_dir: Path | None = option(
        None, "folder with JPEGImages/ and Annotations/ (default: data/ or data/sample/)"
    )
    output: Path = option(Path("preprocessed_data.npz"), "archive to write")
    image_size: int = option(96, "side of a crop in pixels", low=32, high=512)
    task: Literal["binary", "multiclass"] = option("binary", "RBC against the rest, or all labels")
    split: Literal["auto", "official", "random", "test"] = option(
        "auto", "official lists, 70/15/15 random, everything to test, or official if there"
    )
    background: float = option(0.25, "cell-free patches to add, per annotated box", low=0, high=10)
    seed: int = option(42, "seed of the random split and of the background patches", low=0)
    workers: int = option(os.cpu_count() or 1, "threads that read fields", low=1)
    preview: Path | None = option(None, "also write a contact sheet of crops, a .png")
    download: bool = option(False, "first fetch the BCCD dataset (MIT licence, 8 MB) into data/")


class Segment(NamedTuple):
    """A labelled box of one field: xmin, ymin inside, xmax, ymax just outside, in pixels."""

    label: str
    box: tuple[int, int, int, int]


@dataclass
class Field:
    """One microscope image, its annotated segments, and where it shows no cell."""

    path: Path
    data: bytes  # the image file as it is
    segments: list[Segment]
    free: np.ndarray  # (height / 4, width / 4) bool: certainly no cell here

    @property
    def name(self) -> str:
        return self.path.name

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the image file."""
        return hashlib.sha256(self.data).hexdigest()


# --- fetch and find -------------------------------------------------------------------------------


def download_bccd(target: Path, url: str = BCCD_URL, sha256: str = BCCD_SHA256) -> None:
    """Fetch BCCD into `target`, check what arrived against its published digest, then move it in.

    The digest is that of the list ``sha256sum`` prints for Annotations/*.xml and JPEGImages/*.jpg,
    so it vouches for the content whatever the archive around it looks like. A download that is cut
    short leaves nothing behind and starts afresh next time.

    Raises UserError where the server can't be reached or sends something else.
    """
    import pooch
    import requests

    say(f"downloading {url}")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target) as scratch:
        # GitHub makes the zip on demand, so its own bytes have no digest to rely on.
        fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(10, 60))
        pooch.get_logger().setLevel("ERROR")
        try:
            pooch.retrieve(
                url, None, fname="bccd.zip", path=scratch, downloader=fetch, processor=pooch.Unzip()
            )
            root = find_dataset(Path(scratch))
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code
            raise UserError(f"{url}: the server answered {status}; try again later") from None
        except requests.exceptions.RequestException as error:
            raise UserError(
                f"{url}: download failed ({type(error).__name__}); check the network, "
                "or fetch the dataset by hand and pass --data-dir"
            ) from None
        except (ValueError, EOFError, UserError, zipfile.BadZipFile, zlib.error):
            raise UserError(f"{url}: what arrived is not the BCCD archive; run again") from None
        if listing_digest(root) != sha256:
            raise UserError(f"{url}: the content differs from BCCD as published; not installed")
        for name in ("LICENSE", "ImageSets", "Annotations", "JPEGImages"):
            source = next((p / name for p in (root, *root.parents) if (p / name).exists()), None)
            if source is not None and Path(scratch) in source.parents:
                # The old one moves into the scratch folder, which goes in the end.
                if (target / name).exists():
                    (target / name).rename(Path(scratch) / f"old-{name}")
                source.rename(target / name)


def listing_digest(root: Path) -> str:
    """SHA-256 of the ``sha256sum`` listing of the annotations and images, sorted by path."""
    paths = [*root.glob("Annotations/*.xml"), *root.glob("JPEGImages/*.jpg")]
    names = sorted(path.relative_to(root).as_posix() for path in paths)
    lines = (f"{hashlib.sha256((root / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def find_dataset(data_dir: Path | None) -> Path:
    """The folder that holds JPEGImages/ and Annotations/: `data_dir` or the only one below it."""

    def holds_both(folder: Path) -> bool:
        return (folder / "JPEGImages").is_dir() and (folder / "Annotations").is_dir()

    if data_dir is None:
        root = HERE / "data" if holds_both(HERE / "data") else HERE / "data" / "sample"
        say(f"no --data-dir given: using {root}")
        return root
    if not data_dir.is_dir():
        raise UserError(f"{data_dir}: no such folder; --data-dir wants a Pascal VOC dataset")
    if holds_both(data_dir):
        return data_dir
    found = sorted(p.parent for p in data_dir.rglob("JPEGImages") if holds_both(p.parent))
    if len(found) == 1:
        return found[0]
    what = "no folder" if not found else f"{len(found)} folders ({found[0]}, {found[1]}, ...)"
    raise UserError(
        f"{data_dir}: holds {what} with JPEGImages/ and Annotations/; name the one to use"
    )


# --- read -----------------------------------------------------------------------------------------


def read_image(path: Path, data: bytes | None = None) -> np.ndarray:
    """Read an image file into (height, width, 3) uint8 RGB.

    Raises UserError where the file is missing, empty, cut short or no image at all.
    """
    try:
        data = Path(path).read_bytes() if data is None else data
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); give an image file") from None
    if not data:
        raise UserError(f"{path}: the file is empty; give an image file")
    # OpenCV decodes half a JPEG or PNG to a half grey picture without complaint.
    ends = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND"}
    for start, end in ends.items():
        if data.startswith(start) and end not in data[-1024:]:
            raise UserError(f"{path}: the image is cut short; copy the file again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # for one, more pixels than OpenCV's limit
        image = None
    if image is None:
        raise UserError(f"{path}: not an image that OpenCV can read; give a JPEG, PNG, BMP or TIFF")
    # A third faster than to have the decoder swap the channels.
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def read_boxes(path: Path) -> list[tuple[str, list[float]]]:
    """Read a VOC annotation into (label, [xmin, ymin, xmax, ymax]); NaN where a number is missing.

    Raises UserError where the file is no readable XML.
    """
    try:
        tree = ET.parse(path)
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        raise UserError(f"{path}: not Pascal VOC XML ({error}); mend or remove it") from None

    def number(text: str | None) -> float:
        try:
            return float(text or "nan")
        except ValueError:
            return float("nan")

    return [
        (
            (item.findtext("name") or "").strip(),
            [number(item.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax")],
        )
        for item in tree.iter("object")
    ]


def clip_boxes(
    boxes: Iterable[tuple[str, list[float]]], width: int, height: int
) -> tuple[list[Segment], Counter[str]]:
    """Clip boxes to the frame; count by reason those of which nothing usable is left."""
    kept, left_out = [], Counter()
    for label, corners in boxes:
        if not label or not np.isfinite(corners).all():
            left_out["box without a label or with unreadable corners"] += 1
            continue
        xmin, ymin, xmax, ymax = (round(v) for v in corners)
        if xmax <= xmin or ymax <= ymin:
            left_out["box without area"] += 1
            continue
        box = (max(xmin, 0), max(ymin, 0), min(xmax, width), min(ymax, height))
        if box[2] <= box[0] or box[3] <= box[1]:
            left_out["box outside its field"] += 1
            continue
        kept.append(Segment(label, box))
    return kept, left_out


def measure_cell(boxes: Sequence[tuple[str, list[float]]]) -> float:
    """Side of a typical red cell in pixels; where none is annotated, of a large box."""
    corners = np.array([c for _, c in boxes], float).reshape(-1, 4)
    red = np.array([is_rbc(label) for label, _ in boxes], bool)
    usable = np.isfinite(corners).all(axis=1)
    corners[~usable] = 0
    sides = np.sqrt(np.prod(np.clip(corners[:, 2:] - corners[:, :2], 0, None), axis=1))
    if (red & usable).any():
        return float(np.median(sides[red & usable]))
    return float(np.percentile(sides[usable], 90)) if usable.any() else 0.0


def find_free_area(image: np.ndarray, segments: Sequence[Segment], cell: float) -> np.ndarray:
    """Where the field certainly shows no cell: (ceil(height / 4), ceil(width / 4)) bool.

    "No box" is not enough: over half of BCCD's red cells carry none. Haemoglobin absorbs green, so
    the bright mode of the green channel is the empty ground (Otsu, 1979, outside the boxes of
    other cells, whose nuclei would draw the threshold to themselves). A pale island smaller than
    a cell is the central pallor of one, and is not free; nor is anything inside a box.

    `cell`: side of a typical red cell in pixels.
    """
    height, width = image.shape[:2]
    size = (-(-width // SHRINK), -(-height // SHRINK))
    green = cv2.resize(cv2.extractChannel(image, 1), size, interpolation=cv2.INTER_AREA)
    green = cv2.medianBlur(green, 3)
    boxed, dark = np.zeros((2, *green.shape), bool)
    for label, (xmin, ymin, xmax, ymax) in segments:
        area = np.s_[ymin // SHRINK : -(-ymax // SHRINK), xmin // SHRINK : -(-xmax // SHRINK)]
        boxed[area] = True
        dark[area] |= not is_rbc(label)
    ground = green[~dark]
    if ground.size == 0:
        return np.zeros_like(boxed)
    otsu, _ = cv2.threshold(ground.reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    bright = np.median(ground[ground > otsu]) if (ground > otsu).any() else np.median(ground)
    dim = np.median(ground[ground <= otsu]) if (ground <= otsu).any() else bright - 1
    pale = (green > bright - 0.3 * (bright - dim)).astype(np.uint8)
    _, islands, stats, _ = cv2.connectedComponentsWithStats(pale, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= 0.6 * (cell / SHRINK) ** 2
    large[0] = False  # component 0 is everything that is not pale
    free = cv2.erode(large[islands].astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    free[height // SHRINK :] = free[:, width // SHRINK :] = 0  # the last, incomplete row and column
    return free.astype(bool) & ~boxed


def is_rbc(label: str) -> bool:
    return label.casefold() == "rbc"


def find_images(folder: Path) -> list[Path]:
    """The image files of a folder, by name."""
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(p for p in files if not p.name.startswith("."))


def read_dataset(root: Path, workers: int) -> tuple[list[Field], Counter[str]]:
    """Read every annotated field, in the order of its name; count by reason what is left out."""
    left_out: Counter[str] = Counter()
    images: dict[str, Path] = {}
    for path in find_images(root / "JPEGImages"):
        left_out["second image of the same name"] += images.setdefault(path.stem, path) != path
    notes = {p.stem: p for p in (root / "Annotations").iterdir() if p.suffix.lower() == ".xml"}
    left_out["image without annotation"] += len(images.keys() - notes.keys())
    left_out["annotation without image"] += len(notes.keys() - images.keys())

    boxes: dict[str, list[tuple[str, list[float]]]] = {}
    for stem in sorted(images.keys() & notes.keys()):
        try:
            boxes[stem] = read_boxes(notes[stem])
        except UserError as error:
            say(f"warning: {error}")
            left_out["unreadable annotation"] += 1
    cell = measure_cell([box for found in boxes.values() for box in found])

    def read_field(stem: str) -> tuple[Field, Counter[str]] | UserError:
        try:
            data = images[stem].read_bytes()
            image = read_image(images[stem], data)
        except (UserError, OSError) as error:
            return UserError(str(error))
        segments, dropped = clip_boxes(boxes[stem], image.shape[1], image.shape[0])
        free = find_free_area(image, segments, cell)
        return Field(images[stem], data, segments, free), dropped

    fields = []
    with ThreadPoolExecutor(workers) as pool:
        for result in progress(pool.map(read_field, boxes), len(boxes), "reading fields"):
            if isinstance(result, UserError):
                say(f"warning: {result}")
                left_out["unreadable image"] += 1
            else:
                fields.append(result[0])
                left_out += result[1]
    if not any(field.segments for field in fields):
        raise UserError(
            f"{root}: no field with a usable box; JPEGImages/NAME.jpg wants Annotations/NAME.xml"
        )
    return fields, +left_out


# --- split, label, add background -----------------------------------------------------------------


def split_fields(
    fields: Sequence[Field], root: Path, how: str, seed: int
) -> tuple[dict[str, list[Field]], str]:
    """Deal whole fields out to the splits; returns them and the way taken, "auto" resolved."""
    lists = {s: root / "ImageSets" / "Main" / f"{s}.txt" for s in SPLITS}
    if how == "auto":
        how = "official" if all(path.is_file() for path in lists.values()) else "random"
    if how == "test":
        return {"train": [], "val": [], "test": list(fields)}, how
    if how == "random":
        return dict(zip(SPLITS, deal_fields(fields, seed), strict=True)), how
    home: dict[str, str] = {}
    for split, path in lists.items():
        try:
            stems = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: can't be read ({error}); try --split random") from None
        for stem in stems:
            if home.setdefault(stem, split) != split:
                raise UserError(f"{path}: {stem} is in {home[stem]}.txt too; one list per field")
    return {s: [f for f in fields if home.get(f.path.stem) == s] for s in SPLITS}, how


def deal_fields(fields: Sequence[Field], seed: int) -> list[list[Field]]:
    """Deal fields 70/15/15 at random, of 200 deals the one that spreads each label most evenly."""
    if len(fields) < 3:
        raise UserError(f"only {len(fields)} usable field(s): a split into three wants at least 3")
    labels = sorted({s.label for f in fields for s in f.segments})
    counts = np.array([[sum(s.label == k for s in f.segments) for k in labels] for f in fields])
    share = counts / counts.sum(axis=0)
    held = max(1, round(0.15 * len(fields)))
    rng = np.random.default_rng(seed)
    deals = [rng.permutation(len(fields)) for _ in range(200)]

    def unevenness(deal: np.ndarray) -> float:
        val, test = share[deal[:held]].sum(axis=0), share[deal[held : 2 * held]].sum(axis=0)
        return float(np.abs([val - 0.15, test - 0.15]).max())

    deal = min(deals, key=unevenness)
    return [
        [fields[i] for i in sorted(part)]
        for part in (deal[2 * held :], deal[:held], deal[held : 2 * held])
    ]


def drop_hidden_rbc(segments: Sequence[Segment]) -> tuple[list[Segment], int]:
    """Without the other cells' boxes that hold a red cell's centre: those do show a red cell."""
    centres = [
        ((s.box[0] + s.box[2]) / 2, (s.box[1] + s.box[3]) / 2) for s in segments if is_rbc(s.label)
    ]

    def holds_rbc(box: tuple[int, int, int, int]) -> bool:
        return any(box[0] <= x < box[2] and box[1] <= y < box[3] for x, y in centres)

    kept = [s for s in segments if is_rbc(s.label) or not holds_rbc(s.box)]
    return kept, len(segments) - len(kept)


def place_background(
    fields: Sequence[Field], ratio: float, rng: np.random.Generator
) -> tuple[dict[str, list[Segment]], int]:
    """Find cell-free patches as large as the boxes: by field name, and how many found no room.

    Sizes are drawn from the annotated boxes of the same fields, so that size gives nothing away;
    patches overlap neither boxes nor each other.
    """
    sizes = np.array(
        [(b[2] - b[0], b[3] - b[1]) for f in fields for _, b in f.segments], int
    ).reshape(-1, 2)
    wanted = round(ratio * len(sizes))
    drawn = sizes[rng.integers(len(sizes), size=wanted)] if wanted else sizes[:0]
    free = [f.free.astype(np.uint8) for f in fields]
    tallest = measure_room(free, -(-sizes[:, 0].max(initial=0) // SHRINK))
    found: dict[str, list[Segment]] = {f.name: [] for f in fields}
    # The largest first: they are the hardest to place.
    for width, height in drawn[np.argsort(-drawn.prod(axis=1), kind="stable")]:
        w, h = -(-width // SHRINK), -(-height // SHRINK)
        for i in rng.permutation(np.flatnonzero(tallest[:, w] >= h)):
            corners = find_room(free[i], w, h)
            if corners is None:  # taken by patches placed before
                tallest[i, w:] = np.minimum(tallest[i, w:], h - 1)
                continue
            x, y = corners.reshape(-1, 2)[rng.integers(len(corners))].tolist()
            free[i][y : y + h, x : x + w] = 0
            box = (x * SHRINK, y * SHRINK, x * SHRINK + int(width), y * SHRINK + int(height))
            found[fields[i].name].append(Segment(BACKGROUND, box))
            break
    return found, wanted - sum(map(len, found.values()))


def measure_room(free: Sequence[np.ndarray], widest: int) -> np.ndarray:
    """Height of the tallest free window of each width up to `widest`, in each mask (h, w) uint8:
    (masks, widest + 1), in pixels of the masks."""
    tallest = np.zeros((len(free), widest + 1), int)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, mask in enumerate(free):
        by_shape.setdefault(mask.shape, []).append(i)
    for (height, wide), members in by_shape.items():
        for k in range(0, len(members), 16):  # as many masks as a processor's cache holds
            some = members[k : k + 16]
            masks = np.stack([free[i] for i in some])
            above = masks.astype(np.uint8 if height < 256 else np.int32)  # free places upwards
            for y in range(1, height):
                above[:, y] += above[:, y - 1] * masks[:, y]
            least = above  # of neighbours, as many as the window is wide
            for width in range(1, min(widest, wide) + 1):
                least = np.minimum(least[..., : wide - width + 1], above[..., width - 1 :])
                tallest[some, width] = least.reshape(len(some), -1).max(axis=1)
    return tallest


def find_room(free: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """Top left corners x, y of the width x height windows that are free all over, or None."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (int(width), int(height)))
    room = cv2.erode(free, kernel, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.findNonZero(room)


# --- crop -----------------------------------------------------------------------------------------


def square_crop(segment: np.ndarray, size: int) -> np.ndarray:
    """Resize a segment (h, w, 3) uint8 into (size, size, 3) uint8, keeping its proportions.

    The longer side fills the crop, the shorter is centred and its edge pixels repeated outwards.
    This is the one way from a segment to what the network sees, for archive and prediction alike.
    """
    left, top, width, height = crop_content(segment.shape[1], segment.shape[0], size)
    method = cv2.INTER_AREA if max(segment.shape[:2]) > size else cv2.INTER_LINEAR
    resized = cv2.resize(segment, (width, height), interpolation=method)
    right, bottom = size - width - left, size - height - top
    return cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_REPLICATE)


def crop_content(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Where a segment of that size lies in its crop: left, top, width, height in pixels."""
    scale = size / max(width, height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return (size - inner[0]) // 2, (size - inner[1]) // 2, *inner


def scale_pixels(crops: np.ndarray) -> np.ndarray:
    """Map uint8 crops to float16 in [0, 1]. Half precision holds all 256 levels of a pixel."""
    if crops.size == 0:
        return np.empty(crops.shape, np.float16)
    levels = (np.arange(256) / 255).astype(np.float16)
    # OpenCV looks levels up three times as fast as NumPy, as bits for want of half precision.
    found = cv2.LUT(np.ascontiguousarray(crops).reshape(-1, 1), levels.view(np.uint16))
    return found.view(np.float16).reshape(crops.shape)


class Crops(NamedTuple):
    """The crops of one split, cut only while they are written: never all of them in memory."""

    chosen: list[tuple[Field, list[Segment]]]
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return sum(len(segments) for _, segments in self.chosen), self.size, self.size, 3

    def cut(self, i: int) -> np.ndarray:
        """The crops of one field: (n, size, size, 3) uint8."""
        field, segments = self.chosen[i]
        crops = np.empty((len(segments), self.size, self.size, 3), np.uint8)
        if segments:
            image = read_image(field.path, field.data)
            for k, (_, (xmin, ymin, xmax, ymax)) in enumerate(segments):
                crops[k] = square_crop(image[ymin:ymax, xmin:xmax], self.size)
        return crops


def build_split(
    fields: Sequence[Field], split: str, options: Options
) -> tuple[dict[str, np.ndarray | Crops], Counter[str]]:
    """The arrays of one split but for `y`, and what was left out of it by reason.

    Beside the crops go the fields as they are, see `pack_fields`: what finds cells in a whole field
    is trained on those.
    """
    rng = np.random.default_rng([options.seed, SPLITS.index(split)])
    patches, unplaced = place_background(fields, options.background, rng)
    left_out = Counter({"background patch for which no cell-free room was found": unplaced})
    chosen = []
    for field in fields:
        segments = field.segments
        if options.task == "binary":
            segments, hidden = drop_hidden_rbc(segments)
            left_out["other cell's box that holds a red cell's centre"] += hidden
        chosen.append((field, segments + patches[field.name]))
    flat = [(f.name, s) for f, segments in chosen for s in segments]
    arrays = {
        "X": Crops(chosen, options.image_size),
        "label": np.array([s.label for _, s in flat], str),
        "source": np.array([name for name, _ in flat], str),
        "box": np.array([s.box for _, s in flat], np.int64).reshape(-1, 4),
        **pack_fields(fields),
    }
    return {f"{name}_{split}": array for name, array in arrays.items()}, left_out


def pack_fields(fields: Sequence[Field]) -> dict[str, np.ndarray]:
    """The fields as they are: names (f,), image files end to end (bytes,) and where each ends (f,);
    all their boxes (m, 4), the label of each (m,), and the index of its field (m,)."""
    boxes = [(i, *segment) for i, field in enumerate(fields) for segment in field.segments]
    return {
        "field": np.array([f.name for f in fields], str),
        "field_file": np.frombuffer(b"".join(f.data for f in fields), np.uint8),
        "field_end": np.cumsum([len(f.data) for f in fields], dtype=np.int64),
        "field_box": np.array([box for *_, box in boxes], np.int64).reshape(-1, 4),
        "field_label": np.array([label for _, label, _ in boxes], str),
        "field_index": np.array([i for i, *_ in boxes], np.int64),
    }


# --- write and tell -------------------------------------------------------------------------------


def write_archive(path: Path, arrays: dict[str, np.ndarray | Crops], workers: int) -> None:
    """Write a compressed .npz of arrays, and of crops, cut on the way, as float16 in [0, 1].

    With ISA-L's deflate, whose level 2 makes a smaller file than NumPy's float32 at zlib's level 6,
    some forty times faster.
    """
    from datetime import datetime

    from stream_zip import ZIP_64, stream_zip

    def pieces(name: str) -> Iterator[bytes]:
        array = arrays[name]
        lazy = isinstance(array, Crops)
        kind = np.dtype(np.float16) if lazy else array.dtype
        header = {"descr": kind.str, "fortran_order": False, "shape": array.shape}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        yield buffer.getvalue()
        if not lazy:
            yield array.tobytes()
            return
        count = len(array.chosen)
        cut = run_ahead(pool, lambda i: scale_pixels(array.cut(i)).tobytes(), range(count), workers)
        yield from progress(cut, count, f"cutting {name}")

    def members() -> Iterator[tuple]:
        epoch = datetime(1980, 1, 1)  # the same inputs give the same bytes
        for name in arrays:
            yield f"{name}.npy", epoch, 0o644, ZIP_64, pieces(name)

    with (
        written_whole(path) as temporary,
        open(temporary, "wb") as file,
        ThreadPoolExecutor(workers) as pool,
    ):
        compressor = functools.partial(Deflate, pool, 2 * workers)
        file.writelines(stream_zip(members(), get_compressobj=compressor, chunk_size=1 << 19))


class Deflate:
    """A compressobj that deflates the chunks it's given side by side, in threads of `pool`.

    Each chunk ends on a full flush, so that the pieces can be set end to end (as pigz does), and
    what comes out depends on the chunks alone, not on the number of threads.
    """

    def __init__(self, pool: ThreadPoolExecutor, ahead: int) -> None:
        self._pool, self._ahead = pool, ahead
        self._pieces: deque[Future[bytes]] = deque()

    @staticmethod
    def _deflate(chunk: bytes, last: bool = False) -> bytes:
        from isal import isal_zlib

        stream = isal_zlib.compressobj(2, wbits=-15)
        mode = isal_zlib.Z_FINISH if last else isal_zlib.Z_FULL_FLUSH
        return stream.compress(chunk) + stream.flush(mode)

    def compress(self, chunk: bytes) -> bytes:
        self._pieces.append(self._pool.submit(self._deflate, chunk))
        return self._pieces.popleft().result() if len(self._pieces) > self._ahead else b""

    def flush(self) -> bytes:
        pieces = [piece.result() for piece in self._pieces]
        return b"".join([*pieces, self._deflate(b"", last=True)])


def draw_preview(path: Path, splits: Sequence[Crops], seed: int) -> None:
    """Write a contact sheet: for each label a row of up to 16 crops picked at random."""
    rng = np.random.default_rng(seed)
    flat = [(field, s) for crops in splits for field, of in crops.chosen for s in of]
    labels, size = np.array([s.label for _, s in flat], str), splits[0].size
    rows = []
    for label in sorted(set(labels.tolist())):
        of_label = np.flatnonzero(labels == label)
        picks = np.sort(rng.permutation(of_label)[:16])
        sheet = np.full((size, 16, size, 3), 255, np.uint8)
        for i, k in enumerate(picks):
            field, segment = flat[k]
            sheet[:, i] = Crops([(field, [segment])], size).cut(0)[0]
        title = np.full((28, 16 * size, 3), 255, np.uint8)
        text = f"{label}: {len(picks)} of {len(of_label)}"
        cv2.putText(title, text, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, sheet.reshape(size, -1, 3)]
    write_image(path, np.vstack(rows))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB uint8 picture, whole or not at all; the suffix of `path` names the format."""
    ok, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise UserError(f"{path}: can't write a picture of that kind; try .png")
    with written_whole(path) as temporary:
        temporary.write_bytes(data.tobytes())


def name_classes(labels: np.ndarray, task: str) -> np.ndarray:
    """The class of each label: the label itself, or RBC and Other in the binary task."""
    if task == "multiclass":
        return labels
    return np.array(["RBC" if is_rbc(label) else "Other" for label in labels], str)


def check_classes(named: dict[str, np.ndarray], task: str, how: str) -> list[str]:
    """The classes in order; UserError where one has no example in one of the splits in use."""
    classes = ["Other", "RBC"]
    if task == "multiclass":
        classes = np.unique(np.concatenate(list(named.values()))).tolist()
    for split in ("test",) if how == "test" else SPLITS:
        for name in classes:
            if name not in named[split]:
                total = sum((k == name).sum() for k in named.values())
                raise UserError(
                    f"class {name}: {total} example(s) in all, none in {split}: too few to split; "
                    "annotate more fields of it, drop the label, or try another --split or --seed"
                )
    return classes


def encode_labels(classes: Sequence[str], names: np.ndarray) -> np.ndarray:
    """Index into the sorted `classes` of each name, (n,) int64, by scikit-learn's LabelEncoder."""
    from sklearn.preprocessing import LabelEncoder

    return LabelEncoder().fit(classes).transform(names).astype(np.int64)  # an empty split too


def summarise(metadata: dict, output: Path, seconds: float) -> str:
    """The closing lines on the terminal: what was read, what left out and why, what came of it."""
    counts = metadata["counts"]
    classes = list(counts["train"])
    width = max(len(s) for s in (*classes, *metadata["boxes"], "fields")) + 2
    lines = [
        f"{sum(metadata['fields'].values())} fields, "
        + ", ".join(f"{n} {label}" for label, n in metadata["boxes"].items())
        + f" boxes ({metadata['split']} split, {metadata['task']})"
    ]
    lines += [f"  left out: {n} x {reason}" for reason, n in metadata["left_out"].items()]
    lines.append("".ljust(width) + "".join(s.rjust(8) for s in SPLITS))
    for name in ("fields", *classes):
        row = [metadata["fields"][s] if name == "fields" else counts[s][name] for s in SPLITS]
        lines.append(name.ljust(width) + "".join(str(n).rjust(8) for n in row))
    size = output.stat().st_size / 1e6
    lines.append(f"{output}: {size:.1f} MB, {seconds:.1f} s")
    return "\n".join(lines)


def describe(
    options: Options,
    how: str,
    fields: Sequence[Field],
    by_split: dict[str, list[Field]],
    named: dict[str, np.ndarray],
    classes: Sequence[str],
    left_out: Counter[str],
) -> dict[str, Any]:
    """The archive's metadata: what it was made of, by which options, and what was left out."""
    listing = "".join(f"{f.digest}  {f.name}\n" for f in fields)
    return {
        "task": options.task,
        "image_size": options.image_size,
        "seed": options.seed,
        "split": how,
        "background": options.background,
        "fields": {s: len(by_split[s]) for s in SPLITS},
        "boxes": dict(sorted(Counter(s.label for f in fields for s in f.segments).items())),
        "counts": {s: {k: int((named[s] == k).sum()) for k in classes} for s in SPLITS},
        "left_out": {reason: n for reason, n in left_out.items() if n},
        "dataset_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "field_sha256": {s: {f.name: f.digest for f in by_split[s]} for s in SPLITS},
    }


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    if options.preview and options.preview.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"--preview {options.preview}: not a picture's name; try sheet.png")
    if options.download:
        download_bccd(HERE / "data")
    root = find_dataset(options.data_dir)
    fields, left_out = read_dataset(root, options.workers)
    by_split, how = split_fields(fields, root, options.split, options.seed)
    left_out["field in no official list"] += len(fields) - sum(map(len, by_split.values()))
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        of_split, dropped = build_split(by_split[split], split, options)
        arrays |= of_split
        left_out += dropped
    named = {s: name_classes(arrays[f"label_{s}"], options.task) for s in SPLITS}
    classes = check_classes(named, options.task, how)
    arrays |= {f"y_{s}": encode_labels(classes, named[s]) for s in SPLITS}
    metadata = describe(options, how, fields, by_split, named, classes, left_out)
    arrays["classes"] = np.array(classes, str)
    arrays["metadata"] = np.array(json.dumps(metadata))
    write_archive(options.output, arrays, options.workers)
    if options.preview:
        draw_preview(options.preview, [arrays[f"X_{s}"] for s in SPLITS], options.seed)
    print(summarise(metadata, options.output, time.perf_counter() - start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
