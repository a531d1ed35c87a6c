"""The whole flow of one camera on one screen: a frame goes in, events come out.

Pure of threads and clocks: the daemon and `edged count` run this same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import cv2
import numpy as np

from edge.core.counting import Counter
from edge.core.sight import Sight
from edge.core.terms import Quality
from edge.core.tracker import Tracker
from edge.core.values import Detection, Event, Frame, Moment, Pixels, Point, Scene, Track
from edge.core.views import Gaze
from edge.ports import Detector


class FaceStage(Protocol):
    """What tier `visit` adds; see edge.visit.faces."""

    def people(self, frame: Frame, detections: Sequence[Detection]) -> tuple[Detection, ...]: ...

    def follow(self, frame: Frame, tracks: Sequence[Track], events: Iterable[Event]) -> None: ...

    def close(self, events: Iterable[Event]) -> None: ...


class Pipeline:
    """One camera's state. `tracks` are those of the latest frame, and `scale` says how large the detector saw
    them: pixels of its network's picture for each of the frame's. Both are for explanations on the device.

    Without `faces` no face is ever looked at.
    """

    def __init__(self, scene: Scene, detector: Detector, faces: FaceStage | None = None) -> None:
        self._scene, self._detector, self._faces = scene, detector, faces
        self._gaze = Gaze(scene)
        self._tracker, self._sight = Tracker(), Sight()
        self._counter = Counter(scene.camera, scene.lines, scene.zones)
        self.tracks: tuple[Track, ...] = ()
        self.scale = 1.0

    def step(self, frame: Frame) -> list[Event]:
        blackout(frame.pixels, self._scene.ignore)
        detections = self._gaze.look(frame, self._detector.detect)
        if self._faces:
            detections = self._faces.people(frame, detections)
        self.tracks = self._tracker.update(detections, frame)
        self.scale = self._gaze.scale(self._detector.side, frame)
        self._sight.update(self.tracks, frame, self.scale)
        events = self._counter.update(self.tracks, frame)
        if self._faces:
            self._faces.follow(frame, self.tracks, events)
        return events

    @property
    def quality(self) -> Quality:
        """How far its counts can be believed, by what the people in the picture look like."""
        return self._sight.quality

    def close(self, at: Moment) -> list[Event]:
        """The events of a planned end: every visit that is still going on ends as `shutdown`."""
        events = self._counter.close(at)
        if self._faces:
            self._faces.close(events)
        return events


def blackout(pixels: Pixels, polygons: Sequence[Sequence[Point]]) -> None:
    """Black out polygons (fractions of the picture) in place, before anything has looked at them."""
    height, width = pixels.shape[:2]
    for polygon in polygons:
        corners = np.round(np.asarray(polygon) * (width, height)).astype(np.int32)
        cv2.fillPoly(pixels, [corners], (0, 0, 0))
