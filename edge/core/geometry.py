"""Plane geometry: overlap of boxes, side of a line, crossing of a segment, point in polygon.

Boxes in arrays are rows of (x1, y1, x2, y2) in pixels; points are (x, y), y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.core.values import Box, Line, Point

Floats = NDArray[np.float64]


def rows_of(boxes: Iterable[Box]) -> Floats:
    """Boxes -> (n, 4)."""
    return np.array([side for box in boxes for side in (box.x1, box.y1, box.x2, box.y2)]).reshape(-1, 4)


def areas(boxes: Floats) -> Floats:
    """(n, 4) boxes -> (n,) areas in square pixels."""
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def intersections(a: Floats, b: Floats) -> Floats:
    """(n, 4) and (m, 4) boxes -> (n, m) areas that each pair shares."""
    width = np.minimum(a[:, 2:3], b[:, 2]) - np.maximum(a[:, :1], b[:, 0])
    height = np.minimum(a[:, 3:], b[:, 3]) - np.maximum(a[:, 1:2], b[:, 1])
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0))


def iou(a: Floats, b: Floats) -> Floats:
    """(n, 4) and (m, 4) boxes -> (n, m) intersection over union, in 0..1; 0 where both are empty."""
    shared = intersections(a, b)
    union = areas(a)[:, None] + areas(b)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def iou_of_pairs(a: Floats, b: Floats) -> Floats:
    """(n, 4) and (n, 4) boxes -> (n,) intersection over union of each with its fellow."""
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    shared = sides[:, 0] * sides[:, 1]
    return np.asarray(shared / np.maximum(areas(a) + areas(b) - shared, 1e-9))


def signed_distance(line: Line, point: Point) -> float:
    """Distance of a point to the infinite line in the line's own unit; positive on the inner side."""
    return _side(line.start, line.end, point) * math.copysign(1, _side(line.start, line.end, line.inside))


def _side(start: Point, end: Point, point: Point) -> float:
    dx, dy = end[0] - start[0], end[1] - start[1]
    return (dx * (point[1] - start[1]) - dy * (point[0] - start[0])) / math.hypot(dx, dy)


def along(line: Line, point: Point) -> float:
    """Where a point's foot falls on the line, in pixels from its start: 0..length is on the segment."""
    dx, dy = line.end[0] - line.start[0], line.end[1] - line.start[1]
    return (dx * (point[0] - line.start[0]) + dy * (point[1] - line.start[1])) / math.hypot(dx, dy)


def length(line: Line) -> float:
    return math.dist(line.start, line.end)


def inside(polygon: Sequence[Point], point: Point) -> bool:
    """Is the point in the polygon, by the even-odd rule? Upper and left edges are inside."""
    x, y = point
    odd = False
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            odd = not odd
    return odd


def depth(polygon: Sequence[Point], point: Point) -> float:
    """Distance of a point to the polygon's edge: positive inside, negative outside."""
    edges = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    nearest = min(to_segment(a, b, point) for a, b in edges)
    return nearest if inside(polygon, point) else -nearest


def to_segment(start: Point, end: Point, point: Point) -> float:
    """Distance of a point to the nearest point of the segment from `start` to `end`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    squared = dx * dx + dy * dy
    t = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / squared if squared else 0.0
    t = min(max(t, 0.0), 1.0)
    return math.hypot(point[0] - start[0] - t * dx, point[1] - start[1] - t * dy)


def between(a: Box, b: Box, part: float) -> Box:
    """The box that lies at `part` (0..1) of the way from `a` to `b`."""
    mix = (p + (q - p) * part for p, q in zip(corners(a), corners(b), strict=True))
    return Box(*mix)


def corners(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2
