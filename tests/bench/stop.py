"""How long the daemon takes to stop while it captures: twenty times, SIGTERM and Ctrl-C in turn.

python tests/bench/stop.py [--times 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench import yard
from tests.clips import CLIP

LIMIT_S = 2.0


def stop_once(folder: Path, number: int) -> tuple[float, int]:
    """Seconds from the signal to the exit, and the exit code."""
    with subprocess.Popen(
        yard.daemon(folder, CLIP), stderr=subprocess.PIPE, text=True, cwd=yard.ROOT
    ) as daemon:
        assert daemon.stderr is not None
        while "wait in the outbox" not in daemon.stderr.readline():
            assert daemon.poll() is None, "the daemon ended by itself"
        time.sleep(1.0)  # well into the recording
        began_s = time.monotonic()
        daemon.send_signal(number)
        code = daemon.wait(30)
        return time.monotonic() - began_s, code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    runs = []
    for index in range(args.times):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(stop_once(Path(folder), (signal.SIGTERM, signal.SIGINT)[index % 2]))
    took = [took_s for took_s, _ in runs]
    good = sum(took_s <= LIMIT_S and code == 0 for took_s, code in runs)
    result = {"good": good, "of": len(runs), "median_s": statistics.median(took), "longest_s": max(took)}
    if args.json:
        print(json.dumps(result))
    else:
        print(f"{good} of {len(runs)} within {LIMIT_S} s and with exit 0; ", end="")
        print(f"median {result['median_s']:.2f} s, longest {result['longest_s']:.2f} s")
    return 0 if good == len(runs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
