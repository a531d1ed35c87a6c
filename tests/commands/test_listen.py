"""`edged listen` as a central system runs it: against a real broker, by its output and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.adapters.mqtt import Broker, Connection
from edge.core.values import Message
from tests.broker import Mosquitto, running, wait_until
from tests.messages import BASE, CONTRACT, an_entry


@contextmanager
def listening(broker: Mosquitto, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "edge", "listen", "--port", str(broker.port), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: " 1 edged/v1/+/#" in broker.log.read_text(), 30, "the listener")
    yield process


def publish(broker: Mosquitto, *messages: Message) -> None:
    link = Connection(Broker("127.0.0.1", broker.port, "test"), CONTRACT.status("offline"))
    for message in messages:
        link.publish(message)
    told: list[object] = []

    def all_told() -> bool:
        link.exchange(0.05)
        told.extend(link.acknowledged())
        return len(told) == len(messages)

    wait_until(all_told)
    link.close()


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_messages_and_problems_are_lines_of_json_and_a_gap_is_a_failure(tmp_path: Path) -> None:
    with running(Mosquitto(tmp_path)) as broker, listening(broker, "--json", "--seconds", "3") as process:
        leak = replace(an_entry(9), topic=f"{BASE}/snapshot")
        publish(broker, CONTRACT.status("online"), an_entry(1), an_entry(1), an_entry(3), leak)
        output, _ = process.communicate(timeout=30)
    *told, summary = lines(output)
    assert [line["message"]["sequence"] for line in told if line.get("kind") == "entry"] == ["1", "3"]
    assert {line["problem"] for line in told if "problem" in line} == {
        "park/north: numbers 2 to 2 have not come",
        "edged/v1/park/north/snapshot: is not a topic of the contract",
    }
    assert summary == {
        "devices": 1,
        "received": 2,
        "duplicates": 1,
        "missing": 1,
        "unreadable": 1,
        "stored": 0,
    }
    assert process.returncode == 1


def test_the_table_shows_the_totals_and_all_is_well(tmp_path: Path) -> None:
    with running(Mosquitto(tmp_path)) as broker, listening(broker, "--seconds", "3") as process:
        publish(broker, CONTRACT.status("online"), an_entry(1), an_entry(2))
        output, _ = process.communicate(timeout=30)
    assert "park/north" in output
    assert "online" in output
    assert process.returncode == 0
