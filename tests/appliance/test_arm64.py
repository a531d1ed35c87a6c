"""The arm64 package in arm64 user space, emulated: it installs, and sees what x86_64 sees.

Emulation is right about the ABI and the arithmetic, and says nothing about speed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.appliance.container import IMAGES, ROOT, Container, package

pytestmark = pytest.mark.slow
FRAMES = 20
SITE = Path(__file__).parent / "site.yaml"
# int8 kernels round differently here and there: a step of a score is 0.02, of a box a pixel or two.
PIXELS, SCORE = 4.0, 0.06


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of the recording that has people from the start."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    source = cv2.VideoCapture(str(ROOT / "tests/data/vtest.mp4"))
    size = int(source.get(cv2.CAP_PROP_FRAME_WIDTH)), int(source.get(cv2.CAP_PROP_FRAME_HEIGHT))
    target = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for _ in range(FRAMES):
        target.write(source.read()[1])
    target.release()
    return path


@pytest.fixture(scope="module", params=[("bookworm", "3.11"), ("trixie", "3.13")], ids=str)
def device(request: pytest.FixtureRequest) -> Iterator[Container]:
    suite, python = request.param
    made = Container(f"{suite}-arm64")
    try:
        found = package("arm64", python, IMAGES)
        made.put(found, f"/root/{found.name}")
        made.inside("dpkg", "--install", f"/root/{found.name}")
        yield made
    finally:
        made.close()


def people(text: str) -> dict[int, list[list[float]]]:
    """MOTChallenge rows by frame, from left to right: x, y, width, height, score. Track numbers may differ:
    a detection at the threshold that only one machine sees takes a number, too."""
    found: dict[int, list[list[float]]] = {}
    for line in text.splitlines():
        frame, _, *row = line.split(",")
        found.setdefault(int(frame), []).append([float(value) for value in row[:5]])
    return {frame: sorted(rows) for frame, rows in found.items()}


def test_the_packaged_daemon_runs_and_finds_itself_well(device: Container) -> None:
    assert device.inside("edged", "--version").startswith("edged ")
    (check,) = json.loads(device.inside("edged", "doctor", "--json", "--only", "models"))["checks"]
    assert check["verdict"] in ("ok", "warning"), "slow it may be, under emulation"
    assert "person-nanodet-416 runs" in check["found"]


def test_it_counts_and_sees_what_the_other_architecture_does(
    device: Container, clip: Path, tmp_path: Path
) -> None:
    device.put(clip, "/srv/clip.avi")
    device.put(SITE, "/srv/site.yaml")
    options = ["--config", "/srv/site.yaml", "--json", "--tracks", "/srv/mot"]
    emulated = json.loads(device.inside("edged", "count", "/srv/clip.avi", *options))
    options = ["--config", str(SITE), "--json", "--tracks", str(tmp_path / "mot")]
    command = [str(ROOT / ".venv/bin/edged"), "count", str(clip), *options]
    native = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert emulated["frames"] == native["frames"] == FRAMES
    assert emulated["lines"] == native["lines"]
    ours, theirs = people((tmp_path / "mot").read_text()), people((device.root / "srv/mot").read_text())
    assert ours, "a comparison of nothing with nothing proves nothing"
    assert {f: len(rows) for f, rows in ours.items()} == {f: len(rows) for f, rows in theirs.items()}
    for frame, rows in ours.items():
        for row, other in zip(rows, theirs[frame], strict=True):
            assert row[:4] == pytest.approx(other[:4], abs=PIXELS)
            assert row[4] == pytest.approx(other[4], abs=SCORE)
