"""What certainty costs: CPU for an event against bare paho, and bytes written to flash in a day.

`python tests/bench/outbox.py [--json]`. All in one run against one mosquitto on loopback; CPU time of the
process, medians of five rounds taken in turn. Flash: a tenth of a day at ten events a minute, recorded by
tests/scenarios/disk_recorder.c; `written` is what SQLite hands to the kernel, `pages` is that in whole pages
of 4 KiB between two syncs, which is what the file system hands on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timezone
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

sys.path.insert(0, str(Path(__file__).parents[2]))

from edge.adapters.mqtt import Broker, Connection
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Publisher
from edge.core.values import Kind, Message, Moment, Sync
from edge.recorder import Recorder
from tests.broker import Mosquitto, running, wait_until
from tests.messages import CAMERA, CONTRACT, DEVICE, a_crossing, an_entry, now
from tests.scenarios.power_cut import operations

EVENTS, ROUNDS, GROUP = 3_000, 5, 20
BUDGET_RATIO, BUDGET_MIB = 2.0, 50.0
PAGE = 4096


def bare_paho(port: int, messages: list[Message]) -> None:
    """Publish as fast as an in-flight window of 50 allows, with nothing kept."""
    done = threading.Event()
    left = len(messages)

    def acknowledged(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, "bare", protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(50)
    client.on_publish = acknowledged
    client.connect("127.0.0.1", port)
    client.loop_start()
    for message in messages:
        client.publish(message.topic, message.payload, 1)
    done.wait(60)
    client.disconnect()
    client.loop_stop()


def published(port: int, folder: Path, produce: Callable[[Outbox], None]) -> None:
    """`produce` fills the outbox while the publisher empties it."""
    outbox = Outbox(folder / "outbox.db")
    settings = Broker("127.0.0.1", port, "ours")
    status = CONTRACT.status
    publisher = Publisher(
        outbox,
        lambda: Connection(settings, status("offline")),
        status("online"),
        status("stopped"),
        DEVICE.boot,
    )
    stop = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop, lambda: None))
    thread.start()
    produce(outbox)
    wait_until(lambda: outbox.depth == 0, 60)
    stop.set()
    thread.join()
    outbox.close()


def in_groups(messages: list[Message], size: int) -> Callable[[Outbox], None]:
    def produce(outbox: Outbox) -> None:
        for start in range(0, len(messages), size):
            outbox.commit(messages[start : start + size], "{}")

    return produce


def whole_path(outbox: Outbox) -> None:
    """Every event through recorder and contract, with its retained count, in a commit of its own."""
    recorder = Recorder(CONTRACT, outbox, timezone.utc, sync=lambda: Sync.SYNCED)
    recorder.start(now())
    for _ in range(EVENTS):
        recorder.record(CAMERA, at := now(), [a_crossing(Kind.ENTRY, at)])


def cpu_us(work: Callable[[], None]) -> float:
    before_s = time.process_time()
    work()
    return (time.process_time() - before_s) / EVENTS * 1e6


def cpu(folder: Path) -> dict[str, float]:
    messages = [an_entry(number) for number in range(1, EVENTS + 1)]
    measured: dict[str, list[float]] = {name: [] for name in ("bare_paho", "groups", "singly", "whole_path")}
    with running(Mosquitto(folder)) as broker:
        for number in range(ROUNDS):
            work: dict[str, Callable[[], None]] = {
                "bare_paho": lambda: bare_paho(broker.port, messages),
                "groups": lambda n=number: ours(f"groups{n}", in_groups(messages, GROUP)),  # type: ignore[misc]
                "singly": lambda n=number: ours(f"singly{n}", in_groups(messages, 1)),  # type: ignore[misc]
                "whole_path": lambda n=number: ours(f"whole{n}", whole_path),  # type: ignore[misc]
            }

            def ours(name: str, produce: Callable[[Outbox], None]) -> None:
                (folder / name).mkdir()
                published(broker.port, folder / name, produce)

            for name, task in work.items():
                measured[name].append(cpu_us(task))
    return {name: statistics.median(values) for name, values in measured.items()}


def a_tenth_of_a_day(folder: Path) -> None:
    """Ten events a minute, each acknowledged before the next; the moments are made up, the writes are not."""
    outbox = Outbox(folder / "outbox.db")
    recorder = Recorder(CONTRACT, outbox, timezone.utc, sync=lambda: Sync.SYNCED)
    start_s = 1773568800.0
    recorder.start(Moment(0, 0.0, start_s))
    for second in range(8640):
        at = Moment(second, float(second), start_s + second)
        kinds = [Kind.ENTRY if second % 12 else Kind.EXIT] if second % 6 == 0 else []
        recorder.record(CAMERA, at, [a_crossing(kind, at) for kind in kinds])
        if kinds:
            outbox.acknowledge([message.sequence for message in outbox.peek(0, 100)])


def flash(folder: Path) -> dict[str, float]:
    library, log, disk = folder / "recorder.so", folder / "log", folder / "disk"
    disk.mkdir()
    source = Path(__file__).parents[1] / "scenarios" / "disk_recorder.c"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"], check=True)
    recording = {"LD_PRELOAD": str(library), "RECORD_FOLDER": str(disk), "RECORD_LOG": str(log)}
    command = [sys.executable, __file__, "--live", str(disk)]
    subprocess.run(command, check=True, env=os.environ | recording)
    written = pages = 0
    dirty: dict[str, set[int]] = {}
    for operation in operations(log.read_bytes()):
        if operation.kind == "W" and not operation.name.endswith("-shm"):
            written += len(operation.data)
            span = range(operation.offset // PAGE, (operation.offset + len(operation.data) - 1) // PAGE + 1)
            dirty.setdefault(operation.name, set()).update(span)
        elif operation.kind == "S":
            pages += len(dirty.pop(operation.name, set()))
    return {"written_mib_a_day": written * 10 / 2**20, "pages_mib_a_day": pages * PAGE * 10 / 2**20}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--live", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.live:
        a_tenth_of_a_day(args.live)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        used, wear = cpu(Path(temporary)), flash(Path(temporary))
    ratios = {f"{name}_ratio": used[name] / used["bare_paho"] for name in ("groups", "singly", "whole_path")}
    report = {f"{name}_us": value for name, value in used.items()} | ratios | wear
    if args.json:
        print(json.dumps({name: round(value, 2) for name, value in report.items()}))
    else:
        for name, value in report.items():
            print(f"{name:<22}{value:>10.2f}")
    return int(report["groups_ratio"] > BUDGET_RATIO or report["written_mib_a_day"] > BUDGET_MIB)


if __name__ == "__main__":
    sys.exit(main())
