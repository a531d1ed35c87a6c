"""One camera's flow: what is ignored is black before anything looks, and the end closes every visit."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core.values import (
    Box,
    Crossing,
    Detection,
    Dwell,
    Ended,
    Event,
    Frame,
    Kind,
    Line,
    Pixels,
    Scene,
    Zone,
)
from edge.pipeline import Pipeline, blackout

SIZE = (200, 100)
LINE = Line("door", (0.5, 0.0), (0.5, 1.0), inside=(1.0, 0.5))
ROOM = Zone("room", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))


class Scripted:
    """A detector that is told where the person is, and keeps what it was shown."""

    side = 416

    def __init__(self) -> None:
        self.person: Box | None = None
        self.shown: list[Pixels] = []

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        self.shown.append(pixels.copy())
        return (Detection(self.person, 0.9),) if self.person else ()


def frame(index: int, level: int = 200) -> Frame:
    pixels = np.full((SIZE[1], SIZE[0], 3), level, np.uint8)
    return Frame("cam", index, index / 10, 1e9 + index / 10, pixels)


def walk(pipeline: Pipeline, detector: Scripted, xs: list[float]) -> list[Event]:
    events: list[Event] = []
    for index, x in enumerate(xs):
        detector.person = Box(x - 10, 20, x + 10, 70)
        events += pipeline.step(frame(index))
    return events


@pytest.mark.parametrize(
    ("xs", "kind"), [(np.arange(20, 180, 4), Kind.ENTRY), (np.arange(180, 20, -4), Kind.EXIT)]
)
def test_a_walk_through_the_door_becomes_one_crossing(xs: np.ndarray, kind: Kind) -> None:
    detector = Scripted()
    events = walk(Pipeline(Scene("cam", (LINE,)), detector), detector, list(xs))
    crossings = [event for event in events if isinstance(event, Crossing)]
    assert [(crossing.line, crossing.kind) for crossing in crossings] == [("door", kind)]


def test_whoever_is_inside_at_the_end_gets_a_dwell_that_says_shutdown() -> None:
    detector = Scripted()
    pipeline = Pipeline(Scene("cam", zones=(ROOM,)), detector)
    walk(pipeline, detector, [100.0] * 60)
    dwells = [event for event in pipeline.close(frame(60).at) if isinstance(event, Dwell)]
    assert [(dwell.zone, dwell.ended) for dwell in dwells] == [("room", Ended.SHUTDOWN)]
    assert dwells[0].dwell_s == pytest.approx(5.9, abs=0.2)


def test_what_is_ignored_is_black_before_the_detector_looks() -> None:
    detector = Scripted()
    scene = Scene("cam", (LINE,), ignore=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))
    Pipeline(scene, detector).step(frame(0))
    seen = detector.shown[0]
    assert seen[:, :99].max() == 0
    assert seen[:, 102:].min() == 200


def test_blackout_fits_any_picture_size() -> None:
    triangle = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    for size in ((1080, 1920), (97, 131)):
        pixels = np.full((*size, 3), 255, np.uint8)
        blackout(pixels, [triangle])
        assert pixels[0, 0].max() == 0
        assert pixels[-1, -1].min() == 255
        assert (pixels == 0).mean() == pytest.approx(0.5, abs=0.02)
