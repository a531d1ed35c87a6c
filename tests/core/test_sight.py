"""How far counts are believed, told as people who stand about in a picture of 1000 x 500."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge.core.sight import Sight, stands_at
from edge.core.values import Box, Line, Track
from tests.core.paths import box, frame

APART = [box((x, 300)) for x in (100, 300, 500, 700)]
IN_A_HEAP = [box((x, 300)) for x in (500, 505, 510, 515)]
TINY = [box((x, 300), height=30) for x in (100, 300, 500)]


def after(seconds: float, *scenes: Sequence[Box], scale: float = 0.416, confirmed: bool = True) -> str:
    """What is thought of the counts when each of the scenes has been seen for so long."""
    sight, index = Sight(), 0
    for people in scenes:
        for _ in range(round(seconds * 10)):
            tracks = [Track(number, person, 0.8, confirmed, True) for number, person in enumerate(people)]
            sight.update(tracks, frame(index), scale)
            index += 1
    return sight.quality


@pytest.mark.parametrize(
    ("people", "expected"),
    [(APART, "ok"), (IN_A_HEAP, "crowded"), (IN_A_HEAP[:2], "ok"), (TINY, "small"), ([], "ok")],
    ids=["apart", "in a heap", "a pair is no crowd", "far away", "nobody"],
)
def test_a_minute_of(people: list[Box], expected: str) -> None:
    assert after(60, people) == expected


def test_seen_closer_nobody_is_too_small() -> None:
    assert after(60, TINY, scale=0.832) == "ok"


def test_a_moment_in_a_heap_is_no_crowd() -> None:
    assert after(2, IN_A_HEAP) == "ok"


def test_a_crowd_that_has_dispersed_is_forgiven_and_one_that_has_left_is_remembered() -> None:
    assert after(60, IN_A_HEAP, APART) == "ok"
    assert after(60, IN_A_HEAP, []) == "crowded"


def test_what_is_no_confirmed_person_is_not_looked_at() -> None:
    assert after(60, TINY, confirmed=False) == "ok"


def test_who_stands_within_a_body_height_of_the_line_stands_at_it() -> None:
    line = Line("door", (200, 300), (400, 300), (300, 100))
    at_it = [stands_at(box((x, 380), height=100), line) for x in (300, 450, 600)]
    assert at_it == [True, True, False]
