from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import geometry
from edge.core.values import Box, Line

DOOR = Line("door", (100, 0), (100, 50), inside=(200, 10))
SQUARE = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))
HOOK = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (6.0, 10.0), (6.0, 4.0), (0.0, 4.0))

corner = st.floats(-100, 100)
boxes = st.lists(
    st.tuples(corner, corner, st.floats(0, 50), st.floats(0, 50)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    min_size=1,
    max_size=5,
).map(np.array)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 15, 10), 1 / 3),
        ((10, 0, 20, 10), 0.0),
        ((2, 2, 4, 4), 0.04),
        ((5, 5, 5, 5), 0.0),
    ],
)
def test_iou(other: tuple[float, ...], expected: float) -> None:
    one = np.array([[0.0, 0, 10, 10]])
    assert geometry.iou(one, np.array([other], dtype=float))[0, 0] == pytest.approx(expected)


@given(boxes, boxes)
def test_iou_is_symmetric_and_between_0_and_1(a: geometry.Floats, b: geometry.Floats) -> None:
    there, back = geometry.iou(a, b), geometry.iou(b, a)
    assert there.shape == (len(a), len(b))
    assert np.allclose(there, back.T)
    n = min(len(a), len(b))
    assert np.allclose(np.diag(there), geometry.iou_of_pairs(a[:n], b[:n]))
    assert ((there >= 0) & (there <= 1 + 1e-9)).all()


@pytest.mark.parametrize(("point", "expected"), [((130, 900), 30), ((70, 10), -30), ((100, 25), 0)])
def test_distance_is_positive_on_the_inner_side(point: tuple[float, float], expected: float) -> None:
    assert geometry.signed_distance(DOOR, point) == pytest.approx(expected)


def test_distance_does_not_depend_on_the_direction_of_drawing() -> None:
    back = Line("door", DOOR.end, DOOR.start, inside=DOOR.inside)
    assert geometry.signed_distance(back, (130, 10)) == pytest.approx(30)


def test_where_a_point_falls_along_a_line() -> None:
    assert geometry.along(DOOR, (130, -20)) == pytest.approx(-20)
    assert geometry.length(DOOR) == 50


@pytest.mark.parametrize(
    ("point", "expected"),
    [((5, 2), True), ((3, 8), False), ((8, 8), True), ((-1, 2), False), ((11, 5), False), ((0, 0), True)],
)
def test_a_point_in_a_hooked_polygon(point: tuple[float, float], expected: bool) -> None:
    assert geometry.inside(HOOK, point) is expected


@pytest.mark.parametrize(("point", "expected"), [((5, 5), 5), ((1, 5), 1), ((-3, 5), -3), ((13, 14), -5)])
def test_depth_is_the_distance_to_the_edge(point: tuple[float, float], expected: float) -> None:
    assert geometry.depth(SQUARE, point) == pytest.approx(expected)


def test_corners() -> None:
    assert geometry.corners(Box(1, 2, 3, 4)) == (1, 2, 3, 4)
