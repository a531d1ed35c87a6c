"""Visits: the code of an entry waits for its exit, for a bounded time, and is then gone.

             entry                  exit                    batch
    (none) --------> OPEN -----------------> FINISHED ---------------> published, forgotten
                       |  `dwell_s_max` passed, or the key destroyed
                       +-----------------> CENSORED, which is only a count

1. Only an entry with a code opens a visit; a face that gave none is counted as unusable.
2. An exit ends at most one visit and a visit is ended by at most one exit. Of all pairs of a step that are
   under the threshold, of one epoch, and within the dwell window, the nearest is linked first.
3. Who is not linked in time is censored: the count says so, no dwell is invented.
4. A code is wiped in the moment in which its visit leaves OPEN. No visit remembers who made it.
5. A finished visit is published only among others: in batches of at least `batch_min`, in random order, its
   dwell rounded down to the start of its bucket. A smaller batch is held and merged into the next one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.core.facehash import Floats, distances, weighed
from edge.core.values import FaceHash, FaceProbe, MatchQuality, Visit

DWELL_BUCKETS_S = (0, 120, 300, 600, 1200, 2400)
FREE = -1  # the epoch of a slot without a visit
FAR = np.float32(np.inf)
NEAR = 0.45  # a code is weighed if fewer of its bits differ than this share; of strangers' codes half do


@dataclass(frozen=True, slots=True)
class VisitRules:
    """When an exit is taken for the end of a visit: `threshold` in weighed bits, dwell window in seconds."""

    threshold: float
    dwell_s_min: float = 5.0
    dwell_s_max: float = 7200.0
    open_max: int = 4096


@dataclass(frozen=True, slots=True)
class Probe:
    """An exit's face under every live key, and when it was seen."""

    faces: tuple[FaceProbe, ...]
    at_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A visit that an exit has ended; `number` finds its row in the store and goes no further."""

    number: int
    visit: Visit


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of everyone, as counts: opened = finished + censored + those still open."""

    opened: int = 0
    finished: int = 0
    censored: int = 0
    unmatched: int = 0
    unusable: int = 0
    refused: int = 0

    def __str__(self) -> str:
        """What may be told of people who crossed in the same hour: how many exits were linked may not, since
        with one entry and one exit it would confirm that they were the same person."""
        return (
            f"{self.unusable} faces unusable, {self.censored} visits unfinished, {self.refused} without room"
        )


class OpenVisits:
    """The visits that wait for their exit, in one column-major table of codes: (words, open_max) uint64."""

    def __init__(self, rules: VisitRules, words: int) -> None:
        self.rules = rules
        self.tally = Tally()
        self._next = 1
        self._codes = np.zeros((words, rules.open_max), np.uint64)
        self._epochs = np.full(rules.open_max, FREE, np.int64)
        self._numbers = np.zeros(rules.open_max, np.int64)
        self._entered_s = np.zeros(rules.open_max)

    def __len__(self) -> int:
        return int((self._epochs != FREE).sum())

    def __repr__(self) -> str:
        return f"OpenVisits({len(self)} open)"

    def enter(self, code: FaceHash, at_s: float) -> int | None:
        """Open a visit and return its number, or None if there is no room, which is counted."""
        number = self._next
        if not self.restore(number, code, at_s):
            self.tally = replace(self.tally, refused=self.tally.refused + 1)
            return None
        self.tally = replace(self.tally, opened=self.tally.opened + 1)
        return number

    def restore(self, number: int, code: FaceHash, entered_s: float) -> bool:
        """Take back a visit that was opened before a restart; False if there is no room."""
        free = np.flatnonzero(self._epochs == FREE)
        if not free.size:
            return False
        slot = free[0]
        self._codes[:, slot] = code.words
        self._epochs[slot], self._numbers[slot], self._entered_s[slot] = code.epoch, number, entered_s
        self._next = max(self._next, number + 1)
        return True

    def leave(self, probes: Sequence[Probe]) -> tuple[Ended, ...]:
        """Link exits to open visits, one to one, nearest first; who matches nothing is counted."""
        cost = np.stack([self._cost(probe) for probe in probes]) if probes else np.zeros((0, 1), np.float32)
        ended = []
        while cost.size and cost.min() <= self.rules.threshold:
            who, slot = divmod(int(cost.argmin()), cost.shape[1])
            ended.append(
                self._end(slot, probes[who].at_s, rivals=int((cost[who] <= self.rules.threshold).sum()))
            )
            cost[who, :] = cost[:, slot] = FAR
        unmatched = self.tally.unmatched + len(probes) - len(ended)
        self.tally = replace(self.tally, finished=self.tally.finished + len(ended), unmatched=unmatched)
        return tuple(ended)

    def unusable(self) -> None:
        """Someone crossed whose face gave no code."""
        self.tally = replace(self.tally, unusable=self.tally.unusable + 1)

    def expire(self, now_s: float) -> tuple[int, ...]:
        """Censor the visits that have waited too long; returns their numbers."""
        return self._censor((self._epochs != FREE) & (now_s - self._entered_s > self.rules.dwell_s_max))

    def forget(self, epochs: Iterable[int]) -> tuple[int, ...]:
        """Censor the visits of keys that are being destroyed; returns their numbers."""
        return self._censor(np.isin(self._epochs, list(epochs)))

    def epochs(self) -> frozenset[int]:
        """The epochs whose keys are still needed."""
        return frozenset(int(epoch) for epoch in np.unique(self._epochs) if epoch != FREE)

    def _cost(self, probe: Probe) -> Floats:
        """Distance to every slot; FAR where the slot is free, of another epoch, or outside the window. The
        bits that differ are counted for all, and weighed for those few that may be near."""
        dwell_s = probe.at_s - self._entered_s
        possible = (dwell_s >= self.rules.dwell_s_min) & (dwell_s <= self.rules.dwell_s_max)
        cost = np.full(self.rules.open_max, FAR, np.float32)
        for face in probe.faces:
            near = distances(self._codes, face.code.words) < NEAR * len(face.weights)
            slots = np.flatnonzero(near & possible & (self._epochs == face.code.epoch))
            cost[slots] = weighed(self._codes, slots, face)
        return cost

    def _end(self, slot: int, at_s: float, rivals: int) -> Ended:
        """Rivals: how many open visits were under the threshold; with more than one the link is a choice."""
        quality = MatchQuality.OK if rivals == 1 else MatchQuality.LOW
        ended = Ended(int(self._numbers[slot]), Visit(at_s - float(self._entered_s[slot]), quality))
        self._clear(np.arange(self.rules.open_max) == slot)
        return ended

    def _censor(self, which: NDArray[np.bool_]) -> tuple[int, ...]:
        numbers = tuple(int(number) for number in self._numbers[which])
        self._clear(which)
        self.tally = replace(self.tally, censored=self.tally.censored + len(numbers))
        return numbers

    def _clear(self, which: NDArray[np.bool_]) -> None:
        self._codes[:, which] = 0
        self._epochs[which] = FREE
        self._numbers[which] = 0
        self._entered_s[which] = 0


@dataclass(frozen=True, slots=True)
class ReleaseRules:
    """How finished visits are published. `fine` publishes each at once, to the second: an entry minute and a
    dwell minute single out 74 to 100 % of visits, so it is for those who may know that."""

    period_s: float = 900.0
    batch_min: int = 10
    fine: bool = False


class Release:
    """Holds finished visits until they can be published among others."""

    def __init__(self, rules: ReleaseRules, now_s: float, held: Iterable[Visit] = ()) -> None:
        self.rules = rules
        self.held = tuple(held)
        self._due_s = now_s + rules.period_s

    def add(self, visit: Visit) -> None:
        """Take one in; its exact dwell is forgotten here."""
        self.held = (*self.held, replace(visit, dwell_s=self._rounded(visit.dwell_s)))

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for a batch."""
        return self.rules.fine or now_s >= self._due_s

    def due(self, now_s: float, shuffle: Callable[[int], Sequence[int]]) -> tuple[Visit, ...]:
        """The visits to publish now, if any. `shuffle(n)` gives a random permutation of range(n)."""
        if not self.is_due(now_s):
            return ()
        if self.rules.fine:
            return self._let_go(range(len(self.held)))
        self._due_s += self.rules.period_s * (1 + (now_s - self._due_s) // self.rules.period_s)
        return self._let_go(shuffle(len(self.held))) if len(self.held) >= self.rules.batch_min else ()

    def _rounded(self, dwell_s: float) -> float:
        if self.rules.fine:
            return float(round(dwell_s))
        return float(DWELL_BUCKETS_S[bisect_right(DWELL_BUCKETS_S, dwell_s) - 1])

    def _let_go(self, order: Iterable[int]) -> tuple[Visit, ...]:
        released = tuple(self.held[index] for index in order)
        self.held = ()
        return released
