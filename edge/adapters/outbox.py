"""The durable outbox: what the pipeline said, until the broker has acknowledged it.

Its rules. Events and the books that number them commit in one transaction, with WAL and `synchronous=FULL`,
so what `commit` returned from survives a power cut. A row goes only after its acknowledgement. Rows leave in
the order of their numbers. When the outbox is full the least valuable kind goes first, the oldest first, and
every drop is counted. A message that the broker refuses is kept among the dead letters and is offered again
when the daemon starts. Retained states are not written: only their newest value matters, and the books give
it back after a restart. A corrupt file is set aside and a new one begun, with numbers that continue.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from edge.core.health import Outflow
from edge.core.values import Message
from edge.doorbell import Doorbell
from edge.ports import AdapterError
from edge.reserve import Reserve

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2
SCHEMA = """
-- One row a message that the broker has not acknowledged. The number of the message is the key, so the table
-- is its own queue and needs no index. Row 0 is no message but the books (core.books), as compressed JSON: so
-- they lie beside the newest messages, and a commit of one event writes one small page.
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
"""
COLUMNS = "sequence, id, kind, topic, payload, monotonic_s"

# A page of 1 KiB keeps the write of a single event small; flash wears by the page.
PAGE_BYTES = 1024
# Which kind a full outbox drops first; kinds that are not named go last, together.
DROP_FIRST = ("interval", "digest")
DEAD_MAX = 1_000
# Acknowledged rows wait for the next commit, which takes them along; a long drain does not wait.
ACKNOWLEDGED_MAX = 256
HINT = "check the disk and its permissions"


class Outbox:
    """A queue on disk between the pipeline, which commits, and the publisher, which takes and acknowledges.

    Both threads share one connection under one lock: SQLite takes one writer at a time anyway. Every method
    raises AdapterError when the disk fails, and has then changed nothing.
    """

    def __init__(self, path: Path, rows_max: int = 200_000) -> None:
        self._path, self._rows_max = path, rows_max
        self._reserve = Reserve(path.with_suffix(".reserve"))
        self._lock = threading.Lock()
        self._acknowledged: set[int] = set()
        self._states: dict[str, Message] = {}
        self._stale: set[str] = set()
        self._rejected = 0
        self._started_anew = self._is_full = False
        self.doorbell = Doorbell()
        self.dropped: Counter[str] = Counter()
        self.floor = 0
        with self._explained("open"):
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._start_anew()
            self._revive()
            self._depth = self._count("queue")

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db)
        except BaseException:
            db.close()  # it holds the lock
            raise
        return db

    # -- the pipeline's side

    @property
    def books(self) -> str | None:
        """The books of the last commit, or None in a new outbox."""
        with self._explained("read the books of"):
            return _books(self._db)

    def commit(self, messages: Sequence[Message], books: str) -> None:
        """Keep `messages` and `books` together or not at all. Returning means: on disk."""
        with self._explained("write"):
            if messages:
                self._reserve.cover(messages[-1].sequence, books)
            try:
                self._write(messages, books)
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._start_anew()
                self._write(messages, books)
        self.doorbell.ring()

    def rewrite(self, change: Callable[[Message], Message]) -> None:
        """Change the payload of messages that wait; `change` returns the others as they are."""
        with self._explained("write"), self._transaction():
            for row in self._db.execute(f"SELECT {COLUMNS} FROM queue WHERE sequence > 0").fetchall():  # noqa: S608
                before = _message(row)
                if (after := change(before)) is not before:
                    place = (after.payload, before.sequence)
                    self._db.execute("UPDATE queue SET payload = ? WHERE sequence = ?", place)

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

    def bury(self, message: Message, reason: str) -> None:
        """The broker refused this one: keep it apart, with the reason, out of the others' way."""
        self._rejected += 1
        if not message.sequence:
            return  # a state: the next one tries again
        with self._explained("write"):
            with self._transaction():
                moved = self._db.execute(
                    f"INSERT OR REPLACE INTO dead SELECT {COLUMNS}, ? FROM queue WHERE sequence = ?",  # noqa: S608
                    (reason, message.sequence),
                ).rowcount
                self._db.execute("DELETE FROM queue WHERE sequence = ?", (message.sequence,))
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
        return max(0, self._depth - len(self._acknowledged))

    def outflow(self) -> Outflow:
        """How the messages fare, since the start."""
        return Outflow(
            depth=self.depth,
            dropped=self.dropped.total(),
            rejected=self._rejected,
            started_anew=self._started_anew,
        )

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

    def _write(self, messages: Sequence[Message], books: str) -> None:
        rows = [(m.sequence, m.id, m.kind, m.topic, m.payload, m.monotonic_s) for m in messages]
        with self._transaction():
            done = self._forget()
            self._db.executemany("INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?)", rows)
            _keep_books(self._db, books)
            dropped = self._make_room(self._depth + len(rows) - done)
        self._acknowledged.clear()
        self._depth += len(rows) - done - dropped.total()
        self.dropped.update(dropped)
        if dropped and not self._is_full:
            log.error("the outbox is full with %d messages: the least valuable and oldest go", self._rows_max)
        self._is_full = bool(dropped)

    def _start_anew(self) -> None:
        """Set the corrupt file aside and begin a new one with the books that can be saved."""
        if hasattr(self, "_db"):
            self._db.close()
        books = _salvage(self._path) or self._reserve.books()
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(f"{self._path}{suffix}", f"{self._path}.corrupt{suffix}")
        waiting = getattr(self, "_depth", 0)
        log.error(
            "the outbox was corrupt, is kept as %s.corrupt and begun anew; what waited in it is lost",
            self._path,
            extra={"EDGED_EVENT": "outbox-corrupt"},
        )
        self._started_anew, self.floor = True, self._reserve.number
        self.dropped["corrupt"] += waiting
        self._acknowledged.clear()
        self._depth = 0
        self._db = self._open()
        if books is not None:
            _keep_books(self._db, books)

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
            where = "" if kind is None else "AND kind = :kind"
            rows = self._db.execute(
                "DELETE FROM queue WHERE sequence IN (SELECT sequence FROM queue"  # noqa: S608
                f" WHERE sequence > 0 {where} ORDER BY sequence LIMIT :n) RETURNING kind",
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
        return int(self._db.execute(f"SELECT count(*) FROM {table} WHERE sequence > 0").fetchone()[0])  # noqa: S608

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
            except (sqlite3.Error, OSError) as error:
                raise self._error(operation, error) from error

    def _error(self, operation: str, error: Exception) -> AdapterError:
        hints = {"full": "free some space", "locked": "does another edged run with the same --state-dir?"}
        hint = next((hint for word, hint in hints.items() if word in str(error)), HINT)
        return AdapterError(f"{operation} the outbox", str(self._path), str(error), hint)


def _message(row: tuple[int, str, str, str, bytes, float]) -> Message:
    sequence, identity, kind, topic, payload, monotonic_s = row
    return Message(identity, topic, payload, False, kind, sequence, monotonic_s)


def _prepare(db: sqlite3.Connection) -> None:
    """Check the file, have SQLite treat it as the rules say, and bring its tables up to date."""
    # Alone with the file, SQLite keeps its index of the WAL in memory and not in a third file, whose pages
    # would reach the disk every half a minute.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 1:
        _move_books(db)
    elif version != SCHEMA_VERSION:
        db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    _books(db)  # they carry a checksum


def _move_books(db: sqlite3.Connection) -> None:
    """From version 1, where the books had a table of their own."""
    kept = db.execute("SELECT value FROM books").fetchone()
    db.execute("BEGIN IMMEDIATE")
    if kept:
        _keep_books(db, kept[0])
    db.execute("DROP TABLE books")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("COMMIT")


def _books(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT payload FROM queue WHERE sequence = 0").fetchone()
    try:
        return None if row is None else zlib.decompress(row[0]).decode()
    except zlib.error as error:
        raise sqlite3.DatabaseError(f"malformed: the books: {error}") from None


def _keep_books(db: sqlite3.Connection, books: str) -> None:
    packed = zlib.compress(books.encode())
    db.execute("INSERT OR REPLACE INTO queue VALUES (0, '', 'books', '', ?, 0)", (packed,))


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    return "malformed" in str(error) or "not a database" in str(error)


def _salvage(path: Path) -> str | None:
    """The books of a corrupt database, if that page can still be read."""
    try:
        with closing(sqlite3.connect(path)) as db:
            return _books(db)
    except sqlite3.Error:
        return None
