"""Tier `count` never looks at a face: the models are not opened, and the code is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests.test_config import SMALLEST
from tests.test_privacy import LEGAL

ROOT = Path(__file__).parents[2]
FACE_CODE = {"cryptography", "edge.visit", "edge.visit.tier", "edge.core.facehash"}

CHILD = """
import json, sys
opened = []
sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == "open" else None)
from edge.cli import main
code = main(["run", "--print", "--config", sys.argv[1], "--state-dir", sys.argv[2]])
models = {path.rsplit("/", 1)[-1] for path in opened if path.endswith(".tflite")}
report = {"code": code, "models": sorted(models), "modules": sorted(sys.modules)}
print("REPORT " + json.dumps(report))
"""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    for _ in range(10):
        writer.write(np.full((240, 320, 3), 100, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("tier", "looks"), [("count", False), ("visit", True)])
def test_only_tier_visit_loads_what_can_see_a_face(
    tmp_path: Path, clip: Path, tier: str, looks: bool
) -> None:
    """The same device and legal block in each tier; the second shows that the first can fail."""
    camera = {**SMALLEST["cameras"][0], "source": f"file:{clip}"}
    settings = {**SMALLEST, "cameras": [camera], "privacy": {"tier": tier, "legal": LEGAL}}
    path = tmp_path / "edged.yaml"
    path.write_text(yaml.safe_dump(settings))
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, path, tmp_path / "state"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    report = json.loads(ran.stdout.rsplit("REPORT ", 1)[1])
    assert report["code"] == 0
    faces = [model for model in report["models"] if not model.startswith("person_")]
    assert bool(faces) == looks
    assert any(model.startswith("person_") for model in report["models"])
    assert (set(report["modules"]) >= FACE_CODE) == looks
    assert bool(FACE_CODE & set(report["modules"])) == looks
