"""Peak memory of the daemon at 720p and 1080p, and its growth over many frames.

The picture is the demo recording, enlarged; the daemon runs as itself and is read through /proc.

python tests/bench/memory.py [--frames 10000] [--size 720|1080] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import cv2

from tests.bench import yard
from tests.clips import CLIP

SIZES = {720: (1280, 720), 1080: (1920, 1080)}
BUDGET_MB = {720: 120, 1080: 150}


def enlarge(clip: Path, size: tuple[int, int], frames: int) -> None:
    """Write `frames` pictures of the demo recording, again and again, in another size."""
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10, size)
    written = 0
    while written < frames:
        reader = cv2.VideoCapture(str(CLIP))
        while written < frames and (grabbed := reader.read())[0]:
            writer.write(cv2.resize(grabbed[1], size))
            written += 1
    writer.release()


def field_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def watch(folder: Path, clip: Path) -> list[float]:
    """Resident MB, five times a second, from the start to the end of the recording; last the peak."""
    seen, peak = [], 0.0
    with subprocess.Popen(yard.daemon(folder, clip), stderr=subprocess.DEVNULL, cwd=yard.ROOT) as daemon:
        while daemon.poll() is None:
            if now_mb := field_mb(daemon.pid, "VmRSS"):
                seen.append(now_mb)
                peak = field_mb(daemon.pid, "VmHWM") or peak
            time.sleep(0.2)
    return [*seen, peak]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size", type=int, choices=SIZES, default=720)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        enlarge(folder / "clip.mp4", SIZES[args.size], args.frames)
        *seen, peak = watch(folder, folder / "clip.mp4")
    # Start-up is over after a tenth of the run.
    growth = max(seen[-max(1, len(seen) // 10) :]) - max(seen[: max(2, len(seen) // 10)])
    result = {
        "size": args.size,
        "frames": args.frames,
        "peak_mb": round(peak, 1),
        "growth_mb": round(growth, 1),
    }
    print(json.dumps(result) if args.json else f"{result} (budget {BUDGET_MB[args.size]} MB)")
    return 0 if peak <= BUDGET_MB[args.size] else 1


if __name__ == "__main__":
    raise SystemExit(main())
