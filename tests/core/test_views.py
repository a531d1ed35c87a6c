"""Pictures of 1000 x 500, a door 100 px wide in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edge.core.values import Box, Detection, Frame, Line, Pixels, Scene, Zone
from edge.core.views import Gaze, View, near_view, shifted

SIZE = (1000, 500)
DOOR = Line("door", (0.45, 0.5), (0.55, 0.5), inside=(0.5, 0.1))
WIDE = Line("wide", (0.1, 0.5), (0.9, 0.5), inside=(0.5, 0.1))
TILL = Zone("till", ((0.5, 0.5), (0.6, 0.5), (0.6, 0.7), (0.5, 0.7)))
AT_DOOR = Scene("entrance", (DOOR,))
HALL = Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))


@pytest.mark.parametrize(
    ("lines", "zones", "expected"),
    [
        ([DOOR], [], View(325, 162, 675, 337)),
        ([], [TILL], View(375, 212, 725, 387)),
        ([DOOR], [TILL], View(350, 200, 700, 375)),
        ([DOOR], [HALL], View(325, 162, 675, 337)),
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
    assert near_view(Scene("entrance", tuple(lines), tuple(zones)), SIZE) == expected


def test_a_near_view_at_the_border_is_moved_into_the_picture() -> None:
    corner = Line("corner", (0.0, 1.0), (0.1, 1.0), inside=(0.5, 0.1))
    assert near_view(Scene("entrance", (corner,)), SIZE) == View(0, 325, 350, 500)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (768, 576), (384, 288)])
def test_a_near_view_has_the_shape_of_the_picture(size: tuple[int, int]) -> None:
    near = near_view(AT_DOOR, size)
    assert near
    assert (near.x2 - near.x1) / (near.y2 - near.y1) == pytest.approx(size[0] / size[1], rel=0.01)


class Eye:
    """Notes what it was shown, and sees the same people in everything: boxes in its pixels."""

    def __init__(self, *people: Box) -> None:
        self.people, self.shown = people, list[tuple[int, int]]()

    def __call__(self, pixels: Pixels) -> Sequence[Detection]:
        height, width = pixels.shape[:2]
        self.shown.append((width, height))
        return [Detection(box, 0.8) for box in self.people]


NEAR, SMALL = (350, 175), Box(165, 60, 185, 120)


def frame(index: int, fps: float = 10) -> Frame:
    return Frame("entrance", index, index / fps, index / fps, np.zeros((SIZE[1], SIZE[0], 3), np.uint8))


def test_one_look_a_frame_at_the_near_view_and_now_and_then_at_the_whole() -> None:
    gaze, eye = Gaze(AT_DOOR), Eye(SMALL)
    found = [gaze.look(frame(index, fps=15), eye) for index in range(7)]
    assert eye.shown == [SIZE, NEAR, NEAR, SIZE, NEAR, NEAR, SIZE]
    assert [one.box.centre for (one,) in found[:2]] == [(175, 90), (500, 252)]


def test_who_is_cut_by_the_near_view_is_seen_in_the_next_picture_as_a_whole() -> None:
    gaze, eye = Gaze(AT_DOOR), Eye(SMALL, Box(0, 60, 20, 120))
    found = [gaze.look(frame(index, fps=30), eye) for index in range(4)]
    assert eye.shown == [SIZE, NEAR, SIZE, NEAR]
    assert [len(detections) for detections in found] == [2, 1, 2, 1]


def test_at_the_pictures_own_border_nobody_is_cut() -> None:
    corner = Line("corner", (0.0, 0.6), (0.1, 0.6), inside=(0.5, 0.1))
    gaze, eye = Gaze(Scene("entrance", (corner,))), Eye(Box(0, 60, 20, 120))
    assert [len(gaze.look(frame(index), eye)) for index in range(3)] == [1, 1, 1]


def test_where_no_near_view_is_wanted_the_whole_is_looked_at_every_time() -> None:
    gaze, eye = Gaze(replace(AT_DOOR, near_view=False)), Eye(SMALL)
    for index in range(3):
        gaze.look(frame(index), eye)
    assert eye.shown == [SIZE] * 3


def test_detections_are_moved_to_where_the_view_lies() -> None:
    moved = shifted([Detection(SMALL, 0.8)], View(300, 100, 700, 500))
    assert moved == (Detection(Box(465, 160, 485, 220), 0.8),)
