"""Alignment: whatever the pose in the picture, the crop is the same; and the quality says how bad it was."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import align
from edge.core.align import Gate, Quality
from edge.core.values import Box, Face, Landmarks, Point

FRONTAL: Landmarks = tuple((float(x), float(y)) for x, y in align.TEMPLATE)  # type: ignore[assignment]
GOOD = Quality(size_px=120, yaw=0, pitch=0, roll_deg=0, sharpness=0.6, score=0.9)


def moved(points: Landmarks, scale: float, degrees: float, shift: Point) -> Landmarks:
    turn = scale * np.exp(1j * math.radians(degrees))
    at = [turn * complex(*point) + complex(*shift) for point in points]
    return tuple((z.real, z.imag) for z in at)  # type: ignore[return-value]


def applied(matrix: np.ndarray, points: Landmarks) -> np.ndarray:
    return np.asarray(np.asarray(points) @ matrix[:, :2].T + matrix[:, 2])


@given(st.floats(0.05, 20), st.floats(-180, 180), st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)))
def test_any_turn_scale_and_shift_is_undone(scale: float, degrees: float, shift: Point) -> None:
    landmarks = moved(FRONTAL, scale, degrees, shift)
    assert applied(align.similarity(landmarks), landmarks) == pytest.approx(align.TEMPLATE, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500)), min_size=5, max_size=5))
def test_the_transform_never_shears(points: list[Point]) -> None:
    if np.ptp(np.asarray(points), axis=0).max() < 1:
        return
    (a, b, _), (c, d, _) = align.similarity(tuple(points))  # type: ignore[arg-type]
    assert (a, b) == pytest.approx((d, -c))


def test_landmarks_in_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        align.similarity(((3, 3),) * 5)


def test_a_turned_picture_gives_the_same_crop() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (400, 400, 3), np.uint8), (0, 0), 4)
    upright = moved(FRONTAL, 1.5, 0, (110, 110))
    matrix = cv2.getRotationMatrix2D((200, 200), 30, 1)
    turned = cv2.warpAffine(picture, matrix, (400, 400), flags=cv2.INTER_CUBIC)
    points = tuple((x, y) for x, y in applied(matrix, upright).tolist())
    expected = align.crop(np.asarray(picture, np.uint8), upright)
    found = align.crop(np.asarray(turned, np.uint8), points)  # type: ignore[arg-type]
    assert np.abs(expected.astype(int) - found.astype(int)).mean() < 2


def test_a_frontal_upright_face_has_no_pose() -> None:
    yaw, pitch, roll = align.pose(FRONTAL)
    assert (abs(yaw) < 0.05, abs(pitch) < 0.05, abs(roll) < 1) == (True, True, True)


@given(st.floats(-80, 80), st.floats(0.1, 10))
def test_roll_is_seen_and_does_not_change_yaw_or_pitch(degrees: float, scale: float) -> None:
    yaw, pitch, roll = align.pose(FRONTAL)
    turned = align.pose(moved(FRONTAL, scale, degrees, (7, 9)))
    assert turned == pytest.approx((yaw, pitch, roll + degrees), abs=1e-6)


def test_a_nose_beside_the_middle_is_yaw_and_a_low_nose_is_pitch() -> None:
    eye, other, nose, corner, last = FRONTAL
    sideways = align.pose((eye, other, (nose[0] + 14, nose[1]), corner, last))
    lowered = align.pose((eye, other, (nose[0], nose[1] + 8), corner, last))
    assert sideways[0] == pytest.approx(align.pose(FRONTAL)[0] + 0.4, abs=0.01)
    assert lowered[1] > align.pose(FRONTAL)[1] + 0.3


def test_blur_lowers_the_sharpness_and_darkness_does_not() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (112, 112, 3), np.uint8)
    crop = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1), np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(crop, (0, 0), 4), np.uint8)
    assert align.sharpness(blurred) < align.sharpness(crop) / 2
    assert align.sharpness(crop // 2) == pytest.approx(align.sharpness(crop), rel=0.1)
    assert align.sharpness(np.zeros((112, 112, 3), np.uint8)) == 0


def test_the_quality_of_a_face_is_put_together() -> None:
    face = Face(Box(0, 0, 80, 100), 0.9, moved(FRONTAL, 1, 10, (0, 0)))
    quality = align.assess(face, np.zeros((112, 112, 3), np.uint8))
    assert (quality.size_px, quality.score, quality.sharpness) == (100, 0.9, 0)
    assert quality.roll_deg == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    "worse",
    [
        {"size_px": 47},
        {"yaw": -0.41},
        {"yaw": 0.41},
        {"pitch": 0.5},
        {"roll_deg": -31},
        {"sharpness": 0.09},
        {"score": 0.6},
    ],
)
def test_the_gate_refuses_each_kind_of_bad_sample(worse: dict[str, float]) -> None:
    assert Gate().passes(GOOD)
    assert not Gate().passes(replace(GOOD, **worse))
    assert replace(GOOD, **worse).weight < GOOD.weight


def test_a_weight_is_a_share() -> None:
    assert 0 <= replace(GOOD, yaw=3, roll_deg=170).weight <= GOOD.weight <= 1
