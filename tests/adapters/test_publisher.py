"""The publisher and its connection against a real mosquitto, seen by an independent subscriber."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge.adapters.mqtt import Broker, Connection
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Backoff, Printer, Publisher
from edge.ports import AdapterError
from tests.broker import Mosquitto, Subscriber, running, wait_until
from tests.messages import BASE, CONTRACT, DEVICE, an_entry

QUICK = Backoff(base_s=0.05, cap_s=0.2)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox(tmp_path / "outbox.db")
    yield opened
    opened.close()


def a_publisher(outbox: Outbox, port: int, **details: str | Path) -> Publisher:
    broker = replace(Broker("127.0.0.1", port, f"edged-{DEVICE.site}-{DEVICE.device}"), **details)  # type: ignore[arg-type]
    return Publisher(
        outbox,
        lambda: Connection(broker, CONTRACT.status("offline")),
        CONTRACT.status("online"),
        CONTRACT.status("stopped"),
        f"{DEVICE.device}:{DEVICE.boot_id}:",
        QUICK,
    )


@contextmanager
def publishing(publisher: Publisher | Printer) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop, lambda: None))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def commit(outbox: Outbox, *sequences: int) -> None:
    outbox.commit([an_entry(sequence) for sequence in sequences], "")


def drained(outbox: Outbox) -> Callable[[], bool]:
    return lambda: outbox.depth == 0


def numbers(subscriber: Subscriber) -> list[int]:
    return [int(event.payload["sequence"]) for event in subscriber.events()]


def states(subscriber: Subscriber) -> list[str]:
    return [m.payload["state"] for m in subscriber.messages() if m.topic == f"{BASE}/status"]


def test_events_arrive_once_and_in_order_between_online_and_stopped(
    broker: Mosquitto, subscriber: Subscriber, outbox: Outbox
) -> None:
    commit(outbox, *range(1, 301))
    with publishing(a_publisher(outbox, broker.port)):
        wait_until(drained(outbox))
        commit(outbox, 301)
        wait_until(drained(outbox))
    wait_until(lambda: states(subscriber) == ["online", "stopped"])
    assert numbers(subscriber) == list(range(1, 302))


def test_what_was_committed_just_before_the_stop_still_goes(
    broker: Mosquitto, subscriber: Subscriber, outbox: Outbox
) -> None:
    publisher = a_publisher(outbox, broker.port)
    with publishing(publisher):
        wait_until(lambda: publisher.connected)
        commit(outbox, *range(1, 101))
    wait_until(lambda: states(subscriber)[-1:] == ["stopped"])
    assert numbers(subscriber) == list(range(1, 101))


def test_a_broker_that_is_away_at_the_start_is_said_once_and_served_when_it_comes(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    mosquitto = Mosquitto(tmp_path)
    publisher = a_publisher(outbox, mosquitto.port)
    commit(outbox, 1, 2, 3)
    with publishing(publisher):
        wait_until(lambda: publisher._failures > 3)
        with running(mosquitto):
            wait_until(drained(outbox))
            said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert "is the broker running" in said[0]


def test_a_broker_that_restarts_loses_nothing(tmp_path: Path, outbox: Outbox) -> None:
    mosquitto = Mosquitto(tmp_path)
    received: list[int] = []
    with publishing(a_publisher(outbox, mosquitto.port)):
        for life in range(4):
            with running(mosquitto):
                wait_until(mosquitto._answers)
                listening = Subscriber(tmp_path, mosquitto.port)
                wait_until(lambda n=life: mosquitto.log.read_text().count(" 1 #") > n)  # type: ignore[misc]
                commit(outbox, *range(life * 100 + 1, life * 100 + 101))
                wait_until(drained(outbox))
                wait_until(lambda: len(set(numbers(listening))) == 100)  # noqa: B023
                received += numbers(listening)
                mosquitto.stop(signal.SIGKILL)
                listening.stop()
    assert list(dict.fromkeys(received)) == list(range(1, 401))


def test_events_of_another_boot_are_marked_as_historical(
    broker: Mosquitto, subscriber: Subscriber, outbox: Outbox
) -> None:
    commit(outbox, 2)
    yesterday = replace(an_entry(1), id="north:0000:1")
    outbox.commit([yesterday], "")
    with publishing(a_publisher(outbox, broker.port)):
        wait_until(lambda: len(subscriber.events()) == 2)
    marks = {int(event.payload["sequence"]): event.properties for event in subscriber.events()}
    assert marks == {1: {"delivery": "historical"}, 2: {}}


def test_an_unplanned_end_is_announced_by_the_broker(
    broker: Mosquitto, subscriber: Subscriber, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.adapters.mqtt.WILL_DELAY_S", 0)
    publisher = a_publisher(outbox, broker.port)
    publisher.step()
    wait_until(lambda: states(subscriber) == ["online"])
    assert publisher._link is not None
    publisher._link.drop()
    wait_until(lambda: states(subscriber) == ["online", "offline"])


def test_a_port_that_speaks_no_mqtt_is_an_error_with_a_hint(tmp_path: Path, outbox: Outbox) -> None:
    with pytest.raises(AdapterError, match="is the broker running"):
        Connection(Broker("127.0.0.1", 1, "x"), CONTRACT.status("offline"))


def test_the_printer_shows_every_message_and_gives_it_up(outbox: Outbox) -> None:
    out = io.StringIO()
    commit(outbox, *range(1, 501))
    outbox.post(CONTRACT.status("online"))
    with publishing(Printer(outbox, out)):
        wait_until(drained(outbox))
        commit(outbox, 501)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith(f"{BASE}/status")
    assert len(lines) == 502
    assert outbox.depth == 0
