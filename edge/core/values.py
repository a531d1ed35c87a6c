"""Every type that flows through the daemon: frozen, checked once at birth, trusted afterwards.

Pixel coordinates are floats with the origin in the upper left corner, x to the right and y down. Points of
lines and zones are fractions of the picture until `scaled` turns them into pixels. Times end in `_s`:
`monotonic_s` measures, `wall_s` (seconds since 1970, UTC) only labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Embedding = NDArray[np.float32]
Point = tuple[float, float]
Landmarks = tuple[Point, Point, Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of one camera, with its times. It lives until the next one; it is never written.

    `pixels` has shape (height, width, 3), uint8, blue-green-red. `index` counts from 0 at the source, dropped
    frames included, so that a gap is visible.
    """

    camera: str
    index: int
    monotonic_s: float
    wall_s: float
    pixels: Pixels = field(repr=False, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def at(self) -> Moment:
        return Moment(self.index, self.monotonic_s, self.wall_s)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; corners may lie outside the picture, but never the wrong way round."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if -math.inf < self.x1 <= self.x2 < math.inf and -math.inf < self.y1 <= self.y2 < math.inf:
            return
        if not all(map(math.isfinite, (self.x1, self.y1, self.x2, self.y2))):
            raise ValueError("a box has a coordinate that is not finite")
        raise ValueError("a box must have x1 <= x2 and y1 <= y2")

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def centre(self) -> Point:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2


class Anchor(str, Enum):
    """The point of a person's box that stands for the person."""

    FOOT = "foot"
    CENTRE = "centre"
    HEAD = "head"

    def of(self, box: Box) -> Point:
        x, y = box.centre
        return x, {Anchor.FOOT: box.y2, Anchor.CENTRE: y, Anchor.HEAD: box.y1}[self]


@dataclass(frozen=True, slots=True)
class Detection:
    """A person seen in one picture, with the detector's score in 0..1."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Face:
    """A face seen in one picture, with the detector's score in 0..1. Landmarks, those on the left of the
    picture before those on the right: eye, eye, tip of the nose, corner and corner of the mouth."""

    box: Box
    score: float
    landmarks: Landmarks


class Track(NamedTuple):
    """One person followed through time, as the tracker knows them after one frame.

    `box` is smoothed; while the person is not `seen` in this frame it is a prediction. Only `confirmed`
    tracks stand for people; the others are detections that still have to prove themselves. `score` is that
    of the latest detection. A tuple, since all live tracks are made anew in every frame.
    """

    id: int
    box: Box
    score: float
    confirmed: bool
    seen: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A counting line from `start` to `end`; who crosses it towards `inside` enters."""

    id: str
    start: Point
    end: Point
    inside: Point
    anchor: Anchor = Anchor.FOOT

    def scaled(self, width: float, height: float) -> Line:
        scale = _scaler(width, height)
        return replace(self, start=scale(self.start), end=scale(self.end), inside=scale(self.inside))


class Role(str, Enum):
    """What a zone is for; people who dwell in a `staff` zone are not counted."""

    AREA = "area"
    QUEUE = "queue"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Zone:
    """An area whose occupancy and dwell are measured."""

    id: str
    polygon: tuple[Point, ...]
    dwell_s_min: float = 3.0
    role: Role = Role.AREA
    anchor: Anchor = Anchor.FOOT

    def scaled(self, width: float, height: float) -> Zone:
        return replace(self, polygon=tuple(map(_scaler(width, height), self.polygon)))


@dataclass(frozen=True, slots=True)
class Scene:
    """What is counted in one camera's picture; `ignore` is blacked out. All points are fractions of it.
    `near_view` says whether the detector may look closer where people are counted; see `core.views`."""

    camera: str
    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    ignore: tuple[tuple[Point, ...], ...] = ()
    near_view: bool = True


def _scaler(width: float, height: float) -> Callable[[Point], Point]:
    return lambda point: (point[0] * width, point[1] * height)


class Kind(str, Enum):
    """The kinds of event that the counting stage produces."""

    ENTRY = "entry"
    EXIT = "exit"
    DWELL = "dwell"


class Ended(str, Enum):
    """How a visit to a zone ended."""

    LEFT = "left"
    LOST = "lost"
    SHUTDOWN = "shutdown"


def elapsed_s(earlier_s: float, later_s: float) -> float:
    """Seconds between two readings of a clock, to the microsecond.

    The rounding of the readings themselves grows with the device's uptime; it must decide nothing.
    """
    return round(later_s - earlier_s, 6)


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened, on the source's own frame count and on both clocks."""

    frame: int
    monotonic_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """One person crossed one line. `kind` is ENTRY or EXIT; `reason` says in words why it was counted.

    `track` is for explanations on the device; the wire has no field for it.
    """

    camera: str
    line: str
    kind: Kind
    at: Moment
    track: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dwell:
    """One visit of one person to one zone, published once, when it ended."""

    camera: str
    zone: str
    dwell_s: float
    ended: Ended
    at: Moment
    track: int

    def __post_init__(self) -> None:
        if not self.dwell_s >= 0:
            raise ValueError("a dwell cannot be negative")


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many people are in a zone from this moment on: a state, published when it changes."""

    camera: str
    zone: str
    count: int
    at: Moment


Event = Crossing | Dwell | Occupancy


@dataclass(frozen=True, slots=True, eq=False)
class FaceHash:
    """A track's face as a binary code under one epoch's key: (bits / 64,) uint64. Personal data while that
    key lives, so it never shows in a `repr`; its owner wipes it when it has been used."""

    epoch: int
    words: NDArray[np.uint64] = field(repr=False)

    def wipe(self) -> None:
        self.words.fill(0)


@dataclass(frozen=True, slots=True, eq=False)
class FaceProbe:
    """A face that is looked for among codes, under one epoch's key: its own code, and how sure each of its
    bits is, (bits,) float32, 1 on average. It says more than a code: never stored, and wiped after use."""

    code: FaceHash
    weights: NDArray[np.float32] = field(repr=False)

    def wipe(self) -> None:
        self.code.wipe()
        self.weights.fill(0)


class MatchQuality(str, Enum):
    """How far from the decision threshold an entry and an exit were linked."""

    OK = "ok"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Visit:
    """One entry linked to its exit: how long it lasted, and nothing else: no time, no place, no id."""

    dwell_s: float
    quality: MatchQuality

    def __post_init__(self) -> None:
        if not self.dwell_s >= 0:
            raise ValueError("a visit cannot end before it began")


class Sync(str, Enum):
    """How far the wall clock can be trusted: set by a time server now; once, but no longer; never."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNSYNCED = "unsynced"


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes for one topic, made by `core.wire` and by nothing else.

    An event has a `sequence` from 1, its place in the device's order, and an `id` that is unique for ever, so
    that a subscriber can remove duplicates. A retained state has `sequence` 0: only its newest value matters.
    `kind` names the class that a full outbox drops by. `monotonic_s` is when it was made, in this boot.
    """

    id: str
    topic: str
    payload: bytes
    retain: bool
    kind: str
    sequence: int = 0
    monotonic_s: float = 0.0
