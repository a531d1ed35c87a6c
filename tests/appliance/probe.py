"""Tries, from inside the daemon's sandbox, what an intruder would try; prints one JSON object of answers.

Run by the unit under test in place of the daemon. An answer is "done" or the name of the error.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)
STATE = os.environ["STATE_DIRECTORY"]


def called(result: int) -> None:
    """Raise what a C function left in errno."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=2).close()


def run_a_copy() -> None:
    copy = f"{STATE}/copy"
    shutil.copy("/usr/bin/true", copy)
    os.chmod(copy, 0o700)
    subprocess.run([copy], check=True)


def map_writable_then_executable() -> None:
    libc.mmap.restype = ctypes.c_void_p
    page = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, 0x22, -1, 0)
    called(libc.mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC))


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write("x")


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def set_uid_bit() -> None:
    write(f"{STATE}/file")
    os.chmod(f"{STATE}/file", 0o4755)


def realtime() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


REFUSED: dict[str, Callable[[], object]] = {
    "connect elsewhere": lambda: connect("10.99.0.1", 9999),
    "open a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "run a shell": lambda: subprocess.run(["/bin/sh", "-c", "true"], check=True),
    "run a copied program": run_a_copy,
    "map writable and executable": lambda: mmap.mmap(-1, 4096, prot=7),
    "make a page executable": map_writable_then_executable,
    "write to /etc": lambda: write("/etc/edged/intruder"),
    "write to /usr": lambda: write("/usr/lib/edged/intruder"),
    "write to /var": lambda: write("/var/tmp/../log/intruder"),
    "read /home": lambda: read("/home/someone/letter"),
    "read /root": lambda: read("/root/letter"),
    "read the card": lambda: read("/boot/firmware/edged-imported.yaml"),
    "read another's secret": lambda: read("/etc/edged/secrets/other"),
    "read kernel messages": lambda: read("/dev/kmsg"),
    "read a disk": lambda: read("/dev/disk-of-test"),
    "trace": lambda: called(libc.ptrace(16, 1, 0, 0)),
    "see process 1": lambda: read("/proc/1/cmdline"),
    "become root": lambda: os.setuid(0),
    "set a set-uid bit": set_uid_bit,
    "make a namespace": lambda: called(libc.unshare(0x10000000)),
    "mount": lambda: called(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
    "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, 0),
    "set the host's name": lambda: socket.sethostname("intruder"),
    "ask for real time": realtime,
    "load a kernel module": lambda: called(libc.syscall(175, 0, 0, b"")),
}
ALLOWED: dict[str, Callable[[], object]] = {
    "connect to the broker": lambda: connect("127.0.0.1", 1883),
    "write the state": lambda: write(f"{STATE}/probe"),
    "read the clock's state": lambda: read("/sys/class/net/lo/mtu"),
    "read the models": lambda: read("/usr/lib/edged/models/manifest.toml"),
}


def attempt(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "done"


answers = {name: attempt(action) for name, action in {**REFUSED, **ALLOWED}.items()}
print(json.dumps({"refused": {n: answers[n] for n in REFUSED}, "allowed": {n: answers[n] for n in ALLOWED}}))
