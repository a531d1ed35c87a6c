"""The log: to the journal with fields that can be searched, or to a terminal as plain lines.

The journal's native protocol is one datagram an entry (systemd.io/JOURNAL_NATIVE_PROTOCOL). Whoever logs may
give fields by `extra`: EDGED_EVENT names what happened, and from that name comes the entry's MESSAGE_ID, by
which the catalog explains it (`journalctl -x`). An AdapterError among the arguments becomes fields, too.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator

from edge.ports import AdapterError

JOURNAL = "/run/systemd/journal/socket"
# Every event's id is derived from its name under this one, so that it never changes.
EVENTS = uuid.UUID("6f1d3c52-5b0e-4d0a-9a57-0a1f6d1f7e11")
ENTRY_BYTES_MAX = 48 * 1024
BURST, PER_S = 20, 60.0
CREDENTIALS = re.compile(r"://[^/\s@]+@")
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def message_id(event: str) -> str:
    return uuid.uuid5(EVENTS, event).hex


def redacted(text: str) -> str:
    """Addresses without their login: a second net, for libraries' messages; our own never hold one."""
    return CREDENTIALS.sub("://***@", text)


class JournalHandler(logging.Handler):
    """Sends records to the journal; what it does not take goes to stderr."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._address = address
        self.setFormatter(logging.Formatter("%(message)s"))  # priority and place are fields of their own

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._socket.sendto(packed(fields_of(record, self.format(record))), self._address)
        except OSError:
            print(redacted(record.getMessage()), file=sys.stderr)

    def close(self) -> None:
        self._socket.close()
        super().close()


def fields_of(record: logging.LogRecord, text: str) -> Iterator[tuple[str, str]]:
    """The journal's fields of a record, `text` being its message with the traceback, if any."""
    yield "MESSAGE", redacted(text)[:ENTRY_BYTES_MAX]
    yield "PRIORITY", str(next((p for level, p in PRIORITIES if record.levelno >= level), 7))
    yield "SYSLOG_IDENTIFIER", "edged"
    yield "CODE_FILE", record.pathname
    yield "CODE_LINE", str(record.lineno)
    yield "CODE_FUNC", str(record.funcName)
    yield "EDGED_THREAD", str(record.threadName)
    given = {name: str(value) for name, value in vars(record).items() if name.startswith("EDGED_")}
    if event := given.get("EDGED_EVENT"):
        yield "MESSAGE_ID", message_id(event)
    yield from given.items()
    for error in record.args if isinstance(record.args, tuple) else ():
        if isinstance(error, AdapterError):
            yield "EDGED_OPERATION", error.operation
            yield "EDGED_SUBJECT", redacted(error.subject)
            yield "EDGED_ERROR", redacted(error.cause)
            yield "EDGED_HINT", error.hint


def packed(fields: Iterator[tuple[str, str]]) -> bytes:
    """One datagram; a value with line ends is given with its length."""
    parts = []
    for name, text in fields:
        value = text.encode(errors="replace")
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)


class RateLimit(logging.Filter):
    """At most `burst` entries a minute from one place in the code; the next says how many were held back."""

    def __init__(
        self, burst: int = BURST, per_s: float = PER_S, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._burst, self._per_s, self._monotonic_s = burst, per_s, monotonic_s
        self._since: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now_s = (record.pathname, record.lineno), self._monotonic_s()
        started_s, count = self._since.get(place, (now_s, 0))
        if now_s - started_s >= self._per_s:
            if count > self._burst:
                record.msg = f"{record.msg} [{count - self._burst} more like it were held back]"
            started_s, count = now_s, 0
        self._since[place] = started_s, count + 1
        return count < self._burst


def log_to_journal(level: int) -> None:
    """Send the log to the journal where that is what stderr is, else to stderr as plain lines."""
    handler: logging.Handler
    if os.environ.get("JOURNAL_STREAM") and os.path.exists(JOURNAL):
        handler = JournalHandler(JOURNAL)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    handler.addFilter(RateLimit())
    logging.basicConfig(level=level, handlers=[handler], force=True)
