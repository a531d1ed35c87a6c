"""Follow every person from frame to frame: predict, associate, correct, spawn, prune.

The rules of this file:
1. Time is in seconds and length in body heights (the height of a person's own box), never in frames or
   pixels: the same settings serve 5 and 30 frames a second, near and far people.
2. Only a good score starts a track; a poor one may continue a track that has proved to be a person.
3. What has never moved is furniture until its score says otherwise, and furniture takes nobody's detections.

Sources: the constant-velocity filter and the loop are SORT's (Bewley et al. 2016); good scores before poor
ones is ByteTrack's association (Zhang et al. 2022); clothes decide between neighbours as in DeepSORT (Wojke
et al. 2017), with a colour histogram in the place of a network.

State is held as a structure of arrays, one row a track. Matching takes the cheapest pair first. On the
reference clips an optimal assignment changed nothing: the gates leave few choices open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from edge.core import geometry
from edge.core.clothes import COLOURS, clothes, unit
from edge.core.geometry import Floats
from edge.core.values import Box, Detection, Frame, Pixels, Track

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """One set for all cameras. Lengths are body heights (bh), times seconds."""

    score_high: float = 0.45  # starts a track, or continues one
    score_low: float = 0.15  # only continues one that has been a person before
    confirm_s: float = 0.25  # a person is seen for this long ...
    confirm_hits: int = 3  # ... and this often, and has ...
    moved_bh: float = 0.35  # ... moved this far, ...
    standing_score: float = 0.6  # ... or scores this on average
    fresh_s: float = 0.4  # unseen for longer, a track is lost: it competes for what the others leave
    memory_s: float = 2.5  # and after this it is forgotten
    tentative_s: float = 0.3  # an unconfirmed one is forgotten sooner
    reach_bh: float = 0.35  # a detection belongs to a track if it is this near to the prediction ...
    reach_bh_per_s: float = 0.8  # ... or, unseen for a while, this much farther per second ...
    reach_bh_max: float = 1.6  # ... but no farther than this
    scale_max: float = 1.6  # and not larger or smaller by more than this factor
    clothes_weight: float = 1.5  # how much unlike clothes cost, beside overlap and distance
    clothes_min: float = 0.6  # likeness without which a lost track is not found again
    clothes_s: float = 0.4  # how often the clothes are looked at
    scatter_bh: tuple[float, float] = (0.07, 0.1)  # the detector's, of centre and size
    agility_bh: tuple[float, float] = (0.25, 0.05)  # white acceleration of centre and size, bh/s^2/sqrt(Hz)
    speed_bh_per_s: tuple[float, float] = (1.0, 0.2)  # what a new track may have, one standard deviation


@dataclass(slots=True)
class _Rows:
    """The live tracks, one row each. `at` is (cx, cy, w, h) in pixels and `speed` its change a second;
    `spread` the covariances of centre and size as (p, pv, v), in body heights and seconds."""

    id: Ints
    at: Floats
    speed: Floats
    spread: Floats
    score: Floats
    mean_score: Floats
    hits: Ints
    confirmed: Flags
    born_s: Floats
    seen_s: Floats
    born_at: Floats
    moved: Floats
    colour: Floats
    painted_s: Floats

    @classmethod
    def new(cls, first_id: int, at: Floats, scores: Floats, now: float, spread: Floats) -> _Rows:
        n = len(at)
        return cls(
            id=np.arange(first_id, first_id + n),
            at=at,
            speed=np.zeros((n, 4)),
            spread=np.tile(spread, (n, 1, 1)),
            score=scores,
            mean_score=scores.copy(),
            hits=np.ones(n, np.int64),
            confirmed=np.zeros(n, bool),
            born_s=np.full(n, now),
            seen_s=np.full(n, now),
            born_at=at.copy(),
            moved=np.zeros(n),
            colour=np.zeros((n, COLOURS)),
            painted_s=np.full(n, -np.inf),
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
        unknown = [[p, 0.0, v] for p, v in zip(self._scatter, np.square(s.speed_bh_per_s), strict=True)]
        self._unknown = np.array(unknown)
        self._rows = _Rows.new(1, np.zeros((0, 4)), np.zeros(0), 0.0, self._unknown)
        self._next_id = 1
        self._now = 0.0

    def update(self, detections: Sequence[Detection], frame: Frame) -> tuple[Track, ...]:
        """All live tracks after this frame, in the order of their birth."""
        found = [d for d in detections if d.score >= self._set.score_low]
        boxes = np.array([geometry.corners(d.box) for d in found]).reshape(-1, 4)
        scores = np.array([d.score for d in found])
        self._predict(frame.monotonic_s)
        rows, taken = self._associate(boxes, scores, frame.pixels)
        self._correct(rows, boxes[taken], scores[taken])
        self._dress(rows, boxes[taken], scores[taken], frame.pixels)
        self._spawn(boxes, scores, taken)
        self._prune(frame.size)
        return self._tracks()

    def _predict(self, now: float) -> None:
        """Constant velocity with white acceleration over the time that has really passed."""
        r, dt = self._rows, now - self._now
        self._now = now
        r.at += r.speed * dt
        np.maximum(r.at[:, 2:], 1.0, out=r.at[:, 2:])
        p, pv, v = r.spread[..., 0], r.spread[..., 1], r.spread[..., 2]
        p += dt * (2 * pv + dt * v) + self._agility * dt**3 / 3
        pv += dt * v + self._agility * dt**2 / 2
        v += self._agility * dt

    def _associate(self, boxes: Floats, scores: Floats, pixels: Pixels) -> tuple[Ints, Ints]:
        """Three rounds, each from what the rounds before have left: rows, and the detection of each."""
        r, s = self._rows, self._set
        match = np.full(len(r), -1)
        if len(r) and len(boxes):
            unseen_s = self._now - r.seen_s
            fresh, good = unseen_s <= s.fresh_s, scores >= s.score_high
            cost = self._cost(boxes, unseen_s)
            cost += self._unlike(np.isfinite(cost), ~fresh, boxes, pixels)
            for who, what in ((fresh, good), (fresh & r.confirmed, ~good), (~fresh & r.confirmed, good)):
                _take(match, np.where(who[:, None] & what[None, :], cost, np.inf))
        rows = np.flatnonzero(match >= 0)
        return rows, match[rows]

    def _cost(self, boxes: Floats, unseen_s: Floats) -> Floats:
        """Overlap, distance and change of size, each about 0..1; infinite for an impossible pair."""
        r, s = self._rows, self._set
        found, height = _centred(boxes), r.at[:, 3:4]
        step = found[None, :, :2] - r.at[:, None, :2]
        distance = np.hypot(step[..., 0], step[..., 1]) / height
        scale = np.abs(np.log(np.maximum(found[None, :, 3], 1.0) / height))
        reach = np.minimum(s.reach_bh + s.reach_bh_per_s * unseen_s, s.reach_bh_max)[:, None]
        cost = 1 - geometry.iou(r.boxes(), boxes) + distance + scale
        return np.where((distance <= reach) & (scale <= np.log(s.scale_max)), cost, np.inf)

    def _unlike(self, possible: Flags, lost: Flags, boxes: Floats, pixels: Pixels) -> Floats:
        """What unlike clothes cost, looked at only where there is a choice, or a lost track to be found."""
        r, s = self._rows, self._set
        rivals = (possible.sum(axis=1) > 1)[:, None] | (possible.sum(axis=0) > 1)[None, :] | lost[:, None]
        like = np.full(possible.shape, s.clothes_min)
        columns = np.flatnonzero((possible & rivals).any(axis=0))
        if len(columns):
            colours = np.array([clothes(pixels, boxes[j]) for j in columns])
            known = np.isfinite(r.painted_s)[:, None]
            like[:, columns] = np.where(known, r.colour @ colours.T, s.clothes_min)
        return np.where(lost[:, None] & (like < s.clothes_min), np.inf, s.clothes_weight * (1 - like))

    def _correct(self, rows: Ints, boxes: Floats, scores: Floats) -> None:
        """Kalman's update. x and y scatter alike, and so do w and h: each pair has one gain."""
        r, s = self._rows, self._set
        noise = self._scatter * np.where(scores < s.score_high, 4.0, 1.0)[:, None]
        p, pv, v = (r.spread[rows, :, i] for i in range(3))
        gain, gain_speed = p / (p + noise), pv / (p + noise)
        r.spread[rows] = np.stack([p * (1 - gain), pv * (1 - gain), v - gain_speed * pv], axis=2)
        off = _centred(boxes) - r.at[rows]
        r.at[rows] += np.repeat(gain, 2, axis=1) * off
        r.speed[rows] += np.repeat(gain_speed, 2, axis=1) * off
        r.hits[rows] += 1
        r.score[rows], r.seen_s[rows] = scores, self._now
        r.mean_score[rows] += (scores - r.mean_score[rows]) / np.minimum(r.hits[rows], 30)
        away = np.linalg.norm(r.at[rows, :2] - r.born_at[rows, :2], axis=1) / r.at[rows, 3]
        r.moved[rows] = np.maximum(r.moved[rows], away)
        proved = (r.moved >= s.moved_bh) | (r.mean_score >= s.standing_score)
        r.confirmed |= proved & (r.hits >= s.confirm_hits) & (r.seen_s - r.born_s >= s.confirm_s)

    def _dress(self, rows: Ints, boxes: Floats, scores: Floats, pixels: Pixels) -> None:
        """Learn the colour of clothes, from well seen people whom nobody overlaps."""
        r, s = self._rows, self._set
        due = np.flatnonzero((self._now - r.painted_s[rows] >= s.clothes_s) & (scores >= s.score_high))
        alone = (geometry.iou(boxes[due], r.boxes()) > 0.05).sum(axis=1) <= 1
        for i in due[alone]:
            row, seen = rows[i], clothes(pixels, boxes[i])
            known = np.isfinite(r.painted_s[row])
            r.colour[row] = unit(0.7 * r.colour[row] + 0.3 * seen) if known else seen
            r.painted_s[row] = self._now

    def _spawn(self, boxes: Floats, scores: Floats, taken: Ints) -> None:
        """Every good detection that nobody took, and that covers nobody seen now, may be a new person."""
        free = scores >= self._set.score_high
        free[taken] = False
        seen = self._rows.boxes()[self._rows.seen_s == self._now]
        new = np.flatnonzero(free)
        new = new[~(geometry.iou(boxes[new], seen) > 0.5).any(axis=1)]
        if len(new):
            at = _centred(boxes[new])
            born = _Rows.new(self._next_id, at, scores[new], self._now, self._unknown)
            self._rows = self._rows.plus(born)
            self._next_id += len(new)

    def _prune(self, picture: tuple[int, int]) -> None:
        """Forget who has been away too long, or has walked out of the picture."""
        r, s = self._rows, self._set
        outside = ((r.at[:, :2] < 0) | (r.at[:, :2] > picture)).any(axis=1)
        memory_s = np.where(r.confirmed, np.where(outside, s.fresh_s, s.memory_s), s.tentative_s)
        alive = self._now - r.seen_s <= memory_s
        if not alive.all():
            self._rows = r.keep(alive)

    def _tracks(self) -> tuple[Track, ...]:
        r = self._rows
        columns = (r.score, r.confirmed, r.seen_s == self._now, r.born_s, r.seen_s)
        rows = zip(r.id.tolist(), r.boxes().tolist(), *(c.tolist() for c in columns), strict=True)
        return tuple(Track(number, Box(*box), *rest) for number, box, *rest in rows)


def _take(match: Ints, cost: Floats) -> None:
    """Fill `match` with the cheapest finite pairs, each row and column at most once, cheapest first.

    Pairs that are the best of both their row and their column are what a greedy pass would take next, so all
    of them can be taken at once.
    """
    cost[match >= 0] = np.inf
    cost[:, match[match >= 0]] = np.inf
    rows = np.arange(len(cost))
    while np.isfinite(cost).any():
        best = cost.argmin(axis=1)
        mutual = (cost.argmin(axis=0)[best] == rows) & np.isfinite(cost[rows, best])
        match[mutual] = best[mutual]
        cost[mutual] = np.inf
        cost[:, best[mutual]] = np.inf


def _centred(boxes: Floats) -> Floats:
    """(n, 4) corners -> (n, 4) centre, width and height."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
