"""The page of what is to be mended: it says what the archive says, and draws where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import Run, metadata, read_dataset
from drawing import RBC, WBC

from hematovision.datasets.findings import Example, Findings
from hematovision.preparing.check_page import draw, write_check_page


def test_it_says_of_completeness_what_the_archive_says(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset({f"f{i}": [RBC, WBC] for i in range(8)})
    arrays = archive(root, "--split", "test")
    complete = metadata(arrays)["complete"][root.name]
    output = tmp_path / "b.npz"
    told = run("preprocess_data.py", "--data-dir", root, "--check", "--output", output)
    line = f"labels boxed completely: {', '.join(complete)}"
    assert line in told.err and line in (tmp_path / "check.html").read_text("utf-8")


def test_findings_are_shown_with_their_fields(
    voc_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    fields, _ = read_dataset(voc_dataset(2))
    findings = Findings(3)
    findings.add("left out", "box <b>", Example("a", fields[0].path, (("RBC", (1.0, 2, 9, 9)),)))
    assert write_check_page(tmp_path / "check.html", fields, findings) == 1
    text = (tmp_path / "check.html").read_text("utf-8")
    assert "box &lt;b&gt;" in text and "data:image/jpeg;base64," in text
    assert draw(Example("gone", tmp_path / "gone.png"), {}) == ""
    assert write_check_page(tmp_path / "check.html", fields, Findings()) == 0
