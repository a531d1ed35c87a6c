"""Puts a config into force: checks it, and opens in the sandbox what it needs: addresses, cameras, secrets.

With --card it first takes edged.yaml from the boot partition, where the installer put it: passwords move into
files that only root can read and are blanked on the card. A config that is wrong changes nothing. Run it as
root after a change of /etc/edged/edged.yaml, then `systemctl restart edged`.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
from pathlib import Path

from edge import card, sandbox
from edge.adapters.journal import log_to_journal
from edge.config import DEFAULT_PATH, read
from edge.ports import AdapterError
from edge.yamlpos import Problem

log = logging.getLogger(__name__)

BOOT = Path("/boot/firmware")
DROP_IN = Path("/etc/systemd/system/edged.service.d/50-config.conf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="the config (default: %(default)s)")
    parser.add_argument("--card", type=Path, nargs="?", const=BOOT, help="take it from here (%(const)s)")
    parser.add_argument("--drop-in", type=Path, default=DROP_IN, help="what to write (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    log_to_journal(logging.INFO)
    try:
        refused = bool(args.card and (args.card / card.NAME).exists() and not take(args.card, args.config))
        config = read(args.config)
        if rewrite(args.drop_in, sandbox.drop_in(config, args.config)):
            log.info("the sandbox now lets through: %s", ", ".join(sandbox.hosts(config)))
    except OSError as error:
        hint = "run as root" if isinstance(error, PermissionError) else ""
        what = str(error.filename or args.config.parent)
        raise AdapterError("write", what, error.strerror or str(error), hint) from None
    return 2 if refused else 0


def take(directory: Path, target: Path) -> bool:
    """The card's config in place of ours; False, with the reasons in journal and card, if it is wrong."""
    problems = card.adopt(directory, target.parent)
    report(directory / card.LOG, problems)
    for problem in problems:
        log.error("%s", problem, extra={"EDGED_EVENT": "import-refused"})
    if not problems:
        log.info(
            "the config of the card is in force; its secrets were moved here and blanked on the card, which "
            "is no secure erasure: the card's flash may keep old bytes",
            extra={"EDGED_EVENT": "config-imported"},
        )
    return not problems


def report(path: Path, problems: tuple[Problem, ...]) -> None:
    """What became of the card's file, for whoever reads the card in a laptop."""
    verdict = ["not taken, the device keeps its config:", *map(str, problems)] if problems else ["taken."]
    path.write_text("\n".join(verdict) + "\n", encoding="utf-8")


def rewrite(path: Path, text: str) -> bool:
    """Write the drop-in and tell systemd, if it changed."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    card.write(path, text.encode(), 0o644)
    tell_systemd()
    return True


def tell_systemd() -> None:
    """Have the units read again, where systemd runs."""
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "daemon-reload"], check=True)
