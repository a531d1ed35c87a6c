"""Lines and zones, told as small walks (see `paths`): 10 frames a second, people 100 px tall, a door."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.counting import Counter
from edge.core.values import Crossing, Dwell, Ended, Event, Line, Moment, Occupancy, Point, Role, Zone
from tests.core.paths import DOOR, FPS, TILL, Path, count, frame, hidden, kinds, stand, tracks, walk

LEFT, RIGHT = (300.0, 300.0), (700.0, 300.0)

WALKS = {
    "walks in": ([walk(LEFT, RIGHT)], ["entry"]),
    "walks out": ([walk(RIGHT, LEFT)], ["exit"]),
    "in and out again": ([walk(LEFT, RIGHT, LEFT)], ["entry", "exit"]),
    "runs in": ([walk(LEFT, RIGHT, speed=60)], ["entry"]),
    "creeps in": ([walk(LEFT, RIGHT, speed=1)], ["entry"]),
    "turns back before the line": ([walk(LEFT, (495, 300), LEFT)], []),
    "leans over the line and turns back": ([walk(LEFT, (510, 300), LEFT)], []),
    "steps over for one frame": ([[*walk(LEFT, (490, 300)), (530, 300), *walk((490, 300), LEFT)]], []),
    "hovers on the line and goes in": (
        [[*walk(LEFT, (495, 300)), *[(505.0, 300.0), (495.0, 300.0)] * 20, *walk((505, 300), RIGHT)]],
        ["entry"],
    ),
    "hovers on the line and turns back": (
        [[*walk(LEFT, (495, 300)), *[(505.0, 300.0), (495.0, 300.0)] * 20, *walk((495, 300), LEFT)]],
        [],
    ),
    "one box flickers back over the line": (
        [[*walk(LEFT, (530, 300)), (470.0, 300.0), *walk((540, 300), RIGHT)]],
        ["entry"],
    ),
    "two cross at once in opposite directions": ([walk(LEFT, RIGHT), walk(RIGHT, LEFT)], ["entry", "exit"]),
    "is born just before the line and goes in": ([walk((495, 300), RIGHT)], ["entry"]),
    "is born on the line, the first box a little before it, and goes in": ([walk((498, 300), RIGHT)], []),
    "is born on the line, goes back, and comes through": ([walk((502, 300), LEFT, RIGHT)], ["entry"]),
    "is born just beyond the line and goes on": ([walk((502, 300), RIGHT)], []),
    "ends on the line": ([walk(LEFT, (505, 300))], []),
    "ends just beyond the line": ([walk(LEFT, (520, 300))], ["entry"]),
    "is hidden while crossing": (
        [[*walk(LEFT, (450, 300)), *hidden(10), *walk((550, 300), RIGHT)]],
        ["entry"],
    ),
    "walks past the line's end": ([walk((300, 470), (700, 470))], []),
    "walks round the line's end and comes back through": (
        [walk((300, 480), (700, 480), (700, 300), LEFT)],
        ["exit"],
    ),
    "goes in, walks back round the end, and in again": (
        [walk(LEFT, RIGHT, (700, 490), (300, 490), LEFT, RIGHT)],
        ["entry", "entry"],
    ),
    "walks along the line": ([walk((495, 120), (505, 400))], []),
}


def crossings(events: list[Event]) -> list[Crossing]:
    return [event for event in events if isinstance(event, Crossing)]


@pytest.mark.parametrize(("paths", "expected"), WALKS.values(), ids=WALKS)
def test_a_person(paths: list[Path], expected: list[str]) -> None:
    assert sorted(kinds(count(Counter("entrance", [DOOR], []), *paths))) == sorted(expected)


def test_detections_that_are_no_confirmed_track_do_not_count() -> None:
    counter = Counter("entrance", [DOOR], [TILL])
    events = count(counter, walk(LEFT, RIGHT), confirmed=False)
    assert [type(event) for event in events] == [Occupancy]


def test_a_track_confirmed_late_counts_from_its_first_box() -> None:
    counter = Counter("entrance", [DOOR], [])
    path = walk((480, 300), RIGHT)
    events = [
        event
        for index in range(len(path))
        for event in counter.update(tracks([path], index, confirmed=index > 8), frame(index))
    ]
    assert kinds(events) == ["entry"]


def test_a_crossing_carries_the_moment_when_the_line_was_cut() -> None:
    (event,) = crossings(count(Counter("entrance", [DOOR], []), walk(LEFT, RIGHT)))
    assert event.at.frame == 20
    assert event.at.monotonic_s == pytest.approx(102.0)
    assert event.at.wall_s == pytest.approx(1e9 + 2)


def test_who_comes_up_at_the_border_beyond_the_line_came_in_there() -> None:
    # A low door at the lower border, judged by the foot: the first box already stands beyond the line.
    door = Line("low", (0.2, 0.95), (0.8, 0.95), inside=(0.5, 0.1))
    up = walk((500, 500), (500, 300))
    assert kinds(count(Counter("entrance", [door], []), [(500, 498), *up[1:]])) == ["entry"]
    assert kinds(count(Counter("entrance", [door], []), up[::-1])) == ["exit"]


def test_who_is_seen_at_the_border_but_stays_there_did_not_come_in() -> None:
    door = Line("side", (0.03, 0.0), (0.03, 1.0), inside=(0.9, 0.5))
    assert kinds(count(Counter("entrance", [door], []), stand((45, 300), 40))) == []


def test_a_visit_ends_with_one_dwell_of_the_time_inside() -> None:
    path = [*walk((500, 300), RIGHT), *stand(RIGHT, 50), *walk(RIGHT, (500, 300))]
    events = count(Counter("entrance", [], [TILL]), path)
    (dwell,) = [event for event in events if isinstance(event, Dwell)]
    assert dwell.ended is Ended.LEFT
    assert dwell.dwell_s == pytest.approx(5 + 2 * 100 / 10 / FPS, abs=0.25)
    assert [event.count for event in events if isinstance(event, Occupancy)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("path", "dwells"),
    [
        ([*stand(RIGHT, 20), *hidden(30), *stand(RIGHT, 20)], [6.9]),
        ([*stand(RIGHT, 20), *stand((595, 300), 4), *stand(RIGHT, 20)], [4.3]),
        ([*stand(RIGHT, 20), *stand((550, 300), 5), *stand(RIGHT, 20)], [1.9, 1.9]),
        ([*stand(RIGHT, 9), *walk((600, 300), (400, 300))], []),
        ([*stand((550, 300), 20), (610.0, 300.0), *stand((550, 300), 20)], []),
    ],
    ids=["hidden for a while", "one step out", "left and came back", "too short", "one box strays in"],
)
def test_dwells(path: Path, dwells: list[float]) -> None:
    events = count(Counter("entrance", [], [TILL]), path)
    assert [event.dwell_s for event in events if isinstance(event, Dwell)] == pytest.approx(dwells)


def test_a_track_that_vanishes_inside_ends_as_lost_when_it_was_last_seen() -> None:
    events = count(Counter("entrance", [], [TILL]), [*stand(RIGHT, 31), *hidden(20)])
    (dwell,) = [event for event in events if isinstance(event, Dwell)]
    assert dwell.ended is Ended.LOST
    assert dwell.dwell_s == pytest.approx(3.0)


def test_shutdown_ends_the_open_visits() -> None:
    counter = Counter("entrance", [], [TILL])
    path = stand(RIGHT, 31)
    for index in range(31):
        counter.update(tracks([path], index), frame(index))
    dwell, occupancy = counter.close(Moment(31, 103.1, 1e9 + 3.1))
    assert isinstance(dwell, Dwell)
    assert isinstance(occupancy, Occupancy)
    assert (dwell.ended, occupancy.count) == (Ended.SHUTDOWN, 0)
    assert dwell.dwell_s == pytest.approx(3.0)


def test_staff_count_nowhere_once_they_have_stayed_behind_the_till() -> None:
    till = Zone("behind", TILL.polygon, dwell_s_min=2.0, role=Role.STAFF)
    shop = Zone("shop", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), dwell_s_min=1.0)
    path = [*stand(RIGHT, 30), *walk(RIGHT, LEFT), *stand(LEFT, 20)]
    events = count(Counter("entrance", [DOOR], [till, shop]), path)
    assert kinds(events) == []
    assert not [event for event in events if isinstance(event, Dwell)]
    assert [e.count for e in events if isinstance(e, Occupancy) and e.zone == "shop"] == [0, 1, 0]


def test_a_customer_who_only_passes_the_staff_zone_is_counted() -> None:
    till = Zone("behind", TILL.polygon, dwell_s_min=5.0, role=Role.STAFF)
    assert kinds(count(Counter("entrance", [DOOR], [till]), walk(RIGHT, LEFT))) == ["exit"]


points = st.tuples(st.floats(0, 1000), st.floats(0, 500))
paths = st.lists(points, min_size=2, max_size=8).flatmap(
    lambda stops: st.sampled_from([5, 20, 60]).map(lambda speed: walk(*stops, speed=speed))
)


@given(paths)
def test_on_a_line_without_ends_entry_and_exit_of_one_track_alternate(path: Path) -> None:
    border = Line("border", (0.5, -1.0), (0.5, 2.0), DOOR.inside)
    found = kinds(count(Counter("entrance", [border], []), path))
    assert all(a != b for a, b in itertools.pairwise(found))


@given(st.lists(paths, min_size=1, max_size=4))
def test_no_dwell_is_negative_and_none_is_longer_than_the_watch(several: list[Path]) -> None:
    counter = Counter("entrance", [], [TILL])
    events = count(counter, *several) + counter.close(Moment(999, 200.0, 2e9))
    longest_s = max(map(len, several)) / FPS
    assert all(TILL.dwell_s_min <= e.dwell_s <= longest_s for e in events if isinstance(e, Dwell))


@given(st.lists(points, min_size=1, max_size=6))
def test_occupancy_is_the_number_of_people_who_stand_inside(feet: list[Point]) -> None:
    x1, y1, x2, y2 = 600, 100, 900, 450
    clear = [f for f in feet if min(abs(f[0] - x1), abs(f[0] - x2), abs(f[1] - y1), abs(f[1] - y2)) > 1]
    events = count(
        Counter("entrance", [], [TILL]), *([stand(f, 10) for f in clear] or [stand((10, 400), 10)])
    )
    inside = sum(x1 < x < x2 and y1 < y < y2 for x, y in clear)
    counts = [event.count for event in events if isinstance(event, Occupancy)]
    assert max(counts) == inside
    assert counts[-1] == 0


@given(paths)
def test_the_mirrored_walk_gives_the_opposite_events(path: Path) -> None:
    mirrored = [None if p is None else (math.nextafter(1000 - p[0], 0), p[1]) for p in path]
    swap = {"entry": "exit", "exit": "entry"}
    there = kinds(count(Counter("entrance", [DOOR], []), path))
    back = kinds(count(Counter("entrance", [DOOR], []), mirrored))
    assert [swap[kind] for kind in there] == back
