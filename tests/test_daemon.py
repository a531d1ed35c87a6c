"""The daemon's loop in this process: what time it is for those who are asked to do what time brings."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing
from datetime import timezone
from functools import partial
from pathlib import Path

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
