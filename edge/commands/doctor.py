"""Looks at every part of the device and says what is wrong with it and what to do.

Sandbox, models, cameras, broker, clock, disk, board. Run it as root on a device, so that it can read the
secrets. Exit 0: well, perhaps with warnings; 1: something fails; 2: the config is wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from edge.adapters import statusfile
from edge.commands.apply import DROP_IN
from edge.commands.status import RUNTIME_DIR
from edge.config import DEFAULT_PATH, read
from edge.doctor import CHECKS
from edge.doctor.findings import Check, Patient, Verdict
from edge.ports import AdapterError

MARKS = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.FAILURE: "✗"}
STATE_DIR = Path("/var/lib/edged")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="the config (default: %(default)s)")
    parser.add_argument("--state-dir", type=Path, default=STATE_DIR, help="(default: %(default)s)")
    parser.add_argument("--drop-in", type=Path, default=DROP_IN, help="(default: %(default)s)")
    parser.add_argument("--only", choices=CHECKS, action="append", help="look at this part only; repeatable")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    patient = Patient(read(args.config), args.config, args.state_dir, args.drop_in, running())
    found = []
    for part in args.only or CHECKS:
        for check in CHECKS[part](patient):
            found.append(check)
            if not args.json:
                print("\n".join(lines(check)), flush=True)
    if args.json:
        print(json.dumps({"checks": [as_json(check) for check in found]}, indent=1))
    return int(any(check.verdict is Verdict.FAILURE for check in found))


def running() -> frozenset[str]:
    """The cameras from which a running daemon gets pictures."""
    try:
        cameras = statusfile.read(RUNTIME_DIR)["cameras"]
    except AdapterError:
        return frozenset()
    return frozenset(camera["id"] for camera in cameras if camera["fps"])


def lines(check: Check) -> Iterator[str]:
    yield f"{MARKS[check.verdict]} {check.part}: {check.found}"
    if check.verdict is not Verdict.OK:
        yield f"    {check.remedy}"


def as_json(check: Check) -> dict[str, str]:
    remedy = "" if check.verdict is Verdict.OK else check.remedy
    return {"part": check.part, "verdict": check.verdict.value, "found": check.found, "remedy": remedy}
