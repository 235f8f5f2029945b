"""BCCD fetched from a server of our own: whole, or everything as it was before."""

from __future__ import annotations

import hashlib
import http.server
import io
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Run, files_below, load, metadata, write_lists

from hematovision.datasets.download import BCCD_SHA256, download_bccd, find_voc, listing_digest
from hematovision.datasets.opening import find_default
from hematovision.program.console import UserError


class Reply(NamedTuple):
    """What the server answers; `length`: a Content-Length other than the true one, 0 for none."""

    body: bytes
    status: int = 200
    length: int | None = None


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], str]]:
    """Answer each request on 127.0.0.1 with the reply last given; gives the address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    replies: list[Reply] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = replies[-1]
            self.send_response(reply.status)
            if reply.length != 0:
                self.send_header("Content-Length", str(reply.length or len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    def answer(reply: Reply) -> str:
        replies.append(reply)
        return f"http://127.0.0.1:{server.server_port}/archive/abc.zip"

    yield answer
    server.shutdown()
    server.server_close()
    thread.join()


def github_zip(dataset: Path, edits: dict[str, bytes] | None = None) -> bytes:
    """A zip as GitHub makes it of Shenggan/BCCD_Dataset; `edits` replaces files of the dataset."""
    top = "BCCD_Dataset-abc"
    files = {f"BCCD/{name}": content for name, content in files_below(dataset).items()}
    files |= {"LICENSE": b"MIT License", "README.md": b"# BCCD", "scripts/split.py": b"pass"}
    files |= {f"BCCD/{name}": content for name, content in (edits or {}).items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{top}/", b"")
        for name, content in files.items():
            file.writestr(f"{top}/{name}", content)
    return buffer.getvalue()


class Published(NamedTuple):
    """A small dataset as it would be published: its files, digest and zip."""

    root: Path
    digest: str
    zip: bytes


@pytest.fixture
def published(voc_dataset: Callable[..., Path]) -> Published:
    root = voc_dataset(6, name="published", suffix=".jpg")
    write_lists(root, train="field0 field1", val="field2 field3", test="field4 field5")
    paths = [*root.glob("Annotations/*"), *root.glob("JPEGImages/*")]
    lines = sorted(
        (p.relative_to(root).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths
    )
    listing = "".join(f"{digest}  {name}\n" for name, digest in lines)
    return Published(root, hashlib.sha256(listing.encode()).hexdigest(), github_zip(root))


def test_download_whole(
    serve: Callable[[Reply], str], published: Published, tmp_path: Path
) -> None:
    target = tmp_path / "data"
    (target / "JPEGImages").mkdir(parents=True)
    (target / "JPEGImages" / "stale.jpg").write_bytes(b"of an older copy")
    (target / "sample").mkdir()
    (target / "README.md").write_text("ours")
    download_bccd(target, serve(Reply(published.zip)), published.digest)
    wanted = files_below(published.root) | {"LICENSE": b"MIT License", "README.md": b"ours"}
    assert files_below(target) == wanted
    assert (target / "sample").is_dir()
    assert find_voc(target) == target
    assert not list(target.glob(".*"))


def bad_replies(published: Published) -> dict[str, Reply]:
    whole = published.zip
    changed = (published.root / "Annotations" / "field0.xml").read_bytes().replace(b"10", b"11")
    extra = {"JPEGImages/extra.jpg": b"one more image"}
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("top/readme.txt", "no dataset here")
    # Where a zip's first file starts, after its header; the deflated bytes are spoilt from there.
    stream = whole.index(b"field0.xml") + len(b"field0.xml") + 4
    spoilt = whole[:stream] + b"\xff" * 40 + whole[stream + 40 :]
    return {
        "cut short": Reply(whole[: len(whole) // 2], length=len(whole)),
        "cut short, length unknown": Reply(whole[: len(whole) // 2], length=0),
        "empty": Reply(b"", length=0),
        "a page": Reply(b"<html>log in to this wifi</html>"),
        "another zip": Reply(other.getvalue()),
        "one byte of it changed": Reply(
            github_zip(published.root, {"Annotations/field0.xml": changed})
        ),
        "one file more": Reply(github_zip(published.root, extra)),
        "spoilt on the way": Reply(spoilt),
        "not found": Reply(b"no such page", status=404),
        "server error": Reply(b"try later", status=503),
    }


BAD_REPLIES = {
    "cut short": "download failed",
    "cut short, length unknown": "not the BCCD archive",
    "empty": "not the BCCD archive",
    "a page": "not the BCCD archive",
    "another zip": "not the BCCD archive",
    "one byte of it changed": "differs from BCCD as published",
    "one file more": "differs from BCCD as published",
    "spoilt on the way": "not the BCCD archive",
    "not found": "404",
    "server error": "503",
}


@pytest.mark.parametrize("installed", [False, True], ids=["afresh", "over an older copy"])
@pytest.mark.parametrize(
    "case",
    BAD_REPLIES,
)
def test_download_that_fails_leaves_all_as_it_was_and_can_be_run_again(
    serve: Callable[[Reply], str],
    published: Published,
    voc_dataset: Callable[..., Path],
    tmp_path: Path,
    case: str,
    installed: bool,
) -> None:
    target = voc_dataset(2, name="data") if installed else tmp_path / "data"
    before = files_below(target)
    url = serve(bad_replies(published)[case])
    with pytest.raises(UserError, match=BAD_REPLIES[case]) as caught:
        download_bccd(target, url, published.digest)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_below(target) == before
    assert not list(target.glob(".*"))
    download_bccd(target, serve(Reply(published.zip)), published.digest)
    assert listing_digest(target) == published.digest
    assert not list(target.glob(".*"))


def test_download_with_no_network(published: Published, tmp_path: Path) -> None:
    with socket.socket() as taken:  # a port that nothing listens on
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.zip"
        with pytest.raises(UserError, match="check the network"):
            download_bccd(tmp_path / "data", url, published.digest)
    assert not files_below(tmp_path / "data")
    assert not list((tmp_path / "data").glob(".*"))


def test_download_interrupted_leaves_nothing(
    serve: Callable[[Reply], str],
    published: Published,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hematovision.datasets.download.listing_digest", stop)
    with pytest.raises(KeyboardInterrupt):
        download_bccd(tmp_path / "data", serve(Reply(published.zip)), published.digest)
    assert not list((tmp_path / "data").iterdir())


def test_download_then_run(
    serve: Callable[[Reply], str],
    published: Published,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    monkeypatch.setattr("preprocess_data.HERE", tmp_path)
    monkeypatch.setattr("hematovision.datasets.opening.HERE", tmp_path)
    monkeypatch.setattr(
        "preprocess_data.download_bccd", lambda to: download_bccd(to, url, published.digest)
    )
    args = ("--download", "--image-size", 32, "--output", tmp_path / "a.npz")
    url = serve(Reply(b"", status=404))
    result = run("preprocess_data.py", *args)
    assert result.status == 2
    assert result.err.splitlines()[-1].startswith("error: http://127.0.0.1:")
    assert "Traceback" not in result.err
    assert not (tmp_path / "a.npz").exists()
    serve(Reply(published.zip))
    assert run("preprocess_data.py", *args).status == 0
    found = metadata(load(tmp_path / "a.npz"))
    assert found["fields"] == {"train": 2, "val": 2, "test": 2}
    assert found["split"] == "official"


def test_without_data_dir_it_takes_data_else_the_sample_and_says_which(
    voc_dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("hematovision.datasets.opening.HERE", tmp_path)
    sample = voc_dataset(1, name="data/sample")
    assert find_default() == sample
    assert str(sample) in capsys.readouterr().err
    data = voc_dataset(1, name="data")
    assert find_default() == data
    assert str(data) in capsys.readouterr().err


def test_bccd_digest_is_the_published_one(bccd: Path) -> None:
    listing = (bccd / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(listing).hexdigest() == BCCD_SHA256
    assert listing_digest(bccd) == BCCD_SHA256
