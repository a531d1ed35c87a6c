"""A network camera for real: GStreamer's RTSP server with a login, that stalls, dies and comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.appliance.conftest import SITE, appliance, restart, start_camera
from tests.appliance.container import Container, wait_for

pytestmark = pytest.mark.slow
NOTICED_S = 5.0
PASSWORD = "cor/rect:horse"
CAMERA = f"/usr/bin/python3 /srv/rtsp.py /srv/vtest.mp4 8554 viewer {PASSWORD}"
FILE = "/etc/edged/secrets/camera"
RTSP = SITE.replace(
    "http://127.0.0.1:8080/mjpeg",
    f"rtsp://127.0.0.1:8554/stream1\n    username: viewer\n    password_file: {FILE}",
)


@pytest.fixture(scope="module")
def shop() -> Iterator[Container]:
    with appliance("bookworm-amd64-rtsp") as made:
        start_camera(made, CAMERA)
        yield made


@pytest.fixture
def counting(shop: Container) -> Container:
    shop.write(FILE, PASSWORD + "\n")
    shop.run("chmod", "600", FILE)
    restart(shop, RTSP)
    return shop


def status(machine: Container) -> str:
    return machine.show("StatusText")["StatusText"]


def sees(machine: Container) -> bool:
    return status(machine).startswith("1 camera,")


def test_it_opens_and_people_are_counted(counting: Container) -> None:
    got = counting.run("mosquitto_sub", "-t", "edged/v1/lab/door/event/#", "-C", "1", "-W", "90")
    assert json.loads(got.stdout)["type"] in ("edged.entry.v1", "edged.exit.v1")


def test_a_stream_that_stalls_is_noticed_within_five_seconds_and_comes_back(counting: Container) -> None:
    wait_for(lambda: sees(counting), 20, "pictures")
    pid, stalled_s = counting.main_pid(), time.time()
    camera = counting.show("MainPID", unit="camera.service")["MainPID"]
    counting.run("kill", "-STOP", camera)
    since = f"@{stalled_s:.3f}"
    lost = ["EDGED_EVENT=camera-lost", "--since", since]
    wait_for(lambda: counting.journal(*lost), 3 * NOTICED_S, "the loss in the journal")
    noticed_s = int(counting.journal(*lost)[0]["__REALTIME_TIMESTAMP"]) / 1e6 - stalled_s
    print(f"a stalled RTSP stream was noticed after {noticed_s:.1f} s")
    assert noticed_s < NOTICED_S
    counting.run("kill", "-CONT", camera)
    wait_for(lambda: counting.journal("EDGED_EVENT=camera-back", "--since", since), 60, "pictures again")
    assert counting.main_pid() == pid


def test_a_camera_that_was_switched_off_and_on_is_opened_anew(counting: Container) -> None:
    wait_for(lambda: sees(counting), 20, "pictures")
    pid = counting.main_pid()
    counting.run("systemctl", "stop", "camera")
    wait_for(lambda: "Connection refused; is it powered" in status(counting), 30, "why, in the status")
    counting.run("systemctl", "start", "camera")
    wait_for(lambda: sees(counting), 60, "pictures again")
    assert counting.main_pid() == pid


def test_a_wrong_password_is_told_and_no_password_is_shown(counting: Container) -> None:
    counting.write(FILE, "wrong-horse\n")
    counting.run("systemctl", "--no-block", "restart", "edged")
    wait_for(lambda: "it refuses the login" in status(counting), 30, "the refusal in the status")
    everything = counting.output("journalctl", "--output=export", "--no-pager", "--unit", "edged")
    assert "it refuses the login" in everything
    for secret in ("horse", "cor%2Frect"):
        assert secret not in everything
