"""From events to messages: the totals on them, the order, and what happens when the disk is full."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.adapters.outbox import Outbox
from edge.core.health import CameraVitals, Outflow, Vitals
from edge.core.values import Dwell, Ended, Kind, MatchQuality, Message, Moment, Occupancy, Sync, Visit
from edge.core.wire import Contract, Scopes
from edge.ports import AdapterError
from edge.recorder import PENDING_MAX, RETRY_S, Recorder
from tests.messages import BASE, CAMERA, CONTRACT, LINE, ZONE, a_crossing

ATHENS = ZoneInfo("Europe/Athens")
NOON = 1773568800.0  # 2026-03-15T10:00:00Z, noon in Athens
MIDNIGHT = NOON + 12 * 3600


def at(second: float) -> Moment:
    return Moment(frame=int(second * 10), monotonic_s=second, wall_s=NOON + second)


def a_recorder(sink: Outbox, ledger: str | None = None) -> Recorder:
    recorder = Recorder(CONTRACT, sink, ATHENS, ledger, sync=lambda: Sync.SYNCED)
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
    people(a_recorder(outbox, outbox.books), Kind.ENTRY)
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
    assert recorder.outflow.refused == 1
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

    def rewrite(self, change: Callable[[Message], Message]) -> None:
        pass

    def outflow(self) -> Outflow:
        return Outflow()


def test_while_the_disk_is_full_events_wait_in_memory_and_nothing_is_lost() -> None:
    disk = FullDisk()
    recorder = Recorder(CONTRACT, disk, ATHENS)
    recorder.start(at(0))
    people(recorder, Kind.ENTRY, second=1)
    people(recorder, Kind.EXIT, second=2)
    disk.full = False
    recorder.tick(at(2 + RETRY_S))
    assert [message.sequence for message in disk.taken] == [1, 2]
    assert recorder.outflow.lost == 0


def test_memory_is_bounded_and_what_it_cannot_keep_is_counted() -> None:
    disk = FullDisk()
    recorder = Recorder(CONTRACT, disk, ATHENS)
    recorder.start(at(0))
    people(recorder, *[Kind.ENTRY] * (PENDING_MAX + 5))
    assert recorder.outflow.lost == 5
    disk.full = False
    recorder.tick(at(1 + RETRY_S))
    assert len(disk.taken) == PENDING_MAX
    assert recorder.ledger.totals(CAMERA, LINE).today.entry == PENDING_MAX + 5


def test_a_batch_of_visits_is_numbered_like_everything_and_has_one_time(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = Recorder(replace(CONTRACT, groups=frozenset({"main"})), outbox, ATHENS)
    recorder.start(at(0))
    recorder.release("main", [Visit(0, MatchQuality.OK), Visit(300, MatchQuality.LOW)], at(900))
    events = payloads(outbox.peek(0, 10))
    assert [event["sequence"] for event in events] == ["1", "2"]
    assert [data_of(event) for event in events] == [
        {"dwell_s": 0, "quality": "ok"},
        {"dwell_s": 300, "quality": "low"},
    ]
    assert len({str(event["time"]) for event in events}) == 1


def test_visits_of_a_group_that_is_not_configured_are_refused(tmp_path: Path) -> None:
    recorder = a_recorder(Outbox(tmp_path / "outbox.db"))
    recorder.release("main", [Visit(0, MatchQuality.OK)], at(900))
    assert recorder.outflow.refused == 1


def at_quarter(number: int, seconds: float = 0.0) -> Moment:
    return at(900 * number + seconds)


def by_kind(outbox: Outbox, kind: str) -> list[dict[str, object]]:
    return payloads([message for message in outbox.peek(0, 1000) if message.kind == kind])


def data_of(event: dict[str, object]) -> dict[str, object]:
    data: dict[str, object] = event["data"]  # type: ignore[assignment]
    return data


def test_each_quarter_hour_closes_with_one_message_a_scope(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    recorder.record(CAMERA, at(0), [Occupancy(CAMERA, ZONE, 2, at(0))])
    for second in range(1, 901):
        recorder.record(CAMERA, at(second), [])
        if second == 450:
            people(recorder, Kind.ENTRY, second=450)
            recorder.record(CAMERA, at(450), [Dwell(CAMERA, ZONE, 100.0, Ended.LEFT, at(450), track=1)])
    assert data_of(by_kind(outbox, "interval_line")[0]) == {
        "start": "2026-03-15T10:00:00.000Z",
        "local": "2026-03-15T12:00+02:00",
        "coverage": 1.0,
        "quality": "degraded",
        "partial": False,
        "clock": "synced",
        "line": LINE,
        "totals": {"entry": 1, "exit": 0},
    }
    zone = data_of(by_kind(outbox, "interval_zone")[0])
    assert (zone["occupancy"], zone["visits"]) == ({"mean": 2.0, "max": 2}, 1)
    assert abs(zone["dwell_s"]["p50"] - 100) <= 5  # type: ignore[index]
    recorder.tick(at_quarter(2))
    unwatched = data_of(by_kind(outbox, "interval_line")[1])
    assert unwatched["totals"] == {"entry": 0, "exit": 0}
    assert (unwatched["coverage"], unwatched["quality"]) == (0.0, None)


def test_a_quarter_in_which_people_were_mostly_too_small_says_so(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    for tenth in range(9001):
        recorder.record(CAMERA, at(tenth / 10), [], "ok" if tenth < 4000 else "small")
    assert data_of(by_kind(outbox, "interval_line")[0])["quality"] == "small"


def test_a_quarter_that_ended_while_the_device_was_off_is_closed_late_as_partial(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    people(a_recorder(outbox), Kind.ENTRY)
    later = Recorder(CONTRACT, outbox, ATHENS, outbox.books, sync=lambda: Sync.SYNCED)
    later.start(at_quarter(5))
    closed = data_of(by_kind(outbox, "interval_line")[0])
    assert (closed["partial"], closed["totals"]) == (True, {"entry": 1, "exit": 0})
    assert closed["start"] == "2026-03-15T10:00:00.000Z"


def test_the_day_ends_with_a_digest_by_which_a_gap_can_be_proven(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    people(recorder, Kind.ENTRY, Kind.EXIT, Kind.ENTRY)
    recorder.tick(at(MIDNIGHT - NOON))
    digest = data_of(by_kind(outbox, "digest")[0])
    assert (digest["date"], digest["first"], digest["last"]) == ("2026-03-15", 1, 5)
    kinds: dict[str, dict[str, object]] = digest["kinds"]  # type: ignore[assignment]
    assert {kind: tally["count"] for kind, tally in kinds.items() if tally["count"]} == {
        "entry": 2,
        "exit": 1,
        "interval_line": 1,
        "interval_zone": 1,
    }
    assert kinds["entry"]["last"] == 3


def test_what_was_made_before_the_clock_was_right_is_stamped_anew_when_it_is(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    synced: list[Sync] = [Sync.UNSYNCED]
    recorder = Recorder(CONTRACT, outbox, ATHENS, sync=lambda: synced[-1])
    wrong = Moment(frame=1, monotonic_s=10.0, wall_s=3600.0)  # 1970
    recorder.start(wrong)
    recorder.record(CAMERA, wrong, [a_crossing(Kind.ENTRY, wrong)])
    assert data_of(payloads(outbox.peek(0, 1))[0])["clock"] == "unsynced"
    synced.append(Sync.SYNCED)
    recorder.tick(Moment(frame=2, monotonic_s=40.0, wall_s=NOON))
    event = payloads(outbox.peek(0, 1))[0]
    assert event["time"] == "2026-03-15T09:59:30.000Z"
    assert (data_of(event)["clock"], data_of(event)["date"]) == ("synced", "2026-03-15")


def test_health_names_the_camera_that_has_stalled(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    for tenth in range(100):
        recorder.record(CAMERA, at(tenth / 10), [])
    vitals = Vitals(uptime_s=10, cameras={CAMERA: CameraVitals(dropped_frames=3)}, rss_mib=88.0)
    recorder.report(vitals, at(10))
    health = state(outbox, "health")
    assert (health["ok"], health["problems"]) == (True, [])
    assert health["cameras"] == {CAMERA: {"fps": 10.0, "frame_age_s": 0.1, "dropped_frames": 3}}
    recorder.report(vitals, at(20))
    assert state(outbox, "health")["problems"] == ["camera_stalled"]


def test_a_recording_that_runs_ahead_of_the_clock_has_fresh_pictures(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    for tenth in range(900):
        recorder.record(CAMERA, at(tenth / 10), [])
    recorder.report(Vitals(uptime_s=60, cameras={CAMERA: CameraVitals()}, rss_mib=88.0), at(60))
    fresh = {"fps": 10.0, "frame_age_s": 0.0, "dropped_frames": 0}
    assert state(outbox, "health")["cameras"] == {CAMERA: fresh}
    assert recorder.outflow.refused == 0


def test_a_camera_at_four_pictures_a_second_gives_degraded_counts(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    for quarter_second in range(100):
        recorder.record(CAMERA, at(quarter_second / 4), [])
    recorder.record(CAMERA, at(25), [a_crossing(Kind.ENTRY, at(25))])
    assert data_of(payloads(outbox.peek(0, 1))[0])["quality"] == "degraded"


def test_a_crowded_picture_gives_crowded_counts_as_long_as_it_is_crowded(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = a_recorder(outbox)
    recorder.record(CAMERA, at(0.1), [a_crossing(Kind.ENTRY, at(0.1))], "crowded")
    recorder.record(CAMERA, at(0.2), [a_crossing(Kind.ENTRY, at(0.2))], "ok")
    assert [data_of(one)["quality"] for one in payloads(outbox.peek(0, 2))] == ["crowded", "ok"]


def test_more_bytes_an_hour_than_the_contract_allows_do_not_leave(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = Recorder(CONTRACT, outbox, ATHENS, sync=lambda: Sync.SYNCED, bytes_per_hour_max=3_000)
    recorder.start(at(0))
    people(recorder, *[Kind.ENTRY] * 50)
    let_out = outbox.depth
    assert 0 < let_out < 10
    assert recorder.outflow.refused >= 50 - let_out
    assert recorder.ledger.sequence == let_out
    people(recorder, Kind.ENTRY, second=3700)
    assert outbox.depth > let_out


def test_a_line_that_is_no_more_is_withdrawn_from_the_broker(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    topic = f"{BASE}/count/{CAMERA}/{LINE}"
    fewer = Contract(CONTRACT.device, {CAMERA: Scopes(zones=frozenset({ZONE}))})

    def told() -> bytes | None:
        return {message.topic: message.payload for message in outbox.states(all_of_them=True)}.get(topic)

    recorder = a_recorder(outbox)
    assert told()
    recorder.adopt(fewer, at(1), home_assistant=False)
    assert told() == b"", "live"
    assert recorder.outflow.refused == 0

    outbox.close()
    outbox = Outbox(tmp_path / "outbox.db")
    Recorder(fewer, outbox, ATHENS, outbox.books).start(at(2))
    assert told() == b"", "the broker may have been away: after a restart it is said again"
    Recorder(CONTRACT, outbox, ATHENS, outbox.books).start(at(3))
    assert told(), "it is back"


def test_home_assistant_is_told_what_there_is_and_what_is_gone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    topic = "homeassistant/device/edged-park-north/config"

    def told(contract: Contract, enabled: bool) -> bytes:
        recorder = Recorder(contract, outbox, ATHENS, outbox.books, sync=lambda: Sync.SYNCED)
        recorder.discover(enabled=enabled)
        recorder.start(at(0))
        return {message.topic: message.payload for message in outbox.states(all_of_them=True)}[topic]

    assert json.loads(told(CONTRACT, True))["components"]
    fewer = Contract(CONTRACT.device, {CAMERA: Scopes(zones=frozenset({ZONE}))})
    gone = f"edged-park-north-{CAMERA}-{LINE}-entry"
    assert json.loads(told(fewer, True))["components"][gone] == {"platform": "sensor"}
    assert gone not in json.loads(told(fewer, True))["components"]
    assert told(fewer, False) == b""
