"""The daemon: watches the cameras of the config and publishes what it counts, until it is told to stop.

Normally systemd runs it. By hand, Ctrl-C ends it; nothing that was counted is lost. Events that the broker
has not taken wait in the state directory, through restarts and power cuts.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from edge import app
from edge.adapters.systemd import log_to_journal
from edge.config import DEFAULT_PATH, read

STATE_DIR = os.environ.get("STATE_DIRECTORY", "/var/lib/edged")


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
    config = read(args.config)
    return app.run(config, app.Options(args.config, args.state_dir, args.print))
