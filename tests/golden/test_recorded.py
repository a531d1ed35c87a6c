"""Recorded detections of a real street become the same events, byte by byte, and the true counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core.values import Crossing, Dwell, Kind
from tests.golden.recorded import EVENTS, counted, published

# Counted by eye, twice: (frame, kind) of everybody who walked through the gate.
TRUTH = [
    *((frame, Kind.ENTRY) for frame in (181, 203, 249, 307, 527, 598, 675, 710)),
    *((frame, Kind.EXIT) for frame in (304, 322, 649, 669, 706, 757)),
]


def crossings(monotonic_s: float) -> list[tuple[int, Kind]]:
    events = [event for _, events in counted(monotonic_s) for event in events]
    return sorted((event.at.frame, event.kind) for event in events if isinstance(event, Crossing))


def test_the_events_are_the_golden_ones_byte_by_byte(tmp_path: Path) -> None:
    assert published(tmp_path) == EVENTS.read_text().splitlines()


def test_everybody_who_walks_through_is_counted_once_and_in_time() -> None:
    found = crossings(0.0)
    for kind in Kind.ENTRY, Kind.EXIT:
        true = sorted(frame for frame, one in TRUTH if one is kind)
        assert [frame for frame, one in found if one is kind] == pytest.approx(true, abs=15)


def test_when_the_device_was_booted_changes_nothing() -> None:
    """The rounding of the clock's readings grows with the uptime; it must decide nothing."""
    told = [[event for _, events in counted(start_s) for event in events] for start_s in (0.0, 98765.4321)]
    stays = [[(e.at.frame, e.dwell_s) for e in events if isinstance(e, Dwell)] for events in told]
    assert stays[0]
    assert stays[0] == stays[1]
    assert crossings(0.0) == crossings(98765.4321)
