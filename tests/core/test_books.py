"""What survives a restart."""

from __future__ import annotations

import pytest

from edge.core.books import Books, load
from edge.core.intervals import Quarter
from edge.core.ledger import Ledger
from edge.core.values import Kind, Sync


def test_the_open_quarter_survives_and_is_partial_after_a_restart() -> None:
    ledger = Ledger("abcd").on("2026-03-15", Sync.SYNCED).crossed("cam", "door", Kind.ENTRY).next("entry")
    quarter = (
        Quarter(1773568800, partial=False)
        .crossed("cam", "door", Kind.ENTRY)
        .watched("cam", 0.1, {"till": 2})
        .dwelt("cam", "till", 12.5)
    )
    before = Books(ledger, quarter)
    assert load(before.dump()) == before
    after = load(before.dump()).booted("ef01")
    assert after.quarter is not None
    assert after.quarter.partial
    assert after.quarter.cameras == quarter.cameras
    assert after.ledger.sequence == 1


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"ledger": {"boot_id": 1}}', '{"ledger": {}, "quarter": 3}']
)
def test_what_is_not_books_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Books"):
        load(text)
