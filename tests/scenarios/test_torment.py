"""A device and its broker are killed while people stream in; see torment.py for the long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.torment import torment


@pytest.mark.slow
def test_kill_nine_of_device_and_broker_loses_nothing(tmp_path: Path) -> None:
    report = torment(tmp_path, kills=8, restarts=4, hard=1, seed=6)
    assert report.numbered > 500
    assert (report.lost, report.out_of_order, report.forgotten) == (0, 0, 0), report
    assert report.changed_duplicates == 0, report
    assert report.integrity == "ok"
