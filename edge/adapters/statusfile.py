"""The status that the daemon leaves in its runtime directory, in RAM, for `edged status` to read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.ports import AdapterError

NAME = "status.json"
# The daemon writes twice a second; a file this old was left by one that is gone or hangs.
STALE_S = 10.0


class StatusFile:
    """Without a runtime directory (a laptop) nothing is written."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / NAME if directory else None

    def write(self, status: Mapping[str, Any]) -> None:
        """Replace the file as a whole. A status that cannot be written must not stop the counting."""
        if self._path is None:
            return
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(json.dumps({**status, "pid": os.getpid(), "written_s": time.monotonic()}))
            beside.chmod(0o644)
            beside.replace(self._path)
        except OSError:
            return


def read(directory: Path) -> dict[str, Any]:
    """What the running daemon says of itself. Raises AdapterError when none does."""
    path = directory / NAME
    try:
        status: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise AdapterError("read", str(path), cause, "is it running? `systemctl status edged`") from None
    age_s = time.monotonic() - float(status["written_s"])
    if age_s > STALE_S:
        cause = f"the daemon has not written it for {age_s:.0f} s"
        raise AdapterError("believe", str(path), cause, "it hangs or has ended: `journalctl -u edged -e`")
    return status
