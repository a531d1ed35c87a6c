"""Tier visit's question to the installer: are the faces at the line large enough?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edge.commands import check
from edge.core.values import Box, Face, Frame, Line, Pixels, Scene
from edge.doctor.findings import Verdict
from edge.doctor.visits import measure_faces
from tests.doctor import CLIP, LINE
from tests.test_privacy import LEGAL

SCENE = Scene("entrance", (Line("door", (0.5, 0.0), (0.5, 1.0), (0.9, 0.5)),))


class Passers:
    """Sees faces of these heights pass the middle of the picture, and one far from it."""

    def __init__(self, *heights: float) -> None:
        self.heights = heights

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        boxes = [Box(300, 100, 300 + 0.8 * height, 100 + height) for height in self.heights]
        return tuple(Face(box, 0.9, ((0.0, 0.0),) * 5) for box in (*boxes, Box(5, 5, 15, 20)))


def pictures() -> Iterator[Frame]:
    for index in range(3):
        yield Frame("entrance", index, index / 10, 0.0, np.zeros((480, 640, 3), np.uint8))


@pytest.mark.parametrize(
    ("heights", "verdict", "words"),
    [
        ((30, 40, 47), Verdict.WARNING, "faces at line door are 40 pixels high"),
        ((40, 60, 90), Verdict.OK, "faces at line door are 60 pixels high"),
        ((), Verdict.OK, "no face was at line door"),
    ],
)
def test_faces_at_the_line_are_measured(heights: tuple[float, ...], verdict: Verdict, words: str) -> None:
    (found,) = measure_faces("camera entrance", pictures(), SCENE, Passers(*heights))
    assert found.verdict is verdict
    assert words in found.found
    assert ("48 are needed" in found.remedy) == (verdict is Verdict.WARNING)


@pytest.mark.parametrize(
    ("privacy", "words"),
    [
        ({"tier": "visit", "legal": LEGAL}, "pixels high: 48 are needed, else nearly all"),
        ({"tier": "count"}, "faces    not looked at"),
    ],
)
def test_a_clip_taken_from_far_away_is_told_before_the_device_hangs_there(
    privacy: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = {"id": "yard", "source": "v4l2:/dev/video0", "lines": [LINE]}
    settings = {"site": "shop", "mqtt": {"host": "broker.local"}, "privacy": privacy, "cameras": [camera]}
    path = tmp_path / "edged.yaml"
    path.write_text(yaml.safe_dump(settings))
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    assert check.run(parser.parse_args(["--config", str(path), "--clip", str(CLIP)])) == 0
    assert words in capsys.readouterr().out
