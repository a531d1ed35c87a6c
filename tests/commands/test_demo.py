"""The demo, with a real broker and without one, on a few seconds of the real recording."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from edge.commands import demo
from tests.clips import write_two_entries

NOTHING = argparse.Namespace()


@pytest.fixture
def six_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part of the recording around its first two entries."""
    path = write_two_entries(tmp_path / "short.avi")
    monkeypatch.setattr(demo, "demo_clip", lambda: path)


@pytest.mark.usefixtures("six_seconds")
def test_every_event_that_was_published_is_received(capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.run(NOTHING) == 0
    shown = capfd.readouterr().out
    assert "subscriber  mosquitto_sub" in shown
    assert "→ entry  gate        today 2 in, 0 out" in shown
    assert "Every published event was received." in shown


@pytest.mark.usefixtures("six_seconds")
def test_without_a_broker_the_daemon_prints_the_same_events(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(demo, "SBIN", str(tmp_path))
    assert demo.run(NOTHING) == 0
    shown = capfd.readouterr().out
    assert "mosquitto is not installed: the daemon prints its events itself" in shown
    assert "→ entry  gate        today 2 in, 0 out" in shown
    assert "Every published event was received." in shown


@pytest.mark.usefixtures("six_seconds")
def test_a_daemon_that_fails_is_shown_with_its_last_words(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "CONFIG", demo.CONFIG + "sight: 1\n")
    assert demo.run(NOTHING) == 1
    shown = capfd.readouterr().out
    assert "the daemon failed with exit code 2" in shown
    assert "sight: unknown key" in shown
    assert "NOT every published event was received." in shown
