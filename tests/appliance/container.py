"""A booted Debian to try the package in: systemd as process 1, journald, and a loopback network of its own.

A fresh one is an overlay over an unpacked root file system, so that it starts within a second and leaves no
trace. Needs root, systemd-nspawn and the tarball that `make build/appliance/...` builds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "build/appliance"
CANNOT = "this machine cannot boot a container: it takes root, overlayfs, and a kernel with cgroups v2"


class Container:
    """One machine, from boot to power-off."""

    def __init__(self, image: str) -> None:
        self._work = Path(tempfile.mkdtemp(prefix="edged-appliance-"))
        self.root = self._work / "root"
        lower = unpacked(image)
        for name in ("root", "upper", "work"):
            (self._work / name).mkdir()
        layers = f"lowerdir={lower},upperdir={self._work / 'upper'},workdir={self._work / 'work'}"
        mounted = subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", layers, self.root],
            capture_output=True,
            text=True,
            check=False,
        )
        assert mounted.returncode == 0, f"{CANNOT}\n{mounted.stderr}"
        self._machine: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        self._machine = subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--directory", self.root, "--private-network", "--boot"),
                *("--register=no", "--keep-unit", "--machine", f"edged-{os.getpid()}", "--console=pipe"),
                # Without these two, IPAddressDeny= would silently not be enforced.
                *("--capability=all", "--system-call-filter=bpf perf_event_open"),
            ],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=(self._work / "console").open("wb"),
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(self._find_leader, 20, "the container's process 1")
            wait_for(self._is_up, 60, "boot")
        except AssertionError as error:
            said = (self._work / "console").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{CANNOT}\n{error}\nsystemd-nspawn said:\n{said}") from None

    def _is_up(self) -> bool:
        state = self.output("systemctl", "is-system-running", check=False)
        return state in ("running", "degraded", "starting")

    def _find_leader(self) -> bool:
        assert self._machine
        children = Path(f"/proc/{self._machine.pid}/task/{self._machine.pid}/children").read_text().split()
        # The first child only prepares; the machine's process 1 is the one that is 1 in its own namespace.
        inner = [int(pid) for pid in children if _names_itself_1(pid)]
        self._leader = inner[0] if inner else 0
        return bool(inner)

    def run(
        self, *command: str, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command as root inside."""
        ran = subprocess.run(
            ["nsenter", "--target", str(self._leader), "--all", "env", "--chdir=/", *command],
            capture_output=True,
            text=True,
            input=stdin,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            check=False,
        )
        assert not check or ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran

    def output(self, *command: str, check: bool = True) -> str:
        return self.run(*command, check=check).stdout.strip()

    def put(self, source: Path, target: str) -> None:
        (self.root / target.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.root / target.lstrip("/"))

    def write(self, target: str, text: str) -> None:
        path = self.root / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def install(self, package: Path) -> None:
        self.put(package, f"/root/{package.name}")
        # As unattended upgrades do: a config that was changed is kept without a question.
        self.run("dpkg", "--force-confold", "--install", f"/root/{package.name}")

    def inside(self, *command: str, check: bool = True) -> str:
        """A command in the root file system of a machine that is not booted, as a foreign one cannot be.

        Without /sys: the emulated runtime would take the host's processors there for its own, and crash.
        """
        enter = f'mount -t proc proc {self.root}/proc && exec chroot {self.root} "$@"'
        ran = subprocess.run(
            ["unshare", "--mount", "--net", "sh", "-c", enter, "sh", *command],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            check=False,
        )
        assert not check or ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    # -- the unit

    def show(self, *properties: str, unit: str = "edged.service") -> dict[str, str]:
        text = self.output("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def is_active(self) -> bool:
        return self.show("ActiveState")["ActiveState"] == "active"

    def main_pid(self) -> int:
        return int(self.show("MainPID")["MainPID"])

    def journal(self, *arguments: str, unit: str = "edged.service") -> list[dict[str, str]]:
        text = self.output("journalctl", "--unit", unit, "--output=json", "--no-pager", *arguments)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def said(self, text: str, unit: str = "edged.service") -> bool:
        return any(text in str(entry.get("MESSAGE")) for entry in self.journal(unit=unit))

    def close(self) -> None:
        if self._machine:
            self._machine.terminate()
            self._machine.wait(20)
        subprocess.run(["umount", "--lazy", self.root], check=True)
        shutil.rmtree(self._work, ignore_errors=True)


def _names_itself_1(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return any(line.startswith("NSpid:") and line.split()[2:] == ["1"] for line in status.splitlines())


def unpacked(image: str) -> Path:
    """The directory of an image, unpacked once for each time that it is built."""
    directory, tarball = IMAGES / image, IMAGES / f"{image}.tar"
    assert tarball.exists(), f"{tarball} is missing: run `make test-appliance`"
    done = directory / f"unpacked-{tarball.stat().st_mtime_ns}"
    if not done.exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        subprocess.run(["tar", "--extract", "--file", tarball, "--directory", directory], check=True)
        done.touch()
    return directory


def wait_for(true: Callable[[], object], timeout_s: float, what: str) -> float:
    """Seconds until `true`; fails the test with `what` after the time-out."""
    started_s = time.monotonic()
    while not true():
        assert time.monotonic() - started_s < timeout_s, f"waited {timeout_s} s in vain for: {what}"
        time.sleep(0.05)
    return time.monotonic() - started_s


def package(arch: str, python: str, directory: Path = ROOT / "dist") -> Path:
    """The newest package for a target."""
    found: Sequence[Path] = sorted(directory.glob(f"edged_*+py{python.replace('.', '')}_{arch}.deb"))
    assert found, f"no package for {arch} and Python {python} in {directory}: run `make test-appliance`"
    return found[-1]
