"""The demo recording's detections, recorded once, and the events that must come of them.

After a change that is meant to change them: `python -m tests.golden.recorded`, and look at the difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from edge.adapters import tflite
from edge.adapters.outbox import Outbox
from edge.adapters.video import FileSource
from edge.core.counting import Counter
from edge.core.tracker import Tracker
from edge.core.values import Box, Detection, Event, Frame, Line, Moment, Scene, Sync, Zone
from edge.core.views import Gaze
from edge.core.wire import Contract, Device, Scopes
from edge.recorder import Recorder

HERE = Path(__file__).parent
CLIP = HERE.parent / "data/vtest.mp4"
DETECTIONS = HERE / "vtest_detections.npz"
EVENTS = HERE / "vtest_events.jsonl"

GATE = Line("gate", (0.2865, 0.2604), (0.2865, 0.5903), inside=(0.0911, 0.42))
CROSSROADS = Zone("crossroads", ((0.3, 0.2), (0.75, 0.2), (0.75, 0.7), (0.3, 0.7)), dwell_s_min=5)
SCENE = Scene("street", (GATE,), (CROSSROADS,))
CONTRACT = Contract(
    Device("demo", "box", "0000", "0.1.0", "0000"),
    {"street": Scopes(frozenset({"gate"}), frozenset({"crossroads"}))},
)


class RecordingClock:
    """The recording begins at these instants."""

    def __init__(self, monotonic_s: float = 0.0) -> None:
        self._monotonic_s = monotonic_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def wall_s(self) -> float:
        return 1_773_568_800.0  # 2026-03-15T10:00:00Z


def frames(monotonic_s: float = 0.0) -> Iterator[Frame]:
    source = FileSource("street", CLIP, RecordingClock(monotonic_s))
    yield from source.frames()
    source.close()


def recorded() -> list[tuple[Detection, ...]]:
    """Frame by frame, what the shipped detector saw."""
    with np.load(DETECTIONS) as file:
        rows, ends = file["rows"].astype(float), np.cumsum(file["counts"])
    return [
        tuple(Detection(Box(*row[:4]), row[4]) for row in part.tolist()) for part in np.split(rows, ends[:-1])
    ]


@cache
def counted(monotonic_s: float = 0.0) -> list[tuple[Moment, list[Event]]]:
    """The events of each frame: recorded detections, real pictures, the shipped tracker and counter."""
    tracker, counter = Tracker(), Counter("street", SCENE.lines, SCENE.zones)
    return [
        (frame.at, counter.update(tracker.update(seen, frame), frame))
        for frame, seen in zip(frames(monotonic_s), recorded(), strict=True)
    ]


def published(folder: Path) -> list[str]:
    """The events as they stand in the outbox, one JSON text a line."""
    outbox = Outbox(folder / "outbox.db")
    recorder = Recorder(CONTRACT, outbox, ZoneInfo("UTC"), sync=lambda: Sync.SYNCED)
    for at, events in counted():
        recorder.record("street", at, events)
    messages = outbox.peek(0, 1000)
    outbox.close()
    return [message.payload.decode() for message in messages if "/event/" in message.topic]


def record(folder: Path) -> None:
    detector, gaze = tflite.PersonDetector(tflite.models_dir()), Gaze(SCENE)
    seen = [gaze.look(frame, detector.detect) for frame in frames()]
    rows = [[d.box.x1, d.box.y1, d.box.x2, d.box.y2, d.score] for detections in seen for d in detections]
    counts = np.array([len(detections) for detections in seen], np.uint8)
    np.savez_compressed(DETECTIONS, rows=np.array(rows, np.float32).round(3), counts=counts)
    EVENTS.write_text("".join(f"{text}\n" for text in published(folder)))
    print(f"{len(rows)} detections, {len(EVENTS.read_text().splitlines())} events")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        record(Path(name))
    print(json.dumps([json.loads(line)["type"] for line in EVENTS.read_text().splitlines()]))
