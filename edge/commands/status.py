"""What the running daemon says of itself, at a glance: pictures, counts, broker, messages that wait.

Exit 0: it counts; 1: it runs, but something is missing; 2: it does not run, or hangs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.adapters import statusfile

RUNTIME_DIR = Path("/run/edged")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        *("--runtime-dir",), type=Path, default=RUNTIME_DIR, help="the daemon's (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    status = statusfile.read(args.runtime_dir)
    print(json.dumps(status) if args.json else "\n".join(lines(status)))
    return 0 if healthy(status) else 1


def healthy(status: dict[str, Any]) -> bool:
    return all(camera["fps"] for camera in status["cameras"]) and not status["hanging"]


def lines(status: dict[str, Any]) -> Iterator[str]:
    """One fact a line."""
    for camera in status["cameras"]:
        yield f"camera   {camera['id']}: " + (
            f"{camera['fps']:.1f} fps" if camera["fps"] else camera["complaint"] or "no picture yet"
        )
    yield f"today    {status['entries']} in, {status['exits']} out"
    yield f"broker   {'up' if status['broker_up'] else 'down'}, {status['outbox']} messages wait"
    if status["hanging"]:
        yield f"hangs    {', '.join(status['hanging'])}: the watchdog will restart the daemon"
