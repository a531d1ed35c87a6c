"""What `edged doctor` looks at, one function a part; each finding is a verdict with what to do about it.

The parts are tried for real: cameras are opened and looked through, the models run, the broker is asked for
every topic. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.doctor.broker import check_broker
from edge.doctor.device import check_board, check_clock, check_disk, check_sandbox
from edge.doctor.findings import Check, Patient
from edge.doctor.sight import check_cameras, check_models

CHECKS: dict[str, Callable[[Patient], Iterator[Check]]] = {
    "sandbox": check_sandbox,
    "models": check_models,
    "cameras": check_cameras,
    "broker": check_broker,
    "clock": check_clock,
    "disk": check_disk,
    "board": check_board,
}
