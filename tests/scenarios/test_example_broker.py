"""The example broker of config/examples/central lets a device say what is its own, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge.adapters.mqtt import Broker, Connection, Tls
from edge.core.values import Message
from tests.broker import Mosquitto, running, wait_until
from tests.certificates import Authority, Pair
from tests.messages import BASE, CONTRACT, an_entry

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "central"


def a_broker(folder: Path, authority: Authority) -> tuple[Mosquitto, int]:
    """The example with this test's files and port in place of those of /etc."""
    pair = authority.issue("broker", "127.0.0.1")
    mosquitto = Mosquitto(folder, "")
    text = (EXAMPLE / "mosquitto.conf").read_text()
    for theirs, ours in {
        "listener 8883": f"listener {mosquitto.port} 127.0.0.1",
        "/etc/mosquitto/edged/ca.pem": str(authority.ca_file),
        "/etc/mosquitto/edged/broker.crt": str(pair.cert),
        "/etc/mosquitto/edged/broker.key": str(pair.key),
        "/etc/mosquitto/edged/acl": str(EXAMPLE / "acl"),
        "/var/lib/mosquitto/": f"{folder}/",
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    mosquitto.configure_wholly(text)
    return mosquitto, mosquitto.port


def answers(link: Connection, *messages: Message) -> list[str | None]:
    """What the broker says to each."""
    told: dict[int, str | None] = {}
    numbers = [link.publish(message) for message in messages]

    def all_told() -> bool:
        link.exchange(0.05)
        told.update(link.acknowledged())
        return len(told) == len(messages)

    wait_until(all_told)
    return [told[number] for number in numbers]


def connect(port: int, authority: Authority, pair: Pair) -> Connection:
    tls = Tls(authority.ca_file, pair.cert, pair.key)
    return Connection(Broker("127.0.0.1", port, "edged-park-north", tls=tls), CONTRACT.status("offline"))


def test_a_device_writes_below_its_own_name_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mosquitto, port = a_broker(tmp_path, authority)
    twin = replace(an_entry(1), topic=BASE.replace("north", "south") + "/event/entrance/entry")
    with running(mosquitto):
        link = connect(port, authority, authority.issue("north"))
        own = [an_entry(1), CONTRACT.status("online"), CONTRACT.discovery({})]
        assert answers(link, *own) == [None, None, None]
        assert answers(link, twin, replace(twin, topic="elsewhere")) == ["Not authorized"] * 2
        link.close()


def test_the_central_system_may_not_speak_for_a_device(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mosquitto, port = a_broker(tmp_path, authority)
    with running(mosquitto):
        link = connect(port, authority, authority.issue("central"))
        assert answers(link, an_entry(1)) == ["Not authorized"]
        link.close()
