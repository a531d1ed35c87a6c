"""One frame a camera between threads: cameras drop and count, recordings wait, nobody hangs."""

from __future__ import annotations

import threading
import time

import numpy as np

from edge.adapters.slot import LatestSlots, WhenFull
from edge.core.values import Frame

PIXELS = np.zeros((2, 2, 3), np.uint8)


def frame(camera: str, index: int) -> Frame:
    return Frame(camera, index, float(index), float(index), PIXELS)


def test_the_newest_frame_wins_and_every_drop_is_counted() -> None:
    slots = LatestSlots()
    for index in range(5):
        slots.put(frame("door", index), WhenFull.REPLACE)
    taken = slots.take(0)
    assert taken is not None
    assert taken.index == 4
    assert slots.dropped("door") == 4
    assert slots.take(0) is None


def test_a_busy_camera_does_not_starve_a_quiet_one() -> None:
    slots = LatestSlots()
    slots.put(frame("quiet", 0), WhenFull.REPLACE)
    slots.put(frame("busy", 0), WhenFull.REPLACE)
    slots.put(frame("busy", 1), WhenFull.REPLACE)
    order = [taken.camera for _ in range(2) if (taken := slots.take(0))]
    assert order == ["quiet", "busy"]


def test_a_recording_loses_no_frame_however_slow_the_pipeline_is() -> None:
    slots = LatestSlots()

    def produce() -> None:
        for index in range(50):
            slots.put(frame("clip", index), WhenFull.WAIT)

    producer = threading.Thread(target=produce)
    producer.start()
    seen: list[int] = []
    while len(seen) < 50:
        time.sleep(0.0005)
        taken = slots.take(1)
        assert taken is not None
        seen.append(taken.index)
    producer.join(1)
    assert seen == list(range(50))
    assert slots.dropped("clip") == 0


def test_close_frees_whoever_waits() -> None:
    slots = LatestSlots()
    slots.put(frame("clip", 0), WhenFull.WAIT)
    waiting = threading.Thread(target=slots.put, args=(frame("clip", 1), WhenFull.WAIT))
    waiting.start()
    slots.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert slots.take(5) is None
