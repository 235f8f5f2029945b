"""Findings: counted by reason, with examples, merged and told."""

from __future__ import annotations

from hematovision.datasets.findings import Example, Findings


def test_they_are_counted_and_keep_so_many_examples() -> None:
    first, second = Findings(2), Findings(2)
    for k in range(3):
        first.add("left out", "box without area", Example(f"{k}.jpg"))
    second.add("left out", "box without area", Example("x.jpg"))
    second.add("put right", "turned", None, 5)
    second.notices.append("a sentence")
    first.merge(second)
    assert first.of("left out") == {"box without area": 4}
    assert first.lines("put right") == ["put right: 5 x turned"]
    assert first.lines()[0] == "left out: 4 x box without area (e.g. 0.jpg)"
    assert first.notices == ["a sentence"]


def test_why_so_little_remains() -> None:
    findings = Findings()
    findings.files.update({".jpg": 12, ".txt": 3})
    findings.add("left out", "unreadable image", Example("a.jpg"))
    assert findings.tell_why() == (
        "files found: 12 .jpg, 3 .txt; left out: 1 x unreadable image (e.g. a.jpg)"
    )
