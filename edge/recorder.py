"""From events to messages that will arrive: ledger, contract and outbox in one step.

Called by the pipeline's thread only. `record` commits the events of a frame with the ledger that numbers
them; while the disk fails, both wait in memory, bounded, and the next call tries again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import tzinfo

from edge.core import ledger as books
from edge.core.ledger import Ledger
from edge.core.values import Crossing, Dwell, Event, Message, Moment, Sync
from edge.core.wire import Contract, Mark, Refused, Scopes
from edge.ports import AdapterError, Sink

log = logging.getLogger(__name__)

PENDING_MAX = 10_000
RETRY_S = 1.0


class Recorder:
    """Numbers events, adds them up, and hands their messages to the sink.

    `zone` is where midnight is; `sync` tells how far the wall clock can be trusted; `ledger` is what the
    outbox kept from the boot before, if anything. Counted by kind: `refused`, what the contract did not let
    out, and `lost`, what found no room in memory while the disk took nothing.
    """

    def __init__(
        self,
        contract: Contract,
        sink: Sink,
        zone: tzinfo,
        ledger: str | None = None,
        sync: Callable[[], Sync] = lambda: Sync.UNSYNCED,
    ) -> None:
        self._contract, self._sink, self._zone, self._sync = contract, sink, zone, sync
        boot_id = contract.device.boot_id
        self._ledger = books.load(ledger).booted(boot_id) if ledger else Ledger(boot_id)
        self._committed: Ledger | None = None
        self._pending: list[Message] = []
        self._retry_at_s = 0.0
        self.refused: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    def start(self, at: Moment) -> None:
        """Announce every line and zone of the configuration: the day's totals so far, occupancy unknown."""
        self._turn_day(at)
        mark = self._mark(at)
        for camera, scopes in self._contract.cameras.items():
            self._post_lines(camera, scopes, mark)
            for zone in sorted(scopes.zones):
                self._sink.post(self._contract.zone_count(camera, zone, None, mark))
        self._commit(at)

    def record(self, camera: str, at: Moment, events: Sequence[Event]) -> None:
        """Take the events of one frame of `camera`, often none. Cheap when there are none."""
        self.tick(at)
        for event in events:
            self._take(event)
        if events:
            self._commit(at)

    def tick(self, at: Moment) -> None:
        """Do what only time brings: the new day, and what the disk did not take before.

        `record` calls it; call it once a second too while no frame comes.
        """
        if self._turn_day(at):
            mark = self._mark(at)
            for camera, scopes in self._contract.cameras.items():
                self._post_lines(camera, scopes, mark)
            self._commit(at)
        elif self._pending and at.monotonic_s >= self._retry_at_s:
            self._commit(at)

    def _turn_day(self, at: Moment) -> bool:
        ledger = self._ledger.on(books.local_day(at.wall_s, self._zone), self._sync())
        turned, self._ledger = ledger is not self._ledger, ledger
        return turned

    def _take(self, event: Event) -> None:
        try:
            if isinstance(event, Crossing):
                self._cross(event)
            elif isinstance(event, Dwell):
                ledger = self._ledger.next("dwell")
                self._keep(self._contract.dwell(event, ledger.sequence, self._mark(event.at)), ledger)
            else:
                count = self._contract.zone_count(event.camera, event.zone, event.count, self._mark(event.at))
                self._sink.post(count)
        except Refused as refusal:
            self.refused[refusal.kind] += 1
            log.error("%s", refusal)

    def _cross(self, event: Crossing) -> None:
        ledger = self._ledger.crossed(event.camera, event.line, event.kind).next(event.kind.value)
        totals = ledger.totals(event.camera, event.line)
        mark = self._mark(event.at)
        self._keep(self._contract.crossing(event, ledger.sequence, totals.today, mark), ledger)
        self._sink.post(self._contract.line_count(event.camera, event.line, totals, ledger.sequence, mark))

    def _keep(self, message: Message, ledger: Ledger) -> None:
        """Only a message that the contract let out takes its number and counts."""
        self._ledger = ledger
        if len(self._pending) >= PENDING_MAX:
            self.lost[message.kind] += 1
            return
        self._pending.append(message)

    def _commit(self, at: Moment) -> None:
        if not self._pending and self._ledger is self._committed:
            return
        try:
            self._sink.commit(self._pending, self._ledger.dump())
        except AdapterError as error:
            if not self._retry_at_s:
                log.error("%s; keeping up to %d messages in memory", error, PENDING_MAX)
            self._retry_at_s = at.monotonic_s + RETRY_S
            return
        if self._retry_at_s:
            log.warning(
                "the outbox takes messages again; %d were kept, %d lost",
                len(self._pending),
                self.lost.total(),
            )
        self._retry_at_s = 0.0
        self._pending, self._committed = [], self._ledger

    def _post_lines(self, camera: str, scopes: Scopes, mark: Mark) -> None:
        for line in sorted(scopes.lines):
            totals = self._ledger.totals(camera, line)
            self._sink.post(self._contract.line_count(camera, line, totals, self._ledger.sequence, mark))

    def _mark(self, at: Moment) -> Mark:
        return Mark(at, self._ledger.date, self._sync())
