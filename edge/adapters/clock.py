"""The system's two clocks and its time zone."""

from __future__ import annotations

import os
import time
from datetime import timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class SystemClock:
    """The one place where the daemon asks what time it is."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()


def system_zone() -> tzinfo:
    """The time zone of the machine: $TZ, else what /etc/localtime points at, else UTC."""
    target = os.path.realpath("/etc/localtime")
    _, _, name = target.partition("/zoneinfo/")
    named = (_named(candidate) for candidate in (os.environ.get("TZ", "").lstrip(":"), name))
    return next(filter(None, named), None) or _from_file(Path(target))


def _named(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _from_file(localtime: Path) -> tzinfo:
    try:
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    except (OSError, ValueError):
        return timezone.utc
