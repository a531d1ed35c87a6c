"""The daemon's process has no encoder; what may write pictures is one command that works on recordings."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge.adapters.encoders import PREFIXES
from tests.clips import CLIP
from tests.test_config import SMALLEST

ROOT = Path(__file__).parents[2]
WRITERS = {"edge/commands/render.py"}

# Looks again at every frame: as late as any code of the daemon could.
DAEMON = """
import json, sys
import cv2
from edge import pipeline
from edge.adapters.encoders import PREFIXES
found, kept = [], pipeline.blackout
def look(pixels, polygons):
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "cv2"]
    found.append([n for module in [*modules, cv2._native] for n in vars(module) if n.startswith(PREFIXES)])
    kept(pixels, polygons)
pipeline.blackout = look
from edge.cli import main
print("BEFORE", json.dumps(sorted(n for n in vars(cv2) if n.startswith(PREFIXES))))
code = main(["run", "--print", "--config", sys.argv[1], "--state-dir", sys.argv[2]])
print("REPORT", json.dumps([code, len(found), sorted({name for names in found for name in names})]))
print("MODULES", json.dumps(sorted(name for name in sys.modules if name.startswith("edge"))))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """What a whole run of the daemon over the demo's recording says of its own process."""
    folder = tmp_path_factory.mktemp("daemon")
    camera = {**SMALLEST["cameras"][0], "source": f"file:{CLIP}"}
    path = folder / "edged.yaml"
    path.write_text(yaml.safe_dump({**SMALLEST, "cameras": [camera]}))
    command = [sys.executable, "-c", DAEMON, str(path), str(folder / "state")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = (line.split(" ", 1) for line in ran.stdout.splitlines())
    return {word: json.loads(rest) for word, rest in lines if word in ("BEFORE", "REPORT", "MODULES")}


def test_the_running_daemon_has_no_encoder(told: dict[str, list[object]]) -> None:
    code, frames, encoders = told["REPORT"]
    assert (code, encoders) == (0, [])
    assert frames == 795


def test_an_opencv_that_was_left_alone_has_them(told: dict[str, list[object]]) -> None:
    """So that the test above can fail."""
    assert {"imwrite", "imencode", "VideoWriter"} <= set(told["BEFORE"])


def test_the_daemon_does_not_import_what_draws_and_writes(told: dict[str, list[object]]) -> None:
    assert "edge.daemon" in told["MODULES"]
    assert not {path.removesuffix(".py").replace("/", ".") for path in WRITERS} & set(told["MODULES"])


def test_only_the_rendering_of_recordings_names_an_encoder() -> None:
    naming = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "edge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith(PREFIXES)
    }
    assert naming == WRITERS
