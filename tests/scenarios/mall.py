"""A mall's opening day: many devices, one broker with TLS, PostgreSQL behind `edged listen`.

`python -m tests.scenarios.mall --devices 200 --seconds 60` is the long run; with `--restart-broker` and
`--kill-listener` these are done in the middle of the day. Reports what was numbered by the devices and what
is in the database, rows that are there twice, and the time from the person to the committed row.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from tests.broker import Mosquitto, free_port, wait_until
from tests.certificates import Authority
from tests.postgres import postgres

BROKER = """allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
max_inflight_messages 1000
max_queued_messages 0
listener {port} 127.0.0.1
cafile {ca}
certfile {cert}
keyfile {key}"""
LATENCY = """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM stored - at)),
                    percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM stored - at))
             FROM edged_event"""


@dataclass(frozen=True)
class Report:
    """`rows` and `numbered` count messages; times are from the person to the committed row."""

    devices: int
    seconds: float
    numbered: int
    rows: int
    lost: int
    doubled: int
    p50_ms: float
    p99_ms: float
    events_per_s: float


class Listener:
    """`edged listen --postgres`, which may be killed and started again."""

    def __init__(self, port: int, ca_file: Path, dsn: str) -> None:
        self._command = [
            sys.executable,
            "-m",
            "edge",
            "listen",
            "--port",
            str(port),
            "--ca-file",
            str(ca_file),
        ]
        self._command += ["--postgres", dsn, "--json"]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)


def open_the_mall(
    folder: Path,
    devices: int,
    seconds: float,
    entries_per_s: float,
    restart_broker: bool,
    kill_listener: bool,
) -> Report:
    authority, port = Authority(folder), free_port()
    pair = authority.issue("broker", "127.0.0.1")
    settings = BROKER.format(folder=folder, port=port, ca=authority.ca_file, cert=pair.cert, key=pair.key)
    broker = Mosquitto(folder, settings)
    with postgres() as dsn:
        broker.start()
        listener = Listener(port, authority.ca_file, dsn)
        wait_until(lambda: " 1 edged/v1/" in broker.log.read_text(), 30, "the listener")
        day = [sys.executable, "-m", "edge", "simulate", "--devices", str(devices), "--seconds", str(seconds)]
        day += [
            "--entries-per-s",
            str(entries_per_s),
            "--port",
            str(port),
            "--ca-file",
            str(authority.ca_file),
        ]
        simulation = subprocess.Popen(day, stdout=subprocess.PIPE, text=True)
        time.sleep(seconds / 2)
        if kill_listener:
            listener.kill()
        if restart_broker:
            broker.stop()
            broker.start()
        if kill_listener:
            time.sleep(1)
            listener.start()
        told, _ = simulation.communicate(timeout=seconds + 300)
        report = json.loads(told)
        with psycopg.connect(dsn, autocommit=True) as db:
            wait_until(lambda: count(db) >= report["numbered"], 60, f"all of {report['numbered']} rows")
            listener.stop()
            broker.stop()
            return judge(db, devices, seconds, report["numbered"])


def count(db: psycopg.Connection) -> int:
    row = db.execute("SELECT count(*) FROM edged_event").fetchone()
    assert row is not None
    return int(row[0])


def judge(db: psycopg.Connection, devices: int, seconds: float, numbered: int) -> Report:
    rows = count(db)
    distinct = db.execute(
        "SELECT count(*) FROM (SELECT DISTINCT site, device, number FROM edged_event) d"
    ).fetchone()
    latency = db.execute(LATENCY).fetchone()
    assert distinct is not None
    assert latency is not None
    return Report(
        devices,
        seconds,
        numbered,
        rows,
        lost=numbered - int(distinct[0]),
        doubled=rows - int(distinct[0]),
        p50_ms=round(1000 * latency[0], 1),
        p99_ms=round(1000 * latency[1], 1),
        events_per_s=round(rows / seconds, 1),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--entries-per-s", type=float, default=1.0)
    parser.add_argument("--restart-broker", action="store_true")
    parser.add_argument("--kill-listener", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        result = open_the_mall(Path(temporary), **vars(args))
    print(json.dumps(asdict(result), indent=1))
    sys.exit(bool(result.lost or result.doubled))
