"""A PostgreSQL cluster of the test's own, on a socket in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.broker import wait_until

MISSING = "PostgreSQL is not installed: `make test-tools` does it"


def _program(name: str) -> str:
    found = [shutil.which(name), *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))]
    program = next(filter(None, reversed(found)), None)
    assert program, MISSING
    return program


@contextmanager
def postgres() -> Iterator[str]:
    """The DSN of a running, empty database."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
    is_root = os.geteuid() == 0  # PostgreSQL refuses to be run by root
    if is_root:
        shutil.chown(folder, "postgres", "postgres")
    become = ["runuser", "-u", "postgres", "--"] if is_root else []
    data = folder / "data"
    make = [_program("initdb"), "-D", str(data), "-A", "trust", "-U", "edged", "-E", "UTF8", "--no-sync"]
    subprocess.run([*become, *make], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    serve = [_program("postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*become, *serve], stdout=log, stderr=log, cwd=folder)
    try:
        socket_file = folder / ".s.PGSQL.5432"
        wait_until(lambda: socket_file.exists() and "ready to accept" in (folder / "log").read_text(), 30)
        yield f"postgresql://edged@/postgres?host={folder}"
    finally:
        stop = [_program("pg_ctl"), "stop", "-D", str(data), "-m", "fast"]
        subprocess.run([*become, *stop], check=False, stdout=subprocess.DEVNULL, cwd=folder)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
