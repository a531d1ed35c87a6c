"""The contract: what may leave, what is refused, and that a refusal repeats nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge.core.health import Outflow, Unlinked, Vitals
from edge.core.ledger import Flow, LineTotals
from edge.core.schema import DECLARATIONS
from edge.core.values import Crossing, Dwell, Ended, Kind, MatchQuality, Message, Moment, Sync, Visit
from edge.core.wire import Contract, Device, Mark, Place, Refused, Scopes, rfc3339

AT = Moment(frame=7, monotonic_s=12.5, wall_s=1773569071.25)
MARK = Mark(AT, "2026-03-15", Sync.SYNCED)
DEVICE = Device("aegean-park", "door-north", "5f2c", "0.1.0", "deadbeef")
CONTRACT = Contract(DEVICE, {"entrance": Scopes(frozenset({"door"}), frozenset({"till"}))})
CROSSING = Crossing("entrance", "door", Kind.ENTRY, AT, track=17, reason="came from the street")
DWELL = Dwell("entrance", "till", 12.3456, Ended.LEFT, AT, track=17)


def an_entry() -> Message:
    return CONTRACT.crossing(CROSSING, 1842, Flow(412, 398), MARK)


def test_an_entry_is_the_cloud_event_of_the_design() -> None:
    message = an_entry()
    assert message.topic == "edged/v1/aegean-park/door-north/event/entrance/entry"
    assert (message.id, message.sequence, message.retain) == ("door-north:5f2c:1842", 1842, False)
    assert json.loads(message.payload) == {
        "specversion": "1.0",
        "id": "door-north:5f2c:1842",
        "source": "edged/aegean-park/door-north/entrance",
        "type": "edged.entry.v1",
        "time": "2026-03-15T10:04:31.250Z",
        "sequence": "1842",
        "dataschema": "urn:edged:v1:entry",
        "data": {
            "line": "door",
            "date": "2026-03-15",
            "totals": {"entry": 412, "exit": 398},
            "quality": "ok",
            "clock": "synced",
        },
    }


def test_a_dwell_says_how_long_and_how_it_ended_but_not_who() -> None:
    message = CONTRACT.dwell(DWELL, 3, MARK)
    data = json.loads(message.payload)["data"]
    assert data == {"zone": "till", "dwell_s": 12.3, "ended": "left", "quality": "ok", "clock": "synced"}


def test_a_visit_says_how_long_and_how_well_linked_and_has_the_batch_s_time() -> None:
    contract = replace(CONTRACT, groups=frozenset({"main"}))
    message = contract.visit("main", Visit(300.0, MatchQuality.LOW), 4, MARK)
    event = json.loads(message.payload)
    assert message.topic == "edged/v1/aegean-park/door-north/event/main/visit"
    assert (event["type"], event["time"]) == ("edged.visit.v1", "2026-03-15T10:04:31.250Z")
    assert event["data"] == {"dwell_s": 300.0, "quality": "low"}


def test_a_device_without_camera_groups_cannot_publish_a_visit() -> None:
    with pytest.raises(Refused, match="its camera group is not in the configuration"):
        CONTRACT.visit("entrance", Visit(300.0, MatchQuality.OK), 4, MARK)


def test_the_health_counts_the_visits_that_have_no_dwell_and_knows_none_in_tier_count() -> None:
    vitals = Vitals(60, {}, 90.0, visits={"doors": Unlinked(unusable=7, unfinished=2)})
    told = replace(CONTRACT, groups=frozenset({"doors"})).health(vitals, Outflow(), MARK)
    assert json.loads(told.payload)["visits"] == {"doors": {"unusable": 7, "unfinished": 2}}
    told = CONTRACT.health(replace(vitals, visits=None), Outflow(), MARK)
    assert json.loads(told.payload)["visits"] is None
    with pytest.raises(Refused, match="its visits are not those of the configuration"):
        CONTRACT.health(vitals, Outflow(), MARK)


def test_the_track_and_the_reason_stay_on_the_device() -> None:
    assert b"17" not in an_entry().payload.replace(b"2026-03-15T10:04:31.250Z", b"")
    assert b"street" not in an_entry().payload


def test_the_counts_are_retained_states_that_replace_each_other() -> None:
    line = CONTRACT.line_count(Place("entrance", "door"), LineTotals(Flow(4, 3), Flow(2, 1)), 9, MARK)
    zone = CONTRACT.zone_count(Place("entrance", "till"), None, MARK)
    assert line.retain
    assert line.id == line.topic == "edged/v1/aegean-park/door-north/count/entrance/door"
    assert json.loads(line.payload)["boot"] == {"entry": 2, "exit": 1}
    assert json.loads(zone.payload)["occupancy"] is None


def test_the_status_names_the_boot_and_the_configuration() -> None:
    status = CONTRACT.status("online")
    assert json.loads(status.payload) == {
        "state": "online",
        "boot_id": "5f2c",
        "version": "0.1.0",
        "config": "deadbeef",
    }


def test_an_unknown_camera_line_or_zone_is_refused() -> None:
    for crossing in (replace(CROSSING, camera="yard"), replace(CROSSING, line="till")):
        with pytest.raises(Refused, match="not in the configuration"):
            CONTRACT.crossing(crossing, 1, Flow(), MARK)
    with pytest.raises(Refused, match="zone is not in the configuration"):
        CONTRACT.dwell(replace(DWELL, zone="door"), 1, MARK)


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "an extra field": lambda event: event.update(face="AAAA"),
    "an extra field inside": lambda event: event["data"].update(track=17),
    "a float vector": lambda event: event["data"].update(line=[0.1, 0.2]),
    "a nested object": lambda event: event["data"]["totals"].update(entry={"more": 1}),
    "not a number": lambda event: event["data"]["totals"].update(entry=math.nan),
    "bytes of a picture": lambda event: event["data"].update(line=b"\xff\xd8\xff\xe0"),
    "base64": lambda event: event.update(config="/9j/4AAQSkZJRgABAQ=="),
    "a long id": lambda event: event["data"].update(line="d" * 33),
    "another line": lambda event: event["data"].update(line="back-door"),
    "another device": lambda event: event.update(source="edged/aegean-park/door-south/entrance"),
    "another boot": lambda event: event.update(id="door-north:beef:1842"),
    "a total that is text": lambda event: event["data"]["totals"].update(entry="412"),
    "a negative total": lambda event: event["data"]["totals"].update(entry=-1),
    "an invented quality": lambda event: event["data"].update(quality="jane-doe"),
    "a missing field": lambda event: event["data"].pop("quality"),
    "a newline": lambda event: event["data"].update(date="2026-03-15\n"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_the_contract_does_not_know_is_refused(what: str) -> None:
    event = json.loads(an_entry().payload)
    CHANGES[what](event)
    with pytest.raises(Refused) as refusal:
        CONTRACT.seal("entry", event, Place("entrance", "door"))
    for secret in ("AAAA", "0.2", "9j", "dddd", "jane", "south", "back", "beef", "track", "face"):
        assert secret not in str(refusal.value)


def test_a_kind_that_was_never_declared_is_refused() -> None:
    with pytest.raises(Refused, match="not in the contract"):
        CONTRACT.seal("snapshot", {})


def test_a_vocabulary_with_an_odd_id_is_an_error_at_birth() -> None:
    for odd in ("Door", "", "a/b", "a" * 33, "#", "door\n"):
        with pytest.raises(ValueError, match="not of the form"):
            Contract(DEVICE, {"entrance": Scopes(frozenset({odd}))})


def test_only_what_is_no_longer_counted_by_is_withdrawn() -> None:
    assert CONTRACT.withdrawn(Place("entrance", "old-door")).payload == b""
    assert CONTRACT.withdrawn(Place("yard", "door")).topic == f"{DEVICE.base}/count/yard/door"
    for place in (Place("entrance", "door"), Place("entrance"), Place("entrance", "#"), Place("a", "b/c")):
        with pytest.raises(Refused):
            CONTRACT.withdrawn(place)


def test_the_largest_message_of_each_kind_fits_its_limit() -> None:
    long = "x" * 32
    most = 1_000_000_000
    contract = Contract(
        Device(long, long, "f" * 16, "9999.9999.9999", "f" * 64),
        {long: Scopes(frozenset({long}), frozenset({long}))},
    )
    mark = Mark(AT, "2026-03-15", Sync.HOLDOVER, "degraded")
    flow = Flow(most, most)
    messages = [
        contract.status("offline"),
        contract.crossing(replace(CROSSING, camera=long, line=long), 10**15, flow, mark),
        contract.dwell(replace(DWELL, camera=long, zone=long, ended=Ended.SHUTDOWN), 10**15, mark),
        contract.line_count(Place(long, long), LineTotals(flow, flow), most, mark),
        contract.zone_count(Place(long, long), 10_000, mark),
    ]
    assert {message.kind for message in messages} <= set(DECLARATIONS)


def test_times_are_rounded_to_the_millisecond_and_never_carry_to_a_wrong_second() -> None:
    assert rfc3339(1773569071.9996) == "2026-03-15T10:04:32.000Z"
