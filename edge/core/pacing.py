"""Which of a camera's pictures are looked at."""

from __future__ import annotations


class Pacer:
    """Says which frames are due so that on average not more than `fps_max` a second are.

    Due times lie on a fixed grid, not at "last + 1/fps": jitter must not slow the rate down.
    """

    def __init__(self, fps_max: float | None) -> None:
        self._period_s = 1 / fps_max if fps_max else 0.0
        self._next_s: float | None = None

    def due(self, at_s: float) -> bool:
        if self._next_s is None or not self._period_s:
            self._next_s = at_s
        if at_s < self._next_s - 1e-6:
            return False
        self._next_s = max(self._next_s + self._period_s, at_s - self._period_s)
        return True
