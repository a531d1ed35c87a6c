"""What the virtual machine does once it is up: a USB camera and the memory limit, tried under the daemon's
own unit and drop-in with other programs in its place; one JSON object on the console, then it is off.

Run by the machine's Python as root. An emulated processor is a thousand times too slow for inference, so
pictures are taken and nobody is looked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

UNIT = Path("/usr/lib/systemd/system/edged.service")
DROP_IN = Path("/etc/systemd/system/edged.service.d/50-config.conf")
REPLACED = ("ExecStart", "ExecReload", "Type=", "Restart=", "WatchdogSec=", "TimeoutStartSec=", "Wants=")
PATIENCE_S = 900.0
HOG = "taken = [bytearray(1 << 20) for _ in range(700)]"


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def variant(name: str, program: str, kind: str, restart: str) -> None:
    """A unit that is edged.service in all but the program, which lies in /usr/lib."""
    kept = [line for line in UNIT.read_text().splitlines() if not line.startswith(REPLACED)]
    at = kept.index("[Service]") + 1
    command = f"ExecStart=/usr/bin/python3 -I /usr/lib/{program}"
    own = [f"Type={kind}", f"Restart={restart}", f"TimeoutStartSec={PATIENCE_S:.0f}", command]
    unit = Path(f"/etc/systemd/system/{name}.service")
    unit.write_text("\n".join([*kept[:at], *own, *kept[at:]]) + "\n")
    folder = Path(f"{unit}.d")
    folder.mkdir(exist_ok=True)
    (folder / "50-config.conf").write_text(DROP_IN.read_text())


def journal(unit: str) -> list[str]:
    return run("journalctl", "--unit", unit, "--output=cat", "--no-pager").splitlines()


def imported() -> object:
    """What became of the import at boot, and how long it took, in s."""
    names = ("Result", "ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
    result, start, end = (
        run("systemctl", "show", "edged-import", "--value", f"--property={n}") for n in names
    )
    return {"result": result, "seconds": (int(end) - int(start)) / 1e6}


def see(name: str, camera: str) -> object:
    """What a program in the daemon's place sees of a camera."""
    variant(name, f"eye.py {camera}", "oneshot", "no")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", name)
    said = [line for line in journal(name) if line.startswith("{")]
    return json.loads(said[-1]) if said else journal(name)


def overeat() -> object:
    """What becomes of a program in the daemon's place that takes 700 MiB, and of the others."""
    Path("/usr/lib/hog.py").write_text(HOG)
    variant("hog", "hog.py", "simple", "always")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "hog")
    until_s = time.monotonic() + PATIENCE_S
    while (
        time.monotonic() < until_s
        and int(run("systemctl", "show", "hog", "--property=NRestarts", "--value")) < 1
    ):
        time.sleep(1)
    run("systemctl", "stop", "hog")
    ended = [line for line in journal("hog") if "oom" in line.lower()]
    return {"ended": ended[:3], "broker": run("systemctl", "is-active", "mosquitto")}


def main() -> None:
    subprocess.run(["modprobe", "vivid", "n_devs=1", "node_types=0x1"], check=True)
    subprocess.run(["modprobe", "vimc"], check=True)
    run("udevadm", "settle")
    for heap in Path("/dev/dma_heap").iterdir():  # as a rule of Raspberry Pi OS has it
        shutil.chown(heap, group="video")
        heap.chmod(0o660)
    run("edged", "apply")
    run("systemctl", "stop", "edged")
    told = {"import": imported(), "usb": see("eye-usb", "v4l2:/dev/video0"), "csi": see("eye-csi", "vimc")}
    told["memory"] = overeat()
    with open("/dev/console", "w") as console:
        print(f"\nTRIAL {json.dumps(told)}", file=console, flush=True)


if __name__ == "__main__":
    try:
        main()
    finally:
        os.sync()
        run("systemctl", "poweroff", "--force", "--force")
