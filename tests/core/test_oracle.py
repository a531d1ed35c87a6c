"""Lines and zones held against an independent library, `supervision`, on random walks.

Its LineZone counts at the instant when the point is on the other side; its PolygonZone looks the point up in
a mask of whole pixels. Ours waits until the other side is held. So every disagreement must be one of these:
an excursion that was not held, which the library counts twice (out and back) and we not at all; or a point
within a pixel or two of a zone's border.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import geometry
from edge.core.counting import Counter
from edge.core.passage import CountingSettings
from edge.core.values import Box, Crossing, Frame, Kind, Line, Occupancy, Track, Zone

WIDTH, HEIGHT, FPS = 600, 400, 10
TALL, WIDE = 100.0, 40.0
PIXELS = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
DOOR = Line("door", (0.5, 0.0), (0.5, 1.0), inside=(1.0, 0.5))
RULES = CountingSettings()
Walk = list[tuple[float, float]]


def walk(seed: int, frames: int = 300) -> Walk:
    """The feet of somebody who wanders about the middle, and is clearly on one side first and last."""
    rng = np.random.default_rng(seed)
    x, y, path = 300.0, 250.0, []
    for _ in range(frames):
        x += rng.normal(0, 12) - 0.05 * (x - 300)
        y = float(np.clip(y + rng.normal(0, 5), 130, 380))
        path.append((float(np.clip(x, 60, 540)), y))
    ends = rng.choice([120.0, 480.0], 2)
    return [*[(float(ends[0]), 250.0)] * 10, *path, *[(float(ends[1]), 250.0)] * 10]


def box(foot: tuple[float, float]) -> Box:
    x, y = foot
    return Box(x - WIDE / 2, y - TALL, x + WIDE / 2, y)


def seen(index: int, foot: tuple[float, float]) -> tuple[Frame, Track]:
    at_s = index / FPS
    track = Track(id=1, box=box(foot), score=0.9, confirmed=True, seen=True)
    return Frame("cam", index, at_s, at_s, PIXELS), track


def detections(foot: tuple[float, float]) -> sv.Detections:
    b = box(foot)
    corners = np.array([[b.x1, b.y1, b.x2, b.y2]])
    return sv.Detections(corners, class_id=np.zeros(1, int), tracker_id=np.ones(1, int))


def ours_at_the_line(path: Walk) -> list[tuple[int, Kind]]:
    counter, found = Counter("cam", (DOOR,), ()), []
    for index, foot in enumerate(path):
        frame, track = seen(index, foot)
        found += [e for e in counter.update([track], frame) if isinstance(e, Crossing)]
    return [(crossing.at.frame, crossing.kind) for crossing in found]


def theirs_at_the_line(path: Walk) -> list[tuple[int, Kind]]:
    # For a line drawn downwards the library calls a step to the right "in".
    line = sv.LineZone(sv.Point(300, 0), sv.Point(300, 400), triggering_anchors=[sv.Position.BOTTOM_CENTER])
    found = []
    for index, foot in enumerate(path):
        came_in, went_out = line.trigger(detections(foot))
        found += [(index, Kind.ENTRY)] * int(came_in.any()) + [(index, Kind.EXIT)] * int(went_out.any())
    return found


def held_sides(path: Walk) -> Iterator[Kind]:
    """The sides that were held long and far enough from the line, so that who comes there is counted."""
    margin, steps = RULES.hysteresis_bh * TALL, round(RULES.hold_s * FPS)
    sides = ["?" if abs(x - 300) <= margin else "in" if x > 300 else "out" for x, _ in path]
    for side, run in groupby(sides):
        if side != "?" and len(list(run)) > steps:
            yield Kind.ENTRY if side == "in" else Kind.EXIT


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_at_a_line_we_differ_only_in_excursions_that_were_not_held(seed: int) -> None:
    path = walk(seed)
    ours, theirs = ours_at_the_line(path), theirs_at_the_line(path)
    changes = [side for side, _ in groupby(held_sides(path))][1:]
    assert [kind for _, kind in ours] == changes
    net = {kind: sum(1 for _, one in theirs if one is kind) for kind in Kind}
    assert net[Kind.ENTRY] - net[Kind.EXIT] == changes.count(Kind.ENTRY) - changes.count(Kind.EXIT)
    for frame, kind in ours:
        assert any(one is kind and abs(other - frame) <= 1 for other, one in theirs), (frame, kind, theirs)


def test_the_walks_do_contain_disagreements() -> None:
    """Else the test above would show nothing."""
    paths = [walk(seed) for seed in range(10)]
    more = [len(theirs_at_the_line(path)) - len(ours_at_the_line(path)) for path in paths]
    assert sum(more) > 20
    assert all(extra % 2 == 0 for extra in more), "always out and back"


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_in_a_zone_we_differ_only_on_its_very_border(seed: int) -> None:
    corners = ((0.35, 0.4), (0.6, 0.35), (0.65, 0.9), (0.45, 0.7), (0.3, 0.95))
    at_once = CountingSettings(hold_s=0, grace_s=0, hysteresis_bh=0)
    counter = Counter("cam", (), (Zone("room", corners, dwell_s_min=0),), at_once)
    polygon = np.array(corners) * (WIDTH, HEIGHT)
    library = sv.PolygonZone(polygon.round().astype(int), triggering_anchors=[sv.Position.BOTTOM_CENTER])
    inside = 0
    for index, foot in enumerate(walk(seed)):
        frame, track = seen(index, foot)
        for event in counter.update([track], frame):
            inside = event.count if isinstance(event, Occupancy) else inside
        if abs(geometry.depth([tuple(p) for p in polygon], foot)) > 2:
            assert bool(inside) == bool(library.trigger(detections(foot))[0]), (index, foot)


@pytest.mark.parametrize("seed", range(3))
def test_both_agree_on_somebody_who_simply_walks_through(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xs = np.arange(100, 500, rng.uniform(5, 20))
    path = [(float(x), 250 + float(rng.normal(0, 3))) for x in xs]
    assert [k for _, k in ours_at_the_line(path)] == [k for _, k in theirs_at_the_line(path)] == [Kind.ENTRY]
