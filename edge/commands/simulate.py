"""Lets any number of devices without cameras publish the visitors of a mall's opening day.

The day is compressed into --seconds; devices are spread over six floors, which are the sites of the topics.
What the devices run is the shipped recorder, outbox, contract and publisher. Ends with a line of JSON: how
many messages were numbered, and how many the broker did not take. Exit 1 if there are any of those.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

from edge import simulation
from edge.adapters.mqtt import Broker, Tls
from edge.adapters.publisher import Backoff
from edge.simulation import SimulatedDevice

STAGGER_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", type=int, default=1, help="how many (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the day takes (default: 60)")
    parser.add_argument("--entries-per-s", type=float, default=1.0, help="a device's average (default: 1)")
    parser.add_argument("--steady", action="store_true", help="no peaks: the average all the time")
    parser.add_argument(
        "--state-dir", type=Path, help="where the outboxes live (default: a temporary folder)"
    )
    parser.add_argument(
        "--progress", action="store_true", help="print the last number on disk after each step"
    )
    add_broker_arguments(parser)


def add_broker_arguments(parser: argparse.ArgumentParser) -> None:
    """How to reach the broker; shared with `edged listen`."""
    parser.add_argument("--host", default="127.0.0.1", help="the broker (default: %(default)s)")
    parser.add_argument("--port", type=int, default=1883, help="its port (default: %(default)s)")
    parser.add_argument("--username", help="user name at the broker")
    parser.add_argument("--password-file", type=Path, help="file with the password")
    parser.add_argument("--ca-file", type=Path, help="PEM of the broker's authority: switches TLS on")
    parser.add_argument("--cert-file", type=Path, help="PEM of a client certificate")
    parser.add_argument("--key-file", type=Path, help="PEM of its key")


def broker_of(args: argparse.Namespace, client_id: str) -> Broker:
    tls = Tls(args.ca_file, args.cert_file, args.key_file) if args.ca_file else None
    return Broker(args.host, args.port, client_id, args.username, args.password_file, tls)


def run(args: argparse.Namespace) -> int:
    with ExitStack() as stack:
        folder = args.state_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Real devices start minutes apart; here a thousand TLS handshakes would fall into one second.
        backoff = Backoff(base_s=1.0, cap_s=STAGGER_S)
        devices = [_device(args, folder, number, backoff) for number in range(args.devices)]
        for device in devices:
            device.start(simulation.now())
        simulation.run(devices, args.seconds, _pace(args), _progress(devices) if args.progress else None)
        missing = simulation.drain(devices, timeout_s=60.0)
        for device in devices:
            device.stop()
        for device in devices:
            device.join()
    numbered = {device.name: device.recorder.ledger.sequence for device in devices}
    print(json.dumps({"devices": len(devices), "numbered": sum(numbered.values()), "missing": missing}))
    return int(missing > 0)


def _device(args: argparse.Namespace, folder: Path, number: int, backoff: Backoff) -> SimulatedDevice:
    name = f"door-{number:04d}"
    return SimulatedDevice(name, broker_of(args, f"edged-{name}"), folder / name, number, backoff)


def _pace(args: argparse.Namespace) -> simulation.Pace:
    if args.steady:
        return lambda _: args.entries_per_s
    mean = sum(simulation.opening_day(step / 100) for step in range(100)) / 100
    return lambda share: args.entries_per_s * simulation.opening_day(share) / mean


def _progress(devices: list[SimulatedDevice]) -> simulation.Tell:
    def tell() -> None:
        print(sum(device.recorder.ledger.sequence for device in devices), flush=True)

    return tell
