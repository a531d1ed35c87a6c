"""A reference subscriber for a central system: reads every message by the contract, and proves completeness.

Shows a live table, or with --json every message and every problem as a line of JSON. With --postgres each
event becomes one row, however often it arrives, and is acknowledged to the broker only then: kill it at any
time. The last line is a summary. Exit 1 if a number is missing or a message does not keep the contract.
"""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import sys
import time
from contextlib import ExitStack, closing, suppress

from paho.mqtt.client import MQTTMessage

from edge.adapters.central import Postgres, Subscription
from edge.commands.simulate import add_broker_arguments
from edge.core.intake import Intake, Reading, Unreadable, is_a_question, read

REFRESH_S = 1.0
CLEAR = "\033[H\033[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", default="+", help="one site (default: all)")
    parser.add_argument(
        "--client-id", help="have the broker keep what comes while nobody listens, for a week"
    )
    parser.add_argument("--seconds", type=float, help="stop after so long (default: at Ctrl-C)")
    parser.add_argument("--json", action="store_true", help="lines of JSON instead of a table")
    parser.add_argument(
        "--postgres", metavar="DSN", help="write events there, such as postgresql:///footfall"
    )
    add_broker_arguments(parser)


def run(args: argparse.Namespace) -> int:
    listener = Listener(as_json=args.json)
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job of a shell ignores SIGINT unless told
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        database = stack.enter_context(closing(Postgres(args.postgres))) if args.postgres else None
        subscription = stack.enter_context(closing(_subscription(args)))
        with suppress(KeyboardInterrupt):
            listener.listen(subscription, database, args.seconds)
    print(json.dumps(listener.summary()), flush=True)
    return int(listener.is_unwell)


class Listener:
    """Takes messages, checks them, shows them. `stored` counts new rows in PostgreSQL."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._intake = Intake()
        self._unreadable = self._stored = 0
        self._problems: list[str] = []

    def listen(self, subscription: Subscription, database: Postgres | None, seconds: float | None) -> None:
        end_s = None if seconds is None else time.monotonic() + seconds
        show_s = 0.0
        while end_s is None or time.monotonic() < end_s:
            messages = subscription.take(timeout_s=0.2)
            readings = [reading for message in messages if (reading := self._read(message))]
            if database is not None:
                self._stored += database.store(readings)
            for reading in readings:
                self._take(reading)
            subscription.acknowledge(messages)
            if not self._as_json and time.monotonic() >= show_s:
                show_s = time.monotonic() + REFRESH_S
                self._show()

    def _read(self, message: MQTTMessage) -> Reading | None:
        if is_a_question(message.topic, bytes(message.payload)):
            return None
        try:
            return read(message.topic, bytes(message.payload))
        except Unreadable as problem:
            self._unreadable += 1
            self._complain(str(problem))
            return None

    def _take(self, reading: Reading) -> None:
        is_new = self._intake.is_new(reading)
        for problem in self._intake.take(reading):
            self._complain(f"{reading.site}/{reading.device}: {problem}")
        if self._as_json and is_new:
            told = {"site": reading.site, "device": reading.device, "kind": reading.kind}
            print(json.dumps({**told, "message": reading.content}), flush=True)

    def _complain(self, problem: str) -> None:
        self._problems = [*self._problems[-9:], problem]
        if self._as_json:
            print(json.dumps({"problem": problem}), flush=True)

    def _show(self) -> None:
        screen = CLEAR if sys.stdout.isatty() else ""
        print(screen + "\n".join([self._intake.table(), *self._problems]), flush=True)

    def summary(self) -> dict[str, int]:
        return {**self._intake.summary(), "unreadable": self._unreadable, "stored": self._stored}

    @property
    def is_unwell(self) -> bool:
        return self._unreadable > 0 or self._intake.summary()["missing"] > 0


def _subscription(args: argparse.Namespace) -> Subscription:
    login = None
    if args.username:
        password = args.password_file.read_text().rstrip("\r\n") if args.password_file else None
        login = (args.username, password)
    tls = None
    if args.ca_file:
        tls = ssl.create_default_context(cafile=args.ca_file)
        if args.cert_file:
            tls.load_cert_chain(args.cert_file, args.key_file)
    client_id = args.client_id or ("edged-listen" if args.postgres else "")
    return Subscription(args.host, args.port, client_id, args.site, login, tls)
