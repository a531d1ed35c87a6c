"""A kernel of its own, in a virtual machine: cameras and the memory limit; no container can show these.

The machine is emulated whole, and lives in its memory: it needs no disk, no network and no /dev/kvm.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.conftest import SITE
from tests.appliance.container import IMAGES, Container, package

pytestmark = pytest.mark.slow
PATIENCE_S = 1800.0
CAMERAS = ("kernel/drivers/media/test-drivers/vivid/vivid.ko", "extra/vimc.ko")
LEFT_OUT = ("proc", "boot", "doc", "man", "locale")
STREAM = "http://127.0.0.1:8080/mjpeg"
YARD = SITE.partition("cameras:\n")[2].replace("entrance", "yard")
CONFIG = SITE.replace(STREAM, "v4l2:/dev/video0") + YARD.replace(STREAM, "csi:0")
TRIAL = """\
[Unit]
After=mosquitto.service edged-import.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/bin/python3 /srv/trial.py
"""
BOOT = [
    "-append",
    "console=ttyS0 rdinit=/lib/systemd/systemd systemd.default_timeout_start_sec=900 quiet panic=-1",
]
MACHINE = ["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2600", "-nographic", "-no-reboot"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trial in the machine has found out."""
    memory_disk = tmp_path_factory.mktemp("machine") / "root.cpio"
    made = Container("trixie-amd64-vm")
    try:
        furnish(made)
        write_archive(made.root, memory_disk)
        (kernel,) = made.root.glob("boot/vmlinuz-*")
        files = ["-kernel", str(kernel), "-initrd", str(memory_disk)]
        command = ["qemu-system-x86_64", *MACHINE, *files, *BOOT]
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False
        )
    finally:
        made.close()
    said = ran.stdout.decode(errors="replace")
    found = [line.split(" ", 1)[1] for line in said.splitlines() if line.startswith("TRIAL ")]
    assert found, f"the machine said: {said[-3000:]}"
    answers: dict[str, Any] = json.loads(found[-1])
    return answers


def furnish(machine: Container) -> None:
    """The package, a config with a USB and a CSI camera, and the trial; the daemon itself stays off."""
    found = package("amd64", "3.13", IMAGES)
    machine.put(found, f"/root/{found.name}")
    machine.inside("dpkg", "--install", f"/root/{found.name}")
    (machine.root / f"root/{found.name}").unlink()
    machine.write("/etc/edged/edged.yaml", CONFIG)
    machine.put(Path(__file__).parent / "trial.py", "/srv/trial.py")
    machine.put(Path(__file__).parent / "eye.py", "/usr/lib/eye.py")
    machine.write("/etc/systemd/system/trial.service", TRIAL)
    wanted = machine.root / "etc/systemd/system/multi-user.target.wants"
    (wanted / "edged.service").unlink()
    (wanted / "trial.service").symlink_to("../trial.service")


def write_archive(root: Path, target: Path) -> None:
    """The machine's files as the kernel unpacks them; of its modules only those that make the cameras."""
    (modules,) = root.glob("usr/lib/modules/*/modules.dep")
    needed = [line for line in modules.read_text().splitlines() if line.startswith(CAMERAS)]
    kept = {modules.parent / name for line in needed for name in line.replace(":", "").split()}
    with target.open("wb") as file:
        cpio = ["cpio", "--null", "--create", "--format=newc", "--quiet"]
        packing = subprocess.Popen(cpio, cwd=root, stdin=subprocess.PIPE, stdout=file)
        assert packing.stdin
        for path in (path for path in everything(root) if path.suffix != ".ko" or path in kept):
            packing.stdin.write(bytes(path.relative_to(root)) + b"\0")
        packing.stdin.close()
        assert packing.wait() == 0


def everything(root: Path) -> Iterator[Path]:
    """Every file and directory below but for what only takes memory, a directory before what is in it; links
    are not followed."""
    for path in sorted(root.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink() and path.name not in LEFT_OUT:
            yield from everything(path)


@pytest.mark.parametrize(("kind", "size"), [("usb", [640, 480]), ("csi", [1280, 720])])
def test_a_camera_gives_pictures_inside_the_sandbox_and_no_other_device_opens(
    told: dict[str, Any], kind: str, size: list[int]
) -> None:
    """The CSI camera is libcamera's: its enumeration, module and element, on a virtual device."""
    camera = told[kind]
    assert isinstance(camera, dict), f"no answer, but: {camera}"
    assert (camera["frames"], camera["size"]) == (20, size)
    assert 10 < camera["light"] < 245, "the test picture of the kernel's own camera"
    assert camera["uid"] > 0
    for path in ("/dev/kmsg", "/dev/mem", "/dev/ttyS0"):
        assert camera[path] in ("PermissionError", "FileNotFoundError"), path


def test_the_config_is_taken_at_boot_in_good_time(told: dict[str, Any]) -> None:
    print(f"the import at boot took {told['import']['seconds']:.0f} s on an emulated processor")
    assert told["import"]["result"] == "success"


def test_who_takes_too_much_memory_is_ended_alone_and_started_again(told: dict[str, Any]) -> None:
    assert any("oom-kill" in line for line in told["memory"]["ended"]), told["memory"]
    assert told["memory"]["broker"] == "active"
