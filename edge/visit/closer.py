"""The closer look: one face, enlarged and turned upright, until its landmarks can be trusted.

A glance finds the faces in an area around a head; the second pass looks at one of them alone, larger and
turned by what the glance has shown. The detector's landmarks hardly follow a tilted head: at 25 degrees they
show two to five. But they show the side, and a like share of the angle, so that turning the picture by a
multiple of it comes near to upright; a person's next look begins there and ends nearer still.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from edge.core import align
from edge.core.values import Box, Face, Landmarks, Pixels, Point
from edge.ports import FaceDetector

SIDE = 192  # of the square patch that the detector looks at
FACE_SHARE = 0.75  # of that is the face's height in the second pass
TILT_GAIN = 3.0  # under the tilt over what landmarks show of it, about 5: more turned upright heads astray
TURN_MAX_DEG = 25.0  # more than this at once would follow an error


@dataclass(frozen=True, slots=True)
class Sight:
    """A face seen in a patch: `landmarks` and `centre` are points of the picture, `upright` is the face in a
    picture turned by `turn_deg`, in pixels of the picture but from another origin."""

    upright: Face
    landmarks: Landmarks
    centre: Point
    turn_deg: float

    @property
    def height(self) -> float:
        return self.upright.box.height


class CloserLook:
    """Looks at square patches of a picture with `detector`."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def glance(self, pixels: Pixels, area: Box, turn_deg: float = 0.0) -> tuple[Sight, ...]:
        """The faces in a square around `area`, seen in a picture turned by `turn_deg`; best first."""
        scale = SIDE / max(area.width, area.height, 1.0)
        return tuple(self._see(pixels, area.centre, scale, turn_deg))

    def upright(self, pixels: Pixels, sight: Sight) -> Sight | None:
        """The same face again, alone, larger and nearer to upright; None if it is not seen again."""
        _, _, shown_deg = align.pose(sight.upright.landmarks)
        turn_deg = sight.turn_deg + max(-TURN_MAX_DEG, min(TURN_MAX_DEG, TILT_GAIN * shown_deg))
        scale = FACE_SHARE * SIDE / max(sight.height, 1.0)
        again = self._see(pixels, sight.centre, scale, turn_deg)
        there = (one for one in again if math.dist(one.centre, sight.centre) < sight.height / 2)
        return max(there, key=lambda one: one.upright.score, default=None)

    def _see(self, pixels: Pixels, middle: Point, scale: float, turn_deg: float) -> Iterator[Sight]:
        matrix = np.asarray(cv2.getRotationMatrix2D(middle, turn_deg, scale), np.float64)
        matrix[:, 2] += SIDE / 2 - np.array(middle)
        patch = cv2.warpAffine(pixels, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        back = cv2.invertAffineTransform(matrix)
        for face in self._detector.detect(np.asarray(patch, np.uint8)):
            points = np.array([*face.landmarks, face.box.centre]) @ back[:, :2].T + back[:, 2]
            a, b, c, d, e, centre = ((float(x), float(y)) for x, y in points)
            yield Sight(_scaled(face, 1 / scale), (a, b, c, d, e), centre, turn_deg)


def _scaled(face: Face, by: float) -> Face:
    corners = (by * at for at in (face.box.x1, face.box.y1, face.box.x2, face.box.y2))
    a, b, c, d, e = ((by * x, by * y) for x, y in face.landmarks)
    return Face(Box(*corners), face.score, (a, b, c, d, e))


def head_area(body: Box) -> Box:
    """The square at the top of a person's box in which the head is: as wide as the box, with room above."""
    top = body.y1 - 0.1 * body.width
    return Box(body.x1, top, body.x2, top + body.width)
