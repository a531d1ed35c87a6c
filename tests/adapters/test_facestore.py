"""The store of open visits with real SQLite files: what it keeps, what it refuses, what can be read in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.facestore import FaceStore, refuse_flash
from edge.core.values import FaceHash, MatchQuality, Visit
from edge.ports import AdapterError

WORDS = 8


class Keys:
    """Sealing keys by epoch; each use gets its own copy, as from the key ring."""

    def __init__(self, *epochs: int) -> None:
        self.keys = {epoch: bytes([epoch]) * 32 for epoch in epochs}

    def __call__(self, epoch: int) -> bytearray | None:
        key = self.keys.get(epoch)
        return bytearray(key) if key else None


def code(person: int, epoch: int = 1) -> FaceHash:
    return FaceHash(epoch, np.random.default_rng([person, epoch]).integers(0, 2**63, WORDS).astype(np.uint64))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "visits.db"


@pytest.fixture
def keys() -> Keys:
    return Keys(1, 2)


@pytest.fixture
def store(path: Path, keys: Keys) -> Iterator[FaceStore]:
    opened = FaceStore(path, keys, WORDS)
    yield opened
    opened.close()


def tamper(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute(statement, values).rowcount > 0
    db.close()


def reopened(store: FaceStore, path: Path, keys: Keys) -> tuple[list[int], int]:
    """The numbers of the visits that a new process finds, and how many rows it refuses."""
    store.close()
    other = FaceStore(path, keys, WORDS)
    found, refused = other.load()
    assert other.load() == ((), 0) if not found else other.load()[1] == 0  # refused rows are deleted
    other.close()
    return [visit.number for visit in found], refused


def test_a_visit_comes_back_as_it_was(store: FaceStore, path: Path, keys: Keys) -> None:
    store.put(7, code(1, epoch=2), entered_s=123.25)
    store.close()
    ((found,), refused) = FaceStore(path, keys, WORDS).load()
    assert (found.number, found.code.epoch, found.entered_s, refused) == (7, 2, 123.25, 0)
    assert (found.code.words == code(1, epoch=2).words).all()


def test_what_ended_is_gone(store: FaceStore, path: Path, keys: Keys) -> None:
    for number in (1, 2, 3):
        store.put(number, code(number), 0)
    store.drop([1, 3])
    assert reopened(store, path, keys) == ([2], 0)


def test_a_visit_whose_key_is_gone_is_refused(store: FaceStore, path: Path, keys: Keys) -> None:
    store.put(1, code(1, epoch=1), 0)
    store.put(2, code(2, epoch=2), 0)
    del keys.keys[1]
    assert reopened(store, path, keys) == ([2], 1)


def test_a_store_of_another_device_is_refused(store: FaceStore, path: Path, keys: Keys) -> None:
    store.put(1, code(1), 0)
    keys.keys[1] = bytes([9]) * 32
    assert reopened(store, path, keys) == ([], 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE open_visit SET number = 9 WHERE number = 1",
        "UPDATE open_visit SET epoch = 2 WHERE number = 1",
        "UPDATE open_visit SET nonce = zeroblob(12) WHERE number = 1",
        "UPDATE open_visit SET nonce = x'00' WHERE number = 1",
        "UPDATE open_visit SET sealed = zeroblob(length(sealed)) WHERE number = 1",
        "UPDATE open_visit SET sealed = x'' WHERE number = 1",
        "UPDATE open_visit SET (nonce, sealed) = (SELECT nonce, sealed FROM open_visit WHERE number = 2)"
        " WHERE number = 1",
        "INSERT INTO open_visit VALUES (9, 1, zeroblob(12), zeroblob(88))",
    ],
)
def test_an_altered_moved_or_added_row_is_refused_and_the_others_stay(
    store: FaceStore, path: Path, keys: Keys, statement: str
) -> None:
    store.put(1, code(1), 0)
    store.put(2, code(2), 0)
    store.close()
    tamper(path, statement)
    found, refused = reopened(store, path, keys)
    assert refused == 1
    assert 2 in found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 87), st.integers(1, 255))
def test_no_single_altered_byte_is_accepted(at: int, change: int) -> None:
    store = FaceStore(None, Keys(1), WORDS)
    store.put(1, code(1), 0)
    (sealed,) = store._db.execute("SELECT sealed FROM open_visit").fetchone()
    altered = bytes(byte ^ change if index == at else byte for index, byte in enumerate(sealed))
    store._db.execute("UPDATE open_visit SET sealed = ?", (altered,))
    assert store.load() == ((), 1)
    store.close()


def test_a_file_that_is_not_a_store_is_thrown_away(path: Path, keys: Keys) -> None:
    path.write_bytes(b"not a database, though it is long enough to be looked at" * 100)
    store = FaceStore(path, keys, WORDS)
    assert store.load() == ((), 0)
    store.close()


def test_a_store_of_another_version_is_thrown_away(store: FaceStore, path: Path, keys: Keys) -> None:
    store.put(1, code(1), 0)
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert reopened(store, path, keys) == ([], 0)


def test_a_store_that_cannot_be_opened_is_an_error_with_its_cause(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(AdapterError, match="cannot open the store of open visits"):
        FaceStore(tmp_path / "nowhere" / "visits.db", keys, WORDS)


def test_a_visit_under_a_destroyed_key_cannot_be_put(store: FaceStore) -> None:
    with pytest.raises(ValueError, match="destroyed"):
        store.put(1, code(1, epoch=5), 0)


def test_nothing_in_the_files_can_be_read_without_the_key(store: FaceStore, path: Path, keys: Keys) -> None:
    for number in range(1, 50):
        store.put(number, code(number), entered_s=1234.5)
    on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for number in range(1, 50):
        assert code(number).words.tobytes()[:8] not in on_disk
    assert np.float64(1234.5).tobytes() not in on_disk
    assert not [key for key in keys.keys.values() if key in on_disk]


def test_wiping_leaves_no_sealed_row_in_the_file(store: FaceStore, path: Path) -> None:
    for number in range(1, 50):
        store.put(number, code(number), 0)
    sealed = [bytes(row[0]) for row in store._db.execute("SELECT sealed FROM open_visit")]
    assert sealed[0] in path.read_bytes()
    store.wipe()
    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert not [row for row in sealed if row in left]


def test_held_visits_come_back_as_counts_without_their_order(
    store: FaceStore, path: Path, keys: Keys
) -> None:
    held = [Visit(0, MatchQuality.OK), Visit(120, MatchQuality.LOW), Visit(0, MatchQuality.OK)]
    store.hold(held)
    store.hold(held)
    assert store._db.execute("SELECT * FROM held_visit").fetchall() == [(0, "ok", 2), (120, "low", 1)]
    store.close()
    again = FaceStore(path, keys, WORDS)
    assert sorted(visit.dwell_s for visit in again.held()) == [0, 0, 120]
    again.close()


def test_absurd_held_counts_are_not_believed(store: FaceStore, path: Path, keys: Keys) -> None:
    store.hold([Visit(0, MatchQuality.OK)])
    store.close()
    tamper(path, "UPDATE held_visit SET visits = 1000000000")
    again = FaceStore(path, keys, WORDS)
    assert again.held() == ()
    again.close()


def test_only_the_owner_may_read_the_file(store: FaceStore, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


MOUNTS = """\
27 1 254:0 / / rw - ext4 /dev/root rw
28 27 0:21 / /run rw - tmpfs tmpfs rw
29 28 0:22 / /run/edged/disk rw - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("directory", "fine"),
    [
        ("/run/edged", True),
        ("/run", True),
        ("/var/lib/edged", False),
        ("/run/edged/disk/x", False),
        ("/runner", False),
    ],
)
def test_open_visits_are_kept_in_ram_only(tmp_path: Path, directory: str, fine: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    if fine:
        refuse_flash(Path(directory), mounts)
    else:
        with pytest.raises(AdapterError, match="it is on ext4, not in RAM"):
            refuse_flash(Path(directory), mounts)


def test_this_machine_s_shared_memory_is_ram() -> None:
    refuse_flash(Path("/dev/shm"))
