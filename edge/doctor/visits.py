"""Tier `visit`: whether the faces of those who cross a line are large enough to be hashed.

Imported only when the config asks for the tier, like everything that looks at a face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median

from edge.core.align import Gate
from edge.core.sight import stands_at
from edge.core.values import Frame, Scene
from edge.doctor.findings import SCORE_MIN, Check, ok, warn_if
from edge.pipeline import blackout
from edge.ports import FaceDetector
from edge.visit.faces import body_under

SIZE_PX_MIN = Gate().size_px_min  # what the face stage asks of a sample
REMEDY = (
    f"{SIZE_PX_MIN:.0f} are needed, else nearly all will be counted as unusable: hang the camera nearer and "
    "lower, zoom in, or use tier count"
)


def measure_faces(
    part: str, frames: Iterable[Frame], scene: Scene, detector: FaceDetector
) -> Iterator[Check]:
    """The height of the faces at each line, in pixels of the camera's picture, between detection and hash."""
    heights: dict[str, list[float]] = {line.id: [] for line in scene.lines}
    for frame in frames:
        blackout(frame.pixels, scene.ignore)
        for face in detector.detect(frame.pixels):
            body = body_under(face, frame.size)
            for line in scene.lines:
                if face.score > SCORE_MIN and stands_at(body, line.scaled(*frame.size)):
                    heights[line.id].append(face.box.height)
    for line_id, found in heights.items():
        if found:
            words = f"faces at line {line_id} are {median(found):.0f} pixels high"
            yield warn_if(median(found) < SIZE_PX_MIN, part, words, REMEDY)
        else:
            yield ok(part, f"no face was at line {line_id}: nobody came, or all were far away or from behind")
