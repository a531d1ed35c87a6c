"""The doctor on what the device sees by: the shipped models, a recording, and pictures that are no good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.adapters.selfcheck import Checked
from edge.core.values import Box, Detection, Frame, Line, Pixels, Scene
from edge.doctor.findings import Verdict
from edge.doctor.sight import (
    check_cameras,
    check_models,
    judge,
    judge_light,
    look_through,
    measure_people,
    tell_near_view,
)
from tests.doctor import patient, told

DOOR = Line("door", (0.4, 0.5), (0.6, 0.5), (0.5, 0.9))
FAR = Line("far", (0.0, 0.05), (0.2, 0.05), (0.1, 0.9))


def pictures(*lights: int, fps: float = 10.0) -> list[Frame]:
    """Pictures of upright stripes, each as bright as `lights` says."""
    pixels = np.repeat(np.array(lights, np.uint8), 640 // len(lights))
    frame = np.broadcast_to(pixels[None, :, None], (480, 640, 3)).copy()
    return [Frame("door", index, index / fps, 0.0, frame) for index in range(30)]


def test_the_shipped_models_run_whole_and_a_good_camera_is_well(tmp_path: Path) -> None:
    checks = [*check_models(patient(tmp_path)), *check_cameras(patient(tmp_path))]
    assert not [check for check in checks if check.verdict is Verdict.FAILURE], told(checks)
    for words in ("person-nanodet-416 runs whole on XNNPACK", "768x576", "people at line door are"):
        assert words in told(checks)


@pytest.mark.parametrize(("pieces", "words"), [(0, "without XNNPACK"), (34, "cut in 34 pieces")])
def test_a_graph_that_the_delegate_did_not_take_is_told(pieces: int, words: str) -> None:
    check = judge(Checked("person", 20.0, 20.0, pieces))
    assert check.verdict is Verdict.WARNING
    assert words in check.found


def test_a_camera_that_is_not_there_fails_with_what_to_do(tmp_path: Path) -> None:
    (check,) = check_cameras(patient(tmp_path, source="v4l2:/dev/video99"))
    assert check.verdict is Verdict.FAILURE
    assert "is the camera plugged in?" in check.remedy


@pytest.mark.parametrize(
    ("lights", "remedy"),
    [
        ((5,), "give it light"),
        ((120,), ""),
        ((245,), "away from the light"),
        ((60, 60, 60, 255, 255), "backlight"),
    ],
    ids=["dark", "well", "blown", "a bright door behind the people"],
)
def test_dark_and_blown_pictures_are_told_with_their_own_remedies(
    lights: tuple[int, ...], remedy: str
) -> None:
    check = judge_light("camera door", pictures(*lights))
    assert check.verdict is (Verdict.WARNING if remedy else Verdict.OK), check
    assert remedy in check.remedy


def test_a_slow_camera_is_told() -> None:
    slow, _ = look_through("camera door", pictures(100, fps=2), lossless=False)
    assert slow.verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (Scene("door", (DOOR,)), "looked at 2.9 times closer from 208,156 to 432,324"),
        (Scene("door", (DOOR,), near_view=False), "looked at as a whole: near_view is false"),
        (Scene("door", (DOOR, FAR)), "looked at as a whole: the lines and zones fill it"),
    ],
    ids=["a small part", "not wanted", "too wide"],
)
def test_where_the_detector_looks_closer_is_told(scene: Scene, words: str) -> None:
    (check,) = tell_near_view("camera door", pictures(100), scene)
    assert words in check.found


class Seeing:
    """A detector that sees one person, whose feet are at the middle of every picture that it is given."""

    side = 416

    def __init__(self, height: float) -> None:
        self._height = height

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        x, y = pixels.shape[1] / 2, pixels.shape[0] / 2
        return (Detection(Box(x - 5, y - self._height, x + 5, y), 0.9),)


@pytest.mark.parametrize(("height", "verdict"), [(10, Verdict.WARNING), (60, Verdict.OK)])
def test_people_are_measured_at_the_line_as_the_network_sees_them(height: float, verdict: Verdict) -> None:
    scene = Scene("entrance", lines=(DOOR,))
    (check,) = measure_people("camera door", pictures(100), scene, Seeing(height))
    assert check.verdict is verdict
    # The line is a fifth of the picture: the near view is 0.35 of its longer side, 224 pixels.
    assert f"{height * 416 / 224:.0f} pixels high" in check.found


def test_who_is_elsewhere_says_nothing_about_a_line() -> None:
    scene = Scene("entrance", lines=(DOOR, FAR))
    checks = list(measure_people("camera door", pictures(100), scene, Seeing(60)))
    assert "people at line door are 39 pixels" in told(checks), "both lines are too wide for a near view"
    assert "nobody was at line far" in told(checks)
