"""Forgetting, proven on a memory image: what a thief of the running device would find, before and after.

A process of its own opens visits for twenty people and tells its secrets over a pipe; three leave again; then
it destroys its keys. Its whole writable memory and its runtime directory are searched each time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.core import facehash
from edge.core.facehash import Purpose, derive_key
from tests.memory import copies, found, image
from tests.privacy import SCHEME

PEOPLE, GONE = 20, 3

CHILD = """
import os, sys
from pathlib import Path
import numpy as np
from edge.adapters.facestore import FaceStore
from edge.adapters.keys import open_ring
from edge.core.visits import ReleaseRules, VisitRules
from edge.visit.visitors import Passer, Visitors
from tests.privacy import SCHEME, people

def tell(buffer):
    os.write(1, memoryview(buffer).cast("B"))

def passer(person, at_s):
    return Passer(person.copy(), at_s)

def opened(now_s):
    store = lambda key_of: FaceStore(Path(sys.argv[1]) / "visits.db", key_of, 8)
    return Visitors(ring, store, SCHEME, VisitRules(150, open_max=64), ReleaseRules(), list, now_s)

ring = open_ring({}, "door", lambda name, fd: None)
visitors = opened(0.0)
crowd = people(np.random.default_rng(), int(sys.argv[2]))
for person in crowd[:10]:
    visitors.entered(passer(person, 1.0))
visitors.tick(3601.0)
for person in crowd[10:]:
    visitors.entered(passer(person, 3602.0))
visitors.tick(3610.0)
for epoch in (1, 2):
    with ring.seed(epoch) as seed:
        tell(seed)
for slot in range(len(crowd)):
    tell(crowd[slot])
    for word in visitors._visits._codes:
        tell(word[slot : slot + 1])
visitors.left([passer(person, 3700.0) for person in crowd[:3]])
crowd.fill(0)
for command in sys.stdin:
    if command == "forget\\n":
        visitors.forget(3800.0)
    elif command == "age\\n":
        for now_s in range(3800, 4 * 3600, 60):
            visitors.tick(float(now_s))
    elif command == "resume\\n":
        visitors._visits.forget(ring.live())  # as the death of the process would
        visitors._store.close()
        visitors = opened(3800.0)
    tell(b"done")
"""


class Device:
    """The child process and the secrets that it had."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(directory), str(PEOPLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.seeds = [self.read(32) for _ in range(2)]
        self.templates: list[bytes] = []
        self.codes: list[bytes] = []
        for _ in range(PEOPLE):
            self.templates.append(self.read(512))
            self.codes.append(self.read(64))

    def read(self, length: int) -> bytes:
        assert self.process.stdout
        return self.process.stdout.read(length)

    def order(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        assert self.read(4) == b"done"

    def image(self) -> Iterator[bytes]:
        return image(self.process.pid)

    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in self.directory.iterdir()]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def derived(seed: bytes) -> dict[str, list[bytes]]:
    """All that follows from a seed: both keys, and the projection as it is kept and as it was computed."""
    own = bytearray(seed)
    key = derive_key(own, SCHEME, Purpose.PROJECTION)
    gaussians = facehash._gaussians(key, SCHEME.bits * SCHEME.dimensions).reshape(-1, 128, 128)
    raw = gaussians.copy()
    for block in gaussians:
        facehash._orthonormalise(block)
    return {
        "keys": [bytes(key), bytes(derive_key(own, SCHEME, Purpose.SEALING))],
        "rows": [row.tobytes() for row in facehash.projection(1, own, SCHEME)._rows],
        "rows while computed": [row.tobytes() for row in gaussians.reshape(-1, 128)],
        "gaussians": [row.tobytes() for row in raw.reshape(-1, 128)],
    }


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path)
    yield made
    made.close()


def test_the_search_finds_what_a_living_device_must_hold(device: Device) -> None:
    """Else the searches below would prove nothing."""
    assert found(device.image(), device.seeds) == set(device.seeds)
    rows = derived(device.seeds[0])["rows"]
    assert found(device.image(), rows) == set(rows)


@pytest.mark.parametrize("command", ["nothing", "resume"])
def test_a_code_is_in_memory_once_while_its_visit_is_open_and_then_nowhere(
    device: Device, command: str
) -> None:
    """Their templates had the code made, and are nowhere: who has left came again as the very same."""
    device.order(command)
    assert copies(device.image(), device.codes) == dict.fromkeys(device.codes[GONE:], 64 // 8)
    assert found(device.image(), device.templates) == set()


@pytest.mark.parametrize("command", ["forget", "age"])
def test_after_the_keys_are_destroyed_neither_memory_nor_files_hold_a_secret(
    device: Device, command: str
) -> None:
    device.order(command)
    secrets = {"seeds": device.seeds, "codes": device.codes, "templates": device.templates}
    for seed in device.seeds:
        for kind, values in derived(seed).items():
            secrets.setdefault(kind, []).extend(values)
    everything = [value for values in secrets.values() for value in values]
    left = found(device.image(), everything)
    assert {kind: len(left & set(values)) for kind, values in secrets.items()} == dict.fromkeys(secrets, 0)
    assert found(device.files(), everything) == set()


def test_the_files_of_a_living_device_hold_nothing_readable(device: Device) -> None:
    """A stolen card, or a copy of the runtime directory without the memory."""
    secrets = [
        *device.seeds,
        *device.codes,
        *derived(device.seeds[0])["keys"],
        *derived(device.seeds[1])["keys"],
    ]
    assert any(len(content) > 4096 for content in device.files())
    assert found(device.files(), secrets) == set()
    assert found([np.float64(3602.0).tobytes() * 2], [np.float64(3602.0).tobytes()])  # the search works
    assert found(device.files(), [np.float64(3602.0).tobytes()]) == set()
