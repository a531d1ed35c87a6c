"""Kills a publishing device with SIGKILL, again and again, restarts its broker too, and counts what arrived.

`python -m tests.scenarios.torment --kills 300 --restarts 200 --hard 10 --seed 1` is the long run; the test
beside it is a short one. The device is `edged simulate` over TLS. Its numbers have no gap, so a lost event is
a missing number. What the broker has acknowledged is read by mosquitto_sub, which is not our code; so that it
misses nothing itself, the device's way to the broker is shut until the subscriber is there.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.broker import Mosquitto, Received, Subscriber, free_port, wait_until
from tests.certificates import Authority
from tests.proxy import Proxy

EVENTS_PER_S = 300


@dataclass(frozen=True)
class Report:
    """What came of it. `integrity` is SQLite's own word on the outbox."""

    seed: int
    kills: int
    restarts: int
    numbered: int
    received: int
    lost: int
    out_of_order: int
    duplicates: int
    changed_duplicates: int
    forgotten: int
    integrity: str
    seconds: float


class Device:
    """The process that is killed. `on_disk` is the last number that it said was committed."""

    def __init__(self, folder: Path, port: int, ca_file: Path, seconds: float) -> None:
        command = [sys.executable, "-m", "edge", "simulate", "--devices", "1", "--steady", "--progress"]
        command += ["--seconds", str(seconds), "--entries-per-s", str(EVENTS_PER_S)]
        command += ["--state-dir", str(folder), "--port", str(port), "--ca-file", str(ca_file)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.first = self.on_disk = 0
        self.summary: dict[str, int] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self.summary = json.loads(line)
            elif line.endswith("\n"):
                self.on_disk = int(line)
                self.first = self.first or self.on_disk

    def wait_for_life(self) -> None:
        wait_until(lambda: self.on_disk > 0 or self._process.poll() is not None, 30, "the device")

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def wait(self) -> None:
        self._end(120)

    def _end(self, timeout_s: float = 10) -> None:
        self._process.wait(timeout_s)
        self._reader.join()


class Stage:
    """Broker, subscriber and the way between device and broker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        authority = Authority(folder)
        self.ca_file = authority.ca_file
        pair, tls_port = authority.issue("broker", host="127.0.0.1"), free_port()
        self.broker = Mosquitto(
            folder,
            "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
            f"listener {tls_port} 127.0.0.1\n"
            f"cafile {self.ca_file}\ncertfile {pair.cert}\nkeyfile {pair.key}",
        )
        self.proxy = Proxy(tls_port)
        self._subscribers: list[Subscriber] = []
        self._start()

    def _start(self) -> None:
        self.broker.start()
        self._subscribers.append(Subscriber(self._folder, self.broker.port))
        wait_until(lambda: self.broker.subscriptions() == len(self._subscribers), what="the subscriber")
        self.proxy.open_ = True

    def restart_broker(self, with_signal: int) -> None:
        self.proxy.open_ = False
        self.broker.stop(with_signal)
        time.sleep(0.2)  # the subscriber reads what is still on its way
        self._subscribers[-1].stop()
        self._start()

    def end(self) -> list[Received]:
        """Everything that was received, in order."""
        time.sleep(0.5)
        for subscriber in self._subscribers[-1:]:
            subscriber.stop()
        self.broker.stop()
        self.proxy.close()
        return [message for subscriber in self._subscribers for message in subscriber.events()]


def torment(folder: Path, kills: int, restarts: int, hard: int, seed: int) -> Report:
    """`restarts` of the kills come with a restart of the broker, `hard` of those with SIGKILL."""
    rng, begun_s = random.Random(seed), time.monotonic()
    stage = Stage(folder)
    signals: list[int | None] = [None] * (kills - restarts)
    signals += [signal.SIGKILL] * hard + [signal.SIGTERM] * (restarts - hard)
    rng.shuffle(signals)
    on_disk = forgotten = 0
    for with_signal in signals:
        device = Device(folder / "state", stage.proxy.port, stage.ca_file, 600)
        device.wait_for_life()
        forgotten += max(0, on_disk - device.first)
        time.sleep(rng.uniform(0, 0.6))
        if with_signal is not None:
            stage.restart_broker(with_signal)
            time.sleep(rng.uniform(0, 0.6))
        device.kill()
        on_disk = device.on_disk
    last = Device(folder / "state", stage.proxy.port, stage.ca_file, 0.5)
    last.wait()
    return judge(
        stage.end(), folder / "state" / "door-0000" / "outbox.db", last, signals, forgotten, seed, begun_s
    )


def judge(
    received: list[Received],
    database: Path,
    last: Device,
    signals: list[int | None],
    forgotten: int,
    seed: int,
    begun_s: float,
) -> Report:
    payloads: dict[int, str] = {}
    order, changed = [], 0
    for message in received:
        number = int(message.payload["sequence"])
        if number not in payloads:
            payloads[number] = message.text
            order.append(number)
        changed += payloads[number] != message.text
    with sqlite3.connect(database) as db:
        integrity = str(db.execute("PRAGMA integrity_check").fetchone()[0])
    numbered = last.summary["numbered"]
    return Report(
        seed=seed,
        kills=len(signals),
        restarts=len(signals) - Counter(signals)[None],
        numbered=numbered,
        received=len(received),
        lost=len(set(range(1, numbered + 1)) - set(order)),
        out_of_order=sum(order[i + 1] < order[i] for i in range(len(order) - 1)),
        duplicates=len(received) - len(order),
        changed_duplicates=changed,
        forgotten=forgotten,
        integrity=integrity,
        seconds=round(time.monotonic() - begun_s, 1),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("kills", 300), ("restarts", 200), ("hard", 10), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        report = torment(Path(temporary), args.kills, args.restarts, args.hard, args.seed)
    print(json.dumps(asdict(report), indent=1))
    sys.exit(bool(report.lost or report.out_of_order or report.changed_duplicates or report.forgotten))
