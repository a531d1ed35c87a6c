"""Quarter hours: what was counted, how full it was, how long people stayed, how much was watched."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.intervals import GAP_S_MAX, QUARTER_S, Dwells, Quarter, opened
from edge.core.ledger import Flow
from edge.core.terms import Quality
from edge.core.values import Kind

NOON = 1773568800


def watched(quarter: Quarter, seconds: float, people: int, step_s: float = 0.1) -> Quarter:
    for _ in range(round(seconds / step_s)):
        quarter = quarter.watched("cam", step_s, {"till": people}, "ok")
    return quarter


def test_a_quarter_starts_on_the_grid_of_the_local_clock() -> None:
    assert opened(NOON + 899.9) == Quarter(NOON, partial=True)
    assert opened(NOON + 1.0) == Quarter(NOON, partial=False)


def test_every_time_zone_of_today_has_whole_quarters() -> None:
    now = datetime(2026, 3, 15, tzinfo=timezone.utc)
    offsets = {zone: now.astimezone(ZoneInfo(zone)).utcoffset() for zone in available_timezones()}
    assert not [zone for zone, offset in offsets.items() if offset and offset.total_seconds() % QUARTER_S]


def test_occupancy_is_weighted_by_time_and_coverage_is_the_share_that_was_watched() -> None:
    quarter = watched(watched(Quarter(NOON, partial=False), 300, people=1), 150, people=4)
    seen = quarter.cameras["cam"]
    till = seen.zones["till"]
    assert math.isclose(till.person_s / seen.watched_s, 2.0, rel_tol=1e-6)
    assert till.peak == 4
    assert math.isclose(seen.coverage, 0.5, rel_tol=1e-6)


def test_a_gap_between_pictures_is_not_watched() -> None:
    quarter = Quarter(NOON, partial=False)
    assert quarter.watched("cam", GAP_S_MAX + 0.1, {}, "ok") is quarter
    assert quarter.watched("cam", -1.0, {}, "ok") is quarter


def test_its_quality_is_what_most_of_the_watched_time_was_like() -> None:
    quarter = Quarter(NOON, partial=False)
    spells: tuple[tuple[Quality, float], ...] = (("crowded", 1.0), ("ok", 2.0), ("crowded", 1.5))
    for quality, seconds in spells:
        quarter = quarter.watched("cam", seconds, {}, quality)
    assert quarter.cameras["cam"].quality == "crowded"


def test_the_quality_of_what_nobody_watched_is_not_known() -> None:
    quarter = Quarter(NOON, partial=False).crossed("cam", "door", Kind.ENTRY)
    assert quarter.cameras["cam"].quality is None


def test_crossings_are_counted_by_line() -> None:
    quarter = Quarter(NOON, partial=False)
    for line, kind in (("door", Kind.ENTRY), ("door", Kind.EXIT), ("back", Kind.EXIT)):
        quarter = quarter.crossed("cam", line, kind)
    assert quarter.cameras["cam"].lines == {"door": Flow(1, 1), "back": Flow(0, 1)}


@pytest.mark.parametrize(
    ("closed_after_s", "partial"),
    [(900.0, False), (904.0, False), (906.0, True), (7200.0, True), (-60.0, True)],
)
def test_a_quarter_that_closes_late_or_out_of_turn_is_partial(closed_after_s: float, partial: bool) -> None:
    quarter = Quarter(NOON, partial=False)
    assert quarter.is_over(NOON + closed_after_s)
    assert quarter.closed(NOON + closed_after_s).partial is partial
    assert not quarter.is_over(NOON + 899.9)


@given(st.lists(st.floats(0.2, 80_000), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_quantiles_of_dwell_are_right_to_five_percent(dwells_s: list[float], share: float) -> None:
    dwells = Dwells()
    for dwell_s in dwells_s:
        dwells = dwells.plus(dwell_s)
    exact = sorted(dwells_s)[max(1, math.ceil(share * len(dwells_s))) - 1]
    assert abs(dwells.quantile_s(share) - exact) <= 0.05 * exact
    assert math.isclose(dwells.mean_s, sum(dwells_s) / len(dwells_s))


@given(st.lists(st.floats(0, 86_400)))
def test_the_memory_of_dwells_is_bounded(dwells_s: list[float]) -> None:
    dwells = Dwells()
    for dwell_s in dwells_s:
        dwells = dwells.plus(dwell_s)
    assert sum(dwells.buckets.values()) == dwells.count == len(dwells_s)
    assert len(dwells.buckets) <= 145
