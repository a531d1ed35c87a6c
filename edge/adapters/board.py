"""What the board says of itself: memory and temperature, and how long the detector takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edge.core.health import CameraVitals, Recent, Vitals
from edge.core.values import Detection, Pixels
from edge.ports import Clock, Detector

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Timed:
    """A detector that remembers how long it took lately."""

    def __init__(self, detector: Detector, clock: Clock) -> None:
        self._detector, self._clock = detector, clock
        self.took_ms = Recent()

    @property
    def side(self) -> int:
        return self._detector.side

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        started_s = self._clock.monotonic_s()
        found = self._detector.detect(pixels)
        self.took_ms.add((self._clock.monotonic_s() - started_s) * 1000)
        return found


class Board:
    """Measures the device whenever it is called."""

    def __init__(self, clock: Clock, detector: Timed) -> None:
        self._clock, self._detector = clock, detector
        self._started_s = clock.monotonic_s()

    def __call__(self, cameras: Mapping[str, CameraVitals]) -> Vitals:
        took_ms = self._detector.took_ms
        p50_p95 = tuple(took_ms.quantiles(0.5, 0.95)) if took_ms.values else None
        uptime_s = self._clock.monotonic_s() - self._started_s
        return Vitals(uptime_s, cameras, rss_mib(), p50_p95, temperature_c())  # type: ignore[arg-type]


def rss_mib() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 2**20


def temperature_c() -> float | None:
    """The processor's temperature, or None where the board does not tell."""
    try:
        return int(THERMAL.read_text()) / 1000
    except (OSError, ValueError):
        return None
