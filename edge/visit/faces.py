"""From frames to templates: the faces of people who cross a line. Exists in tier `visit` only.

1. Only people who are followed are looked at, and only until they have given enough good samples.
2. A sample must pass the gate: large enough between detection and hash, near frontal, sharp, uncovered, and
   plainly a face already at the glance.
3. What this costs is bounded on average: looks are saved up while nobody is there. The whole picture is
   searched rarely, and often only while faces without bodies stand for people.
4. A person's template is made after they have crossed: when the samples are enough, when they are gone, or
   when patience ends. With too few samples it is None: unusable, which is counted.
5. Samples live as long as their track, leave this file only as a fused template, and are wiped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.core import align
from edge.core.covered import is_covered
from edge.core.facehash import Floats, fuse
from edge.core.values import (
    Box,
    Crossing,
    Detection,
    Embedding,
    Event,
    Face,
    Frame,
    Kind,
    Pixels,
    Track,
    elapsed_s,
)
from edge.ports import Embedder, FaceDetector
from edge.visit.closer import CloserLook, Sight, head_area
from edge.visit.visitors import Passer, Visitors

# At the glance, which sees a face with what is around it; enlarged, half a face passes for one.
SCORE_MIN = 0.88
HEAD_SHARE = 0.6  # of a body's box from the top: the face of its person is there, one further down another's
GLANCE = 0.1  # what a glance costs, in looks; the embedding costs most of the rest


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """One set for all cameras."""

    samples_min: int = 3
    samples_max: int = 8
    looks_max: int = 16  # a person: later samples may replace worse ones
    looks_per_s: float = 1.2  # closer looks, on average: one costs a little more than a person detection
    looks_saved: float = 12.0
    spacing_s: float = 0.15  # neighbouring frames say the same twice
    patience_s: float = 2.0  # how long after a crossing samples may still come
    person_score: float = 0.85  # a face without a body that scores this is a person
    person_face_px: float = 40.0
    stride: int = 2  # frames between looks at the whole picture while faces stand for people
    stride_idle: int = 8


@dataclass(slots=True)
class _Person:
    """What is known of one followed person's face."""

    samples: list[tuple[float, Embedding]] = field(default_factory=list, repr=False)
    looks: int = 0
    looked_s: float = -math.inf
    turn_deg: float = 0.0
    waiting: list[Crossing] = field(default_factory=list)

    def keep(self, most: int) -> None:
        """Only the best `most` samples; the others are wiped."""
        self.samples.sort(key=lambda sample: -sample[0])
        for _, embedding in self.samples[most:]:
            embedding.fill(0)
        del self.samples[most:]


class Faces:
    """One camera's faces: `people` before the tracker looks at a frame, `follow` after the counter has.

    `finder` looks at whole pictures, `detector` at patches around a head; they differ in their input size.
    """

    def __init__(
        self,
        finder: FaceDetector,
        detector: FaceDetector,
        embedder: Embedder,
        visitors: Visitors,
        settings: FaceSettings | None = None,
        gate: align.Gate | None = None,
    ) -> None:
        self._finder, self._closer = finder, CloserLook(detector)
        self._embedder, self._visitors = embedder, visitors
        self._set, self._gate = settings or FaceSettings(), gate or align.Gate()
        self._people: dict[int, _Person] = {}
        self._looks = self._set.looks_saved
        self._earned_s = math.inf
        self._frames = 0
        self._next_search = 0

    def people(self, frame: Frame, detections: Sequence[Detection]) -> tuple[Detection, ...]:
        """The detections, and a person for each plain face that no body was found for (a close-up)."""
        self._frames += 1
        if self._frames < self._next_search:
            return tuple(detections)
        alone = [face for face in self._finder.detect(frame.pixels) if self._is_alone(face, detections)]
        self._next_search = self._frames + (self._set.stride if alone else self._set.stride_idle)
        return (*detections, *(Detection(body_under(face, frame.size), face.score) for face in alone))

    def sample(self, frame: Frame, tracks: Sequence[Track]) -> None:
        """Look closer at the heads of some of these people, within the budget."""
        earned = self._set.looks_per_s * max(0.0, elapsed_s(self._earned_s, frame.monotonic_s))
        self._looks, self._earned_s = min(self._looks + earned, self._set.looks_saved), frame.monotonic_s
        followed = [track for track in tracks if track.confirmed and track.seen]
        known = [(self._people.setdefault(track.id, _Person()), track) for track in followed]
        for person, track in sorted(known, key=lambda one: (one[0].looks, one[1].id)):
            if self._looks >= 1 and self._due(person, frame.monotonic_s):
                self._look_closer(frame, track, followed, person)

    def follow(self, frame: Frame, tracks: Sequence[Track], events: Iterable[Event]) -> None:
        """What this frame tells of the people in it, and what becomes of those who have crossed."""
        self.sample(frame, tracks)
        crossings = [event for event in events if isinstance(event, Crossing)]
        self._hand_over(self.settled(crossings, tracks, frame.monotonic_s))

    def close(self, events: Iterable[Event]) -> None:
        """The end of the recording, or of the day: everyone is gone."""
        crossings = [event for event in events if isinstance(event, Crossing)]
        self._hand_over(self.settled(crossings, (), math.inf))

    def _hand_over(self, passers: Iterable[tuple[Kind, Passer]]) -> None:
        leaving = []
        for kind, passer in passers:
            if kind is Kind.ENTRY:
                self._visitors.entered(passer)
            else:
                leaving.append(passer)
        self._visitors.left(leaving)

    def settled(
        self, crossings: Iterable[Crossing], tracks: Sequence[Track], now_s: float
    ) -> Iterator[tuple[Kind, Passer]]:
        """Who has crossed and is ready to be hashed, or never will be. Forgets who is gone."""
        for crossing in crossings:
            self._people.setdefault(crossing.track, _Person()).waiting.append(crossing)
        live = {track.id for track in tracks}
        for track, person in list(self._people.items()):
            enough = len(person.samples) >= self._set.samples_max or track not in live
            for crossing in [*person.waiting]:
                if enough or elapsed_s(crossing.at.monotonic_s, now_s) > self._set.patience_s:
                    person.waiting.remove(crossing)
                    yield crossing.kind, Passer(self._template(person), crossing.at.monotonic_s)
            if track not in live:
                self._people.pop(track).keep(0)

    def _is_alone(self, face: Face, detections: Sequence[Detection]) -> bool:
        x, y = face.box.centre
        plain = face.score >= self._set.person_score and face.box.height >= self._set.person_face_px
        bodies = (detection.box for detection in detections)
        return plain and not any(_is_upper(x, y, body) for body in bodies)

    def _due(self, person: _Person, now_s: float) -> bool:
        return person.looks < self._set.looks_max and elapsed_s(person.looked_s, now_s) >= self._set.spacing_s

    def _look_closer(self, frame: Frame, track: Track, others: Sequence[Track], person: _Person) -> None:
        """Find this person's face, enlarged and upright; embed what passes the gate, and keep the best."""
        person.looked_s = frame.monotonic_s
        self._looks -= GLANCE
        faces = self._closer.glance(frame.pixels, head_area(track.box), person.turn_deg)
        own = (face for face in faces if owner(face, others) is track)
        face = max(own, key=lambda one: one.height, default=None)
        if face is None or face.height < self._gate.size_px_min:
            return
        self._looks -= 1 - GLANCE
        person.looks += 1
        upright = self._closer.upright(frame.pixels, face)
        if upright is not None:
            person.turn_deg += 0.5 * (upright.turn_deg - person.turn_deg)
        if upright is not None and face.upright.score >= SCORE_MIN:
            self._take(upright, align.crop(frame.pixels, upright.landmarks), person)

    def _take(self, sight: Sight, crop: Pixels, person: _Person) -> None:
        """Embed the crop if it is good and better than what there is."""
        quality = align.assess(sight.upright, crop)
        worst = min((weight for weight, _ in person.samples), default=0.0)
        better = len(person.samples) < self._set.samples_max or quality.weight > worst
        if better and self._gate.passes(quality) and not is_covered(crop):
            person.samples.append((quality.weight, self._embedder.embed(crop)))
            person.keep(self._set.samples_max)

    def _template(self, person: _Person) -> Floats | None:
        if len(person.samples) < self._set.samples_min:
            return None
        samples = np.stack([embedding for _, embedding in person.samples])
        try:
            return fuse(samples, self._embedder.mean)
        except ValueError:
            return None
        finally:
            samples.fill(0)


def owner(face: Sight, tracks: Sequence[Track]) -> Track | None:
    """Whose head's place is the nearest to this face; None if it is in nobody's."""
    near = [(away, track) for track in tracks if (away := _off_head(face, track.box)) is not None]
    return min(near, key=lambda one: one[0], default=(0.0, None))[1]


def _off_head(face: Sight, body: Box) -> float | None:
    """How far a face is from the head's place in a body's box, in body heights; None if not in its top."""
    x, y = face.centre
    if not _is_upper(x, y, body):
        return None
    middle, _ = body.centre
    return math.dist((x, y), (middle, body.y1 + face.height / 2)) / max(body.height, 1.0)


def _is_upper(x: float, y: float, body: Box) -> bool:
    return body.x1 <= x <= body.x2 and body.y1 <= y <= body.y1 + HEAD_SHARE * body.height


def body_under(face: Face, picture: tuple[int, int]) -> Box:
    """The box of the person under a face, of common proportions, as far as it is in the picture (width,
    height)."""
    (x, _), (width, height) = face.box.centre, picture
    half, top = 1.3 * face.box.width, face.box.y1 - 0.3 * face.box.height
    x1, x2 = max(0.0, x - half), min(float(width), x + half)
    return Box(x1, max(0.0, top), max(x1, x2), min(float(height), top + 7 * face.box.height))
