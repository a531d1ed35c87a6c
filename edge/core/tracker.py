"""Follow every person from frame to frame: predict, associate, correct, spawn, prune.

The rules of this file:
1. Time is in seconds and length in body heights (the height of a person's own box), never in frames or
   pixels: the same settings serve 5 and 30 frames a second, near and far people.
2. Only a good score starts a track; a poor one may continue a track that has proved to be a person.
3. What has never moved is furniture until its score says otherwise, and furniture takes nobody's detections.

Sources: the constant-velocity filter and the loop are SORT's (Bewley et al. 2016); good scores before poor
ones is ByteTrack's association (Zhang et al. 2022).

State is held as a structure of arrays, one row a track; matching is greedy over the cheapest pairs, which
with gates this narrow finds the optimum in all but crafted cases, and is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from edge.core import geometry
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
    confirm_hits: int = 3  # ... and this often
    fresh_s: float = 0.4  # unseen for longer, a track is lost: it competes for what the others leave
    memory_s: float = 2.5  # and after this it is forgotten
    tentative_s: float = 0.3  # an unconfirmed one is forgotten sooner
    reach_bh: float = 0.45  # a detection belongs to a track if it is this near to the prediction ...
    reach_bh_per_s: float = 0.8  # ... or, unseen for a while, this much farther per second
    reach_bh_max: float = 1.6
    scale_max: float = 1.6  # and not larger or smaller by more than this factor
    moved_bh: float = 0.35  # who has moved this far is not furniture
    standing_score: float = 0.6  # nor is who scores this on average
    colour_min: float = 0.6  # likeness of clothes that lets a lost track be found again
    noise_bh: float = 0.05  # detector's scatter of centre and size
    agility_bh: float = 1.0  # white acceleration of the centre, bh/s^2/sqrt(Hz)
    growth_bh: float = 0.15  # and of the size


@dataclass(slots=True)
class _Rows:
    """The live tracks, one row each. `at` is (cx, cy, w, h); `spread` the two covariances (position, size) as
    (p, pv, v), in body heights and seconds."""

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

    @staticmethod
    def none() -> _Rows:
        i, f, f4 = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4))
        no, colour = np.zeros(0, bool), np.zeros((0, COLOURS))
        return _Rows(i, f4, f4, np.zeros((0, 2, 3)), f, f, i, no, f, f, f4, f, colour)

    def __len__(self) -> int:
        return len(self.id)

    def keep(self, rows: Flags) -> _Rows:
        return _Rows(*(getattr(self, f.name)[rows] for f in fields(self)))

    def plus(self, more: _Rows) -> _Rows:
        both = ((getattr(self, f.name), getattr(more, f.name)) for f in fields(self))
        return _Rows(*(np.concatenate(pair) for pair in both))

    def boxes(self) -> Floats:
        half = self.at[:, 2:] / 2
        return np.concatenate([self.at[:, :2] - half, self.at[:, :2] + half], axis=1)


class Tracker:
    """Detections in, tracks out, one call a frame; frames must come in the order of their monotonic time."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._set = settings or TrackerSettings()
        self._rows = _Rows.none()
        self._next_id = 1
        self._now: float | None = None

    def update(self, detections: Sequence[Detection], frame: Frame) -> tuple[Track, ...]:
        """All live tracks after this frame, in the order of their birth."""
        found = [d for d in detections if d.score >= self._set.score_low]
        boxes = np.array([geometry.corners(d.box) for d in found]).reshape(-1, 4)
        scores = np.array([d.score for d in found])
        self._predict(frame.monotonic_s)
        rows, columns = self._associate(boxes, scores, frame.pixels)
        self._correct(rows, boxes[columns], scores[columns], frame.monotonic_s)
        self._paint(rows, boxes, columns, scores, frame.pixels)
        self._spawn(boxes, scores, columns, frame)
        self._prune(frame)
        return self._tracks()

    def _predict(self, now: float) -> None:
        """Constant velocity with white acceleration over the time that really passed."""
        dt = max(now - self._now, 1e-3) if self._now is not None else 0.0
        self._now = now
        r = self._rows
        r.at[:] += r.speed * dt
        p, pv, v = r.spread[..., 0], r.spread[..., 1], r.spread[..., 2]
        q = np.array([self._set.agility_bh**2, self._set.growth_bh**2])
        p += dt * (2 * pv + dt * v) + q * dt**3 / 3
        pv += dt * v + q * dt**2 / 2
        v += q * dt
        np.maximum(r.at[:, 2:], 1.0, out=r.at[:, 2:])

    def _associate(self, boxes: Floats, scores: Floats, pixels: Pixels) -> tuple[Ints, Ints]:
        """Three rounds; each takes from what the rounds before have left."""
        r, s = self._rows, self._set
        if not len(r) or not len(boxes):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        unseen_s = (self._now or 0.0) - r.seen_s
        fresh = unseen_s <= s.fresh_s
        good = scores >= s.score_high
        person = r.confirmed & ((r.moved >= s.moved_bh) | (r.mean_score >= s.standing_score))
        cost = self._cost(boxes, unseen_s)
        match = np.full(len(r), -1)
        for who, what in ((fresh, good), (fresh & person, ~good)):
            _take(match, np.where(who[:, None] & what[None, :], cost, np.inf))
        lost = ~fresh & r.confirmed
        if lost.any():
            _take(
                match,
                self._likeness_gate(np.where(lost[:, None] & good[None, :], cost, np.inf), boxes, pixels),
            )
        rows = np.flatnonzero(match >= 0)
        return rows, match[rows]

    def _cost(self, boxes: Floats, unseen_s: Floats) -> Floats:
        """Overlap, distance and change of size, each about 0..1; infinite for an impossible pair."""
        r, s = self._rows, self._set
        size = boxes[:, 2:] - boxes[:, :2]
        centre = (boxes[:, 2:] + boxes[:, :2]) / 2
        height = r.at[:, 3:4]
        step = centre[None] - r.at[:, None, :2]
        distance = np.hypot(step[..., 0], step[..., 1]) / height
        scale = np.abs(np.log(np.maximum(size[None, :, 1], 1.0) / height))
        overlap = geometry.iou(r.boxes(), boxes)
        reach = np.minimum(s.reach_bh + s.reach_bh_per_s * unseen_s, s.reach_bh_max)[:, None]
        cost = (1 - overlap) + distance + scale
        return np.where((distance <= reach) & (scale <= np.log(s.scale_max)), cost, np.inf)

    def _likeness_gate(self, cost: Floats, boxes: Floats, pixels: Pixels) -> Floats:
        """A lost track is found again only in similar clothes."""
        r = self._rows
        columns = np.flatnonzero(np.isfinite(cost).any(axis=0))
        if not len(columns):
            return cost
        colours = np.array([clothes(pixels, boxes[j]) for j in columns])
        like = r.colour @ colours.T
        other = (like < self._set.colour_min) & (r.colour.sum(axis=1) > 0)[:, None]
        cost[:, columns] = np.where(other, np.inf, cost[:, columns] + 1 - like)
        return cost

    def _correct(self, rows: Ints, boxes: Floats, scores: Floats, now: float) -> None:
        """Kalman's update. x and y scatter alike, and so do w and h: each pair has one gain."""
        r, s = self._rows, self._set
        if not len(rows):
            return
        seen = _centred(boxes)
        noise = s.noise_bh**2 * np.where(scores < s.score_high, 4.0, 1.0)[:, None]
        p, pv, v = (r.spread[rows, :, i] for i in range(3))
        k_at, k_speed = p / (p + noise), pv / (p + noise)
        r.spread[rows] = np.stack([p * (1 - k_at), pv * (1 - k_at), v - k_speed * pv], axis=2)
        off = seen - r.at[rows]
        r.at[rows] += np.repeat(k_at, 2, axis=1) * off
        r.speed[rows] += np.repeat(k_speed, 2, axis=1) * off
        r.hits[rows] += 1
        r.score[rows] = scores
        r.mean_score[rows] += (scores - r.mean_score[rows]) / np.minimum(r.hits[rows], 30)
        r.seen_s[rows] = now
        away = np.linalg.norm(r.at[rows, :2] - r.born_at[rows, :2], axis=1) / r.at[rows, 3]
        r.moved[rows] = np.maximum(r.moved[rows], away)
        r.confirmed |= (r.hits >= s.confirm_hits) & (r.seen_s - r.born_s >= s.confirm_s)

    def _paint(self, rows: Ints, boxes: Floats, columns: Ints, scores: Floats, pixels: Pixels) -> None:
        """Learn the colour of clothes, only from people whom nobody overlaps."""
        r, s = self._rows, self._set
        if not len(rows):
            return
        clear = (geometry.iou(boxes[columns], r.boxes()) > 0.05).sum(axis=1) <= 1
        for i, j in zip(rows[clear], columns[clear], strict=True):
            if scores[j] >= s.score_high and (r.hits[i] % 4 == 2 or not r.colour[i].any()):
                fresh = clothes(pixels, boxes[j])
                r.colour[i] = fresh if not r.colour[i].any() else _unit(0.7 * r.colour[i] + 0.3 * fresh)

    def _spawn(self, boxes: Floats, scores: Floats, taken: Ints, frame: Frame) -> None:
        """Every good detection that nobody took and that covers no track seen now may be a new person."""
        free = scores >= self._set.score_high
        free[taken] = False
        new = np.flatnonzero(free)
        if len(new) and len(self._rows):
            seen = self._rows.boxes()[self._rows.seen_s == frame.monotonic_s]
            new = new[~(geometry.iou(boxes[new], seen) > 0.5).any(axis=1)]
        if not len(new):
            return
        n, at = len(new), _centred(boxes[new])
        s = self._set
        spread = np.tile(np.array([[s.noise_bh**2, 0, 1.0], [s.noise_bh**2, 0, 0.04]]), (n, 1, 1))
        now = np.full(n, frame.monotonic_s)
        born = _Rows(
            id=np.arange(self._next_id, self._next_id + n),
            at=at,
            speed=np.zeros((n, 4)),
            spread=spread,
            score=scores[new],
            mean_score=scores[new],
            hits=np.ones(n, np.int64),
            confirmed=np.zeros(n, bool),
            born_s=now,
            seen_s=now.copy(),
            born_at=at.copy(),
            moved=np.zeros(n),
            colour=np.zeros((n, COLOURS)),
        )
        self._next_id += n
        self._rows = self._rows.plus(born)

    def _prune(self, frame: Frame) -> None:
        """Forget who has been away too long, or has walked out of the picture."""
        r, s = self._rows, self._set
        unseen_s = frame.monotonic_s - r.seen_s
        width, height = frame.size
        outside = (r.at[:, 0] < 0) | (r.at[:, 0] > width) | (r.at[:, 1] < 0) | (r.at[:, 1] > height)
        limit = np.where(r.confirmed, np.where(outside, s.fresh_s, s.memory_s), s.tentative_s)
        alive = unseen_s <= limit
        if not alive.all():
            self._rows = r.keep(alive)

    def _tracks(self) -> tuple[Track, ...]:
        r = self._rows
        columns = (r.id, r.score, r.confirmed, r.seen_s == self._now, r.born_s, r.seen_s)
        rows = zip(r.boxes().tolist(), *(c.tolist() for c in columns), strict=True)
        return tuple(
            Track(i, Box(*b), score, sure, seen, born, last) for b, i, score, sure, seen, born, last in rows
        )


def _take(match: NDArray[np.int64], cost: Floats) -> None:
    """Fill `match` with the cheapest finite pairs, each row and column at most once, cheapest first.

    Pairs that are the best of both their row and their column are what a greedy pass would take next, so all
    of them can be taken at once.
    """
    cost[match >= 0] = np.inf
    cost[:, match[match >= 0]] = np.inf
    while np.isfinite(cost).any():
        best = cost.argmin(axis=1)
        rows = np.arange(len(cost))
        mutual = (cost.argmin(axis=0)[best] == rows) & np.isfinite(cost[rows, best])
        match[mutual] = best[mutual]
        cost[mutual] = np.inf
        cost[:, best[mutual]] = np.inf


def _centred(boxes: Floats) -> Floats:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


# The colour of clothes: a histogram of 4 x 4 x 4 colours for the upper and for the lower half of a person.
COLOURS = 128
_GRID_X = np.linspace(0.25, 0.75, 10)
_GRID_Y = np.linspace(0.12, 0.92, 20)
_HALF = np.repeat(np.array([0, 64]), 10)[:, None]


def clothes(pixels: Pixels, box: Floats) -> Floats:
    """(COLOURS,) square roots of the colour shares: a dot product is Bhattacharyya's coefficient."""
    height, width = pixels.shape[:2]
    x = np.clip(box[0] + (box[2] - box[0]) * _GRID_X, 0, width - 1).astype(np.intp)
    y = np.clip(box[1] + (box[3] - box[1]) * _GRID_Y, 0, height - 1).astype(np.intp)
    level = pixels[y[:, None], x].astype(np.intp) >> 6
    bins = level[..., 0] * 16 + level[..., 1] * 4 + level[..., 2] + _HALF
    return _unit(np.sqrt(np.bincount(bins.ravel(), minlength=COLOURS)))


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
