"""The system's two clocks and its time zone."""

from __future__ import annotations

import ctypes
import os
import time
from datetime import timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.core.values import Sync

STA_UNSYNC = 0x40  # linux/timex.h
TIME_ERROR = 5


class SystemClock:
    """The one place where the daemon asks what time it is."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()


class _Timex(ctypes.Structure):
    """The head of the kernel's struct timex; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_char * 256),
    )


class KernelSync:
    """Asks the kernel whether a time server sets its clock (adjtimex(2)); remembers that one once did."""

    def __init__(self) -> None:
        self._adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
        self._was_synced = False

    def __call__(self) -> Sync:
        if self._is_synced():
            self._was_synced = True
            return Sync.SYNCED
        return Sync.HOLDOVER if self._was_synced else Sync.UNSYNCED

    def _is_synced(self) -> bool:
        told = _Timex()  # modes 0: only ask
        if self._adjtimex is None:
            return False
        state = self._adjtimex(ctypes.byref(told))
        return 0 <= state < TIME_ERROR and not told.status & STA_UNSYNC


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
