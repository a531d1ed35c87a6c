"""The daemon's loop in this process: what time it is for those who are asked to do what time brings."""

from __future__ import annotations

import itertools
import logging
import threading
from contextlib import closing
from datetime import timezone
from functools import partial
from pathlib import Path

import pytest

from edge.adapters.clock import SystemClock
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Printer
from edge.adapters.systemd import Notifier
from edge.adapters.video import FileSource
from edge.core.health import Vitals
from edge.core.values import Detection, Moment, Pixels, Scene
from edge.core.wire import Contract, Device, Scopes
from edge.daemon import Camera, Daemon
from edge.pipeline import Pipeline
from edge.recorder import Recorder
from tests.clips import write_two_entries
from tests.core.paths import DOOR, frame, seen, walk


class Nobody:
    """An empty yard, seen without any work: the recording is over long before its time has passed."""

    side = 416

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        return ()


def test_a_recording_brings_its_own_time_up_to_its_end(tmp_path: Path) -> None:
    clock, moments = SystemClock(), list[Moment]()
    contract = Contract(Device("demo", "box", "b0071234", "1", "c0ffee123456"), {"yard": Scopes()})
    clip = write_two_entries(tmp_path / "clip.avi")
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        camera = Camera("yard", partial(FileSource, "yard", clip, clock), Pipeline(Scene("yard"), Nobody()))
        daemon = Daemon(
            {"yard": camera},
            Recorder(contract, outbox, timezone.utc),
            outbox,
            clock,
            Notifier(),
            lambda cameras: Vitals(0, cameras, 0),
            threading.Event(),
            lambda status: None,
            moments.append,
        )
        assert daemon.run(Printer(outbox)) == 0
    assert len(moments) == camera.frames + 1
    assert moments[-1] == camera.last
    steps = {round(b.monotonic_s - a.monotonic_s, 3) for a, b in itertools.pairwise(moments[:-1])}
    assert steps == {0.1}


class Walker:
    """Somebody who walks in through the door, one step a picture."""

    side = 416

    def __init__(self) -> None:
        self._feet = iter(walk((300, 300), (700, 300)))

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        foot = next(self._feet, None)
        return (seen(foot),) if foot else ()


@pytest.mark.parametrize(
    ("level", "times"), [(logging.DEBUG, 1), (logging.INFO, 0)], ids=["verbose", "usual"]
)
def test_the_debug_log_says_why_a_count_was_made(
    level: int, times: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contract = Contract(
        Device("demo", "box", "b0071234", "1", "c0ffee123456"), {"yard": Scopes(frozenset({DOOR.id}))}
    )
    camera = Camera("yard", lambda: pytest.fail("not opened"), Pipeline(Scene("yard", (DOOR,)), Walker()))
    with closing(Outbox(tmp_path / "outbox.db")) as outbox, caplog.at_level(level):
        recorder = Recorder(contract, outbox, timezone.utc)
        for index in range(50):
            camera.step(frame(index), recorder)
    told = [entry for entry in caplog.records if entry.name == "edge.daemon"]
    assert [entry.getMessage() for entry in told] == [
        "camera yard, frame 20: entry at line door, track 1: walked through the line"
    ] * times
