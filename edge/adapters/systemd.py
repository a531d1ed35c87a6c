"""systemd's side of the daemon: readiness, status and watchdog, and the journal's priorities.

Works without systemd: nothing is notified, and the log goes to stderr as plain lines. The protocol is a
datagram to the socket named by $NOTIFY_SOCKET (sd_notify(3)).
"""

from __future__ import annotations

import logging
import os
import socket
import sys


class Notifier:
    """Tells the service manager how things stand; without one, does nothing."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        # A leading @ stands for the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._status = ""

    def notify(self, **fields: str | int) -> None:
        """Send fields such as READY=1 in one datagram. A manager that is gone is not our trouble."""
        if self._address:
            text = "\n".join(f"{name}={value}" for name, value in fields.items())
            try:
                self._socket.sendto(text.encode(), self._address)
            except OSError:
                logging.getLogger(__name__).debug("the service manager does not listen", exc_info=True)

    def status(self, text: str) -> None:
        """The one line that `systemctl status` shows; sent only when it changes."""
        if text != self._status:
            self._status = text
            self.notify(STATUS=text)

    def close(self) -> None:
        self._socket.close()


def watchdog_s() -> float | None:
    """How often the manager wants to hear of us, in seconds, or None where it does not watch."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(usec) / 1e6 if usec.isdigit() and pid == str(os.getpid()) else None


class _Priorities(logging.Formatter):
    """Prefixes lines with the journal's priority, `<3>` for an error; see sd-daemon(3)."""

    LEVELS = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for level, p in self.LEVELS if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def log_to_journal(level: int) -> None:
    """Send the log to stderr: with priorities where that is the journal, with times on a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_Priorities("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
