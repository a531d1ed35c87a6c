"""Nothing leaves that the contract does not explain: mangled events, and a capture of the wire."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.adapters.mqtt import Broker, Connection
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Publisher
from edge.core.health import CameraVitals, Vitals
from edge.core.intake import read
from edge.core.reference import EXAMPLE, examples, schemas
from edge.core.schema import DECLARATIONS
from edge.core.values import Dwell, Ended, Event, Kind, Message, Occupancy, Sync
from edge.core.wire import Place, Refused
from edge.recorder import Recorder
from tests.broker import Mosquitto, Subscriber, wait_until
from tests.capture import Capture
from tests.messages import BASE, CAMERA, CONTRACT, DEVICE, LINE, ZONE, a_crossing, an_entry, now
from tests.proxy import Proxy

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
EMBEDDING = [0.0123, -0.234, 0.999]
INTRUDERS: list[Callable[[random.Random], Any]] = [
    lambda rng: "A" * rng.randint(129, 5000),
    lambda rng: [rng.random() for _ in range(rng.randint(2, 512))],
    lambda rng: "/9j/4AAQSkZJRgABAQ" + "=" * rng.randint(1, 2),
    lambda rng: {"nested": {"deeper": rng.random()}},
    lambda rng: rng.choice([math.nan, math.inf, -math.inf]),
    lambda rng: JPEG + rng.randbytes(rng.randint(1, 400)),
    lambda rng: rng.choice(["Jane Doe", "unknown id", "../../etc", "ENTRY", "door\n", "\u202e", ""]),
    lambda rng: -rng.randint(1, 10**9) - 100.5,
    lambda rng: 10 ** rng.randint(18, 30),
]


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value where something can be put instead."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mangled(event: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The event with one thing that does not belong: a field more, a field less, or another value."""
    *path, last = rng.choice(list(places(event)))
    target = event
    for key in path:
        target = target[key]
    what = rng.random()
    if what < 0.3 and isinstance(target, dict):
        target[f"extra_{rng.randrange(1000)}"] = rng.choice(INTRUDERS)(rng)
    elif what < 0.4 and isinstance(target, dict) and not path:
        del target[last]
    else:
        target[last] = rng.choice(INTRUDERS)(rng)
    return event


def test_ten_thousand_mangled_messages_and_none_leaves() -> None:
    rng, refused = random.Random(6), 0
    made = [(kind, message) for kind, message in examples().items()]
    for number in range(10_000):
        kind, message = made[number % len(made)]
        scope = {"line": "door", "zone": "till"}.get(DECLARATIONS[kind].scope or "", "")
        place = Place(message.topic.split("/")[5] if DECLARATIONS[kind].scope else "", scope)
        event = mangled(json.loads(message.payload), rng)
        with pytest.raises(Refused) as refusal:
            EXAMPLE.seal(kind, event, place)
        refused += 1
        assert len(str(refusal.value)) < 200
        assert not re.search(r"AAAA|9j/|Jane|JFIF|nested", str(refusal.value))
    assert refused == 10_000


def test_mangled_events_of_the_counting_stage_are_refused_and_counted_exactly(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = Recorder(CONTRACT, outbox, timezone.utc, sync=lambda: Sync.SYNCED)
    recorder.start(now())
    rng = random.Random(6)
    strangers: list[Any] = ["Jane Doe", "x" * 500, "unknown", JPEG, 7, 0.5, "", f"{LINE}\n", None, ("a", "b")]
    for _ in range(1_000):
        stranger, at = rng.choice(strangers), now()
        dwell = Dwell(CAMERA, ZONE, 5.0, Ended.LEFT, at, track=1)
        events: list[Event] = [
            replace(a_crossing(Kind.ENTRY), line=stranger),
            replace(a_crossing(Kind.EXIT), camera=stranger),
            replace(dwell, zone=stranger),
            Occupancy(CAMERA, ZONE, rng.choice([-1, 10_001]), at),
            Occupancy(CAMERA, stranger, 1, at),
        ]
        recorder.record(CAMERA, at, [rng.choice(events)])
    assert recorder.outflow.refused == 1_000
    assert (outbox.depth, recorder.ledger.sequence) == (0, 0)


@contextmanager
def captured(broker: Mosquitto, outbox: Outbox) -> Iterator[tuple[Publisher, Capture]]:
    """A publisher whose bytes are read on their way to the broker."""
    proxy = Proxy(broker.port)
    capture = Capture(CONTRACT, b"edged-park-north")
    settings = Broker("127.0.0.1", proxy.port, "edged-park-north")
    publisher = Publisher(
        outbox,
        lambda: Connection(settings, CONTRACT.status("offline")),
        CONTRACT.status("online"),
        CONTRACT.status("stopped"),
        DEVICE.boot,
    )
    try:
        yield publisher, capture
    finally:
        publisher._finish()
        wait_until(proxy.is_idle, what="the end of the connection")
        for stream in proxy.sent:
            capture.read(bytes(stream))
        proxy.close()


def test_every_byte_of_a_days_work_is_explained_by_the_contract(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.commit([replace(an_entry(1), id="north:0000:1")], "")  # of another boot: historical
    recorder = Recorder(CONTRACT, outbox, timezone.utc, floor=1, sync=lambda: Sync.SYNCED)
    at = now()
    recorder.start(at)
    recorder.record(CAMERA, at, [a_crossing(kind, at) for kind in [Kind.ENTRY, Kind.EXIT] * 4])
    recorder.record(CAMERA, at, [Dwell(CAMERA, ZONE, 9.0, Ended.LEFT, at, 1), Occupancy(CAMERA, ZONE, 2, at)])
    recorder.tick(replace(at, wall_s=at.wall_s + 86_400))
    recorder.report(Vitals(1.0, {CAMERA: CameraVitals()}, 80.0), at)
    outbox.post(CONTRACT.manifest("count", {"person-nanodet-416": "0" * 64}))
    with captured(broker, outbox) as (publisher, capture):
        while outbox.depth:
            publisher.step()
    assert capture.unexplained == []
    protocol, states, crossings, others = 4, 4, 9, 4  # others: a dwell, two intervals, a digest
    assert capture.explained == protocol + states + crossings + others
    wait_until(lambda: len(subscriber.messages()) == states + crossings + others + 2)  # and online, stopped
    for message in subscriber.messages():
        kind = read(message.topic, message.text.encode()).kind
        Draft202012Validator(schemas()[kind]).validate(message.payload)


def test_a_leaky_publisher_is_caught(broker: Mosquitto, tmp_path: Path) -> None:
    """Were somebody to go round the contract, this is how it would show."""
    leaks = [
        Message("a", f"{BASE}/event/{CAMERA}/face", json.dumps(EMBEDDING).encode(), False, "entry", 1, 0.0),
        Message("b", f"{BASE}/snapshot/{CAMERA}", JPEG, False, "entry", 2, 0.0),
        replace(an_entry(3), payload=an_entry(3).payload.replace(b'"quality"', b'"track":17,"quality"')),
        replace(an_entry(4), payload=an_entry(4).payload + b" "),
        replace(an_entry(5), topic="elsewhere"),
    ]
    for leak in leaks:
        outbox = Outbox(tmp_path / f"{leak.sequence}.db")
        outbox.commit([leak], "{}")
        with captured(broker, outbox) as (publisher, capture):
            wait_until(lambda: publisher.step() is not None and outbox.depth == 0)  # noqa: B023
        assert len(capture.unexplained) == 1, leak.topic
        assert leak.payload in capture.unexplained[0]


def test_only_the_contract_makes_messages() -> None:
    root = Path(__file__).parents[2] / "edge"
    makers = [path.name for path in root.rglob("*.py") if re.search(r"\bMessage\(", path.read_text())]
    # the outbox reads back what wire made
    assert sorted(makers) == ["outbox.py", "wire.py"]
