"""Turn tracks into entries, exits, dwells and occupancy.

The rules of this file:
1. Only confirmed tracks count; once confirmed, their path counts from its first box.
2. What crosses a line is decided in `passage`, one path and one line at a time.
3. A zone has one dwell a visit. An occlusion does not end it; it is as long as from the first to the last
   moment inside.
4. Who has stayed in a staff zone counts nowhere any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edge.core import geometry
from edge.core.passage import CountingSettings, Passage, Passed, Step
from edge.core.values import (
    Anchor,
    Crossing,
    Dwell,
    Ended,
    Event,
    Frame,
    Line,
    Moment,
    Occupancy,
    Point,
    Role,
    Track,
    Zone,
    elapsed_s,
)


@dataclass(slots=True)
class _Visit:
    """One stay of one person in one zone; it counts once it is `open`, that is, has been held."""

    since: Moment
    until: Moment
    open: bool = False
    outside: Moment | None = None

    @property
    def stayed_s(self) -> float:
        return elapsed_s(self.since.monotonic_s, self.until.monotonic_s)


@dataclass(slots=True)
class _Person:
    """What is remembered of one live track: the steps not yet counted, and where it stands everywhere."""

    waiting: list[Step] = field(default_factory=list)
    passages: dict[str, Passage] = field(default_factory=dict)
    visits: dict[str, _Visit] = field(default_factory=dict)
    staff: bool = False


class Counter:
    """The lines and zones of one camera. Give it every frame's tracks; it gives back what has happened."""

    def __init__(
        self,
        camera: str,
        lines: Sequence[Line],
        zones: Sequence[Zone],
        settings: CountingSettings | None = None,
    ) -> None:
        self._camera = camera
        self._lines, self._zones = tuple(lines), tuple(zones)
        self._set = settings or CountingSettings()
        self._people: dict[int, _Person] = {}
        self._occupancy: dict[str, int] = {}

    def update(self, tracks: Sequence[Track], frame: Frame) -> list[Event]:
        """The events that this frame has decided; a crossing carries the earlier moment when it happened."""
        now = Moment(frame.index, frame.monotonic_s, frame.wall_s)
        events: list[Event] = []
        for track in tracks:
            person = self._people.setdefault(track.id, _Person())
            if track.seen:
                person.waiting.append(Step(now, track.box, frame.size))
            if track.confirmed:
                for step in person.waiting:
                    events += self._walk(track.id, person, step)
                person.waiting.clear()
        for gone in self._people.keys() - {track.id for track in tracks}:
            events += self._part(gone, self._people.pop(gone))
        return events + list(self._changed_occupancy(now))

    def close(self, moment: Moment) -> list[Event]:
        """At shutdown: every visit still open ends, as SHUTDOWN, when its person was last seen."""
        events: list[Event] = []
        for track, person in self._people.items():
            for zone in self._zones:
                events += self._end(track, person, zone, Ended.SHUTDOWN)
        self._people.clear()
        return events + list(self._changed_occupancy(moment))

    def _walk(self, track: int, person: _Person, step: Step) -> Iterator[Event]:
        """One confirmed step of one person."""
        for zone in self._zones:
            yield from self._stay(track, person, step, zone)
        for line in self._lines:
            if line.id not in person.passages:
                person.passages[line.id] = Passage(line.scaled(*step.picture), self._set)
            yield from self._crossing(track, person, line, person.passages[line.id].step(step))

    def _part(self, track: int, person: _Person) -> Iterator[Event]:
        """The track has ended: finish what its path says."""
        for line in self._lines:
            if line.id in person.passages:
                yield from self._crossing(track, person, line, person.passages[line.id].finish())
        for zone in self._zones:
            yield from self._end(track, person, zone, Ended.LOST)

    def _crossing(self, track: int, person: _Person, line: Line, passed: Passed | None) -> Iterator[Crossing]:
        if passed is not None and not self._is_staff(person):
            yield Crossing(self._camera, line.id, passed.kind, passed.at, track, passed.reason)

    def _stay(self, track: int, person: _Person, step: Step, zone: Zone) -> Iterator[Event]:
        """One step at a zone: come in, stay, step out for a moment, leave."""
        depth = geometry.depth(zone.scaled(*step.picture).polygon, _in_picture(zone.anchor, step))
        visit = person.visits.get(zone.id)
        if depth >= 0:
            visit = visit or person.visits.setdefault(zone.id, _Visit(step.at, step.at))
            visit.until, visit.outside = step.at, None
            visit.open |= visit.stayed_s >= self._set.hold_s
            person.staff |= zone.role is Role.STAFF and visit.stayed_s >= zone.dwell_s_min
        elif visit is not None:
            visit.outside = visit.outside or step.at
            away_s = elapsed_s(visit.outside.monotonic_s, step.at.monotonic_s)
            clear = depth < -self._set.hysteresis_bh * step.box.height
            if not visit.open or away_s >= (self._set.hold_s if clear else self._set.grace_s):
                yield from self._end(track, person, zone, Ended.LEFT)

    def _end(self, track: int, person: _Person, zone: Zone, how: Ended) -> Iterator[Dwell]:
        visit = person.visits.pop(zone.id, None)
        if visit is None or not visit.open or zone.role is Role.STAFF or person.staff:
            return
        if visit.stayed_s >= zone.dwell_s_min:
            yield Dwell(self._camera, zone.id, visit.stayed_s, how, visit.until, track)

    def _is_staff(self, person: _Person) -> bool:
        """Staff for good, or standing in a staff zone now."""
        return person.staff or any(z.role is Role.STAFF and z.id in person.visits for z in self._zones)

    def _changed_occupancy(self, now: Moment) -> Iterator[Occupancy]:
        """The occupancy of every zone where it has changed, the first time included."""
        for zone in self._zones:
            visits = (p.visits.get(zone.id) for p in self._people.values() if not p.staff)
            count = sum(visit is not None and visit.open for visit in visits)
            if zone.role is not Role.STAFF and self._occupancy.get(zone.id) != count:
                self._occupancy[zone.id] = count
                yield Occupancy(self._camera, zone.id, count, now)


def _in_picture(anchor: Anchor, step: Step) -> Point:
    """The anchor, drawn back into the picture: a smoothed box may stick out of it."""
    (x, y), (width, height) = anchor.of(step.box), step.picture
    return min(max(x, 0.0), width - 1e-3), min(max(y, 0.0), height - 1e-3)
