"""The daemon: watches the cameras of the config and publishes what it counts, until it is told to stop.

Normally systemd runs it. By hand, Ctrl-C ends it; nothing that was counted is lost. Events that the broker
has not taken wait in the state directory, through restarts and power cuts.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import time
from contextlib import closing
from pathlib import Path

from edge import app
from edge.adapters import keys
from edge.adapters.clock import SystemClock
from edge.adapters.journal import log_to_journal
from edge.adapters.systemd import Notifier
from edge.config import DEFAULT_PATH, read
from edge.ports import AdapterError, ConfigError, ModelError

log = logging.getLogger(__name__)

STATE_DIR = os.environ.get("STATE_DIRECTORY", "/var/lib/edged")
# A daemon that cannot start tries again this often; the manager's own restarts are for crashes.
HOLD_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="the config (default: %(default)s)")
    parser.add_argument(
        *("--state-dir",),
        type=Path,
        default=STATE_DIR,
        help="where the outbox lives (default: $STATE_DIRECTORY, else /var/lib/edged)",
    )
    parser.add_argument("--print", action="store_true", help="print the messages instead of publishing them")
    parser.add_argument("--verbose", action="store_true", help="log why each count was made")


def run(args: argparse.Namespace) -> int:
    log_to_journal(logging.DEBUG if args.verbose else logging.INFO)
    faulthandler.enable()  # the watchdog's SIGABRT then says in which line every thread was
    keys.expire_kept(os.environ, SystemClock().monotonic_s())
    runtime_dir = os.environ.get("RUNTIME_DIRECTORY")
    options = app.Options(args.config, args.state_dir, args.print, Path(runtime_dir) if runtime_dir else None)
    with closing(Notifier()) as notifier:
        try:
            return app.run(read(args.config), options, notifier)
        except (ConfigError, AdapterError) as error:
            if not notifier.listens:
                raise
            return hold(error, notifier)


def hold(error: ConfigError | AdapterError, notifier: Notifier) -> int:
    """Say in status and journal why the daemon cannot start, and pause: a restart a second helps nobody."""
    problems = error.problems if isinstance(error, ConfigError) else (error,)
    fields = {"EDGED_EVENT": "config-wrong" if isinstance(error, ConfigError) else "cannot-start"}
    for problem in problems:
        log.error("%s", problem, extra=fields)
    notifier.status(f"cannot start: {problems[0]} (new try every {HOLD_S:.0f} s)")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(HOLD_S)
    return 3 if isinstance(error, ModelError) else 2
