"""Where the detector looks: at the whole picture, and closer at the part where people are counted.

The detector scales whatever it is given to its own input, so a person in a wide picture may come down to a
few pixels. A view is a part of the picture that is given to it on its own, and so seen larger.

The rules of this file:
1. The whole picture is always looked at, so that people are known before they reach a line.
2. Where the lines (and zones, if they fit) lie within a small part of the picture, that part is looked at in
   every frame; the whole picture is then enough a few times a second.
3. Small people are believed from the near view, large ones from the whole picture. A box that the near
   view's border cuts is not believed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.core import geometry
from edge.core.geometry import Floats
from edge.core.values import Box, Detection, Frame, Line, Pixels, Point, Zone, elapsed_s


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """One set for all cameras. Shares are of the longer side of the picture."""

    margin: float = 0.25  # of a line's or zone's size: the ground before and behind it
    side_min: float = 0.35  # a near view is no smaller than this
    side_max: float = 0.66  # and of no use if it is larger than this
    large: float = 0.3  # people taller than this are large
    whole_s: float = 0.2  # how often the whole picture is looked at beside a near view
    same_iou: float = 0.45  # two views' boxes are one person if they overlap by this much ...
    same_part: float = 0.75  # ... or one lies in the other to this share
    cut_bh: float = 0.04  # a box this near to a view's inner border is cut by it


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

    def __init__(
        self, lines: Sequence[Line], zones: Sequence[Zone], settings: ViewSettings | None = None
    ) -> None:
        self._lines, self._zones = tuple(lines), tuple(zones)
        self._set = settings or ViewSettings()
        self._size: tuple[int, int] | None = None
        self._near: View | None = None
        self._whole_s = -np.inf

    def look(self, frame: Frame, detect: Callable[[Pixels], Sequence[Detection]]) -> tuple[Detection, ...]:
        """The people in the frame, in its pixels."""
        if frame.size != self._size:
            self._size = frame.size
            self._near = near_view(self._lines, self._zones, frame.size, self._set)
        if self._near is None:
            return tuple(detect(frame.pixels))
        near = shifted(detect(self._near.of(frame.pixels)), self._near)
        whole: Sequence[Detection] = ()
        if elapsed_s(self._whole_s, frame.monotonic_s) >= self._set.whole_s:
            self._whole_s = frame.monotonic_s
            whole = detect(frame.pixels)
        return merge(whole, near, self._near, frame.size, self._set)


def near_view(
    lines: Sequence[Line], zones: Sequence[Zone], size: tuple[int, int], settings: ViewSettings
) -> View | None:
    """A square around all lines and zones, or around the lines alone; None where it gains too little."""
    shapes = [[line.scaled(*size).start, line.scaled(*size).end] for line in lines]
    areas = [list(zone.scaled(*size).polygon) for zone in zones]
    for chosen in ([*shapes, *areas], shapes):
        side, centre = _square(chosen, settings) if chosen else (np.inf, (0.0, 0.0))
        side = max(side, settings.side_min * max(size))
        if side <= settings.side_max * max(size):
            x1, x2 = _fitted(centre[0], side, size[0])
            y1, y2 = _fitted(centre[1], side, size[1])
            return View(x1, y1, x2, y2)
    return None


def _square(shapes: Sequence[Sequence[Point]], settings: ViewSettings) -> tuple[float, Point]:
    """Side and centre of the square that holds every shape and its margin, in pixels."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for shape in map(np.array, shapes):
        reach = np.ptp(shape, axis=0).max() * (0.5 + settings.margin)
        middle = (shape.min(axis=0) + shape.max(axis=0)) / 2
        low, high = np.minimum(low, middle - reach), np.maximum(high, middle + reach)
    centre = (low + high) / 2
    return float((high - low).max()), (float(centre[0]), float(centre[1]))


def _fitted(centre: float, side: float, limit: int) -> tuple[int, int]:
    """A stretch of about `side` pixels around `centre`, moved and cut to lie in 0..limit."""
    side = min(side, limit)
    start = round(min(max(centre - side / 2, 0), limit - side))
    return start, min(limit, round(start + side))


def shifted(detections: Sequence[Detection], view: View) -> tuple[Detection, ...]:
    """From pixels of a view to pixels of the picture."""
    return tuple(
        Detection(Box(b.x1 + view.x1, b.y1 + view.y1, b.x2 + view.x1, b.y2 + view.y1), d.score)
        for d in detections
        for b in [d.box]
    )


def merge(
    whole: Sequence[Detection],
    near: Sequence[Detection],
    view: View,
    size: tuple[int, int],
    settings: ViewSettings,
) -> tuple[Detection, ...]:
    """One set of detections from those of the whole picture and of a near view of it; each person once."""
    large = settings.large * max(size)
    near = [d for d in near if d.box.height <= large and not _cut(d.box, view, size, settings)]
    tall = _corners([d for d in whole if d.box.height > 0.9 * large])
    hidden = _any(_part(_corners(near), tall) > settings.same_part)
    near = [d for d, parted in zip(near, hidden, strict=True) if not parted]
    a, b = _corners(whole), _corners(near)
    inside = np.maximum(_part(a, b), _part(b, a).T) > settings.same_part
    twice = _any(inside | (geometry.iou(a, b) > settings.same_iou))
    return (*(d for d, again in zip(whole, twice, strict=True) if not again), *near)


def _part(a: Floats, b: Floats) -> Floats:
    """(n, m): the share of each box of `a` that lies in each of `b`."""
    return np.asarray(geometry.intersections(a, b) / np.maximum(geometry.areas(a), 1e-9)[:, None])


def _any(pairs: NDArray[np.bool_]) -> list[bool]:
    """(n, m) -> n: is any pair of the row true?"""
    return [bool(row) for row in np.any(pairs, axis=1)]


def _corners(detections: Sequence[Detection]) -> Floats:
    return np.array([geometry.corners(d.box) for d in detections]).reshape(-1, 4)


def _cut(box: Box, view: View, size: tuple[int, int], settings: ViewSettings) -> bool:
    """Does a border of the view that is none of the picture cut this box?"""
    near = max(settings.cut_bh * box.height, 2.0)
    return (
        (view.x1 > 0 and box.x1 < view.x1 + near)
        or (view.y1 > 0 and box.y1 < view.y1 + near)
        or (view.x2 < size[0] and box.x2 > view.x2 - near)
        or (view.y2 < size[1] and box.y2 > view.y2 - near)
    )
