"""Our lines and zones beside supervision's LineZone and PolygonZone, on random walks. Every disagreement has
a reason, and the reasons are these tests:

1. LineZone looks at each position, not at the way between two: it overlooks who comes to the line from
   beyond its ends, and counts who walks round an end. Where nobody leaves the strip of ground that the
   segment spans, the two agree on every event.
2. LineZone has no hysteresis: it counts every step over the line and back. Ours counts less, and the balance
   is the same for everybody who ends clear of the line.
3. PolygonZone draws its polygon on whole pixels: within a pixel or two of an edge the two may differ.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from edge.core import geometry
from edge.core.passage import CountingSettings, Passage, Step
from edge.core.values import Anchor, Kind, Line, Moment, Point
from tests.core.paths import box, walk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import supervision as sv

PICTURE = (4000, 4000)  # so large that nobody is near its border
FOOT = (sv.Position.BOTTOM_CENTER,)
START, END = (2000, 1800), (2000, 2200)
DOOR = Line("door", START, END, inside=(3000, 2000))
BARE = CountingSettings(hysteresis_bh=0, hold_s=0, slack_bh=0, begin_bh=0)
DEFAULT = CountingSettings()

Crossings = list[tuple[int, Kind]]


def ours(path: list[Point], settings: CountingSettings = BARE) -> Crossings:
    passage = Passage(DOOR, settings)
    steps = (Step(Moment(i, i / 10, i / 10), box(foot), PICTURE) for i, foot in enumerate(path))
    return [(i, passed.kind) for i, step in enumerate(steps) if (passed := passage.step(step))]


def theirs(path: list[Point]) -> Crossings:
    zone = sv.LineZone(sv.Point(*START), sv.Point(*END), triggering_anchors=FOOT)
    found: Crossings = []
    for index, foot in enumerate(path):
        corners = np.array([geometry.corners(box(foot))])
        entered, left = zone.trigger(sv.Detections(xyxy=corners, tracker_id=np.array([1])))
        # Drawn downwards, supervision's "in" is on the right of the picture: our inside.
        found += [(index, Kind.ENTRY)] * bool(entered[0]) + [(index, Kind.EXIT)] * bool(left[0])
    return found


def walks(x: tuple[int, int], y: tuple[int, int]) -> st.SearchStrategy[list[Point]]:
    stops = st.lists(st.tuples(st.integers(*x), st.integers(*y)), min_size=2, max_size=8)
    paths = stops.flatmap(lambda s: st.sampled_from([7, 23, 61]).map(lambda speed: walk(*s, speed=speed)))
    # Nobody stands exactly on the line: there the two count the same crossing a frame apart.
    return paths.map(lambda path: [p for p in path if p and p[0] != START[0]]).filter(bool)


@given(walks((1700, 2300), (1801, 2199)))
def test_within_the_strip_of_the_segment_they_agree_on_every_event(path: list[Point]) -> None:
    assert ours(path) == theirs(path)


@given(walks((1700, 2300), (1600, 2400)))
@example(walk((1900, 2100), (1900, 2300), (2100, 2300), (2100, 2100), speed=20))
def test_anywhere_else_they_differ_only_about_people_who_left_that_strip(path: list[Point]) -> None:
    if ours(path) != theirs(path):
        assert any(not START[1] < y < END[1] for _, y in path)


def test_who_walks_round_the_end_is_counted_by_linezone_only() -> None:
    path = [p for p in walk((1900, 2100), (1900, 2300), (2110, 2300), (2110, 2100), speed=20) if p]
    assert (ours(path), [kind for _, kind in theirs(path)]) == ([], [Kind.ENTRY])


@given(walks((1700, 2300), (1801, 2199)))
def test_hysteresis_removes_crossings_but_keeps_the_balance(path: list[Point]) -> None:
    first, last = (abs(point[0] - START[0]) for point in (path[0], path[-1]))
    assume(min(first, last) > DEFAULT.hysteresis_bh * 100)
    path = [path[0]] * 4 + path + [path[-1]] * 4  # each end is held
    mine, raw = ours(path, DEFAULT), theirs(path)
    assert len(mine) <= len(raw)
    assert balance(mine) == balance(raw)


def balance(crossings: Crossings) -> int:
    return sum(1 if kind is Kind.ENTRY else -1 for _, kind in crossings)


corner = st.tuples(st.integers(20, 380), st.integers(20, 380))


@given(st.lists(corner, min_size=3, max_size=6, unique=True), st.lists(corner, min_size=1, max_size=30))
def test_polygons_agree_but_for_the_pixels_of_the_edge(polygon: list[Point], feet: list[Point]) -> None:
    assume(abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise([*polygon, polygon[0]]))) > 100)
    zone = sv.PolygonZone(np.array(polygon, dtype=np.int64), triggering_anchors=FOOT)
    corners = np.array([geometry.corners(box(foot, height=20)) for foot in feet])
    inside = zone.trigger(sv.Detections(xyxy=corners))
    for foot, theirs_say in zip(feet, inside.tolist(), strict=True):
        ours_say = geometry.depth(polygon, Anchor.FOOT.of(box(foot, height=20)))
        assert ours_say == pytest.approx(0, abs=1.5) or (ours_say > 0) == theirs_say
