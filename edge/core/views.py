"""Where the detector looks: at the whole picture, and closer at the part where people are counted.

The detector scales whatever it is given to its own input, so a person in a wide picture may come down to a
few pixels. A view is a part of the picture that is given to it on its own, and so seen larger.

The rules of this file:
1. One look a frame: a near view costs nothing.
2. Where the lines (and zones, if they fit) lie within a small part of the picture, that part is looked at,
   and the whole picture only a few times a second, so that people are known before they reach a line.
3. A near view has the picture's shape: the network is planned for one size of input only.
4. A box that the near view's border cuts is not believed: the next look is at the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from edge.core.geometry import Floats
from edge.core.values import Box, Detection, Frame, Pixels, Point, Scene, elapsed_s


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """One set for all cameras."""

    margin: float = 0.25  # of a line's or zone's size: the ground beyond its ends ...
    ground: float = 0.5  # ... and before and behind it, at least
    part_min: float = 0.35  # of the picture's sides: a near view is no smaller than this
    part_max: float = 0.66  # and of no use if it is larger than this
    whole_s: float = 0.2  # how often the whole picture is looked at instead
    cut_bh: float = 0.04  # a box this near to a view's inner border is cut by it, ...
    cut_score: float = 0.45  # ... and if it scores this well, somebody is there


@dataclass(frozen=True, slots=True)
class View:
    """A part of the picture, in whole pixels."""

    x1: int
    y1: int
    x2: int
    y2: int

    def of(self, pixels: Pixels) -> Pixels:
        """That part of the pixels, not copied."""
        return pixels[self.y1 : self.y2, self.x1 : self.x2]


class Gaze:
    """Looks at each frame through the views that are due, and gives back one set of detections."""

    def __init__(self, scene: Scene, settings: ViewSettings | None = None) -> None:
        self._scene, self._set = scene, settings or ViewSettings()
        self._size: tuple[int, int] | None = None
        self._near: View | None = None
        self._whole_s = -np.inf

    def scale(self, side: int, frame: Frame) -> float:
        """How many pixels of a network's picture, whose longer side has `side`, a pixel of this frame becomes
        where people are counted; ask after `look`."""
        near = self._near
        return side / max((near.x2 - near.x1, near.y2 - near.y1) if near else frame.size)

    def look(self, frame: Frame, detect: Callable[[Pixels], Sequence[Detection]]) -> tuple[Detection, ...]:
        """The people in the frame, in its pixels."""
        if frame.size != self._size:
            self._size = frame.size
            self._near = near_view(self._scene, frame.size, self._set)
        whole_is_due = elapsed_s(self._whole_s, frame.monotonic_s) >= self._set.whole_s
        if self._near is None or whole_is_due:
            self._whole_s = frame.monotonic_s
            return tuple(detect(frame.pixels))
        found = shifted(detect(self._near.of(frame.pixels)), self._near)
        cut = [_cut(detection.box, self._near, frame.size, self._set) for detection in found]
        if any(detection.score >= self._set.cut_score for detection in compress(found, cut)):
            self._whole_s = -np.inf
        return tuple(detection for detection, parted in zip(found, cut, strict=True) if not parted)


def near_view(scene: Scene, size: tuple[int, int], settings: ViewSettings | None = None) -> View | None:
    """A view around all lines and zones, or around the lines alone; None where it gains too little, or is not
    wanted."""
    settings = settings or ViewSettings()
    if not scene.near_view:
        return None
    shapes = [[line.scaled(*size).start, line.scaled(*size).end] for line in scene.lines]
    areas = [list(zone.scaled(*size).polygon) for zone in scene.zones]
    for chosen in ([*shapes, *areas], shapes):
        low, high = _around(chosen, settings) if chosen else (np.zeros(2), np.full(2, np.inf))
        part = max(float(((high - low) / size).max()), settings.part_min)
        if part <= settings.part_max:
            (x1, x2), (y1, y2) = (_fitted(*one, part) for one in zip((low + high) / 2, size, strict=True))
            return View(x1, y1, x2, y2)
    return None


def _around(shapes: Sequence[Sequence[Point]], settings: ViewSettings) -> tuple[Floats, Floats]:
    """The upper left and the lower right corner of what every shape needs around it, in pixels."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for shape in map(np.array, shapes):
        extent = np.ptp(shape, axis=0)
        reach = np.maximum(extent * (0.5 + settings.margin), extent.max() * settings.ground)
        middle = (shape.min(axis=0) + shape.max(axis=0)) / 2
        low, high = np.minimum(low, middle - reach), np.maximum(high, middle + reach)
    return low, high


def _fitted(centre: float, limit: int, part: float) -> tuple[int, int]:
    """A stretch of this part of `limit` pixels around `centre`, moved to lie in 0..limit."""
    length = round(part * limit)
    start = round(min(max(centre - length / 2, 0), limit - length))
    return start, start + length


def shifted(detections: Sequence[Detection], view: View) -> tuple[Detection, ...]:
    """From pixels of a view to pixels of the picture."""
    return tuple(
        Detection(Box(b.x1 + view.x1, b.y1 + view.y1, b.x2 + view.x1, b.y2 + view.y1), d.score)
        for d in detections
        for b in [d.box]
    )


def _cut(box: Box, view: View, size: tuple[int, int], settings: ViewSettings) -> bool:
    """Does a border of the view that is none of the picture cut this box?"""
    near = max(settings.cut_bh * box.height, 2.0)
    return (
        (view.x1 > 0 and box.x1 < view.x1 + near)
        or (view.y1 > 0 and box.y1 < view.y1 + near)
        or (view.x2 < size[0] and box.x2 > view.x2 - near)
        or (view.y2 < size[1] and box.y2 > view.y2 - near)
    )
