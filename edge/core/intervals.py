"""Quarter-hour aggregates: what was counted, how full it was, how long people stayed, how much was watched.

Quarters are aligned to the local clock; every time zone in use is offset from UTC by whole quarters, so that
is also UTC's grid. An aggregate is a value that survives a restart with the ledger. Dwell times are kept as
counts in buckets that grow by 10 %, so a quantile is right to 5 % and the memory is bounded (after DDSketch,
Masson, Rim and Lee, VLDB 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge.core.ledger import Flow
from edge.core.terms import Quality
from edge.core.values import Kind

QUARTER_S = 900
# Two pictures further apart than this leave a time that nobody watched.
GAP_S_MAX = 2.0
# A quarter that opened or closed later than this is not whole.
SLACK_S = 5.0

_GROWTH = math.log(1.1)


@dataclass(frozen=True, slots=True)
class Dwells:
    """The dwell times of a zone's visits: how many, their sum, and a bucket count each."""

    count: int = 0
    sum_s: float = 0.0
    buckets: Mapping[str, int] = field(default_factory=dict)

    def plus(self, dwell_s: float) -> Dwells:
        key = str(math.ceil(math.log(max(dwell_s, 0.1)) / _GROWTH))
        buckets = {**self.buckets, key: self.buckets.get(key, 0) + 1}
        return Dwells(self.count + 1, self.sum_s + dwell_s, buckets)

    @property
    def mean_s(self) -> float:
        return self.sum_s / self.count

    def quantile_s(self, share: float) -> float:
        """The dwell that `share` of the visits did not exceed, to 5 %; ValueError without one."""
        rank, seen = max(1, math.ceil(share * self.count)), 0
        for bucket, many in sorted((int(key), many) for key, many in self.buckets.items()):
            seen += many
            if seen >= rank:
                return 2 * math.exp(bucket * _GROWTH) / (1 + math.exp(_GROWTH))
        raise ValueError("no visit, no quantile")


@dataclass(frozen=True, slots=True)
class ZoneQuarter:
    """`person_s` is the integral of the occupancy over the time that was watched."""

    person_s: float = 0.0
    peak: int = 0
    dwells: Dwells = Dwells()


@dataclass(frozen=True, slots=True)
class CameraQuarter:
    """What one camera saw; `watched_s` is for how long, and `quality_s` for how long with which quality."""

    watched_s: float = 0.0
    quality_s: Mapping[Quality, float] = field(default_factory=dict)
    lines: Mapping[str, Flow] = field(default_factory=dict)
    zones: Mapping[str, ZoneQuarter] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        return min(1.0, self.watched_s / QUARTER_S)

    @property
    def quality(self) -> Quality | None:
        """The one that held for longest; None when nothing was watched."""
        return max(self.quality_s, key=lambda one: self.quality_s[one], default=None)


@dataclass(frozen=True, slots=True)
class Quarter:
    """One quarter of an hour of the whole device. `start_s` is on the wall clock, a multiple of QUARTER_S."""

    start_s: int
    partial: bool
    cameras: Mapping[str, CameraQuarter] = field(default_factory=dict)

    def watched(
        self, camera: str, elapsed_s: float, occupancy: Mapping[str, int], quality: Quality
    ) -> Quarter:
        """`elapsed_s` passed since the camera's last picture, with so many people in its zones, and seen so
        well."""
        if not 0 < elapsed_s <= GAP_S_MAX:
            return self
        seen = self.cameras.get(camera, CameraQuarter())
        zones = dict(seen.zones)
        for zone, people in occupancy.items():
            before = zones.get(zone, ZoneQuarter())
            person_s = before.person_s + people * elapsed_s
            zones[zone] = replace(before, person_s=person_s, peak=max(before.peak, people))
        quality_s = {**seen.quality_s, quality: seen.quality_s.get(quality, 0.0) + elapsed_s}
        watched_s = seen.watched_s + elapsed_s
        return self._with(camera, replace(seen, watched_s=watched_s, quality_s=quality_s, zones=zones))

    def crossed(self, camera: str, line: str, kind: Kind) -> Quarter:
        seen = self.cameras.get(camera, CameraQuarter())
        flow = seen.lines.get(line, Flow()).plus(kind)
        return self._with(camera, replace(seen, lines={**seen.lines, line: flow}))

    def dwelt(self, camera: str, zone: str, dwell_s: float) -> Quarter:
        seen = self.cameras.get(camera, CameraQuarter())
        before = seen.zones.get(zone, ZoneQuarter())
        after = replace(before, dwells=before.dwells.plus(dwell_s))
        return self._with(camera, replace(seen, zones={**seen.zones, zone: after}))

    def _with(self, camera: str, seen: CameraQuarter) -> Quarter:
        return replace(self, cameras={**self.cameras, camera: seen})

    def is_over(self, wall_s: float) -> bool:
        """Over, or the clock has left it some other way."""
        return not self.start_s <= wall_s < self.start_s + QUARTER_S

    def closed(self, wall_s: float) -> Quarter:
        """As it is published at `wall_s`: partial if that is late, or if the clock stepped out of it."""
        in_time = 0 <= wall_s - self.start_s - QUARTER_S <= SLACK_S
        return replace(self, partial=self.partial or not in_time)


def opened(wall_s: float) -> Quarter:
    """The quarter that `wall_s` lies in, as yet empty; partial if it is well under way."""
    start_s = int(wall_s // QUARTER_S) * QUARTER_S
    return Quarter(start_s, partial=wall_s - start_s > SLACK_S)
