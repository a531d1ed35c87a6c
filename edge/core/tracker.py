"""Follow every person from frame to frame: predict, associate, correct, spawn, prune.

The rules of this file:
1. Time is in seconds and length in body heights (the height of a person's own box), never in frames or
   pixels: the same settings serve 5 and 30 frames a second, near and far people.
2. Only a good score starts a track; a poor one may continue a track that has proved to be a person, and only
   where that person is expected, and not for long: what no good score has confirmed for a while is clutter
   that the track has drifted into.
3. What has never moved is furniture until its score says otherwise, and furniture takes nobody's detections.

Sources: the constant-velocity filter and the loop are SORT's (Bewley et al. 2016); good scores before poor
ones is ByteTrack's association (Zhang et al. 2022); clothes decide between neighbours as in DeepSORT (Wojke
et al. 2017), with a colour histogram in the place of a network.

State is held as a structure of arrays, one row a track. Matching takes the cheapest pair first. On the
reference clips an optimal assignment changed nothing: the gates leave few choices open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from edge.core import geometry
from edge.core.clothes import COLOURS, clothes
from edge.core.geometry import Floats
from edge.core.values import Box, Detection, Frame, Pixels, Track, elapsed_s

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """One set for all cameras. Lengths are body heights (bh), times seconds."""

    score_high: float = 0.45  # starts a track, or continues one
    score_low: float = 0.15  # only continues one that has been a person before, ...
    poor_overlap: float = 0.3  # ... whose prediction it overlaps by this much, ...
    poor_s: float = 1.0  # ... and which has had a good score within this time
    confirm_s: float = 0.25  # a person is seen for this long ...
    confirm_hits: int = 3  # ... and this often, and has ...
    moved_bh: float = 0.35  # ... moved this far, ...
    standing_score: float = 0.6  # ... or scores this on average, ...
    filled_max: float = 0.7  # ... in a box that people who are known already fill less than this
    fresh_s: float = 0.6  # unseen for longer, a track is lost: it competes for what the others leave
    memory_s: float = 2.5  # and after this it is forgotten
    tentative_s: float = 0.3  # an unconfirmed one is forgotten sooner
    reach_bh: float = 0.35  # a detection belongs to a track if it is this near to the prediction ...
    reach_bh_per_s: float = 0.6  # ... or, unseen for a while, this much farther per second ...
    reach_bh_max: float = 1.6  # ... but no farther than this
    scale_max: float = 1.6  # and not larger or smaller by more than this factor
    clothes_weight: float = 1.5  # how much unlike clothes cost, beside overlap and distance
    clothes_min: float = 0.6  # likeness without which a lost track is not found again
    clothes_s: float = 0.4  # how often the clothes are looked at
    scatter_bh: tuple[float, float] = (0.06, 0.1)  # the detector's, of centre and size
    agility_bh: tuple[float, float] = (0.25, 0.05)  # white acceleration of centre and size, bh/s^2/sqrt(Hz)
    growth_s: float = 0.5  # a change of size dies out in this time: people grow only by coming nearer
    speed_bh_per_s: tuple[float, float] = (1.0, 0.2)  # what a new track may have, one standard deviation


@dataclass(slots=True)
class _Rows:
    """The live tracks, one row each. `at` is (cx, cy, w, h) in pixels and `speed` its change a second. Of
    both, for centre and size, `spread` and `rush` are variances, `drag` their covariance, in body heights."""

    id: Ints
    at: Floats
    speed: Floats
    spread: Floats
    drag: Floats
    rush: Floats
    score: Floats
    mean_score: Floats
    hits: Ints
    apart: Ints
    confirmed: Flags
    born_s: Floats
    seen_s: Floats
    good_s: Floats
    born_at: Floats
    moved: Floats
    colour: Floats
    dressed: Flags

    @classmethod
    def new(
        cls, first_id: int, at: Floats, scores: Floats, now: float, spread: Floats, rush: Floats
    ) -> _Rows:
        n = len(at)
        return cls(
            id=np.arange(first_id, first_id + n),
            at=at,
            speed=np.zeros((n, 4)),
            spread=np.tile(spread, (n, 1)),
            drag=np.zeros((n, 2)),
            rush=np.tile(rush, (n, 1)),
            score=scores,
            mean_score=scores.copy(),
            hits=np.ones(n, np.int64),
            apart=np.zeros(n, np.int64),
            confirmed=np.zeros(n, bool),
            born_s=np.full(n, now),
            seen_s=np.full(n, now),
            good_s=np.full(n, now),
            born_at=at.copy(),
            moved=np.zeros(n),
            colour=np.zeros((n, COLOURS)),
            dressed=np.zeros(n, bool),
        )

    def __len__(self) -> int:
        return len(self.id)

    def keep(self, rows: Flags) -> _Rows:
        return _Rows(*(getattr(self, f.name)[rows] for f in fields(self)))

    def plus(self, more: _Rows) -> _Rows:
        both = ((getattr(self, f.name), getattr(more, f.name)) for f in fields(self))
        return _Rows(*(np.concatenate(pair) for pair in both))

    def boxes(self) -> Floats:
        """(n, 4) corners in pixels."""
        half = self.at[:, 2:] / 2
        return np.concatenate([self.at[:, :2] - half, self.at[:, :2] + half], axis=1)


class Tracker:
    """Detections in, tracks out, one call a frame; frames must come in the order of their monotonic time."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._set = s = settings or TrackerSettings()
        self._scatter, self._agility = np.square(s.scatter_bh), np.square(s.agility_bh)
        self._rush = np.square(s.speed_bh_per_s)
        self._frame_s: float | None = None
        self._now, self._dressed_s, self._next_id = 0.0, -math.inf, 1
        self._rows = self._born(np.zeros((0, 4)), np.zeros(0))

    def update(self, detections: Sequence[Detection], frame: Frame) -> tuple[Track, ...]:
        """All live tracks after this frame, in the order of their birth."""
        found = [d for d in detections if d.score >= self._set.score_low]
        boxes = geometry.rows_of(d.box for d in found)
        centred, scores = _centred(boxes), np.array([d.score for d in found])
        self._predict(frame.monotonic_s)
        rows, taken = self._associate(boxes, centred, scores, frame.pixels)
        if len(rows):
            theirs = boxes.take(taken, axis=0)
            self._correct(rows, centred.take(taken, axis=0), scores[taken])
            self._confirm(rows, theirs)
            self._dress(rows, theirs, frame.pixels)
        self._spawn(boxes, scores, taken)
        self._prune(frame.size)
        return self._tracks()

    def _predict(self, frame_s: float) -> None:
        """Constant velocity with white acceleration over the time that has really passed. The tracker's own
        clock runs on these steps, so that its rounding does not depend on the uptime."""
        r, dt = self._rows, 0.0 if self._frame_s is None else elapsed_s(self._frame_s, frame_s)
        self._frame_s, self._now = frame_s, self._now + dt
        r.at += r.speed * dt
        np.maximum(r.at[:, 2:], 1.0, out=r.at[:, 2:])
        r.speed[:, 2:] *= math.exp(-dt / self._set.growth_s)
        r.spread += dt * (2 * r.drag + dt * r.rush) + self._agility * (dt**3 / 3)
        r.drag += dt * r.rush + self._agility * (dt**2 / 2)
        r.rush += self._agility * dt

    def _associate(self, boxes: Floats, centred: Floats, scores: Floats, pixels: Pixels) -> tuple[Ints, Ints]:
        """Which row takes which detection: by rounds, each from what the rounds before have left, and within
        a round the cheapest pair first."""
        r, s = self._rows, self._set
        rows, columns, overlap, cost = self._pairs(boxes, centred)
        lost = self._now - r.seen_s[rows] > s.fresh_s
        good, person = scores[columns] >= s.score_high, r.confirmed[rows]
        turn = np.where(lost, 2, np.where(good, 0, 1))
        proved = person & (self._now - r.good_s[rows] <= s.poor_s)
        poor = proved & ~lost & (overlap >= s.poor_overlap)
        possible = np.flatnonzero(np.where(good, person | ~lost, poor))
        rows, columns, cost, turn = rows[possible], columns[possible], cost[possible], turn[possible]
        like = self._likeness(rows, columns, turn, boxes, pixels)
        cost += s.clothes_weight * (1 - like)
        order = np.lexsort((cost, turn))
        order = order[(turn[order] < 2) | (like[order] >= s.clothes_min)]
        return _take(rows[order].tolist(), columns[order].tolist())

    def _pairs(self, boxes: Floats, found: Floats) -> tuple[Ints, Ints, Floats, Floats]:
        """Rows and detections within reach of each other, how far each pair overlaps, and what it costs:
        overlap, distance and change of size, each about 0..1."""
        r, s = self._rows, self._set
        height = r.at[:, 3]
        reach = np.minimum(s.reach_bh + s.reach_bh_per_s * (self._now - r.seen_s), s.reach_bh_max)
        abreast = np.abs(found[:, 0] - r.at[:, :1]) <= (reach * height)[:, None]
        rows, columns = np.nonzero(abreast)
        height, step = height[rows], found.take(columns, axis=0) - r.at.take(rows, axis=0)
        distance = np.hypot(step[:, 0], step[:, 1]) / height
        scale = np.abs(np.log(np.maximum(found[columns, 3], 1.0) / height))
        near = (distance <= reach[rows]) & (scale <= math.log(s.scale_max))
        rows, columns = rows[near], columns[near]
        overlap = geometry.iou_of_pairs(r.boxes().take(rows, axis=0), boxes.take(columns, axis=0))
        return rows, columns, overlap, 1 - overlap + distance[near] + scale[near]

    def _likeness(self, rows: Ints, columns: Ints, turn: Ints, boxes: Floats, pixels: Pixels) -> Floats:
        """How alike the clothes of each pair are, 0..1; looked at only where there is a choice, or a lost
        track to be found. Where it is not known, it is what is just enough."""
        r, s = self._rows, self._set
        like = np.full(len(rows), s.clothes_min)
        wanted, offered = rows * 3 + turn, columns * 3 + turn
        rivals = (np.bincount(wanted)[wanted] > 1) | (np.bincount(offered)[offered] > 1)
        known = np.flatnonzero((rivals | (turn == 2)) & r.dressed[rows])
        if len(known):
            looked = np.zeros(len(boxes), bool)
            looked[columns[known]] = True
            seen = clothes(pixels, boxes[looked])[(looked.cumsum() - 1)[columns[known]]]
            like[known] = (r.colour[rows[known]] * seen).sum(axis=1)
        return like

    def _correct(self, rows: Ints, found: Floats, scores: Floats) -> None:
        """Kalman's update. x and y scatter alike, and so do w and h: each pair has one gain."""
        r, s = self._rows, self._set
        noise = self._scatter * np.where(scores < s.score_high, 4.0, 1.0)[:, None]
        at, spread, drag = r.at.take(rows, axis=0), r.spread.take(rows, axis=0), r.drag.take(rows, axis=0)
        gain, gain_speed = spread / (spread + noise), drag / (spread + noise)
        off = (found - at).reshape(-1, 2, 2)
        at += (gain[:, :, None] * off).reshape(-1, 4)
        r.at[rows] = at
        r.speed[rows] += (gain_speed[:, :, None] * off).reshape(-1, 4)
        r.spread[rows], r.drag[rows] = spread * (1 - gain), drag * (1 - gain)
        r.rush[rows] -= gain_speed * drag
        r.hits[rows] += 1
        r.score[rows], r.seen_s[rows] = scores, self._now
        r.good_s[rows[scores >= s.score_high]] = self._now
        mean = r.mean_score[rows]
        r.mean_score[rows] = mean + (scores - mean) / np.minimum(r.hits[rows], 30)
        way = at - r.born_at.take(rows, axis=0)
        r.moved[rows] = np.maximum(r.moved[rows], np.hypot(way[:, 0], way[:, 1]) / at[:, 3])

    def _confirm(self, rows: Ints, found: Floats) -> None:
        """Who has been seen for long enough, often enough, and has moved or scores well, is a person. A box
        that known people fill proves nobody: detectors put one around two who walk side by side."""
        r, s = self._rows, self._set
        new = np.flatnonzero(~r.confirmed[rows])
        if not len(new):
            return
        rows, found = rows[new], found[new]
        known = r.boxes()[r.confirmed & (r.seen_s == self._now)]
        filled = geometry.intersections(found, known).sum(axis=1) / np.maximum(geometry.areas(found), 1e-9)
        r.apart[rows] += filled < s.filled_max
        proved = (r.moved[rows] >= s.moved_bh) | (r.mean_score[rows] >= s.standing_score)
        lasting = self._now - r.born_s[rows] >= s.confirm_s
        r.confirmed[rows] = proved & lasting & (r.apart[rows] >= s.confirm_hits)

    def _dress(self, rows: Ints, boxes: Floats, pixels: Pixels) -> None:
        """Learn the colour of clothes, from well seen people whom nobody overlaps."""
        if self._now - self._dressed_s < self._set.clothes_s:
            return
        r, self._dressed_s = self._rows, self._now
        alone = (geometry.iou(boxes, r.boxes()) > 0.05).sum(axis=1) <= 1
        chosen = alone & (r.score[rows] >= self._set.score_high)
        rows, boxes = rows[chosen], boxes[chosen]
        if not len(rows):
            return
        part = np.where(r.dressed[rows], 0.3, 1.0)[:, None]
        r.dressed[rows] = True
        mixed = (1 - part) * r.colour[rows] + part * clothes(pixels, boxes)
        r.colour[rows] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)

    def _spawn(self, boxes: Floats, scores: Floats, taken: Ints) -> None:
        """Every good detection that nobody took, and that covers nobody seen now, may be a new person."""
        free = scores >= self._set.score_high
        free[taken] = False
        new = np.flatnonzero(free)
        if len(new):
            seen = self._rows.boxes()[self._rows.seen_s == self._now]
            new = new[(geometry.iou(boxes[new], seen) <= 0.5).all(axis=1)]
            self._rows = self._rows.plus(self._born(_centred(boxes[new]), scores[new]))

    def _born(self, at: Floats, scores: Floats) -> _Rows:
        first, self._next_id = self._next_id, self._next_id + len(at)
        return _Rows.new(first, at, scores, self._now, self._scatter, self._rush)

    def _prune(self, picture: tuple[int, int]) -> None:
        """Forget who has been away too long, or has walked out of the picture."""
        r, s = self._rows, self._set
        unseen_s = self._now - r.seen_s
        if (unseen_s <= s.tentative_s).all():  # the shortest memory, and most frames end here
            return
        outside = ((r.at[:, :2] < 0) | (r.at[:, :2] > picture)).any(axis=1)
        memory_s = np.where(r.confirmed, np.where(outside, s.fresh_s, s.memory_s), s.tentative_s)
        alive = unseen_s <= memory_s
        if not alive.all():
            self._rows = r.keep(alive)

    def _tracks(self) -> tuple[Track, ...]:
        r = self._rows
        columns = (r.score, r.confirmed, r.seen_s == self._now)
        boxes = map(Box, *r.boxes().T.tolist())
        return tuple(map(Track, r.id.tolist(), boxes, *(column.tolist() for column in columns)))


def _take(rows: list[int], columns: list[int]) -> tuple[Ints, Ints]:
    """Of pairs in the order of preference, each row and each column only once."""
    taken: dict[int, int] = {}
    used = set[int]()
    for row, column in zip(rows, columns, strict=True):
        if row not in taken and column not in used:
            taken[row] = column
            used.add(column)
    return np.fromiter(taken.keys(), np.int64), np.fromiter(taken.values(), np.int64)


def _centred(boxes: Floats) -> Floats:
    """(n, 4) corners -> (n, 4) centre, width and height."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
