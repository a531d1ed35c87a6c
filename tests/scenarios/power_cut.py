"""Cuts the power at random points of a recorded life of the outbox, and sees what the disk then holds.

`python -m tests.scenarios.power_cut --cuts 500` does 500 cuts that drop unsynced writes and 500 that tear
them. A recorder (disk_recorder.c) notes every write, sync, truncate, rename and unlink of a process that
commits and acknowledges. For each cut the disk is rebuilt: what was synced is there; of what was not, a
random part is, in any order; a torn write is there up to some sector. Then the shipped outbox opens it. Every
commit that had returned, and was not acknowledged, must be there, and SQLite must find no fault.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge.adapters.outbox import Outbox
from edge.core.values import Message

HEAD = struct.Struct("<cHIQ")
SECTOR = 512
COMMITS = 400


def live(folder: Path, careless: bool) -> None:
    """The recorded process: commits of one to four messages, acknowledgements now and then. What has
    returned it says in a file that belongs to the record, not to the disk. `careless` leaves out syncs."""
    outbox = Outbox(folder / "outbox.db")
    if careless:
        outbox._db.execute("PRAGMA synchronous = OFF")
    rng, number, acknowledged = random.Random(5), 0, 0
    with (folder / "said").open("w", buffering=1) as said:
        for _ in range(COMMITS):
            messages = [a_message(number + place) for place in range(1, rng.randint(1, 4) + 1)]
            outbox.commit(messages, f'{{"sequence": {messages[-1].sequence}}}')
            number = messages[-1].sequence
            said.write(f"committed {number}\n")
            if rng.random() < 0.2:
                said.write(f"acknowledged {number}\n")
                outbox.acknowledge(range(acknowledged + 1, number + 1))
                acknowledged = number
            if rng.random() < 0.05:
                outbox.flush()


def a_message(number: int) -> Message:
    payload = f"payload of {number} ".encode() * (8 + number % 11)
    return Message(f"box:0000:{number}", "a/topic", payload, False, "entry", number, float(number))


@dataclass(frozen=True)
class Operation:
    """One record of the disk's life; see disk_recorder.c."""

    kind: str
    name: str
    data: bytes
    offset: int


def record(folder: Path, careless: bool) -> list[Operation]:
    """Compile the recorder, live under it, and read its log."""
    library, log, disk = folder / "recorder.so", folder / "log", folder / "disk"
    disk.mkdir()
    source = Path(__file__).with_name("disk_recorder.c")
    build = [
        "gcc",
        "-O1",
        "-shared",
        "-fPIC",
        str(source),
        "-o",
        str(library),
        "-ldl",
    ]
    subprocess.run(build, check=True)
    recording = {"LD_PRELOAD": str(library), "RECORD_FOLDER": str(disk), "RECORD_LOG": str(log)}
    command = [sys.executable, "-m", "tests.scenarios.power_cut", "--live", str(disk)]
    command += ["--careless"] * careless
    subprocess.run(command, check=True, env=os.environ | recording)
    return list(operations(log.read_bytes()))


def operations(log: bytes) -> Iterator[Operation]:
    place = 0
    while place < len(log):
        kind, path_size, size, offset = HEAD.unpack_from(log, place)
        place += HEAD.size
        path = log[place : place + path_size].decode()
        data = log[place + path_size : place + path_size + size]
        place += path_size + size
        yield Operation(kind.decode(), Path(path).name, data, offset)


@dataclass
class File:
    """A file as it is on the disk for certain, and what was done to it since its last sync."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[Operation] = field(default_factory=list)

    def after_cut(self, rng: random.Random, tear: bool) -> bytes:
        content = bytearray(self.synced)
        for operation in self.since:
            if rng.random() < 0.5:
                apply(content, operation, rng.randrange(len(operation.data) + 1) if tear else None)
        return bytes(content)

    def sync(self) -> None:
        for operation in self.since:
            apply(self.synced, operation)
        self.since = []


def apply(content: bytearray, operation: Operation, torn_at: int | None = None) -> None:
    if operation.kind == "T":
        length = operation.offset
        content[:] = content[:length].ljust(length, b"\0")
        return
    data = operation.data if torn_at is None else operation.data[: torn_at // SECTOR * SECTOR]
    end = operation.offset + len(data)
    content.extend(bytes(max(0, end - len(content))))
    content[operation.offset : end] = data


def replay(done: list[Operation]) -> dict[str, File]:
    """The disk after these operations. Names (create, rename, unlink) are taken to be durable at once, as the
    journals of ext4 and f2fs keep their order."""
    files: dict[str, File] = {}
    for operation in done:
        if operation.kind in "WT":
            files.setdefault(operation.name, File()).since.append(operation)
        elif operation.kind == "S":
            files.setdefault(operation.name, File()).sync()
        elif operation.kind == "U":
            files.pop(operation.name, None)
        elif operation.kind == "R":
            files[Path(operation.data.decode()).name] = files.pop(operation.name)
    return files


@dataclass
class Report:
    """`lost` counts messages; the other faults count cuts."""

    seed: int
    dropped_cuts: int = 0
    torn_cuts: int = 0
    corrupt: int = 0
    begun_anew: int = 0
    lost: int = 0
    books_behind: int = 0


def cut(done: list[Operation], rng: random.Random, tear: bool, folder: Path, report: Report) -> None:
    files = replay(done)
    said = files.pop("said", File())
    said.sync()
    committed, acknowledged = what_was_said(said.synced.decode())
    for name, file in files.items():
        if not name.endswith("-shm"):  # shared memory: SQLite makes it anew
            (folder / name).write_bytes(file.after_cut(rng, tear))
    outbox = Outbox(folder / "outbox.db")
    held = {message.sequence for message in outbox.peek(0, 10**6)}
    report.begun_anew += outbox.outflow().started_anew
    report.lost += len(set(range(acknowledged + 1, committed + 1)) - held)
    report.books_behind += json.loads(outbox.books or '{"sequence": 0}')["sequence"] < committed
    outbox.close()
    with sqlite3.connect(folder / "outbox.db") as db:
        report.corrupt += db.execute("PRAGMA integrity_check").fetchone()[0] != "ok"


def what_was_said(lines: str) -> tuple[int, int]:
    """The last number whose commit had returned, and the last whose acknowledgement may have begun."""
    last = {"committed": 0, "acknowledged": 0}
    for line in lines.splitlines():
        what, number = line.split()
        last[what] = int(number)
    return last["committed"], last["acknowledged"]


def cuts(folder: Path, many: int, seed: int, careless: bool = False) -> Report:
    """`many` cuts that drop, and as many that tear."""
    life, rng, report = record(folder, careless), random.Random(seed), Report(seed)
    for number in range(2 * many):
        tear = number % 2 == 1
        with tempfile.TemporaryDirectory(dir=folder) as disk:
            cut(life[: rng.randrange(len(life) + 1)], rng, tear, Path(disk), report)
        report.torn_cuts += tear
        report.dropped_cuts += not tear
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--careless", action="store_true", help="without syncs: must fail")
    parser.add_argument("--live", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.live:
        live(args.live, args.careless)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            result = cuts(Path(temporary), args.cuts, args.seed, args.careless)
        print(json.dumps(asdict(result), indent=1))
        sys.exit(bool(result.corrupt or result.begun_anew or result.lost or result.books_behind))
