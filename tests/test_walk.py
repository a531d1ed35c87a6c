"""One walk over a line, judged from what was seen of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core.values import Box, Crossing, Frame, Kind, Moment, Track
from edge.walk import Walk


def walk(
    *counted: Kind, height: float = 200.0, light: int = 120, fps: float = 10.0, seen: bool = True
) -> Walk:
    """Two seconds in a picture of 640x480 with one person, whose crossings come in the last frame."""
    made = Walk("door", Kind.ENTRY)
    pixels = np.full((480, 640, 3), light, np.uint8)
    for index in range(int(2 * fps) + 1):
        at = Moment(index, index / fps, 0.0)
        frame = Frame("c", index, at.monotonic_s, 0.0, pixels)
        track = Track(1, Box(0, 0, 50, height), 0.9, confirmed=True, seen=True)
        last = index == int(2 * fps)
        events = [Crossing("c", "door", kind, at, 1, "") for kind in counted] if last else []
        made.see(frame, [track] if seen else [], events, scale=0.65)
    return made


def test_a_walk_that_was_counted_once_and_the_right_way_passes() -> None:
    assert walk(Kind.ENTRY).passed
    assert list(walk(Kind.ENTRY).faults()) == []


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (walk(Kind.EXIT), "wrong way round"),
        (walk(Kind.ENTRY, Kind.EXIT), "counted 2 times"),
        (walk(), "draw it across"),
        (walk(height=20.0), "too small: 13 pixels"),
        (walk(seen=False), "nobody was seen"),
        (walk(seen=False, light=9), "too dark"),
        (walk(fps=3.0), "too few frames: 3."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_walk_that_failed_says_why(made: Walk, fault: str) -> None:
    assert fault in next(made.faults())


def test_another_lines_count_is_not_ours() -> None:
    made = Walk("door", Kind.ENTRY)
    frame = Frame("c", 0, 0.0, 0.0, np.zeros((48, 64, 3), np.uint8))
    made.see(frame, [], [Crossing("c", "gate", Kind.ENTRY, frame.at, 1, "")], scale=1.0)
    assert not made.counted
