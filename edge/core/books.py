"""What the device must remember over a restart, as one value that is kept with every commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from edge.core.intervals import Quarter
from edge.core.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger, the open quarter of an hour if there is one, and what Home Assistant was told of: the
    platform of each entity by its unique id."""

    ledger: Ledger
    quarter: Quarter | None = None
    entities: Mapping[str, str] = field(default_factory=dict)

    def booted(self, boot_id: str) -> Books:
        """After a restart: nobody watched meanwhile, so the open quarter is partial."""
        quarter = self.quarter and replace(self.quarter, partial=True)
        return replace(self, ledger=self.ledger.booted(boot_id), quarter=quarter)

    def dump(self) -> str:
        return _BOOKS.dump_json(self).decode()


_BOOKS = TypeAdapter(Books)


def load(text: str) -> Books:
    """What `dump` wrote; ValueError if it is something else."""
    return _BOOKS.validate_json(text, strict=True)
