"""Small walks for the tests: people as boxes 40 x 100 px in a picture of 1000 x 500, ten frames a second."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from edge.core.counting import Counter
from edge.core.values import Box, Crossing, Detection, Event, Frame, Line, Point, Track, Zone

WIDTH, HEIGHT, FPS = 1000, 500, 10.0
PIXELS = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
# A door seen from the side: who walks to the right comes in.
DOOR = Line("door", (0.5, 0.2), (0.5, 0.8), inside=(0.9, 0.5))
TILL = Zone("till", ((0.6, 0.2), (0.9, 0.2), (0.9, 0.9), (0.6, 0.9)), dwell_s_min=1.0)

Path = Sequence[Point | None]


def frame(index: int, fps: float = FPS) -> Frame:
    return Frame("entrance", index, 100 + index / fps, 1e9 + index / fps, PIXELS)


def box(foot: Point, height: float = 100) -> Box:
    """A person standing at `foot`, in pixels."""
    x, y = foot
    return Box(x - height / 5, y - height, x + height / 5, y)


def seen(foot: Point, score: float = 0.8) -> Detection:
    return Detection(box(foot), score)


def walk(*stops: Point, speed: float = 10) -> list[Point | None]:
    """Positions frame by frame along straight lines between the stops, `speed` pixels a frame."""
    points: list[Point | None] = [stops[0]]
    for a, b in itertools.pairwise(stops):
        steps = max(1, round(max(abs(b[0] - a[0]), abs(b[1] - a[1])) / speed))
        points += [
            (a[0] + (b[0] - a[0]) * i / steps, a[1] + (b[1] - a[1]) * i / steps) for i in range(1, steps + 1)
        ]
    return points


def stand(at: Point, frames: int) -> list[Point | None]:
    return [at] * frames


def hidden(frames: int) -> list[Point | None]:
    return [None] * frames


def tracks(paths: Iterable[Path], index: int, confirmed: bool = True) -> list[Track]:
    """Perfect tracks, one a path: gone after its end, unseen where it is None."""
    out = []
    for number, path in enumerate(paths, 1):
        if index < len(path) and (foot := path[index] or _before(path, index)) is not None:
            out.append(Track(number, box(foot), 0.8, confirmed, path[index] is not None))
    return out


def _before(path: Path, index: int) -> Point | None:
    return next((p for p in reversed(path[:index]) if p is not None), None)


def count(counter: Counter, *paths: Path, confirmed: bool = True) -> list[Event]:
    """All events of these walks, with two frames after the last step, before any shutdown."""
    events: list[Event] = []
    for index in range(max(map(len, paths)) + 2):
        events += counter.update(tracks(paths, index, confirmed), frame(index))
    return events


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind.value for event in events if isinstance(event, Crossing)]
