"""What the device must remember over a restart, as one value that is kept with every commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from edge.core.intervals import Quarter
from edge.core.ledger import Ledger

GONE_MAX = 64


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger, the open quarter of an hour if there is one, and what others were told of and must hear
    when it is gone: in `places` lines and zones, as camera/scope, whose count a broker may hold; in
    `entities` the platform of each entity of Home Assistant by its unique id."""

    ledger: Ledger
    quarter: Quarter | None = None
    entities: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()

    def booted(self, boot_id: str) -> Books:
        """After a restart: nobody watched meanwhile, so the open quarter is partial."""
        quarter = self.quarter and replace(self.quarter, partial=True)
        return replace(self, ledger=self.ledger.booted(boot_id), quarter=quarter)

    def counting(self, places: Collection[str]) -> tuple[Books, tuple[str, ...]]:
        """The books when these places are counted by from now on, and the former ones that are no more.

        The newest GONE_MAX of those stay in the books: a broker may be away for days, and come back with
        what it held.
        """
        gone = tuple(place for place in self.places if place not in places)[-GONE_MAX:]
        return replace(self, places=(*gone, *places)), gone

    def dump(self) -> str:
        return _BOOKS.dump_json(self).decode()


_BOOKS = TypeAdapter(Books)


def load(text: str) -> Books:
    """What `dump` wrote; ValueError if it is something else."""
    return _BOOKS.validate_json(text, strict=True)
