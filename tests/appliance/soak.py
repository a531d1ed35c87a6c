"""Half an hour in the container: memory, descriptors, journal and flash, measured and judged.

python -m tests.appliance.soak --minutes 30
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from tests.appliance.conftest import appliance, restart, start_camera
from tests.appliance.container import IMAGES, Container

RSS_GROWTH_MIB_MAX = 5.0
# Caches and pools fill in the first minutes; growth is judged after them.
WARM_UP_S = 120.0


def measure(machine: Container, pid: int) -> dict[str, float]:
    process = f"/proc/{pid}"
    status = machine.output("cat", f"{process}/status").split()
    written = machine.output("cat", f"{process}/io").split()
    return {
        "rss_mib": int(status[status.index("VmRSS:") + 1]) / 1024,
        "descriptors": len(machine.output("ls", f"{process}/fd").split()),
        "written_mib": int(written[written.index("write_bytes:") + 1]) / 2**20,
        "journal_entries": len(machine.journal()),
        "journal_kib": sum(len(json.dumps(entry)) for entry in machine.journal()) / 1024,
    }


def soak(machine: Container, seconds: float) -> dict[str, object]:
    pid = machine.main_pid()
    time.sleep(min(WARM_UP_S, seconds / 3))
    first, samples = measure(machine, pid), []
    started_s = time.monotonic()
    while time.monotonic() - started_s < seconds:
        time.sleep(min(30.0, seconds / 10))
        samples.append(measure(machine, pid))
    hours = (time.monotonic() - started_s) / 3600
    last = samples[-1]
    return {
        "hours": round(hours, 3),
        "same_process": machine.main_pid() == pid,
        "rss_mib": [round(first["rss_mib"], 1), round(last["rss_mib"], 1)],
        "rss_growth_mib": round(last["rss_mib"] - first["rss_mib"], 2),
        "descriptors": [first["descriptors"], last["descriptors"]],
        "journal_entries_per_hour": round((last["journal_entries"] - first["journal_entries"]) / hours, 1),
        "journal_kib_per_hour": round((last["journal_kib"] - first["journal_kib"]) / hours, 1),
        "written_mib_per_day": round((last["written_mib"] - first["written_mib"]) / hours * 24, 1),
        "status": machine.show("StatusText")["StatusText"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--packages", type=Path, default=IMAGES, help="the folder of the package")
    args = parser.parse_args()
    with appliance(packages=args.packages) as machine:
        start_camera(machine)
        restart(machine)
        found = soak(machine, args.minutes * 60)
    print(json.dumps(found, indent=1))
    grown = float(str(found["rss_growth_mib"])) > RSS_GROWTH_MIB_MAX
    first, last = found["descriptors"] if isinstance(found["descriptors"], list) else (0, 0)
    return int(grown or last > first or not found["same_process"])


if __name__ == "__main__":
    raise SystemExit(main())
