"""How the daemon stands, in one line for `systemctl status` and as a file for `edged status`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera. `fps` is over the last seconds, 0 while it gives nothing; `complaint` then says why."""

    id: str
    fps: float
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """`entries` and `exits` are today's, over all lines; `outbox` is how many messages wait."""

    cameras: tuple[CameraStatus, ...]
    entries: int
    exits: int
    broker_up: bool
    outbox: int
    hanging: tuple[str, ...] = ()

    def line(self) -> str:
        """`2 cameras, 9.8 fps, 412 in / 398 out today, broker up, outbox 0`, and then what is wrong.

        The rate is that of the slowest camera that works.
        """
        return "; ".join([", ".join(self._figures()), *self._troubles()])

    def _figures(self) -> Iterator[str]:
        working = [camera.fps for camera in self.cameras if camera.fps]
        total = len(self.cameras)
        noun = "camera" if total == 1 else "cameras"
        yield f"{total} {noun}" if len(working) == total else f"{len(working)} of {total} {noun}"
        if working:
            yield f"{min(working):.1f} fps"
        yield f"{self.entries} in / {self.exits} out today"
        yield f"broker {'up' if self.broker_up else 'down'}"
        yield f"outbox {self.outbox}"

    def _troubles(self) -> Iterator[str]:
        for camera in self.cameras:
            if not camera.fps:
                yield camera.complaint or f"waiting for camera {camera.id}"
        if self.hanging:
            yield f"no progress in {', '.join(self.hanging)}"


@dataclass(slots=True)
class Pace:
    """Frames a second over the last few seconds, from a counter that only grows."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def fps(self, now_s: float, frames: int) -> float:
        self.seen.append((now_s, frames))
        while now_s - self.seen[0][0] > WINDOW_S:
            self.seen.popleft()
        first_s, first = self.seen[0]
        return (frames - first) / (now_s - first_s) if now_s > first_s else 0.0
