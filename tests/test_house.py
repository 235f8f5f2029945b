"""The house stands as docs/architecture.md says: short rooms and functions, tests by path."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "hematovision"
SCRIPTS = sorted(ROOT.glob("*.py"))
ROOMS = sorted(path for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
FOLDERS = sorted({path.parent for path in ROOMS})
MOST_ROOMS, MOST_LINES, MOST_OF_A_SCRIPT = 14, 330, 350
MOST_OF_A_FUNCTION, MOST_OF_MAIN, MOST_PARAMETERS = 50, 60, 7


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", [*SCRIPTS, *ROOMS], ids=name_of)
def test_a_room_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text))
    most = MOST_OF_A_SCRIPT if path in SCRIPTS else MOST_LINES
    assert len(text.splitlines()) <= most


@pytest.mark.parametrize("path", [*SCRIPTS, *ROOMS], ids=name_of)
def test_functions_are_short_and_take_few_parameters(path: Path) -> None:
    for function in functions(path):
        lines = function.end_lineno - function.lineno + 1  # type: ignore[operator]
        assert lines <= (MOST_OF_MAIN if function.name == "main" else MOST_OF_A_FUNCTION), (
            function.name
        )
        given = function.args
        names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        assert len([n for n in names if n not in ("self", "cls")]) <= MOST_PARAMETERS, function.name


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_says_what_goes_in_and_out_and_holds_few_rooms(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
    assert len([room for room in ROOMS if room.parent == folder]) <= MOST_ROOMS


@pytest.mark.parametrize("path", ROOMS, ids=name_of)
def test_no_import_hides_a_circle(path: Path) -> None:
    """Within a function only what is slow to load is imported, never what imports us."""
    tree = ast.parse(path.read_text("utf-8"))
    for function in functions(path):
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hematovision"):
                other = ROOT / (node.module or "").replace(".", "/")
                text = other.with_suffix(".py").read_text("utf-8")
                assert (
                    inspect.cleandoc(
                        f"from {'.'.join(path.relative_to(ROOT).with_suffix('').parts)} "
                    )
                    not in text
                )
    assert tree


@pytest.mark.parametrize("path", ROOMS, ids=name_of)
def test_the_tests_of_a_room_are_found_by_its_path(path: Path) -> None:
    folder = ROOT / "tests" / path.parent.relative_to(PACKAGE)
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    here = [test.read_text("utf-8") for test in folder.glob("test_*.py")]
    package, _, room = module.rpartition(".")
    assert any(
        f"{module} " in text or f"{module}\n" in text or f"from {package} import {room}" in text
        for text in here
    )
