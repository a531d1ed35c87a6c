"""The central system's end: every message is read by the contract, and what is missing is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.health import Outflow
from edge.core.intake import GAP_MAX, Device, Intake, Reading, Unreadable, is_a_question, read
from edge.core.ledger import Ledger, Numbered
from edge.core.reference import EXAMPLE, examples
from edge.core.schema import DECLARATIONS
from edge.core.values import Message, Sync
from edge.core.wire import Contract, Mark, Place
from tests.messages import CAMERAS, CONTRACT, DEVICE, an_entry, now


def reading(message: Message) -> Reading:
    return read(message.topic, message.payload)


@pytest.mark.parametrize("kind", DECLARATIONS.keys() - {"discovery"})
def test_every_kind_that_a_device_makes_is_read(kind: str) -> None:
    message = examples()[kind]
    got = reading(message)
    assert (got.kind, got.site, got.device) == (kind, "aegean-park", "door-north")
    assert (got.number, bool(got.id)) == (message.sequence, DECLARATIONS[kind].is_event)
    assert json.loads(message.payload) == got.content


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("edged/v2/park/north/status", b"{}"),
        ("edged/v1/park/north/snapshot", b"{}"),
        ("edged/v1/park/north/status", b'{"state":"online"}'),
        ("edged/v1/park/north/status", b"\xff\xd8\xff"),
        ("elsewhere", b"{}"),
    ],
)
def test_what_does_not_keep_the_contract_is_unreadable(topic: str, payload: bytes) -> None:
    with pytest.raises(Unreadable):
        read(topic, payload)


def test_the_doctors_questions_are_not_the_devices_words() -> None:
    assert is_a_question("edged/v1/park/north/event/entrance/entry", b"")
    assert not is_a_question("edged/v1/park/north/count/entrance/door", b""), "that one is withdrawn"
    assert not is_a_question("edged/v1/park/north/event/entrance/entry", b"{}")
    assert not is_a_question("elsewhere", b"")


def numbers(device: Device, *sequences: int) -> list[str]:
    return [problem for n in sequences for problem in device.take(reading(an_entry(n)))]


def test_a_gap_is_named_and_closes_when_its_messages_come_late() -> None:
    device = Device()
    assert numbers(device, 5, 6, 9) == ["numbers 7 to 8 have not come"]
    assert device.absent == 2
    assert numbers(device, 8, 7) == []
    assert (device.absent, device.received, device.duplicates) == (0, 5, 0)


def test_a_listener_that_starts_in_the_middle_sees_no_gap_before() -> None:
    assert numbers(Device(), 1000, 1001) == []


def test_repetitions_are_counted_and_are_no_problem() -> None:
    device = Device()
    assert numbers(device, 1, 2, 3, 2, 3, 4) == []
    assert (device.received, device.duplicates) == (4, 2)


def test_a_device_that_lost_its_memory_is_named() -> None:
    device = Device()
    numbers(device, 1, 2, 3)
    reset = Contract(replace(DEVICE, boot_id="beef"), CAMERAS)
    anew = reading(an_entry(1, reset))
    assert device.take(anew) == ["the numbers began anew: the device has lost its memory"]
    assert device.top == 1


def test_a_jump_too_wide_to_keep_is_still_counted() -> None:
    device = Device()
    numbers(device, 1, GAP_MAX + 10)
    assert device.absent == GAP_MAX + 8
    assert not device.missing


def test_the_digest_proves_a_day_or_says_what_it_lacks() -> None:
    day = Ledger("5f2c", "2026-03-14", sequence=4, numbered={"entry": Numbered(4, 4)})
    mark = Mark(now(), "2026-03-15", Sync.SYNCED)
    digest = reading(CONTRACT.digest(day, 5, Outflow(), mark))
    whole, broken = Device(), Device()
    numbers(whole, 1, 2, 3, 4)
    assert whole.take(digest) == []
    numbers(broken, 1, 2, 4)
    assert broken.take(digest) == ["of 2026-03-14, 1 of 4 messages have not come"]


def test_numbers_that_the_device_skipped_itself_show_in_the_digest() -> None:
    day = Ledger("5f2c", "2026-03-14", sequence=10, numbered={"entry": Numbered(4, 10)})
    digest = reading(CONTRACT.digest(day, 11, Outflow(), Mark(now(), "2026-03-15", Sync.SYNCED)))
    assert Device().take(digest) == ["on 2026-03-14 the device itself skipped 6 numbers"]


@given(st.permutations(range(1, 30)), st.lists(st.integers(1, 29)))
def test_in_whatever_order_each_number_counts_once(order: list[int], again: list[int]) -> None:
    device = Device(top=0)
    numbers(device, 30, *order, *again)
    # The first to come is 30: what came before it was never expected, so it counts as seen before.
    assert device.received == 1
    device = Device()
    numbers(device, 1, 30, *order, *again)
    assert (device.received, device.absent) == (30, 0)
    assert device.duplicates == 1 + len(again)


def test_a_line_that_is_withdrawn_leaves_the_table() -> None:
    device = Device()
    device.take(reading(examples()["count_line"]))
    assert device.latest
    device.take(reading(EXAMPLE.withdrawn(Place("entrance", "back-door"))))
    assert device.latest, "another line"
    device.take(replace(reading(examples()["count_line"]), content={}))
    assert not device.latest


def test_the_table_shows_each_line_and_zone() -> None:
    intake = Intake()
    for message in (message for kind, message in examples().items() if kind != "discovery"):
        intake.take(reading(message))
    table = intake.table()
    assert "aegean-park/door-north" in table
    assert "online" in table
    assert "entrance/door" in table.splitlines()[1]
    assert "412" in table.splitlines()[1]
    assert intake.summary() == {"devices": 1, "received": 7, "duplicates": 0, "missing": 0}
