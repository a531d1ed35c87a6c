"""What hides a part of a face, painted on an aligned one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.adapters import tflite
from edge.core import align
from edge.core.covered import is_covered
from edge.core.values import Pixels

PORTRAITS = Path(__file__).parents[1] / "data/portraits"
NAMES = sorted(path.name for path in PORTRAITS.glob("*.jpg"))
SKIN, CLOTH, BLACK = (150, 170, 210), (190, 160, 120), (25, 20, 20)


def aligned(name: str) -> Pixels:
    photo = np.asarray(cv2.imread(str(PORTRAITS / name)), np.uint8)
    face = max(tflite.FaceDetector(tflite.models_dir()).detect(photo), key=lambda one: one.box.height)
    return align.crop(photo, face.landmarks)


def masked(crop: Pixels) -> None:
    crop[72:] = CLOTH


def left_half_gone(crop: Pixels) -> None:
    crop[:, :54] = SKIN


def right_half_gone(crop: Pixels) -> None:
    crop[:, 58:] = CLOTH


def in_sunglasses(crop: Pixels) -> None:
    for x, y in align.TEMPLATE[:2]:
        cv2.ellipse(crop, (round(x), round(y)), (16, 11), 0, 0, 360, BLACK, -1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("light", [0.5, 1.0, 1.4])
def test_a_bare_face_is_none_of_it_in_any_light(name: str, light: float) -> None:
    assert not is_covered(cv2.convertScaleAbs(aligned(name), alpha=light).astype(np.uint8))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cover", [masked, left_half_gone, right_half_gone, in_sunglasses])
def test_a_face_that_lacks_a_part_is_covered(name: str, cover: Callable[[Pixels], None]) -> None:
    crop = aligned(name)
    cover(crop)
    assert is_covered(crop)
