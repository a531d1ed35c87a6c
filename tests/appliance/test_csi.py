"""A CSI camera's way into the daemon, in its sandbox. The board's own element is the one part that is not
here:
a test picture stands in its place, and for a Jetson a socket where NVIDIA's daemon has one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.conftest import appliance
from tests.appliance.container import Container, wait_for
from tests.appliance.test_sandbox import CSI, HERE, in_its_place

pytestmark = pytest.mark.slow
PICTURE = "videotestsrc is-live=true ! video/x-raw,format=NV12,width=1280,height=720,framerate=30/1"
SERVER = """
import os, socket, sys
os.umask(0)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    server.accept()
"""
KNOCK = """
import json, socket
told = {}
for path in ("/tmp/argus_socket", "/tmp/other_socket"):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        told[path] = "done"
    except OSError as error:
        told[path] = type(error).__name__
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def board() -> Iterator[Container]:
    with appliance("bookworm-amd64-rtsp") as made:
        made.write("/etc/edged/edged.yaml", CSI)
        made.run("edged", "apply")
        yield made


def test_gstreamer_works_where_no_page_is_writable_and_executable(board: Container) -> None:
    seen = in_its_place(board, HERE / "eye.py", PICTURE)
    assert (seen["frames"], seen["size"]) == (20, [1280, 720])
    assert 10 < seen["light"] < 245
    assert board.output("find", "/var/lib/edged", "-name", "*gst*") == "", "its registry is not on flash"


def test_without_the_boards_element_the_journal_says_what_to_install(board: Container) -> None:
    board.run("systemctl", "--no-block", "restart", "edged")
    wait_for(lambda: board.said("sudo apt install gstreamer1.0-libcamera (Raspberry Pi)"), 20, "the remedy")


def test_on_a_jetson_the_socket_of_its_camera_daemon_can_be_reached_and_no_other(
    board: Container, tmp_path: Path
) -> None:
    board.write("/etc/nv_tegra_release", "# R36\n")
    board.run("edged", "apply")
    board.write("/srv/server.py", SERVER)
    for name in ("argus", "other"):
        command = ["/usr/bin/python3", "/srv/server.py", f"/tmp/{name}_socket"]
        board.run("systemd-run", "--quiet", f"--unit={name}", *command)
    wait_for(lambda: board.run("test", "-S", "/tmp/other_socket", check=False).returncode == 0, 5, "sockets")
    (tmp_path / "knock.py").write_text(KNOCK)
    answers = in_its_place(board, tmp_path / "knock.py")
    assert answers == {"/tmp/argus_socket": "done", "/tmp/other_socket": "FileNotFoundError"}
