"""The hand-off between capture threads and the pipeline: one frame a camera, never a queue.

A consumer that pauses must not find stale pictures when it comes back, so a camera's new frame replaces the
one that waits, and the drop is counted. A recording is not dropped from: its producer waits.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import Enum

from edge.core.values import Frame


class WhenFull(Enum):
    """What `put` does with a frame that still waits."""

    REPLACE = "replace"  # cameras: the newest wins, the drop is counted
    WAIT = "wait"  # recordings: nothing is lost


class LatestSlots:
    """One slot a camera behind one condition, so that one pipeline serves them all in turn."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, Frame] = {}  # oldest hand-in first: taking the first is fair
        self._dropped: Counter[str] = Counter()
        self._closed = False

    def put(self, frame: Frame, when_full: WhenFull) -> None:
        """Hand a frame over; with WAIT, returns only when the slot was free or `close` was called."""
        with self._changed:
            if when_full is WhenFull.WAIT:
                self._changed.wait_for(lambda: self._closed or frame.camera not in self._waiting)
            if self._closed:
                return
            if frame.camera in self._waiting:
                self._dropped[frame.camera] += 1
            self._waiting[frame.camera] = frame
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """The frame that has waited longest, or None when none came in time or all is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting, timeout_s)
            if self._closed or not self._waiting:
                return None
            frame = self._waiting.pop(next(iter(self._waiting)))
            self._changed.notify_all()
            return frame

    def dropped(self, camera: str) -> int:
        """Frames of a camera that were replaced before anything looked at them."""
        with self._changed:
            return self._dropped[camera]

    def close(self) -> None:
        """Wake everyone; from now on `put` does nothing and `take` gives None."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
