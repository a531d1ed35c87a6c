"""From events to messages that will arrive: books, contract and outbox in one step.

Called by the pipeline's thread only. `record` commits the events of a frame with the books that number them;
while the disk fails, both wait in memory, bounded, and the next call tries again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import tzinfo

from edge.core import books, intervals
from edge.core.books import Books
from edge.core.health import FPS_MIN, CameraVitals, Outflow, Vitals
from edge.core.intervals import Quarter
from edge.core.ledger import Ledger, local_day
from edge.core.schema import BYTES_PER_HOUR_MAX
from edge.core.terms import Quality
from edge.core.values import Crossing, Dwell, Event, Message, Moment, Sync, Visit
from edge.core.wire import Contract, Mark, Place, Refused
from edge.ports import AdapterError, Sink

log = logging.getLogger(__name__)

PENDING_MAX = 10_000
RETRY_S = 1.0
# How often the books are written while nothing happens: what a crash can take from a quarter's coverage.
SAVE_S = 60.0


@dataclass(slots=True)
class Watch:
    """What the recorder knows of one camera: its last picture, its pace, its people, those in its zones."""

    last_s: float | None = None
    gap_s: float = 0.0
    occupancy: dict[str, int] = field(default_factory=dict)
    sight: Quality = "ok"

    def see(self, monotonic_s: float) -> float:
        """Seconds since the picture before; 0 for the first."""
        elapsed_s = 0.0 if self.last_s is None else monotonic_s - self.last_s
        self.gap_s = 0.9 * self.gap_s + 0.1 * elapsed_s if self.gap_s else elapsed_s
        self.last_s = monotonic_s
        return elapsed_s

    @property
    def fps(self) -> float | None:
        return 1 / self.gap_s if self.gap_s else None

    @property
    def quality(self) -> Quality:
        return self.sight if self.gap_s <= 1 / FPS_MIN else "degraded"

    def age_s(self, at: Moment) -> float | None:
        """Of the last picture. A recording read faster than it was filmed is ahead of the clock, and new."""
        return None if self.last_s is None else max(0.0, at.monotonic_s - self.last_s)


class Recorder:
    """Numbers events, adds them up, and hands their messages to the sink.

    `zone` is where midnight is; `sync` tells how far the wall clock can be trusted; `kept` is the text that
    the sink kept from the boot before, if any, and `floor` a number that was certainly not passed.
    """

    def __init__(
        self,
        contract: Contract,
        sink: Sink,
        zone: tzinfo,
        kept: str | None = None,
        floor: int = 0,
        sync: Callable[[], Sync] = lambda: Sync.UNSYNCED,
        bytes_per_hour_max: int = BYTES_PER_HOUR_MAX,
    ) -> None:
        self._contract, self._sink, self._zone, self._sync = contract, sink, zone, sync
        boot_id = contract.device.boot_id
        self._books = books.load(kept).booted(boot_id) if kept else Books(Ledger(boot_id))
        self._books = replace(self._books, ledger=self._books.ledger.not_below(floor))
        self._watches = {camera: Watch() for camera in contract.cameras}
        self._synced = True
        self._pending: list[Message] = []
        self._commit_at_s = 0.0
        self._failing = False
        self._hour = Allowance(bytes_per_hour_max)
        self._refused: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    @property
    def ledger(self) -> Ledger:
        return self._books.ledger

    @property
    def outflow(self) -> Outflow:
        return replace(
            self._sink.outflow(),
            refused=self._refused.total(),
            lost=self._lost.total(),
            failing=self._failing,
        )

    def start(self, at: Moment) -> None:
        """Announce every line and zone of the configuration: the day's totals so far, occupancy unknown; and
        withdraw what is no longer one."""
        self._withdraw()
        self.tick(at)
        self._post_lines(at)
        for place in self._places("zones"):
            with self._refusing():
                self._post(self._contract.zone_count(place, None, self._mark(at, place)))

    def adopt(self, contract: Contract, at: Moment, *, home_assistant: bool) -> None:
        """Other lines and zones from now on, of the same cameras."""
        self._contract = contract
        for watch in self._watches.values():
            watch.occupancy.clear()
        self.discover(enabled=home_assistant)
        self.start(at)
        self._commit(at)

    def discover(self, *, enabled: bool) -> None:
        """Before `start`: tell Home Assistant what there is, and what there is no longer; see
        core.homeassistant. The next commit remembers it."""
        before = self._books.entities
        now = {n: str(options["platform"]) for n, options in self._contract.entities().items() if enabled}
        gone = {name: platform for name, platform in before.items() if name not in now}
        with self._refusing():
            if enabled:
                self._post(self._contract.discovery(gone))
            elif before:
                self._post(self._contract.no_discovery())
        self._books = replace(self._books, entities=now)

    def record(self, camera: str, at: Moment, events: Sequence[Event], sight: Quality = "ok") -> None:
        """Take the events of one frame of `camera`, often none, and how well people are seen in it; cheap
        when there are no events."""
        self._see(camera, at)
        self._watches[camera].sight = sight
        self.tick(at)
        for event in events:
            with self._refusing():
                self._take(event)
        if events:
            self._commit(at)

    def tick(self, at: Moment) -> None:
        """Do what only time brings: the clock's sync, the quarter, the day, what the disk did not take.

        `record` calls it; call it once a second too while no frame comes.
        """
        self._hour.turn(at.monotonic_s)
        self._restamp(at)
        turned = self._turn_quarter(at)
        turned = self._turn_day(at) or turned
        if turned or at.monotonic_s >= self._commit_at_s:
            self._commit(at)

    def release(self, group: str, visits: Sequence[Visit], at: Moment) -> None:
        """Publish a batch of visits of a camera group, all with the batch's time."""
        for visit in visits:
            ledger = self.ledger.next("visit")
            with self._refusing():
                message = self._contract.visit(group, visit, ledger.sequence, self._mark(at, Place(group)))
                self._keep(message, replace(self._books, ledger=ledger))
        if visits:
            self._commit(at)

    def report(self, vitals: Vitals, at: Moment) -> None:
        """Publish the health. Its cameras' pace and age come from the frames seen here."""
        cameras = {
            name: replace(
                vitals.cameras.get(name, CameraVitals()), fps=watch.fps, frame_age_s=watch.age_s(at)
            )
            for name, watch in self._watches.items()
        }
        with self._refusing():
            self._post(
                self._contract.health(replace(vitals, cameras=cameras), self.outflow, self._mark(at, Place()))
            )

    # -- what people do

    def _see(self, camera: str, at: Moment) -> None:
        watch = self._watches[camera]
        elapsed_s = watch.see(at.monotonic_s)
        if quarter := self._books.quarter:
            quarter = quarter.watched(camera, elapsed_s, watch.occupancy, watch.quality)
            self._books = replace(self._books, quarter=quarter)

    def _take(self, event: Event) -> None:
        if isinstance(event, Crossing):
            self._cross(event)
        elif isinstance(event, Dwell):
            self._dwell(event)
        else:
            place = Place(event.camera, event.zone)
            self._post(self._contract.zone_count(place, event.count, self._mark(event.at, place)))
            self._watches[event.camera].occupancy[event.zone] = event.count

    def _cross(self, event: Crossing) -> None:
        place = Place(event.camera, event.line)
        mark, quarter = self._mark(event.at, place), self._books.quarter
        ledger = self.ledger.crossed(event.camera, event.line, event.kind).next(event.kind.value)
        totals, number = ledger.totals(event.camera, event.line), ledger.sequence
        message = self._contract.crossing(event, number, totals.today, mark)
        quarter = quarter and quarter.crossed(event.camera, event.line, event.kind)
        self._keep(message, replace(self._books, ledger=ledger, quarter=quarter))
        self._post(self._contract.line_count(place, totals, number, mark))

    def _dwell(self, event: Dwell) -> None:
        mark, quarter = self._mark(event.at, Place(event.camera)), self._books.quarter
        ledger = self.ledger.next("dwell")
        message = self._contract.dwell(event, ledger.sequence, mark)
        quarter = quarter and quarter.dwelt(event.camera, event.zone, event.dwell_s)
        self._keep(message, replace(self._books, ledger=ledger, quarter=quarter))

    # -- what time brings

    def _turn_quarter(self, at: Moment) -> bool:
        quarter = self._books.quarter
        if quarter is not None and not quarter.is_over(at.wall_s):
            return False
        if quarter is not None:
            self._publish_quarter(quarter.closed(at.wall_s), at)
        self._books = replace(self._books, quarter=intervals.opened(at.wall_s))
        return quarter is not None

    def _publish_quarter(self, quarter: Quarter, at: Moment) -> None:
        make = {"lines": self._contract.line_interval, "zones": self._contract.zone_interval}
        kinds = {"lines": "interval_line", "zones": "interval_zone"}
        for scope, kind in kinds.items():
            for place in self._places(scope):
                ledger = self.ledger.next(kind)
                with self._refusing():
                    mark = self._mark(at, place)
                    message = make[scope](quarter, place, ledger.sequence, mark, self._zone)
                    self._keep(message, replace(self._books, ledger=ledger))

    def _turn_day(self, at: Moment) -> bool:
        ended = self.ledger
        begun = ended.on(local_day(at.wall_s, self._zone), self._sync())
        if begun is ended:
            return False
        self._books = replace(self._books, ledger=begun)
        if ended.date:
            with self._refusing():
                ledger = begun.next("digest")
                message = self._contract.digest(ended, ledger.sequence, self.outflow, self._mark(at, Place()))
                self._keep(message, replace(self._books, ledger=ledger))
        self._post_lines(at)
        return True

    def _restamp(self, at: Moment) -> None:
        """The clock has just become right: so can the times of what was made before and still waits."""
        was, self._synced = self._synced, self._sync() is not Sync.UNSYNCED
        if was or not self._synced:
            return
        offset_s = at.wall_s - at.monotonic_s
        with self._retrying(at):
            self._sink.rewrite(lambda message: self._contract.restamped(message, offset_s, self._zone))
        self._pending = [self._contract.restamped(message, offset_s, self._zone) for message in self._pending]

    # -- the way out

    def _keep(self, message: Message, books: Books) -> None:
        """Only a message that the contract let out takes its number and counts."""
        self._hour.spend(message)
        self._books = books
        if len(self._pending) < PENDING_MAX:
            self._pending.append(message)
        else:
            self._lost[message.kind] += 1

    def _post(self, state: Message) -> None:
        self._hour.spend(state)
        self._sink.post(state)

    def _post_lines(self, at: Moment) -> None:
        for place in self._places("lines"):
            totals = self.ledger.totals(place.camera, place.scope)
            with self._refusing():
                mark = self._mark(at, place)
                self._post(self._contract.line_count(place, totals, self.ledger.sequence, mark))

    def _withdraw(self) -> None:
        """Have the broker forget the counts of lines and zones that the configuration had once."""
        places = [f"{p.camera}/{p.scope}" for scopes in ("lines", "zones") for p in self._places(scopes)]
        self._books, gone = self._books.counting(places)
        for place in gone:
            with self._refusing():
                self._post(self._contract.withdrawn(Place(*place.split("/", 1))))

    def _commit(self, at: Moment) -> None:
        if self._failing and at.monotonic_s < self._commit_at_s:
            return
        self._commit_at_s = at.monotonic_s + SAVE_S
        with self._retrying(at):
            self._sink.commit(self._pending, self._books.dump())
            self._pending = []

    @contextmanager
    def _retrying(self, at: Moment) -> Iterator[None]:
        """A disk that fails is said once; what it did not take stays in memory for the next try."""
        try:
            yield
        except AdapterError as error:
            if not self._failing:
                fields = {"EDGED_EVENT": "outbox-failing"}
                log.error("%s; up to %d messages wait in memory", error, PENDING_MAX, extra=fields)
            self._failing = True
            self._commit_at_s = at.monotonic_s + RETRY_S
        else:
            if self._failing:
                words, fields = (
                    "the outbox takes messages again; %d were lost meanwhile",
                    {"EDGED_EVENT": "outbox-back"},
                )
                log.warning(words, self._lost.total(), extra=fields)
            self._failing = False

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What the contract does not let out is counted and logged, and goes nowhere."""
        try:
            yield
        except Refused as refusal:
            self._refused[refusal.kind] += 1
            log.error("%s", refusal, extra={"EDGED_EVENT": "event-refused"})

    def _places(self, scopes: str) -> Iterator[Place]:
        for camera, known in self._contract.cameras.items():
            for scope in sorted(known.lines if scopes == "lines" else known.zones):
                yield Place(camera, scope)

    def _mark(self, at: Moment, place: Place) -> Mark:
        watch = self._watches.get(place.camera)
        return Mark(at, self.ledger.date, self._sync(), watch.quality if watch else "ok")


class Allowance:
    """How many bytes may still leave in this hour."""

    def __init__(self, bytes_per_hour_max: int) -> None:
        self._most = self._left = bytes_per_hour_max
        self._until_s = 0.0

    def turn(self, monotonic_s: float) -> None:
        if monotonic_s >= self._until_s:
            self._left, self._until_s = self._most, monotonic_s + 3600.0

    def spend(self, message: Message) -> None:
        if len(message.payload) > self._left:
            raise Refused(message.kind, "more bytes an hour than the contract allows")
        self._left -= len(message.payload)
