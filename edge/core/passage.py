"""One person at one line: has this path crossed it?

The rules of this file:
1. A line is crossed by a path that runs through its segment and is then held on the other side: farther away
   than the hysteresis, for longer than the hold.
2. Who walks round the line's end has not crossed it, and may cross it again in the same direction.
3. A crossing carries the moment when the path cut the line, not that of the decision.
4. Who is first seen at the picture's border came in there, who is last seen at it went out there: the step
   between the border and the person belongs to the path.

Lengths are in body heights (bh), the height of the person's own box; times in seconds of the frames'
monotonic clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from edge.core import geometry
from edge.core.values import Box, Kind, Line, Moment, elapsed_s


@dataclass(frozen=True, slots=True)
class CountingSettings:
    """One set for all cameras."""

    hysteresis_bh: float = 0.12  # nearer to a line than this is on neither side
    hold_s: float = 0.2  # a side of a line, or a zone, is taken when it has been held for this long
    begin_bh: float = 0.03  # a path begins no nearer to a line than this: there its first side is chance
    slack_bh: float = 0.25  # a line reaches this much beyond its drawn ends
    border_bh: float = 0.08  # a box this near to the picture's border touches it
    inward_bh: float = 0.15  # who appears at the border has to come this far in
    grace_s: float = 1.0  # who stands just outside a zone for this long has left it


class Side(Enum):
    """On which side of a line a person stands, or on neither with certainty."""

    UNKNOWN = "unknown"
    OUTSIDE = "outside"
    INSIDE = "inside"


# (side held before, side held now, way through the segment since: 1 inward, -1 outward) -> what is counted.
# All else counts nothing: who comes back the way they went, or walks round the line's end, has not crossed.
COUNTED = {
    (Side.OUTSIDE, Side.INSIDE, 1): Kind.ENTRY,
    (Side.INSIDE, Side.OUTSIDE, -1): Kind.EXIT,
    (Side.UNKNOWN, Side.INSIDE, 1): Kind.ENTRY,
    (Side.UNKNOWN, Side.OUTSIDE, -1): Kind.EXIT,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One observation of one person; `picture` is (width, height) in pixels."""

    at: Moment
    box: Box
    picture: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passed:
    """A crossing that has been decided, and why."""

    kind: Kind
    at: Moment
    reason: str


class Passage:
    """The path of one person at one line (in pixels), fed step by step."""

    def __init__(self, line: Line, settings: CountingSettings) -> None:
        self._line, self._set = line, settings
        self._side = Side.UNKNOWN
        self._way = 0
        self._cut: Moment | None = None
        self._first: Step | None = None
        self._last: Step | None = None
        self._drawn: Step | None = None
        self._beyond: tuple[Side, Moment] | None = None

    def step(self, step: Step) -> Passed | None:
        """The crossing that this step decides, if any."""
        if self._last is None:
            self._trace(self._outside_picture(step))
        self._trace(step)
        self._first, self._last = self._first or step, step
        side = self._side_of(step)
        if side in (Side.UNKNOWN, self._side):
            self._beyond = None
            self._way = 0 if side is not Side.UNKNOWN else self._way
            return None
        if self._beyond is None or self._beyond[0] is not side:
            self._beyond = side, step.at
        held_s = elapsed_s(self._beyond[1].monotonic_s, step.at.monotonic_s)
        if held_s < self._set.hold_s or not self._came_in(step):
            return None
        return self._take(side, "walked through the line")

    def finish(self) -> Passed | None:
        """The path has ended: the crossing that it implies, if any."""
        if self._last is None:
            return None
        if self._beyond is not None:
            return self._take(self._beyond[0], "was last seen beyond the line")
        outside = self._outside_picture(self._last)
        if outside is None or self._side is Side.UNKNOWN:
            return None
        self._trace(outside)
        return self._take(self._side_of(outside), "went out at the picture's border")

    def _take(self, side: Side, reason: str) -> Passed | None:
        kind = COUNTED.get((self._side, side, max(-1, min(self._way, 1))))
        self._side, self._way, self._beyond = side, 0, None
        if kind is None or self._cut is None:
            return None
        return Passed(kind, self._cut, reason)

    def _trace(self, end: Step | None) -> None:
        """Draw the path on to this step: does it run through the line's segment, and when?

        Who stands on the line has not crossed it: the path waits for the next step off it, and the path of
        who is first seen there begins off it.
        """
        start, line, anchor = self._drawn, self._line, self._line.anchor
        if end is None:
            return
        least = 0.0 if start else self._set.begin_bh * end.box.height
        if abs(geometry.signed_distance(line, anchor.of(end.box))) <= least:
            return
        self._drawn = end
        if start is None:
            return
        a, b = anchor.of(start.box), anchor.of(end.box)
        da, db = (geometry.signed_distance(line, point) for point in (a, b))
        if (da < 0) == (db < 0):
            return
        part = da / (da - db)
        where = geometry.along(line, (a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])))
        slack = self._set.slack_bh * end.box.height
        if -slack <= where <= geometry.length(line) + slack:
            self._way += 1 if db > da else -1
            self._cut = between(start.at, end.at, part)

    def _side_of(self, step: Step) -> Side:
        pixels = geometry.signed_distance(self._line, self._line.anchor.of(step.box))
        if abs(pixels) < self._set.hysteresis_bh * step.box.height:
            return Side.UNKNOWN
        return Side.INSIDE if pixels > 0 else Side.OUTSIDE

    def _came_in(self, step: Step) -> bool:
        """Whoever appeared at the border came in there only if they have moved away from it."""
        outside = self._outside_picture(self._first) if self._first and self._side is Side.UNKNOWN else None
        if outside is None or self._first is None:
            return True
        (ox, oy), (fx, fy), (x, y) = (s.box.centre for s in (outside, self._first, step))
        inward = ((x - fx) * (fx - ox) + (y - fy) * (fy - oy)) / max(math.hypot(fx - ox, fy - oy), 1e-9)
        return inward >= self._set.inward_bh * step.box.height

    def _outside_picture(self, step: Step) -> Step | None:
        """The same person just outside the nearest border of the picture, if their box touches it."""
        box, (width, height) = step.box, step.picture
        near = self._set.border_bh * box.height
        ways = [
            (box.x1, -box.x2, 0.0),
            (width - box.x2, width - box.x1, 0.0),
            (box.y1, 0.0, -box.y2),
            (height - box.y2, 0.0, height - box.y1),
        ]
        gap, dx, dy = min(ways)
        if gap > near:
            return None
        return Step(step.at, Box(box.x1 + dx, box.y1 + dy, box.x2 + dx, box.y2 + dy), step.picture)


def between(start: Moment, end: Moment, part: float) -> Moment:
    """The moment at `part` (0..1) of the way between two."""
    return Moment(
        round(start.frame + part * (end.frame - start.frame)),
        start.monotonic_s + part * (end.monotonic_s - start.monotonic_s),
        start.wall_s + part * (end.wall_s - start.wall_s),
    )
