"""The device itself: its sandbox, clock, disk, temperature, power and swap."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edge import sandbox
from edge.adapters import board
from edge.adapters.clock import KernelSync
from edge.core.health import HOT_C
from edge.core.values import Sync
from edge.doctor.findings import Check, Patient, Verdict, warn_if

FREE_MIB = (64, 512)  # below the first it fails, below the second it warns
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")


def check_sandbox(patient: Patient) -> Iterator[Check]:
    """Whether the sandbox's holes are those that the config needs."""
    wanted = sandbox.drop_in(patient.config, patient.file)
    try:
        found = patient.drop_in.read_text()
    except OSError:
        found = ""
    stale = "does not fit the config" if found else "has never been opened for this config"
    yield warn_if(
        found != wanted, "sandbox", stale if found != wanted else "fits the config", "sudo edged apply"
    )


def check_clock(_patient: Patient) -> Iterator[Check]:
    synced = KernelSync()() is Sync.SYNCED
    found = "set by a time server" if synced else "not set by a time server: times of events may be wrong"
    yield warn_if(not synced, "clock", found, "let the device reach a time server: timedatectl status")


def check_disk(patient: Patient) -> Iterator[Check]:
    directory = next(path for path in (patient.state_dir, *patient.state_dir.parents) if path.exists())
    free_mib = shutil.disk_usage(directory).free // 2**20
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        remedy = "the file system is read-only, often a dying card: dmesg, then replace it"
        yield Check("disk", Verdict.FAILURE, f"{directory} cannot be written", remedy)
    elif free_mib < FREE_MIB[0]:
        yield Check("disk", Verdict.FAILURE, f"{free_mib} MiB free in {directory}", "free some space: df -h")
    else:
        low = free_mib < FREE_MIB[1]
        yield warn_if(low, "disk", f"{free_mib} MiB free in {directory}", "free some space: df -h")


def check_board(_patient: Patient) -> Iterator[Check]:
    """Temperature, throttling and swap."""
    celsius = board.temperature_c()
    found = "the board does not tell its temperature" if celsius is None else f"{celsius:.0f} °C"
    yield warn_if(
        (celsius or 0) > HOT_C, "board", found, "give it air or a heat sink: above 80 °C it slows down"
    )
    flags = _throttled()
    if flags is not None:
        found = f"throttling flags {flags:#x}" if flags else "never throttled since boot"
        yield warn_if(flags > 0, "board", found, "a stronger power supply (under-voltage) or cooling (heat)")
    swapping = len(Path("/proc/swaps").read_text().splitlines()) > 1
    found = "swap is on: memory may reach the card" if swapping else "no swap"
    yield warn_if(swapping, "board", found, "turn it off: what must be forgotten should never reach flash")


def _throttled() -> int | None:
    """The Raspberry Pi's flags, or None on other boards."""
    try:
        return int(THROTTLED.read_text(), 16)
    except (OSError, ValueError):
        return None
