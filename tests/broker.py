"""A real mosquitto on loopback for tests, and a subscriber that is not our code. Stopped by pid."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LOGS = "".join(f"log_type {kind}\n" for kind in ("error", "warning", "notice", "information", "subscribe"))
MISSING = "mosquitto is not installed: `make mosquitto` does it"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0, what: str = "the condition") -> None:
    """Poll until `condition` holds; the timeout only bounds a failure."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{what} did not come within {timeout_s} s")
        time.sleep(0.01)


class Mosquitto:
    """One broker in `folder`. `settings` are lines of mosquitto.conf; it may be stopped and started again."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        self.configure(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, settings: str) -> None:
        self._config.write_text(f"user root\n{LOGS}listener {self.port} 127.0.0.1\n{settings}\n")

    def configure_wholly(self, text: str) -> None:
        self._config.write_text(f"user root\n{LOGS}{text}")

    def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert program, MISSING
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([program, "-c", str(self._config)], stdout=log, stderr=log)
        wait_until(self._answers, what="mosquitto")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def subscriptions(self) -> int:
        """How many there have been, over all its lives."""
        return self.log.read_text().count(" 1 #")

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait(10)
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Received:
    """One message as an independent subscriber saw it."""

    def __init__(self, line: str) -> None:
        raw = json.loads(line)
        self.topic: str = raw["topic"]
        self.retain = bool(raw["retain"])
        self.payload: Any = json.loads(raw["payload"])
        self.text: str = raw["payload"]
        self.properties: dict[str, str] = raw.get("properties", {}).get("user-properties", {})


class Subscriber:
    """`mosquitto_sub` on everything, as JSON lines."""

    def __init__(self, folder: Path, port: int, *arguments: str) -> None:
        self._file = folder / f"subscriber-{time.monotonic_ns()}.jsonl"
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-V", "5", "-q", "1", "-F", "%j"]
        command += ["-t", "#", *arguments]
        with self._file.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def messages(self) -> list[Received]:
        lines = self._file.read_text().split("\n")[:-1]  # the last one may be half written
        return [Received(line) for line in lines if line.startswith("{")]

    def events(self) -> list[Received]:
        """The messages that are numbered: CloudEvents."""
        return [message for message in self.messages() if "specversion" in message.payload]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def running(broker: Mosquitto) -> Iterator[Mosquitto]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running(Mosquitto(tmp_path)) as started:
        yield started


@pytest.fixture
def subscriber(broker: Mosquitto, tmp_path: Path) -> Iterator[Subscriber]:
    listening = Subscriber(tmp_path, broker.port)
    wait_until(lambda: broker.subscriptions() > 0, what="the subscription")
    yield listening
    listening.stop()
