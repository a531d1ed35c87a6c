"""Threads that show that they make progress.

A worker is a function that takes `beat` and calls it whenever it has done something, or has waited for its
input for a bounded time. A worker that stops beating hangs; one that ends by an exception has a bug. Both end
the daemon, and systemd starts it anew.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge.ports import Clock

log = logging.getLogger(__name__)

Beat = Callable[[], None]


class Worker:
    """One thread around one body; `failed` once it has died of a bug."""

    def __init__(self, name: str, body: Callable[[Beat], None], fresh_s: float, clock: Clock) -> None:
        self.name, self.failed = name, False
        self._body, self._fresh_s, self._clock = body, fresh_s, clock
        self._beat_s = self._seen_s = clock.monotonic_s()
        # A daemon thread: a camera's open call that nothing can interrupt must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Worker:
        self._thread.start()
        return self

    def beat(self) -> None:
        self._beat_s = self._clock.monotonic_s()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def hangs(self) -> bool:
        """Runs, but has not beaten for longer than it may take."""
        return self.running and self._clock.monotonic_s() - self._beat_s > self._fresh_s

    def progressed(self) -> bool:
        """Whether it has beaten since the last call."""
        before, self._seen_s = self._seen_s, self._beat_s
        return self._seen_s != before

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._body(self.beat)
        except Exception:  # the one broad except: whatever arrives here is a bug, and ends the process
            self.failed = True
            fields = {"EDGED_EVENT": "worker-died", "EDGED_WORKER": self.name}
            log.critical("the worker %s has died of a bug", self.name, exc_info=True, extra=fields)
