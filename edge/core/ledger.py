"""The device's books: the sequence number and each line's totals, carried over restarts.

Three rules. A total never falls within a local day. A new boot resumes the day's totals and starts those
since boot at nought. The sequence only ever grows, whatever happens to days, boots and configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo

from edge.core.values import Kind, Sync


@dataclass(frozen=True, slots=True)
class Flow:
    """People who crossed one line, by direction."""

    entry: int = 0
    exit: int = 0

    def plus(self, kind: Kind) -> Flow:
        if kind is Kind.ENTRY:
            return replace(self, entry=self.entry + 1)
        return replace(self, exit=self.exit + 1)


@dataclass(frozen=True, slots=True)
class LineTotals:
    """One line's totals since local midnight and since the daemon started."""

    today: Flow = Flow()
    boot: Flow = Flow()


@dataclass(frozen=True, slots=True)
class Numbered:
    """How many messages of one kind took a number today, and the last that did."""

    count: int
    last: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """`date` is the local day the totals belong to, empty before the first; `lines` is keyed camera/line.

    `sequence` is the last number given to a message; `first` is, or will be, the first of the day, and
    `numbered` says what was numbered in it, by kind.
    """

    boot_id: str
    date: str = ""
    sequence: int = 0
    first: int = 1
    lines: Mapping[str, LineTotals] = field(default_factory=dict)
    numbered: Mapping[str, Numbered] = field(default_factory=dict)

    def totals(self, camera: str, line: str) -> LineTotals:
        return self.lines.get(f"{camera}/{line}", LineTotals())

    def crossed(self, camera: str, line: str, kind: Kind) -> Ledger:
        before = self.totals(camera, line)
        after = LineTotals(today=before.today.plus(kind), boot=before.boot.plus(kind))
        return replace(self, lines={**self.lines, f"{camera}/{line}": after})

    def next(self, kind: str) -> Ledger:
        """The ledger after one more message of `kind` took the next number."""
        number = self.sequence + 1
        before = self.numbered.get(kind, Numbered(0, 0))
        numbered = {**self.numbered, kind: Numbered(before.count + 1, number)}
        return replace(self, sequence=number, numbered=numbered)

    def not_below(self, sequence: int) -> Ledger:
        """The ledger after a loss, of which only `sequence` is known not to have been passed."""
        return replace(self, sequence=max(self.sequence, sequence))

    def on(self, day: str, sync: Sync) -> Ledger:
        """The ledger on `day`: today's totals start anew when the day is a later one.

        A clock that steps back over midnight keeps the day it had, else totals would fall. A trusted clock
        that steps back by more than a day was wrong before, and is believed now.
        """
        if day == self.date or (self.date and not _is_new(day, self.date, sync)):
            return self
        lines = {key: LineTotals(boot=totals.boot) for key, totals in self.lines.items()}
        return replace(self, date=day, first=self.sequence + 1, lines=lines, numbered={})

    def booted(self, boot_id: str) -> Ledger:
        lines = {key: LineTotals(today=totals.today) for key, totals in self.lines.items()}
        return replace(self, boot_id=boot_id, lines=lines)


def local_day(wall_s: float, zone: tzinfo) -> str:
    """The date on the wall of the shop: YYYY-MM-DD."""
    return datetime.fromtimestamp(wall_s, zone).date().isoformat()


def _is_new(day: str, before: str, sync: Sync) -> bool:
    if day > before:
        return True
    wrong_before = date.fromisoformat(before) - date.fromisoformat(day) > timedelta(days=1)
    return wrong_before and sync is Sync.SYNCED
