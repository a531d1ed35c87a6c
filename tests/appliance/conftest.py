"""One booted machine with the package on it, a camera that loops a recording, and a broker, for all tests."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.appliance.container import IMAGES, ROOT, Container, package, wait_for

SITE = (Path(__file__).parent / "site.yaml").read_text()
START_S = 2.0  # from `systemctl restart` to the first counted picture, on two idle cores
CAMERA = "/usr/bin/python3 /srv/camera.py /srv/vtest.mp4 8080"
BROKER = "listener 1883\nallow_anonymous true\nmax_queued_messages 100000\n"


def pytest_sessionstart() -> None:
    if os.geteuid() != 0:
        pytest.exit("the appliance's tests boot a container: run them as root, by `make test-appliance`", 1)


def furnish(machine: Container) -> None:
    """The world around the device: a broker and a camera, both on the loopback network."""
    machine.write("/etc/mosquitto/conf.d/test.conf", BROKER)
    machine.run("systemctl", "restart", "mosquitto")
    machine.put(ROOT / "tests/data/vtest.mp4", "/srv/vtest.mp4")
    for camera in ("camera.py", "rtsp.py"):
        machine.put(Path(__file__).parent / camera, f"/srv/{camera}")


@contextmanager
def appliance(image: str = "bookworm-amd64", packages: Path = IMAGES) -> Iterator[Container]:
    """A booted machine with its broker and the newest package of a folder; the camera is the caller's."""
    made = Container(image)
    try:
        made.boot()
        furnish(made)
        made.install(package("amd64", "3.11", packages))
        yield made
    finally:
        made.close()


def start_camera(machine: Container, command: str = CAMERA) -> None:
    """As camera.service: a unit that may be stopped and started as often as one likes."""
    machine.write("/etc/systemd/system/camera.service", f"[Service]\nExecStart={command}\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "camera")


def restart(machine: Container, config: str = SITE) -> float:
    """Put a config into force and wait until the daemon counts; how many seconds it took to."""
    machine.write("/etc/edged/edged.yaml", config)
    machine.run("edged", "apply")
    started_s = time.monotonic()
    machine.run("systemctl", "restart", "edged")
    assert machine.is_active()
    return time.monotonic() - started_s


def patience(machine: Container) -> float:
    """How much slower than a machine with nothing else to do this one is just now, at least 1: the design's
    times hold for the former."""
    return max(1.0, restart(machine) / START_S)


@pytest.fixture(scope="session")
def machine() -> Iterator[Container]:
    with appliance() as made:
        start_camera(made)
        yield made


@pytest.fixture
def counting(machine: Container) -> Container:
    """The machine with a daemon that counts and reaches its broker, as the test before may have left it."""
    if machine.read("/etc/edged/edged.yaml") != SITE or not is_well(machine):
        restart(machine)
        wait_for(lambda: is_well(machine), 20, "pictures and the broker")
    return machine


def is_well(machine: Container) -> bool:
    told = machine.show("StatusText", "ActiveState")
    well = re.match("1 camera, .*, broker up, ", told["StatusText"])
    return bool(well) and told["ActiveState"] == "active"
