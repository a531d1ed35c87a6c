"""Forgets everyone, now: destroys all keys of face hashes on this device, and the open visits with them.

For a technician at the device, in tier visit. The daemon goes on with fresh keys; visits that are open become
unfinished. The journal gets counts. Exit 0: forgotten; 1: the daemon did not answer.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

LOCK, FORGOTTEN = "visits.lock", "visits.forgotten"
RUNTIME_DIR = os.environ.get("RUNTIME_DIRECTORY", "/run/edged")
ANSWER_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        *("--runtime-dir",),
        type=Path,
        default=Path(RUNTIME_DIR),
        help="where the daemon keeps open visits (default: $RUNTIME_DIRECTORY, else /run/edged)",
    )


def run(args: argparse.Namespace) -> int:
    directory: Path = args.runtime_dir
    daemon = holder(directory / LOCK)
    if daemon is None:
        left = sorted(directory.glob("visits-*.db*"))
        for path in left:
            path.unlink()
        print(f"no daemon of tier visit runs here; {len(left)} files removed")
        print("if its service cannot start, systemd may keep keys: `systemctl stop edged` destroys them")
        return 0
    (directory / FORGOTTEN).unlink(missing_ok=True)
    os.kill(daemon, signal.SIGUSR1)
    answer = wait_for(directory / FORGOTTEN)
    if answer is None:
        print(
            "edged: the daemon did not answer; `systemctl stop edged` destroys the keys too", file=sys.stderr
        )
        return 1
    keys, visits = answer.split()
    print(f"{keys} keys destroyed, {visits} open visits forgotten")
    return 0


def holder(lock: Path) -> int | None:
    """The process that holds the lock, or None if nobody does."""
    try:
        with lock.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(file.read())
            return None
    except FileNotFoundError:
        return None


def wait_for(answer: Path) -> str | None:
    deadline_s = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline_s:
        if answer.exists():
            return answer.read_text()
        time.sleep(0.05)
    return None
