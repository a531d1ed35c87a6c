"""The publisher's thread: takes messages from the outbox to the broker, and gives an acknowledged one up.

Its rules. The outbox is the session: every connection begins at the oldest message without acknowledgement.
No more than a window of messages is under way. A message is given up only on its acknowledgement; a refusal
buries it, with an alarm. A broker that is away is normal weather: said once, then retried with growing,
jittered delays.
"""

from __future__ import annotations

import logging
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from random import SystemRandom
from typing import Protocol, TextIO

from edge.core.schema import HISTORICAL, HISTORICAL_S
from edge.core.values import Message
from edge.ports import AdapterError

log = logging.getLogger(__name__)

FETCH = 200
IDLE_S = 0.5
STOP_S = 1.0
# A broker that takes longer to acknowledge is as good as gone; a fresh connection finds out.
ACKNOWLEDGE_S = 20.0
# Two devices with one id throw each other out, and many brokers do not say so. So many connections in a row
# that end so soon look like it.
TWIN_CONNECTIONS, TWIN_S = 3, 60.0
TWIN = "the last %d connections broke soon after they were made: does another client use this device id?"


class Bell(Protocol):
    """Readable by `select` when the queue has something new."""

    def fileno(self) -> int: ...

    def clear(self) -> None: ...


class Queue(Protocol):
    """What the publisher needs of the outbox."""

    @property
    def doorbell(self) -> Bell: ...

    def peek(self, after: int, limit: int) -> list[Message]: ...

    def acknowledge(self, sequences: Collection[int]) -> None: ...

    def bury(self, message: Message, reason: str) -> None: ...

    def states(self, *, all_of_them: bool = False) -> list[Message]: ...

    def flush(self) -> None: ...


class Link(Protocol):
    """One connection to the broker; see adapters.mqtt.Connection."""

    window: int
    weakness: str

    def publish(self, message: Message, properties: tuple[tuple[str, str], ...] = ()) -> int: ...

    def fits(self, message: Message) -> bool: ...

    def exchange(self, timeout_s: float, bell: Bell | None = None) -> None: ...

    def acknowledged(self) -> list[tuple[int, str | None]]: ...

    def certificates(self) -> list[str]: ...

    def drop(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a random delay below a ceiling that doubles, so that a thousand devices spread out."""

    base_s: float = 5.0
    cap_s: float = 120.0

    def delay_s(self, failures: int) -> float:
        ceiling = min(self.cap_s, self.base_s * 2 ** min(failures - 1, 16))
        return SystemRandom().uniform(0.0, ceiling)


class Step(Enum):
    """What one step of the publisher came to."""

    SENT = "sent"
    IDLE = "idle"
    FAILED = "failed"


class Publisher:
    """Owned by one thread. `connect` opens a connection or raises AdapterError; `online` is said at the start
    of each and `stopped` at the planned end. `boot` is how the ids of this boot begin: messages of another
    boot, and those that waited, are marked as historical.
    """

    def __init__(
        self,
        queue: Queue,
        connect: Callable[[], Link],
        online: Message,
        stopped: Message,
        boot: str,
        backoff: Backoff | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._connect, self._boot = queue, connect, boot
        self._online, self._stopped = online, stopped
        self._backoff, self._monotonic_s = backoff or Backoff(), monotonic_s
        self._link: Link | None = None
        self._under_way: dict[int, tuple[Message, float]] = {}
        self._next: deque[Message] = deque()
        self._cursor = 0
        self._failures = self._short_lives = 0
        self._started_s = 0.0
        self._complaint = ""

    @property
    def connected(self) -> bool:
        return self._link is not None

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Publish until `stop`; then what is left, for at most STOP_S, and the planned end."""
        while not stop.is_set():
            beat()
            if self.step() is Step.FAILED:
                self._rest(stop, beat)
        self._finish()

    def step(self) -> Step:
        """Send what the window allows, then wait for acknowledgements or for news, at most IDLE_S."""
        try:
            link = self._link or self._start()
            sent = self._send(link)
            link.exchange(0.0 if sent else IDLE_S, self._queue.doorbell)
            self._settle(link)
        except AdapterError as error:
            self._fail(error)
            return Step.FAILED
        return Step.SENT if sent else Step.IDLE

    def _start(self) -> Link:
        link = self._link = self._connect()
        self._queue.flush()
        self._cursor = 0
        self._publish(link, self._online)
        self._next.extend(self._queue.states(all_of_them=True))
        fields = {"EDGED_EVENT": "broker-up"}
        log.info("connected to the broker after %d failed attempts", self._failures, extra=fields)
        if link.weakness:
            log.warning("%s", link.weakness)
        for warning in link.certificates():
            log.warning("%s", warning, extra={"EDGED_EVENT": "certificate-ends"})
        self._failures, self._complaint, self._started_s = 0, "", self._monotonic_s()
        return link

    def _send(self, link: Link) -> int:
        room = link.window - len(self._under_way)
        if len(self._next) < room:
            self._refill()
        for sent in range(room):
            if not self._next:
                return sent
            self._publish(link, self._next.popleft())
        return max(room, 0)

    def _refill(self) -> None:
        self._next.extend(self._queue.states())
        rows = self._queue.peek(self._cursor, FETCH)
        if rows:
            self._cursor = rows[-1].sequence
            self._next.extend(rows)

    def _is_drained(self) -> bool:
        if not self._next:
            self._refill()
        return not self._next and not self._under_way

    def _publish(self, link: Link, message: Message) -> None:
        if not link.fits(message):
            self._bury(message, "larger than the broker accepts")
            return
        now_s = self._monotonic_s()
        number = link.publish(message, (HISTORICAL,) if self._is_historical(message, now_s) else ())
        self._under_way[number] = message, now_s

    def _is_historical(self, message: Message, now_s: float) -> bool:
        if not message.sequence:
            return False
        return not message.id.startswith(self._boot) or now_s - message.monotonic_s > HISTORICAL_S

    def _settle(self, link: Link) -> None:
        """Let go of what was acknowledged; a broker that keeps one waiting too long has failed."""
        done = []
        for number, refusal in link.acknowledged():
            message, _ = self._under_way.pop(number)
            if refusal is not None:
                self._bury(message, refusal)
            elif message.sequence:
                done.append(message.sequence)
        if done:
            self._queue.acknowledge(done)
        oldest_s = next((sent_s for _, sent_s in self._under_way.values()), None)
        if oldest_s is not None and self._monotonic_s() - oldest_s > ACKNOWLEDGE_S:
            raise AdapterError("publish to", "the broker", f"no acknowledgement for {ACKNOWLEDGE_S:.0f} s")

    def _bury(self, message: Message, reason: str) -> None:
        fields = {"EDGED_EVENT": "message-rejected", "EDGED_TOPIC": message.topic, "EDGED_ERROR": reason}
        words = "the broker rejected %s: %s (check its rights and limits)"
        log.error(words, message.topic, reason, extra=fields)
        self._queue.bury(message, reason)

    def _fail(self, error: AdapterError) -> None:
        self._failures += 1
        if str(error) != self._complaint:
            self._complaint = str(error)
            log.warning("%s; messages wait in the outbox", error, extra={"EDGED_EVENT": "broker-down"})
        if self._link is not None:
            self._link.drop()
            self._suspect_a_twin()
        self._link = None
        self._under_way.clear()
        self._next.clear()

    def _suspect_a_twin(self) -> None:
        is_short = self._monotonic_s() - self._started_s < TWIN_S
        self._short_lives = self._short_lives + 1 if is_short else 0
        if self._short_lives == TWIN_CONNECTIONS:
            log.warning(TWIN, TWIN_CONNECTIONS)

    def _rest(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        until_s = self._monotonic_s() + self._backoff.delay_s(self._failures)
        while not stop.is_set() and (left_s := until_s - self._monotonic_s()) > 0:
            beat()
            stop.wait(min(left_s, 1.0))

    def _finish(self) -> None:
        """The rest of the queue, then `stopped`; what does not go in time stays in the outbox."""
        until_s = self._monotonic_s() + STOP_S
        said = False
        while self._link is not None and self._monotonic_s() < until_s:
            if self._is_drained():
                if said:
                    break
                said = True
                self._publish(self._link, self._stopped)
            self.step()
        if self._link is not None:
            self._link.close()
            self._link = None


class Printer:
    """Stands in for the publisher where no broker is wanted: one line a message, then it is given up."""

    connected = True

    def __init__(self, queue: Queue, out: TextIO = sys.stdout) -> None:
        self._queue, self._out = queue, out
        self._cursor = 0

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        while not stop.is_set():
            beat()
            self._print()
            select.select([self._queue.doorbell], [], [], IDLE_S)
            self._queue.doorbell.clear()
        self._print()

    def _print(self) -> None:
        while messages := [*self._queue.states(), *self._queue.peek(self._cursor, FETCH)]:
            for message in messages:
                print(message.topic, message.payload.decode(), file=self._out, flush=True)
                self._cursor = max(self._cursor, message.sequence)
            self._queue.acknowledge([message.sequence for message in messages if message.sequence])
