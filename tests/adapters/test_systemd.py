"""The datagrams that systemd gets, read from a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.adapters.systemd import Notifier, watchdog_s


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@edged-test-{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(name.replace("@", "\0", 1))
    listener.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    yield listener
    listener.close()


def test_the_manager_hears_ready_and_each_status_once(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.notify(READY=1, MAINPID=7)
    for text in ("2 cameras", "2 cameras", "3 cameras"):
        notifier.status(text)
    heard = [manager.recv(4096).decode() for _ in range(3)]
    notifier.close()
    assert heard == ["READY=1\nMAINPID=7", "STATUS=2 cameras", "STATUS=3 cameras"]
    assert "NOTIFY_SOCKET" not in os.environ, "children must not speak for the daemon"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().notify(READY=1)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().notify(READY=1)


def test_the_watchdog_is_ours_only_if_it_names_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_s() == 20.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_s() == 20.0
