"""All that tier `visit` remembers of people, and how it forgets them: keys, open visits, and their store.

One object serves one camera group. Called by the pipeline's thread only. Codes and templates that come in or
are made here are wiped before the call returns, also by an exception. The journal gets counts, once an hour:
the minute in which a key is no longer needed is that in which the last of its visitors left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from edge.core.facehash import Floats, Projection, Purpose, Scheme, derive_key, projection
from edge.core.health import Unlinked
from edge.core.values import FaceHash, FaceProbe, Visit
from edge.core.visits import OpenVisits, Probe, Release, ReleaseRules, Tally, VisitRules
from edge.ports import AdapterError

log = logging.getLogger(__name__)

TICK_S = 1.0


class Rotation(Protocol):
    """What a step of the key ring did."""

    @property
    def born(self) -> int | None: ...

    @property
    def destroyed(self) -> tuple[int, ...]: ...


class Ring(Protocol):
    """The seeds of the live epochs; see `adapters.keys`."""

    def live(self) -> tuple[int, ...]: ...

    def seed(self, epoch: int) -> memoryview: ...

    def rotate(self, now_s: float, needed: frozenset[int]) -> Rotation: ...

    def destroy_all(self) -> int: ...


class Stored(Protocol):
    """An open visit as it was before a restart."""

    @property
    def number(self) -> int: ...

    @property
    def code(self) -> FaceHash: ...

    @property
    def entered_s(self) -> float: ...


class Store(Protocol):
    """Sealed open visits; see `adapters.facestore`. Everything that writes may raise AdapterError."""

    def put(self, number: int, code: FaceHash, entered_s: float) -> None: ...

    def drop(self, numbers: Iterable[int]) -> None: ...

    def load(self) -> tuple[Sequence[Stored], int]: ...

    def hold(self, visits: Iterable[Visit]) -> None: ...

    def held(self) -> tuple[Visit, ...]: ...

    def wipe(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Passer:
    """Someone who crossed a line: their template, or None if their face gave none, and when.

    Who takes a passer in wipes the template.
    """

    template: Floats | None
    at_s: float

    def wipe(self) -> None:
        if self.template is not None:
            self.template.fill(0)

    def __repr__(self) -> str:
        return f"Passer(at_s={self.at_s}, {'unusable' if self.template is None else 'usable'})"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was destroyed, as counts."""

    keys: int
    visits: int


class Visitors:
    """The open visits of one camera group, under that group's keys.

    `unlinked` is for publication. Like a batch it stands for a quarter of an hour: a count that moved with
    every crossing would tell who was masked.
    """

    def __init__(
        self,
        ring: Ring,
        open_store: Callable[[Callable[[int], bytearray | None]], Store],
        scheme: Scheme,
        rules: VisitRules,
        release: ReleaseRules,
        shuffle: Callable[[int], Sequence[int]],
        now_s: float,
    ) -> None:
        self._ring, self._scheme, self._shuffle = ring, scheme, shuffle
        self._visits = OpenVisits(rules, scheme.bits // 64)
        self._projections: dict[int, Projection] = {}
        self._store = open_store(self._sealing_key)
        self._release = Release(release, now_s, self._store.held())
        self.unlinked = Unlinked()
        self._destroyed = 0
        self._resume()
        self._tick_s = now_s
        self._turn(now_s)

    @property
    def tally(self) -> Tally:
        return self._visits.tally

    def __len__(self) -> int:
        return len(self._visits)

    def entered(self, passer: Passer) -> None:
        """Someone has come in: their visit is open, if their face gave a code."""
        with ExitStack() as wiping:
            for probe in self._probes([passer], self._ring.live()[:1], wiping):
                (face,) = probe.faces
                number = self._visits.enter(face.code, passer.at_s)
                if number is not None:
                    self._keep(partial(self._store.put, number, face.code, passer.at_s))

    def left(self, passers: Sequence[Passer]) -> None:
        """These have gone out in one step: the visits that they end are finished."""
        with ExitStack() as wiping:
            ended = self._visits.leave([*self._probes(passers, self._ring.live(), wiping)])
        for one in ended:
            self._release.add(one.visit)
        if ended:
            self._keep(lambda: self._store.drop(one.number for one in ended))
            self._keep(lambda: self._store.hold(self._release.held))

    def tick(self, now_s: float) -> tuple[Visit, ...]:
        """Expire, rotate, release: the visits that may be published now. Cheap to call at every frame."""
        if now_s - self._tick_s >= TICK_S:
            self._tick_s = now_s
            self._drop(self._visits.expire(now_s))
            self._turn(now_s)
        if self._release.is_due(now_s):
            self.unlinked = Unlinked(self.tally.unusable, self.tally.censored)
        released = self._release.due(now_s, self._shuffle)
        if released:
            self._keep(lambda: self._store.hold(self._release.held))
        return released

    def forget(self, now_s: float) -> Forgotten:
        """Destroy all keys at once and begin anew. What is finished is anonymous and stays."""
        epochs, keys = self._ring.live(), self._ring.destroy_all()
        visits = self._wipe(epochs)
        self._keep(self._store.wipe)
        log.warning("forgotten on request: %d keys destroyed, %d visits unfinished", keys, len(visits))
        self._turn(now_s)
        return Forgotten(keys, len(visits))

    def _probes(self, passers: Iterable[Passer], epochs: Iterable[int], wiping: ExitStack) -> Iterator[Probe]:
        """Those passers whose faces gave a template, hashed under the keys of these epochs. All templates and
        codes are wiped with `wiping`; faces that gave none are counted."""
        for passer in passers:
            wiping.callback(passer.wipe)
            if passer.template is None:
                self._visits.unusable()
                continue
            yield Probe(
                tuple(self._look_for(passer.template, epoch, wiping) for epoch in epochs), passer.at_s
            )

    def _look_for(self, template: Floats, epoch: int, wiping: ExitStack) -> FaceProbe:
        face = self._projections[epoch].probe(template)
        wiping.callback(face.wipe)
        return face

    def _resume(self) -> None:
        """Take back the visits from before the restart whose keys have lived on."""
        stored, refused = self._store.load()
        with ExitStack() as wiping:
            for visit in stored:
                wiping.callback(visit.code.wipe)
                self._visits.restore(visit.number, visit.code, visit.entered_s)
        if stored or refused:
            log.info("%d open visits go on after the restart, %d rows refused", len(stored), refused)

    def _turn(self, now_s: float) -> None:
        """One step of the key ring; projections follow the keys."""
        rotation = self._ring.rotate(now_s, self._visits.epochs())
        if rotation.destroyed:
            self._destroyed += len(rotation.destroyed)
            self._drop(self._wipe(rotation.destroyed))
        if rotation.born and self._destroyed:
            words = "a new key; %d destroyed since the last; since the start: %s"
            log.info(words, self._destroyed, self.tally)
            self._destroyed = 0
        for epoch in self._ring.live():
            if epoch not in self._projections:
                with self._ring.seed(epoch) as seed:
                    self._projections[epoch] = projection(epoch, seed, self._scheme)

    def _wipe(self, epochs: Iterable[int]) -> tuple[int, ...]:
        for epoch in epochs:
            if made := self._projections.pop(epoch, None):
                made.wipe()
        return self._visits.forget(epochs)

    def _drop(self, numbers: Sequence[int]) -> None:
        if numbers:
            self._keep(lambda: self._store.drop(numbers))

    def _keep(self, write: Callable[[], None]) -> None:
        """Writing serves only the next start, so a store that fails is told and worked without."""
        try:
            write()
        except AdapterError as error:
            log.error("%s; visits will not survive a restart", error)

    def _sealing_key(self, epoch: int) -> bytearray | None:
        if epoch not in self._ring.live():
            return None
        with self._ring.seed(epoch) as seed:
            return derive_key(seed, self._scheme, Purpose.SEALING)
