"""The daemon as the world sees it: a real clip in, a real broker out, killed, stopped and started again."""

from __future__ import annotations

import collections
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.broker import Mosquitto, Received, Subscriber, running, wait_until

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "tests/data/vtest.mp4"
SCHEMAS = ROOT / "docs/schemas"
DOOR = {"id": "door", "from": [0.2865, 0.2604], "to": [0.2865, 0.5903], "inside": [0.0911, 0.42]}
SQUARE = [[0.3, 0.2], [0.9, 0.2], [0.9, 0.9], [0.3, 0.9]]


def config(folder: Path, port: int, source: str = f"file:{CLIP}") -> Path:
    camera = {"id": "yard", "source": source, "lines": [DOOR], "zones": [{"id": "square", "polygon": SQUARE}]}
    settings = {"site": "demo", "device": "box", "mqtt": {"host": "127.0.0.1", "port": port}}
    path = folder / "edged.yaml"
    path.write_text(yaml.safe_dump({**settings, "cameras": [camera]}))
    return path


class Daemon:
    """`edged run` as a process of its own; its log is in `log`."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.log = folder / f"daemon-{time.monotonic_ns()}.log"
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "edge",
            "run",
            "--config",
            path,
            "--state-dir",
            folder / "state",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, cwd=ROOT)

    def says(self, words: str) -> bool:
        return words in self.log.read_text()

    def end(self, timeout_s: float) -> int:
        return self.process.wait(timeout_s)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Path], Daemon]]:
    started: list[Daemon] = []

    def begin(path: Path) -> Daemon:
        started.append(Daemon(tmp_path, path))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.process.kill()
        daemon.process.wait()


# Numbered too, and sent when a quarter of an hour ends while the clip runs.
BY_THE_CLOCK = {"interval_line", "interval_zone"}


def kind_of(topic: str) -> str:
    """The name of the schema that a topic's messages follow."""
    *_, what, _, last = topic.split("/")
    if what == "event":
        return last
    if what in ("count", "interval"):
        return what + {"door": "_line", "square": "_zone"}[last]
    return last


def is_declared(message: Received) -> bool:
    schema = json.loads((SCHEMAS / f"{kind_of(message.topic)}.json").read_text())
    return Draft202012Validator(schema).is_valid(message.payload)


@pytest.mark.slow
def test_the_door_of_the_real_clip_is_counted_and_published(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber, start: Callable[[Path], Daemon]
) -> None:
    daemon = start(config(tmp_path, broker.port))
    assert daemon.end(240) == 0, daemon.log.read_text()
    wait_until(lambda: any(m.payload.get("state") == "stopped" for m in subscriber.messages()))
    events = subscriber.events()
    kinds = collections.Counter(kind_of(message.topic) for message in events)
    assert set(kinds) - BY_THE_CLOCK == {"entry", "exit", "dwell"}
    assert [int(message.payload["sequence"]) for message in events] == list(range(1, len(events) + 1))
    counts = [m.payload for m in subscriber.messages() if m.topic.endswith("/count/yard/door")]
    assert counts[-1]["today"] == {"entry": kinds["entry"], "exit": kinds["exit"]}
    assert all(map(is_declared, subscriber.messages()))
    assert {kind_of(message.topic) for message in subscriber.messages()} >= {"status", "manifest", "health"}
    states = [m.payload["state"] for m in subscriber.messages() if m.topic.endswith("/status")]
    assert states == ["online", "stopped"]


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again_nothing_is_lost(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber, start: Callable[[Path], Daemon]
) -> None:
    path = config(tmp_path, broker.port)
    first = start(path)
    wait_until(lambda: len(subscriber.events()) >= 4, 120, "the first events")
    first.process.kill()
    first.end(10)
    second = start(path)
    assert second.end(240) == 0, second.log.read_text()
    wait_until(lambda: any(m.payload.get("state") == "stopped" for m in subscriber.messages()))
    events = {message.payload["id"]: message for message in subscriber.events()}
    sequences = sorted(int(message.payload["sequence"]) for message in events.values())
    assert sequences == list(range(1, len(sequences) + 1)), "every number came, none came for two events"
    crossings = [m for m in events.values() if m.topic.endswith(("/entry", "/exit"))]
    tally = collections.Counter(message.topic.rsplit("/", 1)[1] for message in crossings)
    last = max(crossings, key=lambda message: int(message.payload["sequence"]))
    assert last.payload["data"]["totals"] == {"entry": tally["entry"], "exit": tally["exit"]}


def test_the_broker_may_come_later(tmp_path: Path, start: Callable[[Path], Daemon]) -> None:
    broker = Mosquitto(tmp_path)
    daemon = start(config(tmp_path, broker.port))
    wait_until(lambda: daemon.says("Connection refused"), 30, "the complaint about the broker")
    with running(broker):
        subscriber = Subscriber(tmp_path, broker.port)
        wait_until(lambda: len(subscriber.events()) >= 1, 120, "an event")
        subscriber.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_told_to_stop_it_ends_in_order_and_with_0(
    number: int,
    tmp_path: Path,
    broker: Mosquitto,
    subscriber: Subscriber,
    start: Callable[[Path], Daemon],
) -> None:
    daemon = start(config(tmp_path, broker.port))
    wait_until(lambda: len(subscriber.events()) >= 1, 120, "the first event")
    daemon.process.send_signal(number)
    assert daemon.end(10) == 0
    wait_until(lambda: any(m.payload.get("state") == "stopped" for m in subscriber.messages()))
    dwells = [message.payload["data"] for message in subscriber.events() if message.topic.endswith("/dwell")]
    assert "shutdown" in {data["ended"] for data in dwells}, "whoever was inside gets a dwell that says so"


def test_a_camera_that_is_not_there_is_a_warning_and_not_the_end(
    tmp_path: Path, broker: Mosquitto, start: Callable[[Path], Daemon]
) -> None:
    daemon = start(config(tmp_path, broker.port, "v4l2:/dev/video99"))
    wait_until(lambda: daemon.says("/dev/video99 does not exist"), 30, "the complaint about the camera")
    daemon.process.terminate()
    assert daemon.end(10) == 0
    assert daemon.log.read_text().count("/dev/video99 does not exist") == 1, "said once, not at every try"


def test_a_config_that_is_wrong_ends_it_before_anything_starts(
    tmp_path: Path, start: Callable[[Path], Daemon]
) -> None:
    path = config(tmp_path, 1883)
    path.write_text(path.read_text() + "sight: 1\n")
    daemon = start(path)
    assert daemon.end(30) == 2
    assert daemon.says("sight: unknown key: did you mean site?")
    assert not (tmp_path / "state").exists()


def test_a_model_that_is_not_in_the_manifest_ends_it_with_3(
    tmp_path: Path, start: Callable[[Path], Daemon]
) -> None:
    path = config(tmp_path, 1883)
    path.write_text(path.read_text() + "detector: {model: person-of-last-year}\n")
    daemon = start(path)
    assert daemon.end(30) == 3
    assert daemon.says("person-of-last-year")
