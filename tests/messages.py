"""A small device for tests: its contract, its moments, its people."""

from __future__ import annotations

import time

from edge.core.ledger import Flow
from edge.core.values import Crossing, Kind, Message, Moment, Sync
from edge.core.wire import Contract, Device, Mark, Scopes

CAMERA, LINE, ZONE = "entrance", "door", "till"
DEVICE = Device("park", "north", "5f2c", "0.1.0", "deadbeef")
CAMERAS = {CAMERA: Scopes(frozenset({LINE}), frozenset({ZONE}))}
CONTRACT = Contract(DEVICE, CAMERAS)
BASE = DEVICE.base


def now() -> Moment:
    return Moment(frame=0, monotonic_s=time.monotonic(), wall_s=time.time())


def a_crossing(kind: Kind = Kind.ENTRY, at: Moment | None = None) -> Crossing:
    return Crossing(CAMERA, LINE, kind, at or now(), track=1, reason="in a test")


def an_entry(sequence: int, contract: Contract = CONTRACT) -> Message:
    mark = Mark(now(), "2026-03-15", Sync.SYNCED)
    return contract.crossing(a_crossing(), sequence, Flow(sequence, 0), mark)
