"""Devices without cameras: made-up people through the shipped recorder, outbox, contract and publisher.

For a central system that wants to know, before it buys a hundred devices, whether it can take them. Nothing
between a person who crosses a line and the broker is a stand-in; only the person is.
"""

from __future__ import annotations

import heapq
import math
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timezone
from functools import partial
from pathlib import Path

from edge import __version__
from edge.adapters.clock import KernelSync
from edge.adapters.mqtt import Broker, Connection
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Backoff, Publisher
from edge.core.values import Crossing, Dwell, Ended, Event, Kind, Moment, Occupancy
from edge.core.wire import Contract, Device, Scopes
from edge.recorder import Recorder

CAMERA, LINE, ZONE = "entrance", "door", "till"
FLOORS = 6
STAY_S = (20.0, 600.0)
# The simulation may send more than a device ever would.
BYTES_PER_HOUR_MAX = 2**40

# Entries a second at each device, by the share of the time that has passed; and what to do after a step.
Pace = Callable[[float], float]
Tell = Callable[[], None]


def opening_day(share: float) -> float:
    """How busy a mall is after `share` of its opening hours, 0 to 1: a rise, a noon and an evening peak."""
    noon = math.exp(-(((share - 0.35) / 0.12) ** 2))
    evening = math.exp(-(((share - 0.75) / 0.12) ** 2))
    return 0.1 + 0.7 * noon + 0.9 * evening


@dataclass(slots=True)
class Crowd:
    """People who enter by a Poisson process, stay for a while, stand at the till or not, and leave.

    `hurry` divides how long they stay, as time is compressed. The same seed makes the same people.
    """

    rng: random.Random
    hurry: float = 1.0
    _leaving: list[tuple[float, float]] = field(default_factory=list)
    _at_till: int = 0

    def step(self, at: Moment, entries: float) -> list[Event]:
        """The events of one step in which `entries` people are expected to come in."""
        events: list[Event] = []
        for _ in range(self._poisson(entries)):
            stay_s = self.rng.uniform(*STAY_S) / self.hurry
            heapq.heappush(self._leaving, (at.monotonic_s + stay_s, stay_s))
            events.append(Crossing(CAMERA, LINE, Kind.ENTRY, at, track=0, reason="simulated"))
        while self._leaving and self._leaving[0][0] <= at.monotonic_s:
            _, stay_s = heapq.heappop(self._leaving)
            events += self._leave(at, stay_s)
        return events

    def _leave(self, at: Moment, stay_s: float) -> Iterator[Event]:
        yield Crossing(CAMERA, LINE, Kind.EXIT, at, track=0, reason="simulated")
        if self.rng.random() < 0.5:
            yield Dwell(CAMERA, ZONE, min(stay_s, 86_400.0), Ended.LEFT, at, track=0)
            yield Occupancy(CAMERA, ZONE, self.rng.randrange(12), at)

    def _poisson(self, mean: float) -> int:
        """Knuth's method; `mean` is small, as steps are short."""
        limit, product, count = math.exp(-mean), self.rng.random(), 0
        while product > limit:
            product *= self.rng.random()
            count += 1
        return count


class SimulatedDevice:
    """One device: an outbox of its own in `folder`, a recorder, and a publisher in a thread of its own."""

    def __init__(self, name: str, broker: Broker, folder: Path, seed: int, backoff: Backoff) -> None:
        floor = f"floor-{seed % FLOORS}"
        scopes = {CAMERA: Scopes(frozenset({LINE}), frozenset({ZONE}))}
        device = Device(floor, name, secrets.token_hex(4), __version__, "0" * 12)
        contract = Contract(device, scopes)
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.outbox = Outbox(folder / "outbox.db")
        self.recorder = Recorder(
            contract,
            self.outbox,
            timezone.utc,
            self.outbox.books,
            self.outbox.floor,
            KernelSync(),
            BYTES_PER_HOUR_MAX,
        )
        self.crowd = Crowd(random.Random(seed))  # noqa: S311
        publisher = Publisher(
            self.outbox,
            partial(Connection, broker, contract.status("offline")),
            contract.status("online"),
            contract.status("stopped"),
            device.boot,
            backoff,
        )
        self._stop = threading.Event()
        run = partial(publisher.run, self._stop, _no_beat)
        self._thread = threading.Thread(target=run, name=f"publisher {name}", daemon=True)

    def start(self, at: Moment) -> None:
        self.recorder.start(at)
        self._thread.start()

    def step(self, at: Moment, entries: float) -> None:
        self.recorder.record(CAMERA, at, self.crowd.step(at, entries))

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        self._thread.join(5.0)
        self.outbox.close()


def _no_beat() -> None:
    """Nobody watches a simulated worker."""


def now() -> Moment:
    return Moment(0, time.monotonic(), time.time())


def run(
    devices: list[SimulatedDevice], seconds: float, pace: Pace, tell: Tell | None = None, step_s: float = 0.05
) -> None:
    """Let people come for so long; `tell` is called after every step, when its events are on the disk."""
    begun_s = before_s = time.monotonic()
    while (elapsed_s := time.monotonic() - begun_s) < seconds:
        at = now()
        expected = pace(elapsed_s / seconds) * (at.monotonic_s - before_s)
        before_s = at.monotonic_s
        for device in devices:
            device.step(at, expected)
        if tell is not None:
            tell()
        time.sleep(max(0.0, before_s + step_s - time.monotonic()))


def drain(devices: list[SimulatedDevice], timeout_s: float) -> int:
    """Wait until the broker has everything; how many messages it has not after all."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and any(device.outbox.depth for device in devices):
        time.sleep(0.05)
    return sum(device.outbox.depth for device in devices)
