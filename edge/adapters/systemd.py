"""systemd's side of the daemon: readiness, status and watchdog.

Works without systemd: nothing is notified. The protocol is a datagram to the socket named by $NOTIFY_SOCKET
(sd_notify(3)).
"""

from __future__ import annotations

import array
import logging
import os
import socket


class Notifier:
    """Tells the service manager how things stand; without one, does nothing."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        # A leading @ stands for the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._status = ""

    @property
    def listens(self) -> bool:
        """Whether a manager started us and wants to know."""
        return bool(self._address)

    def notify(self, **fields: str | int) -> None:
        """Send fields such as READY=1 in one datagram. A manager that is gone is not our trouble."""
        if self._address:
            text = "\n".join(f"{name}={value}" for name, value in fields.items())
            try:
                self._socket.sendto(text.encode(), self._address)
            except OSError:
                logging.getLogger(__name__).debug("the service manager does not listen", exc_info=True)

    def keep(self, name: str, fd: int) -> None:
        """Have the manager keep a descriptor over a restart (FDSTORE=1); it comes back in $LISTEN_FDS."""
        if self._address:
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
            try:
                self._socket.sendmsg([f"FDSTORE=1\nFDNAME={name}".encode()], passed, 0, self._address)
            except OSError:
                logging.getLogger(__name__).warning("the service manager does not keep our %s", name)

    def give_back(self, name: str) -> None:
        """Have the manager keep the descriptors of this name no longer."""
        self.notify(FDSTOREREMOVE=1, FDNAME=name)

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
