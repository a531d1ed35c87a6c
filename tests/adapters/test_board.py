"""The board's own figures: plausible on any Linux, unknown where the board does not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.adapters import board
from edge.core.health import CameraVitals
from edge.core.values import Detection, Pixels


class Clock:
    """Each look costs a hundredth of a second."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        self.now_s += 0.01
        return self.now_s

    def wall_s(self) -> float:
        return 0.0


class Blind:
    """A detector that finds nobody."""

    side = 416

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        return ()


def test_vitals_are_measured_and_what_is_not_known_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(board, "THERMAL", tmp_path / "none")
    clock = Clock()
    timed = board.Timed(Blind(), clock)
    measure = board.Board(clock, timed)
    cameras = {"door": CameraVitals(dropped_frames=3)}
    assert measure(cameras).inference_ms is None
    for _ in range(20):
        timed.detect(np.zeros((2, 2, 3), np.uint8))
    vitals = measure(cameras)
    assert vitals.inference_ms == pytest.approx((10.0, 10.0))
    assert vitals.cameras["door"].dropped_frames == 3
    assert 5 < vitals.rss_mib < 5000
    assert vitals.temperature_c is None
    assert vitals.uptime_s > 0


def test_the_temperature_is_read_in_degrees(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(board, "THERMAL", tmp_path / "temp")
    (tmp_path / "temp").write_text("51540\n")
    assert board.temperature_c() == pytest.approx(51.54)
