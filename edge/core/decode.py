"""Raw int8 tensors of a detector -> boxes with scores.

The tensors are looked at where they lie: scores are compared as int8, and only the few rows that pass are
turned into floats. The caller must have copied nothing and must keep nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.core.values import Box, Detection, Face, Landmarks

Floats = NDArray[np.float32]

STRIDES = (8, 16, 32)
OUTWARD = np.array([-1, -1, 1, 1], np.float32)  # left and top are subtracted, right and bottom added
CANDIDATES_MAX = 300  # before suppression, best first: bounds the time of a picture full of people


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A quantised map: real value = (q - zero_point) * scale. `q` is (rows, columns, channels)."""

    q: NDArray[np.int8]
    scale: float
    zero_point: int

    def at(self, cells: NDArray[np.intp]) -> Floats:
        """The channels of some cells, counted row by row, as real numbers (cells, channels)."""
        q = self.q.reshape(-1, self.q.shape[-1])[cells]
        return (q.astype(np.float32) - self.zero_point) * self.scale

    def exponential(self, cells: NDArray[np.intp]) -> Floats:
        """`exp` of what `at` gives, from a table of the 256 values that there are."""
        table = np.exp((np.arange(256, dtype=np.float32) - 128 - self.zero_point) * self.scale)
        q = self.q.reshape(-1, self.q.shape[-1])[cells].view(np.uint8)
        found: Floats = table[q ^ 0x80]
        return found

    def least(self, value: float) -> int:
        """The smallest q whose real value is at least `value`; 128 when none is."""
        return min(128, math.ceil(value / self.scale - 1e-6) + self.zero_point)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture lies in a model's input: scaled without distortion, in the upper left corner.

    `size` is that of the scaled picture, `canvas` that of the input; both are (width, height) in pixels.
    """

    scale: float
    size: tuple[int, int]
    canvas: tuple[int, int]

    @classmethod
    def of(cls, picture: tuple[int, int], side: int, multiple: int) -> Fit:
        """The longer side becomes `side`; the canvas ends at the next multiple: little of it is empty."""
        scale = side / max(picture)
        width, height = (max(1, round(length * scale)) for length in picture)
        return cls(scale, (width, height), (_up(width, multiple), _up(height, multiple)))


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def nanodet(scores: Sequence[Tensor], distances: Sequence[Tensor], floor: float) -> tuple[Floats, Floats]:
    """Boxes (n, 4) as x1, y1, x2, y2 in input pixels and scores (n,), unsuppressed, none under `floor`.

    Per stride: `scores` (rows, columns, 1) and `distances` (rows, columns, 4 * bins), the logits of the
    distances from the cell's centre to left, top, right and bottom in strides (Li et al., "Generalized Focal
    Loss", 2020).
    """
    levels = []
    for stride, score, distance in zip(STRIDES, scores, distances, strict=True):
        cells = np.flatnonzero(score.q >= score.least(floor))
        y, x = np.divmod(cells, score.q.shape[1])
        centres = np.stack([x, y, x, y], axis=1).astype(np.float32) + np.float32(0.5)
        levels.append((centres, distance.exponential(cells), np.full(len(cells), stride), score.at(cells)))
    centres, weights, strides, found = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    reach = _mean(weights) * OUTWARD
    return (centres + reach) * strides[:, None].astype(np.float32), found[:, 0]


def _mean(weights: Floats) -> Floats:
    """The mean of each of the four distributions over 0, 1, 2 ... strides: (n, 4 * bins) -> (n, 4)."""
    parts = weights.reshape(-1, 4, weights.shape[1] // 4)
    mean: Floats = parts @ np.arange(parts.shape[2], dtype=np.float32) / parts.sum(axis=2)
    return mean


def yunet(
    classes: Sequence[Tensor],
    objects: Sequence[Tensor],
    boxes: Sequence[Tensor],
    landmarks: Sequence[Tensor],
    floor: float,
) -> tuple[Floats, Floats, Floats]:
    """Boxes (n, 4), scores (n,) and landmarks (n, 5, 2) in input pixels, unsuppressed, none under `floor`.

    Per stride, all (rows, columns, channels): the score is the geometric mean of class and object; the box is
    centre and logarithm of size, the landmarks are points, both in strides from the cell's corner (Wu et al.,
    "YuNet", 2023).
    """
    found: list[tuple[Floats, Floats, Floats]] = []
    for stride, kind, thing, box, points in zip(STRIDES, classes, objects, boxes, landmarks, strict=True):
        likely = (kind.q >= kind.least(floor**2)) & (thing.q >= thing.least(floor**2))
        cells = np.flatnonzero(likely)
        corner = np.stack(np.divmod(cells, kind.q.shape[1])[::-1], axis=1).astype(np.float32)
        values = box.at(cells)
        centre, half = corner + values[:, :2], np.exp(values[:, 2:]) / 2
        spread = points.at(cells).reshape(-1, 5, 2) + corner[:, None]
        edges = np.concatenate([centre - half, centre + half], axis=1)
        score = np.sqrt(kind.at(cells)[:, 0] * thing.at(cells)[:, 0])
        found.append((edges * stride, score, spread * stride))
    edges, score, spread = (np.concatenate(parts) for parts in zip(*found, strict=True))
    sure = score >= floor
    return edges[sure], score[sure], spread[sure]


def suppress(boxes: Floats, scores: Floats, iou_max: float) -> NDArray[np.intp]:
    """Rows to keep, best first: greedy non-maximum suppression. Equal scores keep their order."""
    order = np.argsort(-scores, kind="stable")[:CANDIDATES_MAX]
    overlap = _iou(boxes[order]) > iou_max
    alive = np.ones(len(order), dtype=bool)
    kept = []
    for row in range(len(order)):
        if alive[row]:
            kept.append(row)
            alive &= ~overlap[row]
    return order[kept]


def _iou(boxes: Floats) -> Floats:
    """Intersection over union of every box with every box: (n, 4) -> (n, n)."""
    x1, y1, x2, y2 = boxes.T
    width = np.minimum.outer(x2, x2) - np.maximum.outer(x1, x1)
    height = np.minimum.outer(y2, y2) - np.maximum.outer(y1, y1)
    both = np.maximum(width, 0) * np.maximum(height, 0)
    area = (x2 - x1) * (y2 - y1)
    iou: Floats = both / np.maximum(np.add.outer(area, area) - both, np.float32(1e-9))
    return iou


def detections(boxes: Floats, scores: Floats, fit: Fit) -> tuple[Detection, ...]:
    """People, from input pixels back into pixels of the picture; they may reach over its border."""
    corners = (boxes / fit.scale).tolist()
    return tuple(
        Detection(Box(*corner), score) for corner, score in zip(corners, scores.tolist(), strict=True)
    )


def faces(boxes: Floats, scores: Floats, landmarks: Floats, fit: Fit) -> tuple[Face, ...]:
    """Faces, from input pixels back into pixels of the picture; they may reach over its border."""
    rows = zip((boxes / fit.scale).tolist(), scores.tolist(), (landmarks / fit.scale).tolist(), strict=True)
    return tuple(Face(Box(*corners), score, _five(points)) for corners, score, points in rows)


def _five(points: list[list[float]]) -> Landmarks:
    a, b, c, d, e = ((x, y) for x, y in points)
    return a, b, c, d, e
