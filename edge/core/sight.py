"""How far a count can be believed, from the people in the picture themselves.

Too small: most of them come to the network with fewer pixels than it needs. Crowded: so many stand in front
of one another that some are certainly not seen. Both are averages over the last people who were there; while
nobody is, they stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.core import geometry
from edge.core.terms import Quality
from edge.core.values import Box, Frame, Line, Track, elapsed_s

PERSON_MIN = 24.0  # pixels of height in the network's own picture
MEMORY_S = 10.0  # of people's presence
SMALL_SHARE = 0.5  # of the people
HIDDEN_PART = 0.5  # of a person's box, covered by those of others
HIDDEN_SHARE, CROWD = 0.3, 3.0  # this share of the people is hidden, and there are so many


class Sight:
    """One camera's; give it every frame's tracks."""

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._small = self._hidden = self._people = 0.0

    @property
    def quality(self) -> Quality:
        if self._hidden > HIDDEN_SHARE and self._people >= CROWD:
            return "crowded"
        return "small" if self._small > SMALL_SHARE else "ok"

    def update(self, tracks: Sequence[Track], frame: Frame, scale: float) -> None:
        """`scale` is how many pixels of the network's picture a pixel of the frame becomes."""
        passed_s = 0.0 if self._at_s is None else elapsed_s(self._at_s, frame.monotonic_s)
        self._at_s = frame.monotonic_s
        boxes = np.array([geometry.corners(track.box) for track in tracks if track.confirmed]).reshape(-1, 4)
        if not len(boxes):
            return
        heights = (boxes[:, 3] - boxes[:, 1]) * scale
        shared = geometry.intersections(boxes, boxes)
        np.fill_diagonal(shared, 0.0)
        hidden = shared.sum(axis=1) > HIDDEN_PART * geometry.areas(boxes)
        part = 1 - math.exp(-passed_s / MEMORY_S)
        self._small += part * (float((heights < PERSON_MIN).mean()) - self._small)
        self._hidden += part * (float(hidden.mean()) - self._hidden)
        self._people += part * (len(boxes) - self._people)


def stands_at(box: Box, line: Line) -> bool:
    """Whether the line (in pixels) is within a body's height of this person's anchor."""
    return geometry.to_segment(line.start, line.end, line.anchor.of(box)) < box.height
