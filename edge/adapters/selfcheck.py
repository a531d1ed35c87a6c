"""Lets a child process run the models first: a bad file can abort the process from inside the runtime.

The child loads each model, runs it on the golden picture and compares; it also times it. A crash, a hang or
a wrong answer is a ModelError that names the model. A model that is slower than it was on its first run, or
whose graph was cut into pieces, still works: that is a warning (the sign of a delegate that was not applied).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.ports import ModelError

ALIKE_MIN = (
    0.98  # correlation; runtimes differ by up to a twentieth of the int8 range, wrong models by far more
)
SLOWER_MAX = 3.0  # against the first run on this device
TIMEOUT_S = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checked:
    """A model that passed. `first_ms` is the CPU time of an inference at its first start on this device."""

    model: str
    cpu_ms: float
    first_ms: float
    pieces: int


class SelfCheck:
    """Starts at once, in the background; `result` waits. Name every model that is about to be loaded."""

    def __init__(
        self, directory: Path, models: Sequence[str], threads: int = 1, delegate: str = "xnnpack"
    ) -> None:
        self._directory, self._models = directory, list(models)
        self._conditions = f"{threads} threads, {delegate}"
        child = [sys.executable, "-m", "edge.adapters.tflite", str(directory), str(threads), delegate]
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # as this process finds its modules
        self._child = subprocess.Popen(
            [*child, *models], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | paths
        )

    def result(self, baselines: Path | None = None, timeout_s: float = TIMEOUT_S) -> list[Checked]:
        """What was found, or ModelError. `baselines` is the file that remembers the first runs."""
        try:
            output, _ = self._child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            output, _ = self._child.communicate()
        rows = [json.loads(line) for line in output.decode().splitlines()]
        for row in rows:
            self._judge(row)
        if len(rows) < len(self._models) or self._child.returncode:
            raise self._refuse(self._models[len(rows) - len(self._models)], self._end())
        return self._compare(rows, baselines)

    def close(self) -> None:
        """Ends the child, if nobody waited for it."""
        self._child.kill()
        self._child.communicate()

    def _refuse(self, model: str, cause: str) -> ModelError:
        hint = "install the models and the runtime again"
        return ModelError("run model", f"{model} of {self._directory}", cause, hint)

    def _judge(self, row: Mapping[str, Any]) -> None:
        if "error" in row:
            raise self._refuse(row["model"], row["error"])
        if not row["alike"] >= ALIKE_MIN:
            cause = f"it gives a wrong answer to the golden picture (likeness {row['alike']})"
            raise self._refuse(row["model"], cause)

    def _end(self) -> str:
        code = self._child.returncode
        if code >= 0:
            return f"the test run ended with code {code}"
        return f"the runtime crashed or hung in the test run ({signal.Signals(-code).name})"

    def _compare(self, rows: Sequence[Mapping[str, Any]], baselines: Path | None) -> list[Checked]:
        first = _read(baselines)
        checked = []
        for row in rows:
            key = f"{row['sha256']}, {row['runtime']}, {self._conditions}"
            found = Checked(row["model"], row["cpu_ms"], first.setdefault(key, row["cpu_ms"]), row["pieces"])
            checked.append(found)
            _warn(found)
        if baselines:
            _write(baselines, first)
        return checked


def _warn(found: Checked) -> None:
    if found.cpu_ms > SLOWER_MAX * found.first_ms:
        log.warning(
            "model %s takes %.1f ms of CPU, %.1f ms at its first start: was its delegate not applied?",
            found.model,
            found.cpu_ms,
            found.first_ms,
        )
    if found.pieces != 1:
        log.warning("model %s runs in %d pieces instead of one: it will be slow", found.model, found.pieces)


def _read(baselines: Path | None) -> dict[str, float]:
    """The first runs; an unreadable file is an empty one, since all it holds can be measured again."""
    try:
        found = json.loads(baselines.read_text()) if baselines else {}
        return {str(key): float(value) for key, value in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(baselines: Path, first: Mapping[str, float]) -> None:
    """Replaced as a whole, so that a power cut leaves the old or the new one."""
    fresh = baselines.with_suffix(".new")
    fresh.write_text(json.dumps(first, indent=1))
    os.replace(fresh, baselines)
