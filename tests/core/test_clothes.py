from __future__ import annotations

import numpy as np
import pytest

from edge.core.clothes import COLOURS, clothes

PERSON, ELSEWHERE = [280.0, 200, 320, 300], [680.0, 150, 720, 250]


def test_the_same_clothes_are_alike_and_shirt_and_trousers_are_not_mixed_up() -> None:
    picture = np.zeros((500, 1000, 3), np.uint8)
    picture[200:250, :, 2] = 200  # a red shirt here, red trousers there
    here, again, there = clothes(picture, np.array([PERSON, PERSON, ELSEWHERE]))
    assert here @ again == pytest.approx(1)
    assert here @ there < 0.3


def test_a_box_over_the_border_and_no_box_at_all() -> None:
    picture = np.full((50, 50, 3), 255, np.uint8)
    assert clothes(picture, np.array([[-30.0, -30, 80, 80]])).max() == pytest.approx(0.5**0.5, abs=0.05)
    assert clothes(picture, np.zeros((0, 4))).shape == (0, COLOURS)
