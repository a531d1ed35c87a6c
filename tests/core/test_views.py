"""Pictures of 1000 x 500, a door 100 px wide in the middle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edge.core.values import Box, Detection, Frame, Line, Pixels, Zone
from edge.core.views import Gaze, View, ViewSettings, merge, near_view, shifted

SIZE = (1000, 500)
SET = ViewSettings()
DOOR = Line("door", (0.45, 0.5), (0.55, 0.5), inside=(0.5, 0.1))
WIDE = Line("wide", (0.1, 0.5), (0.9, 0.5), inside=(0.5, 0.1))
TILL = Zone("till", ((0.5, 0.5), (0.6, 0.5), (0.6, 0.7), (0.5, 0.7)))
HALL = Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))


@pytest.mark.parametrize(
    ("lines", "zones", "expected"),
    [
        ([DOOR], [], View(325, 75, 675, 425)),
        ([], [TILL], View(375, 125, 725, 475)),
        ([DOOR], [TILL], View(350, 100, 700, 450)),
        ([DOOR], [HALL], View(325, 75, 675, 425)),
        ([WIDE], [], None),
        ([], [HALL], None),
        ([], [], None),
    ],
    ids=[
        "a door",
        "a till",
        "both",
        "a hall is too large, its door is not",
        "a wide line",
        "a hall",
        "nothing",
    ],
)
def test_the_near_view_lies_around_what_is_counted(
    lines: list[Line], zones: list[Zone], expected: View | None
) -> None:
    assert near_view(lines, zones, SIZE, SET) == expected


def test_a_near_view_at_the_border_is_moved_into_the_picture() -> None:
    corner = Line("corner", (0.0, 1.0), (0.1, 1.0), inside=(0.5, 0.1))
    assert near_view([corner], [], SIZE, SET) == View(0, 150, 350, 500)


class Eye:
    """Notes what it was shown and sees one person 60 px tall in the very middle of it."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []

    def __call__(self, pixels: Pixels) -> Sequence[Detection]:
        height, width = pixels.shape[:2]
        self.shown.append((width, height))
        return [Detection(Box(width / 2 - 10, height / 2 - 30, width / 2 + 10, height / 2 + 30), 0.8)]


def frame(index: int, fps: float = 10) -> Frame:
    return Frame("entrance", index, index / fps, index / fps, np.zeros((SIZE[1], SIZE[0], 3), np.uint8))


def test_the_near_view_is_looked_at_every_time_and_the_whole_now_and_then() -> None:
    gaze, eye = Gaze([DOOR], []), Eye()
    found = [gaze.look(frame(index), eye) for index in range(4)]
    assert eye.shown == [(350, 350), SIZE, (350, 350), (350, 350), SIZE, (350, 350)]
    assert {[detection.box for detection in detections][-1].centre for detections in found} == {(500, 250)}
    assert [len(detections) for detections in found] == [1, 1, 1, 1]


def test_without_a_near_view_the_whole_is_looked_at_every_time() -> None:
    gaze, eye = Gaze([WIDE], []), Eye()
    for index in range(3):
        gaze.look(frame(index), eye)
    assert eye.shown == [SIZE] * 3


VIEW = View(300, 100, 700, 500)


def person(x: float, foot: float, height: float = 100) -> Detection:
    return Detection(Box(x - height / 5, foot - height, x + height / 5, foot), 0.8)


@pytest.mark.parametrize(
    ("whole", "near", "expected"),
    [
        ([person(500, 300)], [person(503, 302)], [person(503, 302)]),
        ([person(500, 300)], [], [person(500, 300)]),
        ([], [person(500, 300)], [person(500, 300)]),
        ([person(100, 300)], [person(500, 300)], [person(100, 300), person(500, 300)]),
        ([person(500, 300)], [person(540, 300)], [person(500, 300), person(540, 300)]),
        ([person(300, 300)], [person(315, 300)], [person(300, 300)]),
        ([person(500, 499)], [person(500, 499)], [person(500, 499)]),
        ([person(500, 450, 330)], [person(500, 350, 200)], [person(500, 450, 330)]),
        ([person(500, 320, 60)], [person(500, 340, 120)], [person(500, 340, 120)]),
    ],
    ids=[
        "the near view knows better",
        "missed by the near view",
        "missed by the whole",
        "two places",
        "two people side by side",
        "cut by the view's border",
        "at the picture's own border nothing is cut",
        "of a large person the near view sees a part",
        "the whole sees a part of a small one",
    ],
)
def test_each_person_once(whole: list[Detection], near: list[Detection], expected: list[Detection]) -> None:
    assert list(merge(whole, near, VIEW, SIZE, SET)) == expected


def test_detections_are_moved_to_where_the_view_lies() -> None:
    assert shifted([person(50, 150)], VIEW) == (person(350, 250),)
