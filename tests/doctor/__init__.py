"""A patient for the doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.config import Config
from edge.doctor.findings import Check, Patient

CLIP = Path(__file__).parents[1] / "data/vtest.mp4"
LINE = {"id": "door", "from": [0, 0.5], "to": [1, 0.5], "inside": [0.5, 0.9]}


def patient(
    folder: Path, *, source: str = f"file:{CLIP}", mqtt: dict[str, Any] | None = None, **more: Any
) -> Patient:
    """A device with one camera; its broker is nowhere unless `mqtt` says where."""
    settings = {
        "site": "lab",
        "device": "door",
        "mqtt": {"host": "127.0.0.1", "port": 1, **(mqtt or {})},
        "cameras": [{"id": "entrance", "source": source, "lines": [LINE], **more}],
    }
    (folder / "edged.yaml").touch()
    config = Config.model_validate(settings, strict=False)
    return Patient(config, folder / "edged.yaml", folder, folder / "50-config.conf")


def told(checks: list[Check]) -> str:
    return "\n".join(f"{check.verdict.value}: {check.found} ({check.remedy})" for check in checks)
