"""Random counting lines over every sequence whose people are marked, counted by the daemon's own pipeline.

python -m tests.bench.lines                      60 lines a sequence, seed 1
python -m tests.bench.lines --seed 2 --degraded  other lines; worse recordings too
python -m tests.bench.lines --remember FILE      the detector looks at each picture once, ever

The truth is that of the marked boxes, by a rule of its own (see `truth`). Where that rule leaves room - a
path that passes a line's very end, somebody who only dips over it - the event may be counted or not.

All lines share the detections of the whole picture; with --near each line has its own near view as in the
daemon, which takes an hour of inference.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edge.core import geometry
from edge.core.geometry import Floats
from edge.core.values import Crossing, Frame, Line, Moment, Scene
from edge.pipeline import Pipeline
from edge.ports import Detector
from tests.bench import seen
from tests.bench.clips import AS_IT_IS, DEGRADED, SHARED, Clip, Variant, load

CLEAR_BH = 0.12  # nearer to the line than this, a foot is on neither side
END_BH = 0.4  # nearer to a line's end than this, inside or outside, a crossing may count or not
DEPTH_BH = 0.4  # who goes less deep than this beyond the line, and comes back, may count or not
MARGIN, LENGTH = 0.08, (0.15, 0.45)  # shares of the picture: where lines are drawn, and how long
HIDDEN_FRAMES = 40  # who is not marked for longer than this is not the same person
WALKED = 2  # a line that fewer people cross tells nothing
SAME_IOU = 0.4  # a track follows a person whose box it overlaps by this much
NEAR_S = 1.5  # what happened around an event is looked up this far before and after it


@dataclass(frozen=True, slots=True)
class Person:
    """One marked person: the frames, from 0 and without gaps, and a box in each."""

    id: int
    first: int
    boxes: Floats

    @property
    def heights(self) -> Floats:
        return np.asarray(self.boxes[:, 3] - self.boxes[:, 1])

    def box(self, frame: int) -> Floats | None:
        nth = frame - self.first
        return np.asarray(self.boxes[nth]) if 0 <= nth < len(self.boxes) else None


@dataclass(frozen=True, slots=True)
class Event:
    """A crossing. `who` is the person in the truth and the track in what was counted. Who stands on the line
    crosses it at any time between `since` and `until`."""

    frame: int
    kind: str
    who: int
    since: int
    until: int
    sure: bool = True

    def away(self, other: Event) -> int:
        """How many frames before or after this one's time the other one is."""
        return max(self.since - other.frame, other.frame - self.until, 0)


@dataclass(frozen=True, slots=True)
class Wrong:
    """One error of one line."""

    line: str
    error: str
    frame: int
    kind: str
    who: int
    cause: str


def people(truth: Path, size: tuple[int, int]) -> list[Person]:
    """The people of a MOTChallenge file. Frames that nobody marked between two marked ones are filled in, and
    who vanishes in the middle of the picture and soon comes up nearby is one person, hidden for a while."""
    rows = np.loadtxt(truth, delimiter=",")[:, :6]
    rows[:, 0] -= 1
    rows[:, 4:] += rows[:, 2:4]
    parts = [rows[rows[:, 1] == who] for who in np.unique(rows[:, 1])]
    walks: list[Floats] = []
    for part in sorted((one[np.argsort(one[:, 0])] for one in parts), key=lambda one: one[0, 0]):
        earlier = [nth for nth, walk in enumerate(walks) if _goes_on(walk[-1], part[0], size)]
        if earlier:
            walks[earlier[0]] = np.concatenate([walks[earlier[0]], part])
        else:
            walks.append(part)
    return [_person(walk) for walk in walks]


def _goes_on(last: Floats, first: Floats, size: tuple[int, int]) -> bool:
    """Is the mark `first` that of the person last marked as `last`?"""
    near = np.abs(first[2:] - last[2:]).max() < last[5] - last[3]
    edge = MARGIN * np.array([*size, *size])
    inside = all(
        (mark[2:] > edge).all() and (mark[2:] < (*size, *size) - edge).all() for mark in (last, first)
    )
    return bool(1 < first[0] - last[0] <= HIDDEN_FRAMES and near and inside)


def _person(walk: Floats) -> Person:
    frames = np.arange(walk[0, 0], walk[-1, 0] + 1)
    boxes = np.stack([np.interp(frames, walk[:, 0], walk[:, column]) for column in range(2, 6)], axis=1)
    return Person(int(walk[0, 1]), int(frames[0]), boxes)


def truth(line: Line, person: Person) -> Iterator[Event]:
    """The crossings of one person's feet and one line in pixels.

    Sure is: the feet were clearly on one side, then clearly on the other, deep enough on both, and changed
    sides for the last time well within the line's segment. Every other change of sides at the segment or near
    its ends may count, and so may the first steps of who appears on the line.
    """
    feet = [((x1 + x2) / 2, y2) for x1, _, x2, y2 in person.boxes.tolist()]
    off = np.array([geometry.signed_distance(line, foot) for foot in feet]) / person.heights
    clear = np.flatnonzero(np.abs(off) > CLEAR_BH)
    stays = np.split(clear, np.flatnonzero(np.diff(np.sign(off[clear]))) + 1)
    cuts = np.flatnonzero((off[:-1] < 0) != (off[1:] < 0)).tolist()
    deep: dict[int, tuple[int, int]] = {}
    for before, after in pairwise(stays):
        if min(np.abs(off[before]).max(), np.abs(off[after]).max()) >= DEPTH_BH:
            held = int(before[-1]), int(after[0])
            deep[max(cut for cut in cuts if held[0] <= cut < held[1])] = held
    for cut in cuts:
        part = off[cut] / (off[cut] - off[cut + 1])
        x, y = (a + part * (b - a) for a, b in zip(feet[cut], feet[cut + 1], strict=True))
        along, height = geometry.along(line, (x, y)), person.heights[cut]
        beyond_end = max(-along, along - geometry.length(line)) / height
        if beyond_end < END_BH:
            sure = bool(cut in deep and beyond_end < -END_BH)
            since, until = (person.first + nth for nth in deep.get(cut, (cut, cut)))
            yield Event(person.first + cut, _kind(off[cut + 1]), person.id, since, until, sure)
    if len(clear) and clear[0] > 0:
        yield Event(person.first, _kind(off[clear[0]]), person.id, person.first, person.first, sure=False)


def _kind(off: float) -> str:
    return "entry" if off > 0 else "exit"


def drawn(crowd: Sequence[Person], size: tuple[int, int], seed: int, wanted: int) -> list[Line]:
    """Lines anywhere in the picture, of any direction, that at least WALKED people surely cross."""
    chance, lines = random.Random(seed), list[Line]()
    while len(lines) < wanted:
        x, y = (chance.uniform(MARGIN, 1 - MARGIN) for _ in range(2))
        angle, length = chance.uniform(0, 2 * np.pi), chance.uniform(*LENGTH)
        end = x + length * np.cos(angle), y + length * np.sin(angle) * size[0] / size[1]
        inside = x - np.sin(angle), y + np.cos(angle) * size[0] / size[1]
        if all(MARGIN <= value <= 1 - MARGIN for value in end):
            line = Line(f"line-{len(lines)}", (x, y), end, inside)
            if sum(event.sure for event in true_events(line, crowd, size)) >= WALKED:
                lines.append(line)
    return lines


def true_events(line: Line, crowd: Sequence[Person], size: tuple[int, int]) -> list[Event]:
    return [event for person in crowd for event in truth(line.scaled(*size), person)]


@dataclass(slots=True)
class Watch:
    """Some lines being counted by one pipeline: their events, and whom each track followed when."""

    pipeline: Pipeline
    found: dict[str, list[Event]]
    followed: dict[int, dict[int, int]]  # track -> frame -> person, 0 for nobody

    @classmethod
    def over(cls, lines: Sequence[Line], detector: Detector) -> Watch:
        pipeline = Pipeline(Scene("bench", tuple(lines)), detector)
        return cls(pipeline, defaultdict(list), defaultdict(dict))

    def look(self, frame: Frame, ids: Sequence[int], boxes: Floats) -> None:
        """One frame, and the marked people in it."""
        self.add(self.pipeline.step(frame))
        tracks = [track for track in self.pipeline.tracks if track.seen]
        mine = np.array([geometry.corners(track.box) for track in tracks]).reshape(-1, 4)
        overlap = np.pad(geometry.iou(mine, boxes), ((0, 0), (0, 1)), constant_values=SAME_IOU)
        for track, nearest in zip(tracks, overlap.argmax(axis=1).tolist(), strict=True):
            self.followed[track.id][frame.index] = [*ids, 0][nearest]

    def add(self, events: Sequence[object]) -> None:
        for e in events:
            if isinstance(e, Crossing):
                self.found[e.line].append(Event(e.at.frame, e.kind.value, e.track, e.at.frame, e.at.frame))


def watch(clip: Clip, variant: Variant, crowd: Sequence[Person], watches: Sequence[Watch]) -> None:
    """The whole sequence, each frame decoded once for all."""
    last = Moment(0, 0.0, 0.0)
    for frame in variant.frames(clip.path):
        here = [(person.id, box) for person in crowd if (box := person.box(frame.index)) is not None]
        boxes = np.array([box for _, box in here]).reshape(-1, 4)
        for one in watches:
            one.look(frame, [who for who, _ in here], boxes)
        last = frame.at
    for one in watches:
        one.add(one.pipeline.close(last))


def matched(
    true: Sequence[Event], found: Sequence[Event], tolerance: float
) -> tuple[list[Event], list[Event]]:
    """What was missed and what is too much: each true event, the sure ones first, takes the nearest found one
    of its kind within the tolerance."""
    missed, left = [], list(found)
    for event in sorted(true, key=lambda one: (not one.sure, one.frame)):
        near = [e for e in left if e.kind == event.kind and event.away(e) <= tolerance]
        if near:
            left.remove(min(near, key=event.away))
        elif event.sure:
            missed.append(event)
    return missed, left


def why_missed(event: Event, one: Watch, near: int) -> str:
    """What the tracks around a missed crossing look like."""
    tracks = [
        (frame, track)
        for track, frames in one.followed.items()
        for frame, who in frames.items()
        if who == event.who and abs(frame - event.frame) <= near
    ]
    before = {track for frame, track in tracks if frame <= event.frame}
    after = {track for frame, track in tracks if frame > event.frame}
    if not before or not after:
        return "hidden or not seen"
    if not before & after:
        return "track broken at the line"
    through = one.followed[min(before & after)]
    others = {who for frame, who in through.items() if abs(frame - event.frame) <= near} - {0, event.who}
    return "track shared with another person" if others else "seen, and not counted"


def why_extra(event: Event, one: Watch, true: Sequence[Event], near: int) -> str:
    """Whom the track that was counted too much has followed."""
    around = Counter(
        who for frame, who in one.followed[event.who].items() if abs(frame - event.frame) <= near
    )
    whom = {who for who in around if who}
    if not whom:
        return "nobody is marked there"
    if len(whom) > 1:
        return "track shared with another person"
    same = [
        e for e in true if e.who in whom and e.kind == event.kind and abs(e.frame - event.frame) <= 4 * near
    ]
    return "counted twice, or far off in time" if same else "has not crossed"


def judged(line: Line, true: Sequence[Event], one: Watch, tolerance: float, near: int) -> list[Wrong]:
    """The errors of one line."""
    missed, extra = matched(true, one.found[line.id], tolerance)
    return [
        *(Wrong(line.id, "missed", e.frame, e.kind, e.who, why_missed(e, one, near)) for e in missed),
        *(Wrong(line.id, "extra", e.frame, e.kind, e.who, why_extra(e, one, true, near)) for e in extra),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, default=SHARED / "data/clips.json")
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--degraded", action="store_true")
    parser.add_argument("--near", action="store_true", help="a look of its own around each line, as shipped")
    parser.add_argument("--only", help="the sequence whose name begins so")
    parser.add_argument("--remember", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.clips.exists():
        print(f"no reference clips at {args.clips}: set EDGED_SHARED or give --clips")
        return 2
    detector = seen.detector(args.remember)
    sequences = {clip.path: clip for clip in load(args.clips) if clip.boxes}
    results = []
    for clip in sequences.values():
        if not clip.path.stem.startswith(args.only or ""):
            continue
        for variant in (AS_IT_IS, *(DEGRADED if args.degraded else ())):
            results.append(run(clip, variant, args, detector))
            show(results[-1])
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


def run(clip: Clip, variant: Variant, args: argparse.Namespace, detector: Detector) -> dict[str, Any]:
    """All lines of one sequence and variant."""
    assert clip.boxes is not None
    first, second = (frame for frame, _ in zip(AS_IT_IS.frames(clip.path), range(2), strict=False))
    crowd = people(clip.boxes, first.size)
    lines = drawn(crowd, first.size, args.seed, args.lines)
    crowd = [turned(person, clip.length) for person in crowd] if variant.backwards else crowd
    true = [true_events(line, crowd, first.size) for line in lines]
    lines = list(variant.of(replace(clip, scene=Scene("bench", tuple(lines)))).scene.lines)
    height, width = variant.pixels(first.pixels).shape[:2]
    crowd = [placed(person, variant, first.size, (width, height)) for person in crowd]
    together = Watch.over(lines, detector)  # so far apart that there is no near view of them
    watches = [Watch.over([line], detector) if args.near else together for line in lines]
    watch(clip, variant, crowd, watches if args.near else [together])
    near = round(NEAR_S / (second.monotonic_s - first.monotonic_s))
    rows = zip(lines, true, watches, strict=True)
    wrong = [error for line, events, one in rows for error in judged(line, events, one, clip.tolerance, near)]
    return {
        "sequence": clip.path.stem,
        "variant": variant.name,
        "seed": args.seed,
        "lines": args.lines,
        "near": args.near,
        "events": sum(event.sure for events in true for event in events),
        "may": sum(not event.sure for events in true for event in events),
        "missed": sum(error.error == "missed" for error in wrong),
        "extra": sum(error.error == "extra" for error in wrong),
        "wrong": [asdict(error) for error in wrong],
    }


def turned(person: Person, length: int) -> Person:
    """Where the recording shows them when it is played backwards."""
    last = person.first + len(person.boxes) - 1
    return replace(person, first=length - 1 - last, boxes=person.boxes[::-1])


def placed(person: Person, variant: Variant, size: tuple[int, int], shown: tuple[int, int]) -> Person:
    """Where the variant shows them: marked in a picture of `size` pixels, and shown in one of `shown`."""
    corners = (person.boxes.reshape(-1, 2) / size).tolist()
    moved = np.array([variant.place((x, y)) for x, y in corners]).reshape(-1, 2, 2) * shown
    return replace(person, boxes=np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1))


def show(result: dict[str, Any]) -> None:
    events, wrong = result["events"], result["missed"] + result["extra"]
    print(
        f"\n{result['sequence']}, {result['variant']}: {result['lines']} lines of seed {result['seed']}, "
        f"{events} events and {result['may']} that may count: {result['missed']} missed, "
        f"{result['extra']} extra, {wrong / events:.1%} wrong"
    )
    causes = Counter((error["error"], error["cause"]) for error in result["wrong"])
    for (error, cause), times in causes.most_common():
        print(f"{times:>6}  {error:<7} {cause}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
