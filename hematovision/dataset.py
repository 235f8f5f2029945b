"""Annotated fields on disk: fetched, found, read, paired, dealt out to splits."""

from __future__ import annotations

import functools
import hashlib
import sys
import tempfile
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hematovision.archive import SPLITS
from hematovision.cells import Segment
from hematovision.console import UserError, progress, say
from hematovision.files import HERE, find_images
from hematovision.ground import find_free_area, measure_cell_px
from hematovision.images import read_image

BCCD_COMMIT = "d272fb14cdff6e473fafeeeba32aba5f560e9e43"
BCCD_URL = f"https://github.com/Shenggan/BCCD_Dataset/archive/{BCCD_COMMIT}.zip"
BCCD_SHA256 = "42c72105685e30992983add9ceb860cacfaf7788f78f755ad796c6e32796e142"


@dataclass
class Field:
    """One microscope image, its annotated segments, and where it shows no cell."""

    path: Path
    data: bytes  # the image file as it is
    segments: list[Segment]
    free: np.ndarray  # (height / 4, width / 4) bool: certainly no cell here

    @property
    def name(self) -> str:
        """File name of the image."""
        return self.path.name

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the image file."""
        return hashlib.sha256(self.data).hexdigest()


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
    cell_px = measure_cell_px([box for found in boxes.values() for box in found])

    def read_field(stem: str) -> tuple[Field, Counter[str]] | UserError:
        try:
            data = images[stem].read_bytes()
            image = read_image(images[stem], data)
        except (UserError, OSError) as error:
            return UserError(str(error))
        segments, dropped = clip_boxes(boxes[stem], image.shape[1], image.shape[0])
        free = find_free_area(image, segments, cell_px)
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
