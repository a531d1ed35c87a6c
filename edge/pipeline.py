"""The whole flow of one camera on one screen: a frame goes in, events come out.

Pure of threads and clocks: the daemon and `edged count` run this same code.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.core.counting import Counter
from edge.core.tracker import Tracker
from edge.core.values import Event, Frame, Moment, Pixels, Point, Scene, Track
from edge.core.views import Gaze
from edge.ports import Detector


class Pipeline:
    """One camera's state. `tracks` are those of the latest frame, for explanations on the device."""

    def __init__(self, scene: Scene, detector: Detector) -> None:
        self._scene, self._detector = scene, detector
        self._gaze = Gaze(scene.lines, scene.zones)
        self._tracker = Tracker()
        self._counter = Counter(scene.camera, scene.lines, scene.zones)
        self.tracks: tuple[Track, ...] = ()

    def step(self, frame: Frame) -> list[Event]:
        blackout(frame.pixels, self._scene.ignore)
        detections = self._gaze.look(frame, self._detector.detect)
        self.tracks = self._tracker.update(detections, frame)
        return self._counter.update(self.tracks, frame)

    def close(self, at: Moment) -> list[Event]:
        """The events of a planned end: every visit that is still going on ends as `shutdown`."""
        return self._counter.close(at)


def blackout(pixels: Pixels, polygons: Sequence[Sequence[Point]]) -> None:
    """Black out polygons (fractions of the picture) in place, before anything has looked at them."""
    height, width = pixels.shape[:2]
    for polygon in polygons:
        corners = np.round(np.asarray(polygon) * (width, height)).astype(np.int32)
        cv2.fillPoly(pixels, [corners], (0, 0, 0))
