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

from edge.core.values import Box, Detection

Floats = NDArray[np.float32]

STRIDES = (8, 16, 32)
CANDIDATES_MAX = 300  # before suppression, best first: bounds the time of a picture full of people


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A quantised tensor: real value = (q - zero_point) * scale. `q` is int8, without the batch axis."""

    q: NDArray[np.int8]
    scale: float
    zero_point: int

    def at(self, rows: NDArray[np.intp]) -> Floats:
        """The rows as real numbers."""
        return (self.q[rows].astype(np.float32) - self.zero_point) * self.scale

    def least(self, value: float) -> int:
        """The smallest q whose real value is at least `value`; 128 when none is."""
        return min(128, math.ceil(value / self.scale - 1e-6) + self.zero_point)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture lies in a model's input: scaled without distortion, in the upper left corner."""

    scale: float
    width: int
    height: int

    @classmethod
    def of(cls, picture: tuple[int, int], canvas: tuple[int, int]) -> Fit:
        """`picture` and `canvas` are (width, height) in pixels."""
        scale = min(canvas[0] / picture[0], canvas[1] / picture[1])
        return cls(scale, max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale)))


def nanodet(
    scores: Sequence[Tensor], distances: Sequence[Tensor], width: int, floor: float
) -> tuple[Floats, Floats]:
    """Boxes (n, 4) as x1, y1, x2, y2 in input pixels and scores (n,), unsuppressed, none under `floor`.

    Per stride: `scores` (cells, 1) and `distances` (cells, 4 * bins), the logits of the distances from the
    cell's centre to left, top, right and bottom in strides (Li et al., "Generalized Focal Loss", 2020).
    """
    boxes, kept = [], []
    for stride, score, distance in zip(STRIDES, scores, distances, strict=True):
        cells = np.flatnonzero(score.q[:, 0] >= score.least(floor))
        columns = width // stride
        x = (cells % columns + 0.5) * stride
        y = (cells // columns + 0.5) * stride
        left, top, right, bottom = (_expected(distance.at(cells)) * stride).T
        boxes.append(np.stack([x - left, y - top, x + right, y + bottom], axis=1))
        kept.append(score.at(cells)[:, 0])
    return np.concatenate(boxes).astype(np.float32), np.concatenate(kept)


def _expected(logits: Floats) -> Floats:
    """The mean of each of the four distributions over 0, 1, 2 ... strides: (n, 4 * bins) -> (n, 4)."""
    bins = logits.shape[1] // 4
    weights = np.exp(logits.reshape(-1, 4, bins) - logits.reshape(-1, 4, bins).max(axis=2, keepdims=True))
    mean: Floats = weights @ np.arange(bins, dtype=np.float32) / weights.sum(axis=2)
    return mean


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
    """Boxes from input pixels back into pixels of the picture; they may reach over its border."""
    corners = (boxes / fit.scale).tolist()
    return tuple(
        Detection(Box(*corner), score) for corner, score in zip(corners, scores.tolist(), strict=True)
    )
