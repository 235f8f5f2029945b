"""Download: BCCD, fetched from where it was published and checked against its digest."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from hematovision.program.console import UserError, say

BCCD_COMMIT = "d272fb14cdff6e473fafeeeba32aba5f560e9e43"
BCCD_URL = f"https://github.com/Shenggan/BCCD_Dataset/archive/{BCCD_COMMIT}.zip"
BCCD_SHA256 = "42c72105685e30992983add9ceb860cacfaf7788f78f755ad796c6e32796e142"


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
            root = find_voc(Path(scratch))
        except requests.exceptions.HTTPError as error:
            status = "no" if error.response is None else error.response.status_code
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
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def find_voc(folder: Path) -> Path:
    """The first folder below that holds JPEGImages/ and Annotations/; UserError without one."""
    for pictures in sorted(folder.rglob("JPEGImages")):
        if pictures.is_dir() and (pictures.parent / "Annotations").is_dir():
            return pictures.parent
    raise UserError(f"{folder}: no JPEGImages/ beside Annotations/")
