"""The open visits on disk, where "disk" is RAM: SQLite under the runtime directory, every row sealed.

It exists so that visits go on when the process is restarted. A row is readable only while its epoch's key
lives; a row that was altered, moved or sealed under another key is refused and deleted.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import NDArray

from edge.core.values import FaceHash, MatchQuality, Visit
from edge.ports import AdapterError

VERSION = 1  # of the schema and of what is sealed; another version's file is thrown away, it is only RAM
SCHEMA = """
-- One row for every visit that waits for its exit. It goes when the visit ends or its key is destroyed.
CREATE TABLE open_visit (
    number INTEGER PRIMARY KEY,  -- counts visits since the keys were new; never leaves the device
    epoch  INTEGER NOT NULL,     -- whose key sealed the row
    nonce  BLOB NOT NULL,        -- 12 random bytes
    sealed BLOB NOT NULL         -- ChaCha20-Poly1305 of (entered_s, code), bound to version, number and epoch
) STRICT;
-- Finished visits that wait for a batch large enough: only how many there are of each kind.
CREATE TABLE held_visit (
    dwell_s REAL NOT NULL,       -- the start of the bucket
    quality TEXT NOT NULL,
    visits  INTEGER NOT NULL,
    PRIMARY KEY (dwell_s, quality)
) STRICT;
"""
ENTERED = struct.Struct("<d")
NONCE_BYTES = 12
TAG_BYTES = 16
HELD_MAX = 10_000
RAM = {"tmpfs", "ramfs"}

KeyOf = Callable[[int], bytearray | None]


@dataclass(frozen=True, slots=True)
class StoredVisit:
    """An open visit as it was before the restart."""

    number: int
    code: FaceHash
    entered_s: float


class FaceStore:
    """Sealed open visits in one SQLite file, or in memory only if `path` is None.

    `key_of(epoch)` gives that epoch's sealing key, or None if it was destroyed; the store wipes what it got.
    """

    def __init__(self, path: Path | None, key_of: KeyOf, words: int) -> None:
        self._key_of, self._words = key_of, words
        self._path = path
        self._db = self._open()

    def put(self, number: int, code: FaceHash, entered_s: float) -> None:
        """Seal one open visit. ValueError if its key is gone."""
        key = self._key_of(code.epoch)
        if key is None:
            raise ValueError("the key of this epoch was destroyed")
        plain = bytearray(ENTERED.size + code.words.nbytes)
        nonce, sealed = os.urandom(NONCE_BYTES), bytearray(len(plain) + TAG_BYTES)
        try:
            ENTERED.pack_into(plain, 0, entered_s)
            _words(plain)[:] = code.words
            ChaCha20Poly1305(key).encrypt_into(nonce, plain, _bound_to(number, code.epoch), sealed)
        finally:
            _wipe(key, plain)
        with self._transaction():
            self._db.execute(
                "INSERT INTO open_visit VALUES (?, ?, ?, ?)", (number, code.epoch, nonce, sealed)
            )

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget visits that have ended."""
        with self._transaction():
            self._db.executemany("DELETE FROM open_visit WHERE number = ?", [(number,) for number in numbers])

    def load(self) -> tuple[tuple[StoredVisit, ...], int]:
        """The open visits whose keys live, and how many rows were refused; those are deleted."""
        rows = self._db.execute("SELECT number, epoch, nonce, sealed FROM open_visit").fetchall()
        opened = {row[0]: self._unseal(*row) for row in rows}
        refused = [number for number, visit in opened.items() if visit is None]
        self.drop(refused)
        return tuple(visit for visit in opened.values() if visit), len(refused)

    def hold(self, visits: Iterable[Visit]) -> None:
        """Keep the finished visits that could not be published yet, as counts without an order."""
        counts = Counter((visit.dwell_s, visit.quality.value) for visit in visits)
        with self._transaction():
            self._db.execute("DELETE FROM held_visit")
            self._db.executemany(
                "INSERT INTO held_visit VALUES (?, ?, ?)", [(*kind, count) for kind, count in counts.items()]
            )

    def held(self) -> tuple[Visit, ...]:
        rows = self._db.execute("SELECT dwell_s, quality, visits FROM held_visit").fetchall()
        known = {quality.value for quality in MatchQuality}
        sound = (row for row in rows if row[0] >= 0 and row[1] in known and row[2] <= HELD_MAX)
        return tuple(Visit(dwell_s, MatchQuality(quality)) for dwell_s, quality, n in sound for _ in range(n))

    def wipe(self) -> None:
        """Forget all open visits; what is held is anonymous and stays."""
        with self._transaction():
            self._db.execute("DELETE FROM open_visit")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._db:
                yield
        except sqlite3.Error as error:
            raise AdapterError("write to the store of open visits", str(self._path), str(error)) from error

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except (sqlite3.DatabaseError, OSError) as error:
            if self._path is None or isinstance(error, sqlite3.OperationalError | OSError):
                raise AdapterError("open the store of open visits", str(self._path), str(error)) from error
            self._path.unlink()  # not SQLite any more, or another version's: nothing in it can be trusted
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self._path or ":memory:", check_same_thread=False)
        db.executescript(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE; PRAGMA secure_delete=ON;"
            "PRAGMA temp_store=MEMORY; PRAGMA synchronous=OFF;"  # it is RAM: a power cut takes it anyway
        )
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            db.close()
            raise sqlite3.DatabaseError("another version's file")
        if version == 0:
            db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        return db

    def _unseal(self, number: int, epoch: int, nonce: bytes, sealed: bytes) -> StoredVisit | None:
        key = self._key_of(epoch)
        if key is None or len(sealed) != ENTERED.size + 8 * self._words + TAG_BYTES:
            return None
        plain = bytearray(len(sealed) - TAG_BYTES)
        try:
            ChaCha20Poly1305(key).decrypt_into(nonce, sealed, _bound_to(number, epoch), plain)
            (entered_s,) = ENTERED.unpack_from(plain)
            return StoredVisit(number, FaceHash(epoch, _words(plain).copy()), entered_s)
        except (InvalidTag, ValueError):
            return None
        finally:
            _wipe(key, plain)


def refuse_flash(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """AdapterError unless the directory is in RAM: what is on an SD card can never be surely deleted."""
    kind = _file_system(directory.resolve(), mounts.read_text())
    if kind not in RAM:
        raise AdapterError(
            "keep open visits in",
            str(directory),
            f"it is on {kind}, not in RAM",
            "use a tmpfs, such as /run/edged",
        )


def _file_system(directory: Path, mountinfo: str) -> str:
    """The type of the file system that a directory is on (proc_pid_mountinfo(5)); the last mount wins."""
    found = {}
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        found[Path(mount.split()[4])] = source.split()[0]
    return next(
        (found[place] for place in (directory, *directory.parents) if place in found), "an unknown place"
    )


def _bound_to(number: int, epoch: int) -> bytes:
    return f"edged|{VERSION}|{number}|{epoch}".encode()


def _words(plain: bytearray) -> NDArray[np.uint64]:
    """The code in an unsealed row, in place: to assign to a slice of the bytearray would leave a copy on the
    heap."""
    return np.frombuffer(plain, np.uint64, offset=ENTERED.size)


def _wipe(*buffers: bytearray) -> None:
    for buffer in buffers:
        buffer[:] = bytes(len(buffer))
