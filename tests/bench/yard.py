"""The device of the benches: one camera, one line, and a broker that is never there."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = """\
site: bench
device: box
mqtt: {{host: 127.0.0.1, port: 1}}
cameras:
  - id: yard
    source: file:{clip}
    lines: [{{id: door, from: [0.29, 0.26], to: [0.29, 0.59], inside: [0.1, 0.42]}}]
"""


def daemon(folder: Path, clip: Path) -> list[str]:
    """The command that runs the daemon over `clip`, with its config and its state in `folder`."""
    config = folder / "edged.yaml"
    config.write_text(CONFIG.format(clip=clip))
    return [sys.executable, "-m", "edge", "run", "--config", str(config), "--state-dir", str(folder)]
