"""The sandbox, judged by what it refuses and not only by its score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.conftest import SITE, restart
from tests.appliance.container import Container, wait_for

RTSP = SITE.replace("host: localhost", "host: 10.99.0.5").replace("http://127.0.0.1:8080", "rtsp://10.99.0.6")
USB = SITE.replace("http://127.0.0.1:8080/mjpeg", "v4l2:/dev/video0")
HERE = Path(__file__).parent
CSI = SITE.replace("http://127.0.0.1:8080/mjpeg", "csi:0")
REFUSALS = {"EPERM", "EACCES", "ENOENT", "EROFS", "EAFNOSUPPORT", "TimeoutError", "ESRCH", "ENOSYS"}


def in_its_place(machine: Container, program: Path, *arguments: str) -> Any:
    """What a program prints that runs under the daemon's own unit and drop-in: one JSON object."""
    machine.put(program, f"/usr/lib/{program.name}")
    unit = machine.output("cat", "/usr/lib/systemd/system/edged.service")
    kept = [
        line
        for line in unit.splitlines()
        if not line.startswith(("ExecStart", "ExecReload", "Type=", "Restart="))
    ]
    at = kept.index("[Service]") + 1
    command = " ".join(["/usr/bin/python3", "-I", f"/usr/lib/{program.name}", *arguments])
    lines = ["Type=oneshot", f"ExecStart={command}"]
    name = f"edged-{program.stem}.service"
    machine.write(f"/etc/systemd/system/{name}", "\n".join([*kept[:at], *lines, *kept[at:]]))
    opened = machine.read("/etc/systemd/system/edged.service.d/50-config.conf")
    machine.write(f"/etc/systemd/system/{name}.d/50.conf", opened)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "edged")  # the state directory is the daemon's while it runs
    machine.run("systemctl", "start", name, check=False)
    said = [entry["MESSAGE"] for entry in machine.journal(unit=name)]
    printed = [line for line in said if line.startswith("{")]
    assert printed, f"{program.name} said: {said}"
    return json.loads(printed[-1])


@pytest.fixture
def tempting(counting: Container) -> Container:
    """There is something to steal, and somebody who listens."""
    for path in ("/home/someone/letter", "/root/letter", "/boot/firmware/edged-imported.yaml"):
        counting.write(path, "private")
    counting.run("chmod", "-R", "a+rX", "/home/someone", "/root", "/boot/firmware")
    counting.write("/etc/edged/secrets/other", "private")
    counting.run("chmod", "600", "/etc/edged/secrets/other")
    counting.run("sh", "-c", "test -e /dev/disk-of-test || mknod -m 666 /dev/disk-of-test b 7 0")
    counting.run("sh", "-c", "ip address add 10.99.0.1/32 dev lo 2>/dev/null || true")
    server = (
        "import socket; s = socket.create_server(('10.99.0.1', 9999)); [s.accept() for _ in iter(int, 1)]"
    )
    if counting.run("systemctl", "is-active", "listener", check=False).returncode:
        counting.run("systemd-run", "--quiet", "--unit=listener", "/usr/bin/python3", "-c", server)
    knock = "import socket; socket.create_connection(('10.99.0.1', 9999), 2)"
    wait_for(lambda: counting.run("python3", "-c", knock, check=False).returncode == 0, 5, "a listener")
    return counting


@pytest.mark.parametrize("config", [SITE, USB, CSI], ids=["network camera", "usb camera", "csi camera"])
def test_what_an_intruder_tries_is_refused_and_the_work_is_not(tempting: Container, config: str) -> None:
    tempting.write("/etc/edged/edged.yaml", config)
    tempting.run("edged", "apply")
    answers = in_its_place(tempting, HERE / "probe.py")
    restart(tempting)
    assert {name: answer for name, answer in answers["refused"].items() if answer not in REFUSALS} == {}
    assert set(answers["allowed"].values()) == {"done"}, answers["allowed"]


@pytest.mark.parametrize(("config", "limit"), [(RTSP, 12), (USB, 15), (CSI, 15)], ids=["rtsp", "usb", "csi"])
def test_the_exposure_stays_below_its_limit(machine: Container, config: str, limit: int) -> None:
    machine.write("/etc/edged/edged.yaml", config)
    machine.run("edged", "apply")
    judged = machine.run("systemd-analyze", "security", "edged", f"--threshold={limit}", check=False)
    print(judged.stdout.splitlines()[-1])
    assert judged.returncode == 0, judged.stdout
