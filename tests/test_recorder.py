"""From events to messages: the totals on them, the order, and what happens when the disk is full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.adapters.outbox import Outbox
from edge.core.values import Dwell, Ended, Kind, Message, Moment, Occupancy, Sync
from edge.ports import AdapterError
from edge.recorder import PENDING_MAX, RETRY_S, Recorder
from tests.messages import BASE, CAMERA, CONTRACT, LINE, ZONE, a_crossing

ATHENS = ZoneInfo("Europe/Athens")
NOON = 1773568800.0  # 2026-03-15T10:00:00Z, noon in Athens
MIDNIGHT = NOON + 12 * 3600


def at(second: float) -> Moment:
    return Moment(frame=int(second * 10), monotonic_s=second, wall_s=NOON + second)


def a_recorder(sink: Outbox, ledger: str | None = None) -> Recorder:
    recorder = Recorder(CONTRACT, sink, ATHENS, ledger, lambda: Sync.SYNCED)
    recorder.start(at(0))
    return recorder


def people(recorder: Recorder, *kinds: Kind, second: float = 1) -> None:
    recorder.record(CAMERA, at(second), [a_crossing(kind, at(second)) for kind in kinds])


def payloads(messages: Sequence[Message]) -> list[dict[str, object]]:
    return [json.loads(message.payload) for message in messages]


def state(outbox: Outbox, topic: str) -> dict[str, object]:
    states = {message.topic: message for message in outbox.states(all_of_them=True)}
    value: dict[str, object] = json.loads(states[f"{BASE}/{topic}"].payload)
    return value


def test_totals_ride_on_every_event_and_numbers_have_no_gap(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    people(a_recorder(outbox), Kind.ENTRY, Kind.ENTRY, Kind.EXIT)
    events = payloads(outbox.peek(0, 10))
    assert [event["sequence"] for event in events] == ["1", "2", "3"]
    assert [event["data"]["totals"] for event in events] == [  # type: ignore[index]
        {"entry": 1, "exit": 0},
        {"entry": 2, "exit": 0},
        {"entry": 2, "exit": 1},
    ]
    assert state(outbox, f"count/{CAMERA}/{LINE}")["today"] == {"entry": 2, "exit": 1}


def test_every_line_and_zone_is_announced_at_the_start(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    a_recorder(outbox)
    assert state(outbox, f"count/{CAMERA}/{LINE}")["today"] == {"entry": 0, "exit": 0}
    assert state(outbox, f"count/{CAMERA}/{ZONE}")["occupancy"] is None


def test_a_restart_resumes_totals_and_numbers(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    people(a_recorder(outbox), Kind.ENTRY, Kind.EXIT)
    people(a_recorder(outbox, outbox.ledger), Kind.ENTRY)
    last = payloads(outbox.peek(2, 1))[0]
    assert last["sequence"] == "3"
    assert last["data"]["totals"] == {"entry": 2, "exit": 1}  # type: ignore[index]
    assert state(outbox, f"count/{CAMERA}/{LINE}")["boot"] == {"entry": 1, "exit": 0}


def test_at_local_midnight_today_starts_anew_even_if_nobody_comes(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    people(recorder, Kind.ENTRY)
    recorder.tick(at(MIDNIGHT - NOON - 0.001))
    assert state(outbox, f"count/{CAMERA}/{LINE}")["date"] == "2026-03-15"
    recorder.tick(at(MIDNIGHT - NOON))
    line = state(outbox, f"count/{CAMERA}/{LINE}")
    assert (line["date"], line["today"]) == ("2026-03-16", {"entry": 0, "exit": 0})
    assert line["boot"] == {"entry": 1, "exit": 0}


def test_occupancy_is_a_state_and_dwell_an_event(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    recorder.record(CAMERA, at(1), [Occupancy(CAMERA, ZONE, 1, at(1))])
    assert state(outbox, f"count/{CAMERA}/{ZONE}")["occupancy"] == 1
    assert outbox.depth == 0
    recorder.record(CAMERA, at(9), [Dwell(CAMERA, ZONE, 8.0, Ended.LEFT, at(9), track=1)])
    assert [message.kind for message in outbox.peek(0, 10)] == ["dwell"]


def test_what_the_contract_refuses_neither_leaves_nor_counts_nor_takes_a_number(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    stranger = replace(a_crossing(Kind.ENTRY, at(1)), line="unknown")
    recorder.record(CAMERA, at(1), [stranger, a_crossing(Kind.ENTRY, at(1))])
    assert [message.sequence for message in outbox.peek(0, 10)] == [1]
    assert recorder.refused == {"entry": 1}
    assert set(recorder.ledger.lines) == {f"{CAMERA}/{LINE}"}


class FullDisk:
    """A sink whose disk is full until `full` is cleared."""

    def __init__(self) -> None:
        self.full = True
        self.taken: list[Message] = []

    def commit(self, messages: Sequence[Message], ledger: str) -> None:
        if self.full:
            raise AdapterError("write", "the outbox", "database or disk is full")
        self.taken += messages

    def post(self, state: Message) -> None:
        pass


def test_while_the_disk_is_full_events_wait_in_memory_and_nothing_is_lost() -> None:
    disk = FullDisk()
    recorder = Recorder(CONTRACT, disk, ATHENS)
    recorder.start(at(0))
    people(recorder, Kind.ENTRY, second=1)
    people(recorder, Kind.EXIT, second=2)
    disk.full = False
    recorder.tick(at(2 + RETRY_S))
    assert [message.sequence for message in disk.taken] == [1, 2]
    assert not recorder.lost


def test_memory_is_bounded_and_what_it_cannot_keep_is_counted() -> None:
    disk = FullDisk()
    recorder = Recorder(CONTRACT, disk, ATHENS)
    recorder.start(at(0))
    people(recorder, *[Kind.ENTRY] * (PENDING_MAX + 5))
    assert recorder.lost == {"entry": 5}
    disk.full = False
    recorder.tick(at(1 + RETRY_S))
    assert len(disk.taken) == PENDING_MAX
    assert recorder.ledger.totals(CAMERA, LINE).today.entry == PENDING_MAX + 5
