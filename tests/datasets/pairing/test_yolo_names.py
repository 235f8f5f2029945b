"""Which list of class names counts: the nearest that has names; contradictions are told."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from hematovision.datasets.findings import Findings
from hematovision.datasets.pairing.layout import scan
from hematovision.datasets.pairing.yolo_names import CONTRADICTION, YoloNames, count_shared
from hematovision.program.console import UserError

LABEL = PurePosixPath("labels/train/x.txt")


def settle(root: Path, **files: str) -> tuple[dict[str, str], Findings]:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    findings = Findings()
    return YoloNames(scan(root), findings).find(LABEL).of, findings


def test_a_file_without_names_is_passed_over(tmp_path: Path) -> None:
    names, findings = settle(tmp_path, args_DOT_yaml="epochs: 3\n", data_DOT_yaml="names: [a, b]\n")
    assert names == {"0": "a", "1": "b"} and not findings.counts


def test_the_nearer_counts_and_the_other_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names, findings = settle(
        tmp_path, data_DOT_yaml="names: [a, b, c]\n", labels__classes_DOT_txt="b\na\n"
    )
    assert names == {"0": "b", "1": "a"}
    assert findings.of("left out") == {CONTRADICTION: 1}
    said = capsys.readouterr().err
    assert "classes.txt" in said and "data.yaml" in said


def test_what_does_not_contradict_adds_names(tmp_path: Path) -> None:
    names, findings = settle(
        tmp_path, data_DOT_yaml="names: [A, b, c]\n", labels__train__classes_DOT_txt="a\nb\n"
    )
    assert names == {"0": "a", "1": "b", "2": "c"} and not findings.counts


def test_two_in_one_folder_that_contradict_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classes\.txt.*data\.yaml"):
        settle(tmp_path, data_DOT_yaml="names: [a, b]\n", classes_DOT_txt="b\na\n")


def test_those_of_another_part_of_the_dataset_do_not_count(tmp_path: Path) -> None:
    names, _ = settle(tmp_path, labels__val__classes_DOT_txt="a\n", classes_DOT_txt="")
    assert names == {}


def test_how_near_two_files_lie() -> None:
    assert count_shared(PurePosixPath("labels/classes.txt"), LABEL) == 1
    assert count_shared(PurePosixPath("data.yaml"), LABEL) == 0
