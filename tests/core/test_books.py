"""What survives a restart."""

from __future__ import annotations

import pytest

from edge.core.books import GONE_MAX, Books, load
from edge.core.intervals import Quarter
from edge.core.ledger import Ledger
from edge.core.values import Kind, Sync


def test_the_open_quarter_survives_and_is_partial_after_a_restart() -> None:
    ledger = Ledger("abcd").on("2026-03-15", Sync.SYNCED).crossed("cam", "door", Kind.ENTRY).next("entry")
    quarter = (
        Quarter(1773568800, partial=False)
        .crossed("cam", "door", Kind.ENTRY)
        .watched("cam", 0.1, {"till": 2}, "ok")
        .dwelt("cam", "till", 12.5)
    )
    before = Books(ledger, quarter)
    assert load(before.dump()) == before
    after = load(before.dump()).booted("ef01")
    assert after.quarter is not None
    assert after.quarter.partial
    assert after.quarter.cameras == quarter.cameras
    assert after.ledger.sequence == 1


def test_books_of_the_version_before_can_be_read() -> None:
    assert load('{"ledger": {"boot_id": "abcd"}}').places == ()


def test_a_place_that_is_gone_stays_in_the_books_and_is_gone_no_more_when_it_comes_back() -> None:
    books, gone = Books(Ledger("abcd")).counting(["cam/door", "cam/till"])
    assert gone == ()
    for _ in range(3):
        books, gone = load(books.dump()).counting(["cam/door"])
        assert gone == ("cam/till",)
    assert books.counting(["cam/door", "cam/till"])[1] == ()


def test_only_so_many_former_places_are_remembered() -> None:
    books = Books(Ledger("abcd"))
    for number in range(3 * GONE_MAX):
        books, gone = books.counting([f"cam/line-{number}"])
    assert len(gone) == GONE_MAX
    assert gone[-1] == f"cam/line-{3 * GONE_MAX - 2}"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"ledger": {"boot_id": 1}}', '{"ledger": {}, "quarter": 3}']
)
def test_what_is_not_books_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Books"):
        load(text)
