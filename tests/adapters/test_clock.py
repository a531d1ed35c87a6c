"""The machine's time zone, found the way the system itself finds it."""

from datetime import datetime, timedelta

import pytest

from edge.adapters.clock import SystemClock, system_zone


def test_the_zone_of_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    assert datetime(2026, 1, 1, tzinfo=system_zone()).utcoffset() == timedelta(hours=5, minutes=30)


def test_a_broken_zone_falls_back_to_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    own = datetime(2026, 1, 1, tzinfo=system_zone()).utcoffset()
    monkeypatch.setenv("TZ", "Mars/Olympus")
    assert datetime(2026, 1, 1, tzinfo=system_zone()).utcoffset() == own


def test_one_clock_measures_and_the_other_labels() -> None:
    clock = SystemClock()
    assert clock.monotonic_s() <= clock.monotonic_s()
    assert clock.wall_s() > 1_700_000_000
