"""The durable outbox: what the pipeline said, until the broker has acknowledged it.

Its rules. Events and the ledger that numbers them commit in one transaction, with WAL and `synchronous=FULL`,
so what `commit` returned from survives a power cut. A row goes only after its acknowledgement. Rows leave in
the order of their numbers. When the outbox is full the least valuable kind goes first, the oldest first, and
every drop is counted. A message that the broker refuses is kept among the dead letters and is offered again
when the daemon starts. Retained states are not written: only their newest value matters, and the ledger
gives it back after a restart.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge.core.values import Message
from edge.ports import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_VERSION = 1
SCHEMA = """
-- One row a message that the broker has not acknowledged. The number of the message is the key, so the table
-- is its own queue, needs no index, and a commit of one event writes two small pages.
CREATE TABLE queue (
    sequence    INTEGER PRIMARY KEY,   -- the device's order, never given twice
    id          TEXT NOT NULL,         -- device:boot:sequence
    kind        TEXT NOT NULL,         -- what a full outbox drops by
    topic       TEXT NOT NULL,
    payload     BLOB NOT NULL,         -- bytes as core.wire made them
    monotonic_s REAL NOT NULL          -- when it was made, on the clock of its boot
);
-- Messages that the broker refused, with its reason. At most DEAD_MAX; then the oldest goes.
CREATE TABLE dead (
    sequence    INTEGER PRIMARY KEY,
    id          TEXT NOT NULL,
    kind        TEXT NOT NULL,
    topic       TEXT NOT NULL,
    payload     BLOB NOT NULL,
    monotonic_s REAL NOT NULL,
    reason      TEXT NOT NULL
);
-- The ledger as JSON: one row, replaced by every commit.
CREATE TABLE ledger (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    value TEXT NOT NULL
);
"""
COLUMNS = "sequence, id, kind, topic, payload, monotonic_s"

# A page of 1 KiB keeps the write of a single event small; flash wears by the page.
PAGE_BYTES = 1024
# Which kind a full outbox drops first; kinds that are not named go last, together.
DROP_FIRST = ("interval", "digest")
DEAD_MAX = 1_000
# Acknowledged rows wait for the next commit, which takes them along; a long drain does not wait.
ACKNOWLEDGED_MAX = 256


class Doorbell:
    """Wakes a thread that sleeps in `select`: `ring` from any thread, the rest is for the sleeper."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)

    def fileno(self) -> int:
        return self._out

    def ring(self) -> None:
        with suppress(BlockingIOError):  # a full pipe rings already
            os.write(self._in, b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._out, 4096):
                pass

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)


class Outbox:
    """A queue on disk between the pipeline, which commits, and the publisher, which takes and acknowledges.

    Both threads share one connection under one lock: SQLite takes one writer at a time anyway. Every method
    raises AdapterError when the disk fails, and has then changed nothing.
    """

    def __init__(self, path: Path, rows_max: int = 200_000) -> None:
        self._path, self._rows_max = path, rows_max
        self._lock = threading.Lock()
        self._acknowledged: set[int] = set()
        self._states: dict[str, Message] = {}
        self._stale: set[str] = set()
        self.doorbell = Doorbell()
        self.dropped: Counter[str] = Counter()
        with self._explained("open"):
            self._db = self._open()
            self._revive()
            self._depth = self._count("queue")

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
            db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        return db

    # -- the pipeline's side

    @property
    def ledger(self) -> str | None:
        """The ledger of the last commit, or None in a new outbox."""
        with self._explained("read the ledger of"):
            row = self._db.execute("SELECT value FROM ledger").fetchone()
        return None if row is None else str(row[0])

    def commit(self, messages: Sequence[Message], ledger: str) -> None:
        """Keep `messages` and `ledger` together or not at all. Returning means: on disk."""
        rows = [(m.sequence, m.id, m.kind, m.topic, m.payload, m.monotonic_s) for m in messages]
        with self._explained("write"):
            with self._transaction():
                done = self._forget()
                self._db.executemany("INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?)", rows)
                self._db.execute("INSERT OR REPLACE INTO ledger VALUES (1, ?)", (ledger,))
                dropped = self._make_room(self._depth + len(rows) - done)
            self._acknowledged.clear()
            self._depth += len(rows) - done - dropped.total()
            self.dropped.update(dropped)
        self.doorbell.ring()

    def post(self, state: Message) -> None:
        """Keep the newest value of a retained topic for the publisher; it needs no disk."""
        with self._lock:
            self._states[state.topic] = state
            self._stale.add(state.topic)
        self.doorbell.ring()

    # -- the publisher's side

    def peek(self, after: int, limit: int) -> list[Message]:
        """The next messages in order, with numbers above `after`; they stay until acknowledged."""
        with self._explained("read"):
            rows = self._db.execute(
                f"SELECT {COLUMNS} FROM queue WHERE sequence > ? ORDER BY sequence LIMIT ?",  # noqa: S608
                (after, limit),
            ).fetchall()
            return [_message(row) for row in rows if row[0] not in self._acknowledged]

    def acknowledge(self, sequences: Collection[int]) -> None:
        """The broker has these. They go with the next commit, or at once when many wait."""
        with self._explained("write"):
            self._acknowledged.update(sequences)
            if len(self._acknowledged) < ACKNOWLEDGED_MAX:
                return
        self.flush()

    def flush(self) -> None:
        """Forget now what was acknowledged."""
        with self._explained("write"):
            if not self._acknowledged:
                return
            with self._transaction():
                done = self._forget()
            self._acknowledged.clear()
            self._depth -= done

    def bury(self, sequence: int, reason: str) -> None:
        """The broker refused this one for good: keep it apart, with the reason, out of the others' way."""
        with self._explained("write"):
            with self._transaction():
                moved = self._db.execute(
                    f"INSERT OR REPLACE INTO dead SELECT {COLUMNS}, ? FROM queue WHERE sequence = ?",  # noqa: S608
                    (reason, sequence),
                ).rowcount
                self._db.execute("DELETE FROM queue WHERE sequence = ?", (sequence,))
                overflow = self._db.execute(
                    "DELETE FROM dead WHERE sequence <= "
                    "(SELECT sequence FROM dead ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
                    (DEAD_MAX,),
                ).rowcount
            self._depth -= moved
            self.dropped["dead"] += overflow

    def states(self, *, all_of_them: bool = False) -> list[Message]:
        """The retained states that changed since the last call, or all of them."""
        with self._lock:
            topics = list(self._states) if all_of_them else sorted(self._stale)
            self._stale.clear()
            return [self._states[topic] for topic in topics]

    # -- both

    @property
    def depth(self) -> int:
        """Messages that the broker has not acknowledged."""
        return self._depth - len(self._acknowledged)

    @property
    def dead(self) -> int:
        with self._explained("read"):
            return self._count("dead")

    def close(self) -> None:
        self.flush()
        with self._explained("close"):
            self._db.close()
        self.doorbell.close()

    # -- inside a lock

    def _forget(self) -> int:
        """Delete the acknowledged rows as part of the open transaction; how many they were."""
        numbers = [(number,) for number in self._acknowledged]
        return (
            self._db.executemany("DELETE FROM queue WHERE sequence = ?", numbers).rowcount if numbers else 0
        )

    def _make_room(self, depth: int) -> Counter[str]:
        dropped: Counter[str] = Counter()
        excess = depth - self._rows_max
        for kind in (*DROP_FIRST, None):
            if excess <= dropped.total():
                break
            where = "" if kind is None else "WHERE kind = :kind"
            rows = self._db.execute(
                "DELETE FROM queue WHERE sequence IN (SELECT sequence FROM queue"  # noqa: S608
                f" {where} ORDER BY sequence LIMIT :n) RETURNING kind",
                {"kind": kind, "n": excess - dropped.total()},
            ).fetchall()
            dropped.update(row[0] for row in rows)
        return dropped

    def _revive(self) -> None:
        """Offer the dead letters again: whoever restarts the daemon may have mended the broker."""
        with self._transaction():
            self._db.execute(f"INSERT OR IGNORE INTO queue SELECT {COLUMNS} FROM dead")  # noqa: S608
            self._db.execute("DELETE FROM dead")

    def _count(self, table: str) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self, operation: str) -> Iterator[None]:
        """Hold the lock, and turn SQLite's errors into ours."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                hint = "free some space" if "full" in str(error) else "check the disk and its permissions"
                raise AdapterError(f"{operation} the outbox", str(self._path), str(error), hint) from error


def _message(row: tuple[int, str, str, str, bytes, float]) -> Message:
    sequence, identity, kind, topic, payload, monotonic_s = row
    return Message(identity, topic, payload, False, kind, sequence, monotonic_s)
