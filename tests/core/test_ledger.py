"""The books: totals that never fall within a day, a sequence that only grows."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.books import Books, load
from edge.core.ledger import Flow, Ledger, LineTotals, Numbered, local_day
from edge.core.values import Kind, Sync

ATHENS = ZoneInfo("Europe/Athens")
BOOT = "abcd"


def a_day(entries: int, exits: int) -> Ledger:
    ledger = Ledger(BOOT).on("2026-03-15", Sync.SYNCED)
    for kind in [Kind.ENTRY] * entries + [Kind.EXIT] * exits:
        ledger = ledger.crossed("cam", "door", kind).next(kind.value)
    return ledger


def test_crossings_add_up_by_direction() -> None:
    totals = a_day(3, 2).totals("cam", "door")
    assert totals == LineTotals(today=Flow(3, 2), boot=Flow(3, 2))
    assert a_day(3, 2).numbered == {"entry": Numbered(3, last=3), "exit": Numbered(2, last=5)}


def test_a_restart_resumes_the_day_and_starts_the_boot_at_nought() -> None:
    after = load(Books(a_day(3, 2)).dump()).booted("ef01").ledger
    assert after.totals("cam", "door") == LineTotals(today=Flow(3, 2))
    assert after.sequence == 5
    assert after.boot_id == "ef01"


def test_midnight_in_athens_starts_today_anew_but_not_the_boot() -> None:
    before, after = 1773611999.0, 1773612000.0  # 2026-03-15T21:59:59Z and a second later
    assert (local_day(before, ATHENS), local_day(after, ATHENS)) == ("2026-03-15", "2026-03-16")
    next_day = a_day(3, 2).on(local_day(after, ATHENS), Sync.SYNCED)
    assert next_day.totals("cam", "door") == LineTotals(boot=Flow(3, 2))
    assert next_day.sequence == 5
    assert (next_day.first, next_day.numbered) == (6, {})


def test_a_clock_that_steps_back_over_midnight_keeps_the_day() -> None:
    early = a_day(1, 0).on("2026-03-16", Sync.SYNCED).crossed("cam", "door", Kind.ENTRY)
    assert early.on("2026-03-15", Sync.SYNCED) is early


def test_a_day_that_was_far_in_the_future_is_corrected_by_a_trusted_clock_only() -> None:
    wrong = a_day(1, 0).on("2036-02-07", Sync.UNSYNCED)
    assert wrong.on("2026-03-15", Sync.UNSYNCED).date == "2036-02-07"
    assert wrong.on("2026-03-15", Sync.SYNCED).date == "2026-03-15"


def test_what_is_not_a_ledger_is_refused() -> None:
    for text in ("", "[]", "{}", '{"lines": {"a": {}}, "boot_id": "x"}', '{"lines": {}, "who": 1}'):
        with pytest.raises(ValueError, match="Books"):
            load(text)


steps = st.lists(
    st.one_of(
        st.sampled_from([Kind.ENTRY, Kind.EXIT]),
        st.sampled_from(["2026-03-14", "2026-03-15", "2026-03-16", "1970-01-01"]),
        st.just("reboot"),
    )
)


@given(steps, st.sampled_from(list(Sync)))
def test_totals_never_fall_within_a_day_and_the_sequence_never_at_all(
    happenings: list[Kind | str], sync: Sync
) -> None:
    ledger = Ledger(BOOT).on("2026-03-15", sync)
    for happening in happenings:
        before = ledger
        if isinstance(happening, Kind):
            ledger = ledger.crossed("cam", "door", happening).next(happening.value)
        elif happening == "reboot":
            ledger = load(Books(ledger).dump()).booted("ef01").ledger
        else:
            ledger = ledger.on(happening, sync)
        was, now = before.totals("cam", "door").today, ledger.totals("cam", "door").today
        assert ledger.sequence >= before.sequence
        assert ledger.date != before.date or (now.entry >= was.entry and now.exit >= was.exit)
        assert load(Books(ledger).dump()) == Books(ledger)
