"""A small mall, with the broker restarted and the listener killed; see mall.py for the large one."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from edge.adapters.central import Postgres
from edge.core.intake import read
from tests.messages import an_entry
from tests.postgres import postgres
from tests.scenarios.mall import open_the_mall


@pytest.mark.slow
def test_every_event_of_the_day_is_in_the_database_once(tmp_path: Path) -> None:
    report = open_the_mall(
        tmp_path, devices=8, seconds=8, entries_per_s=3, restart_broker=True, kill_listener=True
    )
    assert report.numbered > 150
    assert (report.lost, report.doubled) == (0, 0), report


def test_a_row_is_written_once_and_the_views_add_up() -> None:
    readings = [read(message.topic, message.payload) for message in map(an_entry, (1, 2, 3, 2))]
    with postgres() as dsn:
        database = Postgres(dsn)
        assert database.store(readings) == 3
        assert database.store(readings) == 0
        database.close()
        Postgres(dsn).close()  # the schema is there already
        with psycopg.connect(dsn) as db:
            assert db.execute("SELECT entries, exits, line FROM edged_footfall_hour").fetchall() == [
                (3, 0, "door")
            ]
            assert db.execute("SELECT entries, day::text FROM edged_footfall_day").fetchall() == [
                (3, "2026-03-15")
            ]
            assert db.execute("SELECT * FROM edged_dwell_hour").fetchall() == []
