"""`edged walktest` over a recording: the passer-by on the clip walks for the installer."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main

CLIP = Path(__file__).parents[1] / "data/vtest.mp4"
CONFIG = """\
site: lab
device: door
mqtt: {{host: 127.0.0.1}}
cameras:
  - id: entrance
    source: file:{clip}
    lines:
      - {{id: path, from: [0.0, 0.55], to: [1.0, 0.55], inside: [0.5, {inside}]}}
"""


def walk(folder: Path, inside: float) -> int:
    (folder / "edged.yaml").write_text(CONFIG.format(clip=CLIP, inside=inside))
    return main(["walktest", "--config", str(folder / "edged.yaml"), "--walks", "1"])


def test_one_side_passes_and_the_other_is_the_wrong_way_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {inside: walk(tmp_path, inside) for inside in (0.9, 0.2)}
    told = capsys.readouterr().out
    assert sorted(codes.values()) == [0, 1]
    assert "1 to go: walk in over path now" in told
    assert "the direction is the wrong way round" in told
    assert "1 of 1 walks passed: commissioned" in told


def test_a_camera_without_that_line_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "edged.yaml").write_text(CONFIG.format(clip=CLIP, inside=0.9))
    assert main(["walktest", "--config", str(tmp_path / "edged.yaml"), "--line", "gate"]) == 2
    assert "camera entrance has path" in capsys.readouterr().err
