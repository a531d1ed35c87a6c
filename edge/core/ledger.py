"""The device's books: the sequence number and each line's totals, carried over restarts.

Three rules. A total never falls within a local day. A new boot resumes the day's totals and starts those
since boot at nought. The sequence only ever grows, whatever happens to days, boots and configuration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
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
class Ledger:
    """`date` is the local day the totals belong to, empty before the first; `lines` is keyed camera/line.

    `sequence` is the last number given to a message, and `numbered` how many were given today, by kind.
    """

    boot_id: str
    date: str = ""
    sequence: int = 0
    lines: Mapping[str, LineTotals] = field(default_factory=dict)
    numbered: Mapping[str, int] = field(default_factory=dict)

    def totals(self, camera: str, line: str) -> LineTotals:
        return self.lines.get(f"{camera}/{line}", LineTotals())

    def crossed(self, camera: str, line: str, kind: Kind) -> Ledger:
        before = self.totals(camera, line)
        after = LineTotals(today=before.today.plus(kind), boot=before.boot.plus(kind))
        return replace(self, lines={**self.lines, f"{camera}/{line}": after})

    def next(self, kind: str) -> Ledger:
        """The ledger after one more message of `kind` took the next number."""
        numbered = {**self.numbered, kind: self.numbered.get(kind, 0) + 1}
        return replace(self, sequence=self.sequence + 1, numbered=numbered)

    def on(self, day: str, sync: Sync) -> Ledger:
        """The ledger on `day`: today's totals start anew when the day is a later one.

        A clock that steps back over midnight keeps the day it had, else totals would fall. A trusted clock
        that steps back by more than a day was wrong before, and is believed now.
        """
        if day == self.date or (self.date and not _is_new(day, self.date, sync)):
            return self
        lines = {key: LineTotals(boot=totals.boot) for key, totals in self.lines.items()}
        return replace(self, date=day, lines=lines, numbered={})

    def booted(self, boot_id: str) -> Ledger:
        lines = {key: LineTotals(today=totals.today) for key, totals in self.lines.items()}
        return replace(self, boot_id=boot_id, lines=lines)

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def load(text: str) -> Ledger:
    """What `dump` wrote; ValueError if it is something else."""
    try:
        raw = json.loads(text)
        lines = {
            key: LineTotals(today=Flow(**totals["today"]), boot=Flow(**totals["boot"]))
            for key, totals in raw.pop("lines").items()
        }
        return Ledger(lines=lines, **raw)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a ledger: {error}") from error


def local_day(wall_s: float, zone: tzinfo) -> str:
    """The date on the wall of the shop: YYYY-MM-DD."""
    return datetime.fromtimestamp(wall_s, zone).date().isoformat()


def _is_new(day: str, before: str, sync: Sync) -> bool:
    if day > before:
        return True
    wrong_before = date.fromisoformat(before) - date.fromisoformat(day) > timedelta(days=1)
    return wrong_before and sync is Sync.SYNCED
