"""The outbox keeps what it was given, in order, until it is told that the broker has it."""

from __future__ import annotations

import os
import select
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge.adapters.outbox import ACKNOWLEDGED_MAX, DEAD_MAX, Outbox
from edge.core.values import Message
from edge.ports import AdapterError
from tests.messages import an_entry

VERSION_1 = """
CREATE TABLE queue (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, topic TEXT NOT NULL,
    payload BLOB NOT NULL, monotonic_s REAL NOT NULL);
CREATE TABLE dead (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, topic TEXT NOT NULL,
    payload BLOB NOT NULL, monotonic_s REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE books (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL);
PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    opened = Outbox(path)
    yield opened
    opened.close()


def entries(*sequences: int) -> list[Message]:
    return [an_entry(sequence) for sequence in sequences]


def numbers(outbox: Outbox, after: int = 0) -> list[int]:
    return [message.sequence for message in outbox.peek(after, 10_000)]


def test_messages_come_out_as_they_went_in_and_in_order(outbox: Outbox) -> None:
    sent = entries(1, 2, 3)
    outbox.commit(sent, "books")
    assert outbox.peek(0, 10) == sent
    assert outbox.peek(1, 1) == sent[1:2]
    assert outbox.books == "books"
    assert outbox.depth == 3


def test_a_message_stays_until_it_is_acknowledged(outbox: Outbox) -> None:
    outbox.commit(entries(1, 2, 3), "")
    outbox.acknowledge([1, 3])
    assert numbers(outbox) == [2]
    assert outbox.depth == 1


def test_messages_and_ledger_survive_the_end_of_the_process(path: Path) -> None:
    first = Outbox(path)
    first.commit(entries(1, 2), "old books")
    first.commit(entries(3), "new books")
    second = Outbox(as_after_a_kill(path))
    assert numbers(second) == [1, 2, 3]
    assert second.books == "new books"
    assert second.depth == 3


def test_acknowledged_rows_leave_the_disk_with_the_next_commit(outbox: Outbox, path: Path) -> None:
    outbox.commit(entries(1, 2), "")
    outbox.acknowledge([1, 2])
    assert rows_on_disk(path) == 2
    outbox.commit(entries(3), "")
    assert rows_on_disk(path) == 1


def test_a_long_drain_does_not_wait_for_a_commit(outbox: Outbox, path: Path) -> None:
    outbox.commit(entries(*range(1, ACKNOWLEDGED_MAX + 2)), "")
    outbox.acknowledge(range(1, ACKNOWLEDGED_MAX + 1))
    assert rows_on_disk(path) == 1


def rows_on_disk(path: Path) -> int:
    with sqlite3.connect(as_after_a_kill(path)) as other:
        return int(other.execute("SELECT count(*) FROM queue WHERE sequence > 0").fetchone()[0])


def as_after_a_kill(path: Path) -> Path:
    """What another process finds when ours is gone without a word."""
    found = Path(tempfile.mkdtemp(dir=path.parent))
    for file in path.parent.glob("outbox.*"):
        shutil.copy(file, found)
    return found / path.name


def test_a_second_daemon_is_told_that_the_outbox_is_taken(outbox: Outbox, path: Path) -> None:
    outbox.commit(entries(1), "books")
    with pytest.raises(AdapterError, match="does another edged run with the same --state-dir"):
        Outbox(path)
    assert numbers(outbox) == [1]


def test_an_outbox_of_the_first_version_is_taken_over_with_all_that_waits(path: Path) -> None:
    with closing(sqlite3.connect(path)) as old:
        old.executescript(VERSION_1)
        for table, *more in (("queue",), ("dead", "refused")):
            row = (1 + len(more), "door:1:1", "entry", "a/topic", b"payload", 1.5, *more)
            old.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        old.execute("INSERT INTO books VALUES (1, 'the books')")
        old.commit()
    with closing(Outbox(path)) as outbox:
        assert numbers(outbox) == [1, 2]
        assert outbox.books == "the books"
        outbox.commit(entries(3), "newer books")
    with closing(Outbox(path)) as again:
        assert (numbers(again), again.books) == ([1, 2, 3], "newer books")


def test_damaged_books_are_found_at_the_start(path: Path) -> None:
    with closing(Outbox(path)) as outbox:
        outbox.commit(entries(1), "books")
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE queue SET payload = x'789c4bcacfcf2e06ffffffff' WHERE sequence = 0")
        other.commit()
    with closing(Outbox(path)) as outbox:
        assert outbox.outflow().started_anew
        assert outbox.books == "books", "from the file beside it"
        assert outbox.floor >= 1


def test_all_or_nothing(outbox: Outbox) -> None:
    outbox.commit(entries(1), "books of 1")
    with pytest.raises(AdapterError, match="cannot write the outbox"):
        outbox.commit(entries(2, 1), "books of 2")
    assert numbers(outbox) == [1]
    assert outbox.books == "books of 1"
    assert outbox.depth == 1


def test_a_full_outbox_drops_the_least_valuable_first_and_counts_it(path: Path) -> None:
    outbox = Outbox(path, rows_max=4)
    outbox.commit([replace(an_entry(n), kind="interval") for n in (1, 2)] + entries(3, 4), "")
    outbox.commit(entries(5), "")
    assert numbers(outbox) == [2, 3, 4, 5]
    outbox.commit(entries(6, 7), "")
    assert numbers(outbox) == [4, 5, 6, 7]
    assert outbox.dropped == {"interval": 2, "entry": 1}
    assert outbox.depth == 4


def test_a_refused_message_goes_to_the_dead_letters_and_is_offered_again_at_the_next_start(
    path: Path,
) -> None:
    outbox = Outbox(path)
    outbox.commit(entries(1, 2), "")
    outbox.bury(an_entry(1), "Not authorized")
    assert numbers(outbox) == [2]
    assert (outbox.dead, outbox.depth) == (1, 1)
    outbox.close()
    again = Outbox(path)
    assert numbers(again) == [1, 2]
    assert (again.dead, again.depth) == (0, 2)


def test_the_dead_letters_are_bounded(outbox: Outbox) -> None:
    outbox.commit(entries(*range(1, DEAD_MAX + 4)), "")
    for sequence in range(1, DEAD_MAX + 4):
        outbox.bury(an_entry(sequence), "Not authorized")
    assert outbox.dead == DEAD_MAX
    assert outbox.dropped == {"dead": 3}


def test_only_the_newest_state_of_a_topic_matters(outbox: Outbox) -> None:
    old, new = replace(an_entry(1), sequence=0), replace(an_entry(2), sequence=0)
    outbox.post(old)
    outbox.post(new)
    assert outbox.states() == [new]
    assert outbox.states() == []
    assert outbox.states(all_of_them=True) == [new]


def test_the_doorbell_rings_for_events_and_for_states(outbox: Outbox) -> None:
    assert not rings(outbox)
    outbox.commit(entries(1), "")
    assert rings(outbox)
    outbox.doorbell.clear()
    assert not rings(outbox)
    outbox.post(replace(an_entry(1), sequence=0))
    assert rings(outbox)


def rings(outbox: Outbox) -> bool:
    return bool(select.select([outbox.doorbell], [], [], 0)[0])


def test_a_bell_that_nobody_answers_does_not_block(outbox: Outbox) -> None:
    for _ in range(100_000):
        outbox.doorbell.ring()
    assert rings(outbox)


def test_a_folder_that_is_missing_is_explained(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"cannot open the outbox .*check the disk"):
        Outbox(tmp_path / "nowhere" / "outbox.db")


def test_every_commit_is_on_the_disk_before_it_returns(outbox: Outbox) -> None:
    assert outbox._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert outbox._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert os.path.exists(f"{outbox._path}-wal")
