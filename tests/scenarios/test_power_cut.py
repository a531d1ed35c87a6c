"""The power fails while the outbox is written to; see power_cut.py for how, and for the long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.power_cut import cuts


@pytest.mark.slow
def test_no_power_cut_corrupts_the_outbox_or_loses_what_was_committed(tmp_path: Path) -> None:
    report = cuts(tmp_path, many=60, seed=6)
    assert (report.corrupt, report.begun_anew, report.lost, report.books_behind) == (0, 0, 0, 0), report


def test_the_same_cuts_do_harm_a_database_that_does_not_sync(tmp_path: Path) -> None:
    report = cuts(tmp_path, many=20, seed=6, careless=True)
    assert report.lost + report.begun_anew + report.corrupt > 0, report
