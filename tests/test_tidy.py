"""Keeps the house tidy: what each room may touch, how long things may grow, what is not reachable."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "edge").rglob("*.py"))
CORE = [path for path in SOURCES if path.parent.name == "core"]
ADAPTERS = [path for path in SOURCES if path.parent.name == "adapters"]

IMPURE = {"time", "threading", "sqlite3", "socket", "logging", "random", "os", "subprocess", "pathlib", "io"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", CORE, ids=name)
def test_core_touches_nothing_outside(path: Path) -> None:
    found = set(imports(path))
    assert not {module.split(".")[0] for module in found} & IMPURE
    assert not [
        module for module in found if module.startswith("edge.") and not module.startswith("edge.core")
    ]


@pytest.mark.parametrize("path", ADAPTERS, ids=name)
def test_adapters_do_not_import_each_other(path: Path) -> None:
    assert not [module for module in imports(path) if module.startswith("edge.adapters")]
    assert not [module for module in imports(path) if module.startswith(("edge.app", "edge.commands"))]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    long = [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno >= MAX_FUNCTION_LINES]
    assert not long


def test_the_median_function_is_short() -> None:
    lengths = sorted((f.end_lineno or 0) - f.lineno + 1 for path in SOURCES for f in functions(path))
    assert lengths[len(lengths) // 2] <= 10


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_ports_and_values_import_without_the_heavy_libraries() -> None:
    script = "import sys, edge.ports; print(sorted({'cv2', 'scipy', 'paho', 'pydantic'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "[]"
