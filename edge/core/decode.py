"""Raw int8 tensors of a detector -> boxes with scores.

The tensors are looked at where they lie: scores are compared as int8, and only the few rows that pass are
turned into floats. The caller must have copied nothing and must keep nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
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
    cells = [np.flatnonzero(score.q >= score.least(floor)) for score in scores]
    logits = np.concatenate([one.at(where) for one, where in zip(distances, cells, strict=True)])
    found = np.concatenate([one.at(where)[:, 0] for one, where in zip(scores, cells, strict=True)])
    centres, strides = _centres(cells, [score.q.shape[1] for score in scores])
    return (centres + _mean(logits) * OUTWARD) * strides, found


def _centres(cells: Sequence[NDArray[np.intp]], columns: Sequence[int]) -> tuple[Floats, Floats]:
    """Of every cell x, y, x, y in strides (n, 4), and the stride (n, 1)."""
    counts = [len(where) for where in cells]
    y, x = np.divmod(np.concatenate(cells), np.repeat(columns, counts))
    centres = np.stack([x, y, x, y], axis=1).astype(np.float32) + np.float32(0.5)
    return centres, np.repeat(np.array(STRIDES, np.float32), counts)[:, None]


def _mean(logits: Floats) -> Floats:
    """The mean of each of the four distributions over 0, 1, 2 ... strides: (n, 4 * bins) -> (n, 4)."""
    weights = np.exp(logits).reshape(-1, 4, logits.shape[1] // 4)  # int8 logits are too small to overflow
    mean: Floats = weights @ np.arange(weights.shape[2], dtype=np.float32) / weights.sum(axis=2)
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
    """Rows to keep, best first: greedy non-maximum suppression among the best; scores are above 0."""
    rectangles = boxes.astype(np.float64)
    rectangles[:, 2:] -= rectangles[:, :2]
    kept = cv2.dnn.NMSBoxes(rectangles, scores, 0.0, iou_max, top_k=CANDIDATES_MAX)  # type: ignore[arg-type]
    return np.asarray(kept, np.intp)


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
