"""All that goes wrong between a device and its broker: what the journal says, and that nothing is lost.

The words asserted here are those of the table "When something is wrong" in docs/MQTT.md.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from edge.adapters import publisher as publishing
from edge.adapters.mqtt import Broker, Connection, Tls
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Backoff, Publisher, Step
from edge.core.values import Kind, Sync
from edge.recorder import RETRY_S, Recorder
from tests.broker import Mosquitto, Subscriber, free_port, running, wait_until
from tests.certificates import Authority, Pair
from tests.messages import BASE, CAMERA, CONTRACT, DEVICE, LINE, a_crossing, an_entry, now
from tests.proxy import Proxy

DOCS = (Path(__file__).parents[2] / "docs" / "MQTT.md").read_text()
ID = f"edged-{DEVICE.site}-{DEVICE.device}"


def a_publisher(outbox: Outbox, broker: Broker, clock: Callable[[], float] | None = None) -> Publisher:
    timing = {"monotonic_s": clock} if clock else {}
    return Publisher(
        outbox,
        lambda: Connection(broker, CONTRACT.status("offline")),
        CONTRACT.status("online"),
        CONTRACT.status("stopped"),
        DEVICE.boot,
        Backoff(0.05, 0.1),
        **timing,
    )


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox(tmp_path / "outbox.db")
    yield opened
    opened.close()


def commit(outbox: Outbox, *sequences: int) -> None:
    outbox.commit([an_entry(sequence) for sequence in sequences], "")


def deliver(outbox: Outbox, publisher: Publisher) -> None:
    wait_until(lambda: publisher.step() is not None and outbox.depth == 0, 20, "the delivery")
    publisher._finish()


def numbers(subscriber: Subscriber) -> list[int]:
    return [int(event.payload["sequence"]) for event in subscriber.events()]


def the_journal_says(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """In the journal once, and in the table of the documentation."""
    assert words in DOCS
    assert len([r for r in caplog.records if words in r.getMessage()]) == 1, caplog.text


def fails(publisher: Publisher, times: int = 3) -> None:
    for _ in range(times):
        assert publisher.step() is Step.FAILED


class Hours:
    """A clock that only tests turn."""

    def __init__(self) -> None:
        self.now_s = now().monotonic_s

    def __call__(self) -> float:
        return self.now_s


def test_a_broker_that_is_away_for_the_first_hour(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    mosquitto, clock, backoff = Mosquitto(tmp_path), Hours(), Backoff()
    publisher = a_publisher(outbox, Broker("127.0.0.1", mosquitto.port, ID), clock)
    end_s, attempts, sequence = clock.now_s + 3600, 0, 0
    while clock.now_s < end_s:
        fails(publisher, 1)
        attempts += 1
        clock.now_s += backoff.delay_s(attempts)
        sequence += 1
        outbox.commit([replace(an_entry(sequence), monotonic_s=clock.now_s - 120)], "")
    assert attempts < 200
    the_journal_says(caplog, "is the broker running, on this port?")
    with running(mosquitto):
        subscriber = Subscriber(tmp_path, mosquitto.port)
        wait_until(lambda: mosquitto.subscriptions() > 0)
        deliver(outbox, publisher)
        wait_until(lambda: len(subscriber.events()) == sequence)
        subscriber.stop()
    assert numbers(subscriber) == list(range(1, sequence + 1))
    assert {event.properties["delivery"] for event in subscriber.events()} == {"historical"}
    the_journal_says(caplog, "connected to the broker")


def test_a_half_open_connection_is_noticed_by_its_missing_acknowledgements(
    broker: Mosquitto,
    subscriber: Subscriber,
    outbox: Outbox,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "ACKNOWLEDGE_S", 0.3)
    monkeypatch.setattr(publishing, "IDLE_S", 0.05)
    proxy = Proxy(broker.port)
    publisher = a_publisher(outbox, Broker("127.0.0.1", proxy.port, ID))
    publisher.step()
    proxy.silent = True
    commit(outbox, 1, 2, 3)
    wait_until(lambda: publisher.step() is Step.FAILED)
    the_journal_says(caplog, "no acknowledgement for")
    proxy.silent = False
    deliver(outbox, publisher)
    assert list(dict.fromkeys(numbers(subscriber))) == [1, 2, 3]
    proxy.close()


def test_slow_acknowledgements_only_slow_it_down(
    broker: Mosquitto, subscriber: Subscriber, outbox: Outbox
) -> None:
    proxy = Proxy(broker.port)
    proxy.delay_s = 0.2
    commit(outbox, *range(1, 201))
    deliver(outbox, a_publisher(outbox, Broker("127.0.0.1", proxy.port, ID)))
    wait_until(lambda: len(subscriber.events()) == 200)
    assert numbers(subscriber) == list(range(1, 201))
    proxy.close()


def test_a_message_that_the_access_rules_deny_is_kept_and_goes_when_they_are_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite {BASE}/status\n")
    mosquitto = Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {rules}")
    settings = Broker("127.0.0.1", mosquitto.port, ID)
    outbox = Outbox(tmp_path / "outbox.db")
    commit(outbox, 1, 2)
    with running(mosquitto):
        deliver(outbox, a_publisher(outbox, settings))
    assert (outbox.dead, outbox.outflow().rejected) == (2, 2)
    assert "the broker rejected" in caplog.text
    assert "the broker rejected" in DOCS
    outbox.close()
    rules.write_text("topic readwrite #\n")
    outbox = Outbox(tmp_path / "outbox.db")
    with running(mosquitto):
        subscriber = Subscriber(tmp_path, mosquitto.port)
        wait_until(lambda: mosquitto.subscriptions() > 0)
        deliver(outbox, a_publisher(outbox, settings))
        wait_until(lambda: numbers(subscriber) == [1, 2])
        subscriber.stop()
    assert outbox.dead == 0


def test_an_old_broker_is_served_with_a_word_about_its_weakness(
    broker: Mosquitto, subscriber: Subscriber, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    commit(outbox, 1, 2)
    deliver(outbox, a_publisher(outbox, Broker("127.0.0.1", broker.port, ID, version="3.1.1")))
    wait_until(lambda: numbers(subscriber) == [1, 2])
    the_journal_says(caplog, "a broker cannot say that it refused a message")


def test_an_outbox_that_is_full_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path / "small.db", rows_max=2)
    for sequence in range(1, 6):
        commit(outbox, sequence)
    assert outbox.outflow().dropped == 3
    the_journal_says(caplog, "the least valuable and oldest go")
    outbox.close()


def test_a_small_broker_takes_few_and_short_messages(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    limits = "allow_anonymous true\nmax_packet_size 256\nmax_inflight_messages 2"
    with running(Mosquitto(tmp_path, limits)) as mosquitto:
        link = Connection(Broker("127.0.0.1", mosquitto.port, ID), CONTRACT.status("offline"))
        assert (link.window, link.packet_bytes_max) == (2, 256)
        link.close()
        commit(outbox, 1)
        short = replace(an_entry(2), payload=b"{}")
        outbox.commit([short, replace(short, sequence=3), replace(short, sequence=4)], "")
        subscriber = Subscriber(tmp_path, mosquitto.port)
        wait_until(lambda: mosquitto.subscriptions() > 0)
        deliver(outbox, a_publisher(outbox, Broker("127.0.0.1", mosquitto.port, ID)))
        wait_until(lambda: len([m for m in subscriber.messages() if m.text == "{}"]) == 3)
        subscriber.stop()
    the_journal_says(caplog, "larger than the broker accepts")
    assert outbox.dead == 1


@contextmanager
def tls_broker(folder: Path, pair: Pair, ca_file: Path, more: str = "") -> Iterator[Broker]:
    port = free_port()
    listener = (
        f"listener {port} 127.0.0.1\ncafile {ca_file}\ncertfile {pair.cert}\nkeyfile {pair.key}\n{more}"
    )
    with running(Mosquitto(folder, f"allow_anonymous true\n{listener}")):
        yield Broker("127.0.0.1", port, ID, tls=Tls(ca_file))


def test_an_authority_that_is_not_the_brokers(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    with tls_broker(tmp_path, theirs.issue("broker", "127.0.0.1"), theirs.ca_file) as settings:
        fails(a_publisher(outbox, replace(settings, tls=Tls(ours.ca_file))))
        the_journal_says(caplog, "mqtt.tls.ca_file is not the broker's authority")
        commit(outbox, 1)
        deliver(outbox, a_publisher(outbox, settings))


def test_a_broker_whose_certificate_has_expired(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    expired = authority.issue("broker", "127.0.0.1", valid=timedelta(days=-1))
    with tls_broker(tmp_path, expired, authority.ca_file) as settings:
        fails(a_publisher(outbox, settings))
    the_journal_says(caplog, "certificate has expired (renew the certificate")


def test_a_broker_whose_certificate_is_for_another_name(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    with tls_broker(tmp_path, authority.issue("broker", "127.0.0.2"), authority.ca_file) as settings:
        fails(a_publisher(outbox, settings))
    the_journal_says(caplog, "mqtt.host must be the name in the broker's certificate")


def test_a_broker_that_wants_a_certificate_of_the_device(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    server, device = (
        authority.issue("broker", "127.0.0.1"),
        authority.issue("north", valid=timedelta(days=9.5)),
    )
    with tls_broker(tmp_path, server, authority.ca_file, "require_certificate true") as settings:
        fails(a_publisher(outbox, settings), 1)
        commit(outbox, 1)
        mutual = replace(settings, tls=Tls(authority.ca_file, device.cert, device.key))
        deliver(outbox, a_publisher(outbox, mutual))
    the_journal_says(caplog, "ends in 9 days: renew it")
    the_journal_says(caplog, "check mqtt.tls.cert_file")


def test_files_of_tls_that_are_missing(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Broker("127.0.0.1", free_port(), ID, tls=Tls(tmp_path / "nowhere.pem"))
    fails(a_publisher(outbox, settings))
    the_journal_says(caplog, "check the files under mqtt.tls")


def test_a_wrong_password_and_then_the_right_one(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    users, secret = tmp_path / "users", tmp_path / "password"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "north", "right-one"], check=True)
    secret.write_text("wrong-one\n")
    commit(outbox, 1)
    with running(Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {users}")) as mosquitto:
        settings = Broker("127.0.0.1", mosquitto.port, ID, "north", secret)
        publisher = a_publisher(outbox, settings)
        fails(publisher)
        secret.write_text("right-one\n")
        deliver(outbox, publisher)
    the_journal_says(caplog, "check mqtt.username and the password file")
    assert "-one" not in caplog.text


def test_a_twin_device_is_suspected(
    broker: Mosquitto, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """This mosquitto closes the older connection without a word."""
    settings = Broker("127.0.0.1", broker.port, ID)
    publisher = a_publisher(outbox, settings)
    for _ in range(publishing.TWIN_CONNECTIONS):
        publisher.step()
        twin = Connection(settings, CONTRACT.status("offline"))
        wait_until(lambda: publisher.step() is Step.FAILED)
        twin.close()
    the_journal_says(caplog, "does another client use this device id?")


def test_a_twin_device_is_named_where_the_broker_says_so(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that follows MQTT 5 to the letter sends DISCONNECT with reason 0x8E."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = server.accept()
        client.recv(4096)
        client.sendall(b"\x20\x03\x00\x00\x00" + b"\xe0\x02\x8e\x00")
        client.recv(4096)
        client.close()

    threading.Thread(target=serve, daemon=True).start()
    publisher = a_publisher(outbox, Broker("127.0.0.1", server.getsockname()[1], ID))
    wait_until(lambda: publisher.step() is Step.FAILED)
    server.close()
    the_journal_says(caplog, "another client uses this device id")


def test_a_disk_that_is_full_for_a_while(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite's own page limit says what a full disk says."""
    recorder = Recorder(CONTRACT, outbox, timezone.utc, sync=lambda: Sync.SYNCED)
    at = now()
    recorder.start(at)
    outbox._db.execute("PRAGMA max_page_count = 1")
    for _ in range(50):
        recorder.record(CAMERA, at, [a_crossing(Kind.ENTRY, at)])
    assert recorder.outflow.failing
    assert outbox.depth < 50
    the_journal_says(caplog, "free some space")
    outbox._db.execute("PRAGMA max_page_count = 1000000")
    recorder.tick(replace(at, monotonic_s=at.monotonic_s + RETRY_S))
    the_journal_says(caplog, "the outbox takes messages again")
    assert [message.sequence for message in outbox.peek(0, 100)] == list(range(1, 51))
    assert recorder.outflow.lost == 0


def test_a_corrupt_outbox_is_set_aside_and_the_numbers_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    first = Outbox(path)
    recorder = Recorder(CONTRACT, first, timezone.utc, sync=lambda: Sync.SYNCED)
    recorder.start(now())
    recorder.record(CAMERA, now(), [a_crossing() for _ in range(30)])
    first.close()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    path.write_bytes(content)
    second = Outbox(path)
    the_journal_says(caplog, "the outbox was corrupt")
    assert second.outflow().started_anew
    assert path.with_suffix(".db.corrupt").exists()
    after = Recorder(CONTRACT, second, timezone.utc, second.books, second.floor, lambda: Sync.SYNCED)
    after.start(now())
    after.record(CAMERA, now(), [a_crossing()])
    assert after.ledger.sequence > 30
    assert after.ledger.totals(CAMERA, LINE).today.entry >= 1
    second.close()


def test_a_database_that_breaks_while_in_use_costs_what_waited_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path)
    recorder = Recorder(CONTRACT, outbox, timezone.utc, sync=lambda: Sync.SYNCED)
    recorder.start(now())
    recorder.record(CAMERA, now(), [a_crossing() for _ in range(200)])
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(b"\xa5" * (path.stat().st_size - 1024))
    outbox._db.execute("PRAGMA shrink_memory")
    recorder.record(CAMERA, now(), [a_crossing()])
    assert [message.sequence for message in outbox.peek(0, 1000)] == [201]
    assert recorder.ledger.totals(CAMERA, LINE).today.entry == 201
    assert outbox.outflow().dropped == 200
    outbox.close()
