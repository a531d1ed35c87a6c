"""The machine's time zone, found the way the system itself finds it."""

from datetime import datetime, timedelta

import pytest

from edge.adapters.clock import KernelSync, SystemClock, system_zone
from edge.core.values import Sync


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


def test_the_kernel_says_whether_a_time_server_sets_the_clock_and_once_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync = KernelSync()
    assert sync() in set(Sync)
    sync = KernelSync()
    answers = iter([False, True, False])
    monkeypatch.setattr(sync, "_is_synced", lambda: next(answers))
    assert [sync() for _ in range(3)] == [Sync.UNSYNCED, Sync.SYNCED, Sync.HOLDOVER]
