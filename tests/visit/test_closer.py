"""The closer look, with the real detector: tilted heads come upright, and only the face meant is taken."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.adapters import tflite
from edge.core.values import Box, Pixels
from edge.visit.closer import CloserLook, Sight, head_area

PORTRAITS = Path(__file__).parents[1] / "data/portraits"
CLOSER = CloserLook(tflite.FaceDetector(tflite.models_dir(), "face-yunet-192"))
HEAD = Box(150, 40, 300, 190)  # of collins.jpg


def collins(tilt_deg: float = 0.0) -> Pixels:
    picture = np.asarray(cv2.imread(str(PORTRAITS / "collins.jpg")), np.uint8)
    matrix = cv2.getRotationMatrix2D((224, 120), tilt_deg, 1.0)
    turned = cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def looks(picture: Pixels, count: int, turn_deg: float = 0.0) -> Sight:
    """What is seen at last when every look begins with the turn that the one before ended with."""
    (glance,) = CLOSER.glance(picture, HEAD, turn_deg)
    seen = CLOSER.upright(picture, glance)
    assert seen
    return seen if count == 1 else looks(picture, count - 1, seen.turn_deg)


def test_an_upright_face_is_where_it_was_marked_by_hand() -> None:
    seen = looks(collins(), 1)
    marked = [(203, 101), (246, 103), (223, 125), (203, 140), (243, 141)]
    assert np.hypot(*(np.asarray(seen.landmarks) - marked).T).max() < 0.15 * seen.height
    assert abs(seen.turn_deg) < 10


@pytest.mark.parametrize("tilt_deg", [-25.0, 25.0])
def test_a_tilted_head_comes_upright_within_five_looks(tilt_deg: float) -> None:
    """OpenCV turns counter-clockwise for positive angles, so what undoes a tilt is its negative."""
    assert looks(collins(tilt_deg), 5).turn_deg == pytest.approx(-tilt_deg, abs=12)


def test_a_face_that_is_not_there_the_second_time_is_none() -> None:
    (glance,) = CLOSER.glance(collins(), HEAD)
    assert CLOSER.upright(np.zeros_like(collins()), glance) is None


def test_nothing_is_seen_in_an_empty_picture_or_area() -> None:
    assert CLOSER.glance(np.full((90, 160, 3), 90, np.uint8), Box(0, 0, 160, 90)) == ()
    assert CLOSER.glance(collins(), Box(5, 5, 5, 5)) == ()


def test_the_area_of_the_head_is_the_square_top_of_a_body() -> None:
    assert head_area(Box(100, 50, 200, 400)) == Box(100, 40, 200, 140)
