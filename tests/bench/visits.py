"""Visits from portraits: people rendered as they walk up to a door, through the whole real pipeline.

    python tests/bench/visits.py DIR [--people 20] [--seed 1] [--unseen 0.1] [--json]

DIR holds person/picture files. Each person's pictures are split: some for the way in, the others for the way
out. Faces grow from 48 to 160 pixels, with blur, changing light and noise; ways in and out are interleaved,
some at the same time; some people leave unseen. Reported: counts, pairing recall and precision, dwell error
before rounding, and what 500 visitors an hour would give by simulation over the scores measured here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.adapters import keys, tflite
from edge.adapters.facestore import FaceStore
from edge.core.facehash import Floats, Scheme, weighed
from edge.core.values import Anchor, Crossing, Frame, Kind, Line, Moment, Pixels, Scene
from edge.core.visits import Ended, OpenVisits, Probe, ReleaseRules, VisitRules
from edge.pipeline import Pipeline
from edge.visit.faces import Faces
from edge.visit.tier import BITS_PER_DIMENSION, EMBEDDER_MODEL, FACE_MODEL, FINDER_MODEL, shuffle
from edge.visit.visitors import Passer, Visitors
from tests.privacy import SCHEME, people, project, seen_again

WIDTH, HEIGHT, FPS = 960, 540, 10.0
WALK_S, SIZES_PX = 4.0, (48.0, 160.0)
DOOR = Line("door", (0.5, 0.0), (0.5, 1.0), inside=(1.0, 0.5), anchor=Anchor.CENTRE)
COSINES = np.linspace(-0.4, 1, 29)
NEAR_S = 0.5  # between a walk's crossing and the line's; of two who cross closer together one is hidden
PICTURES = {".pgm", ".png", ".jpg", ".jpeg", ".bmp"}


@dataclass(frozen=True)
class Walk:
    """One way through the door, from `begin_s` on; `height` is where in the picture, as a fraction of it."""

    person: str
    kind: Kind
    begin_s: float
    height: float
    pictures: Sequence[Pixels]

    @property
    def cross_s(self) -> float:
        return self.begin_s + WALK_S / 2


def portraits(folder: Path, people: int) -> dict[str, list[Pixels]]:
    found: dict[str, list[Pixels]] = {}
    for path in sorted(path for path in folder.glob("*/*") if path.suffix.lower() in PICTURES):
        found.setdefault(path.parent.name, []).append(np.asarray(cv2.imread(str(path)), np.uint8))
    return dict(list(found.items())[:people])


def schedule(
    faces: dict[str, list[Pixels]], unseen: float, rng: np.random.Generator
) -> tuple[list[Walk], dict[str, float]]:
    """Everyone comes in once in half an hour, and most leave 1 to 25 minutes later; the dwell of those."""
    walks, dwells = [], {}
    for person, pictures in faces.items():
        order = rng.permutation(len(pictures))
        ways = [[pictures[i] for i in order[part::2]] for part in (0, 1)]
        enters_s = float(rng.uniform(0, 1800))
        walks.append(Walk(person, Kind.ENTRY, enters_s, 0.3, ways[0]))
        if rng.random() >= unseen:
            dwells[person] = float(rng.uniform(60, 1500))
            walks.append(Walk(person, Kind.EXIT, enters_s + dwells[person], 0.72, ways[1]))
    return sorted(walks, key=lambda walk: walk.begin_s), dwells


def moments(walks: Sequence[Walk]) -> Iterator[float]:
    """The times worth rendering: the walks, and a little after each so that tracks can end."""
    now_s = 0.0
    last_s = max(walk.begin_s for walk in walks) + WALK_S + 4
    while now_s < last_s:
        if any(walk.begin_s <= now_s <= walk.begin_s + WALK_S for walk in walks):
            yield now_s
            now_s += 1 / FPS
        elif any(walk.begin_s <= now_s <= walk.begin_s + WALK_S + 4 for walk in walks):
            yield now_s
            now_s += 0.5
        else:
            later = [walk.begin_s for walk in walks if walk.begin_s > now_s]
            now_s = min(later, default=last_s)


def picture(walks: Sequence[Walk], now_s: float, wall: Pixels, rng: np.random.Generator) -> Pixels:
    canvas = wall.astype(np.float32)
    for walk in walks:
        part = (now_s - walk.begin_s) / WALK_S
        if 0 <= part <= 1:
            draw(canvas, walk, part, rng)
    canvas *= rng.uniform(0.9, 1.1)
    canvas += rng.normal(0, 4, (*canvas.shape[:2], 1))
    return np.clip(canvas, 0, 255).astype(np.uint8)


def draw(canvas: NDArray[np.float32], walk: Walk, part: float, rng: np.random.Generator) -> None:
    """A portrait with soft edges. A new picture of the set every half second: pose and face change."""
    shown = walk.pictures[int(part * WALK_S / 0.5) % len(walk.pictures)]
    height = round(SIZES_PX[0] + part * (SIZES_PX[1] - SIZES_PX[0]))
    face = cv2.resize(shown, (round(height * 92 / 112), height), interpolation=cv2.INTER_AREA)
    face = cv2.GaussianBlur(face, (0, 0), rng.uniform(0.3, 1.2)) * rng.uniform(0.75, 1.25)
    share = part if walk.kind is Kind.ENTRY else 1 - part
    x, y = (0.15 + 0.7 * share) * WIDTH, walk.height * HEIGHT + 4 * np.sin(6 * part * WALK_S)
    left, top = round(x - face.shape[1] / 2), round(y - height / 2)
    cv2.ellipse(
        canvas, ((x, y + 1.25 * height), (2 * height, 1.9 * height), 0), (60, 55, 50), -1
    )  # shoulders
    neck = round(x - 0.2 * height), round(y + 0.2 * height), round(0.4 * height), round(0.4 * height)
    cv2.rectangle(canvas, neck, (150, 150, 150), -1)
    mask: NDArray[np.float32] = np.zeros(face.shape[:2], np.float32)
    centre, axes = (face.shape[1] // 2, height // 2), (int(face.shape[1] * 0.46), int(height * 0.48))
    cv2.ellipse(mask, (centre, (2 * axes[0], 2 * axes[1]), 0), 1.0, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), max(1.0, height / 40)), np.float32)[..., None]
    y1, x1 = max(0, top), max(0, left)
    y2, x2 = min(HEIGHT, top + height), min(WIDTH, left + face.shape[1])
    cut = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    canvas[y1:y2, x1:x2] += mask[cut] * (face[cut] - canvas[y1:y2, x1:x2])


class Noted(OpenVisits):
    """Open visits with a note of every link, as (entered_s, left_s)."""

    links: list[tuple[float, float]]

    def leave(self, probes: Sequence[Probe]) -> tuple[Ended, ...]:
        ended = super().leave(probes)
        self.links += [(probes[0].at_s - one.visit.dwell_s, probes[0].at_s) for one in ended]
        return ended


class Watched(Visitors):
    """The visitors of the door, with a note of every link and every template; for the bench only."""

    def __init__(self, threshold: float, embedder: tflite.Embedder) -> None:
        dimensions = len(embedder.mean)
        scheme = Scheme("bench", embedder.sha256, dimensions, BITS_PER_DIMENSION * dimensions, "main")
        ring = keys.open_ring({}, "main", lambda name, fd: None)
        store = partial(FaceStore, None, words=scheme.bits // 64)
        super().__init__(ring, store, scheme, VisitRules(threshold), ReleaseRules(fine=True), shuffle, 0.0)
        self._visits = Noted(VisitRules(threshold), scheme.bits // 64)
        self.links: list[tuple[float, float]] = []
        self._visits.links = self.links
        self.templates: dict[tuple[Kind, float], Floats | None] = {}

    def _note(self, kind: Kind, passer: Passer) -> None:
        """A copy: the template itself is wiped once it is hashed."""
        self.templates[kind, passer.at_s] = None if passer.template is None else passer.template.copy()

    def entered(self, passer: Passer) -> None:
        self._note(Kind.ENTRY, passer)
        super().entered(passer)

    def left(self, passers: Sequence[Passer]) -> None:
        for passer in passers:
            self._note(Kind.EXIT, passer)
            super().left([passer])


def parts(threshold: float | None) -> tuple[Watched, Faces]:
    """The face stage as the daemon makes it; `threshold` in bits, or the manifest's."""
    directory = tflite.models_dir()
    embedder = tflite.Embedder(directory, EMBEDDER_MODEL)
    spec = tflite.manifest(directory)[EMBEDDER_MODEL]
    watched = Watched(threshold or spec.thresholds["hash"], embedder)
    finder, detector = (tflite.FaceDetector(directory, name) for name in (FINDER_MODEL, FACE_MODEL))
    return watched, Faces(finder, detector, embedder, watched)


def run(walks: Sequence[Walk], seed: int, threshold: float | None) -> tuple[Watched, list[Crossing], float]:
    """All frames through the pipeline. Returns the notes, the crossings, and the CPU seconds a frame."""
    watched, faces = parts(threshold)
    pipeline = Pipeline(Scene("door", (DOOR,)), tflite.PersonDetector(tflite.models_dir()), faces)
    rng = np.random.default_rng(seed)
    wall = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    wall = np.asarray(cv2.GaussianBlur(wall + rng.integers(0, 60, wall.shape, np.uint8), (0, 0), 9), np.uint8)
    crossings, spent_s, frames, at = [], 0.0, 0, Moment(0, 0.0, 0.0)
    for index, now_s in enumerate(moments(walks)):
        pixels = picture(walks, now_s, wall, rng)
        began_s = time.process_time()
        events = pipeline.step(Frame("door", index, now_s, now_s, pixels))
        spent_s, frames = spent_s + time.process_time() - began_s, frames + 1
        crossings += [event for event in events if isinstance(event, Crossing)]
        watched.tick(now_s)
        at = Moment(index, now_s, now_s)
    pipeline.close(at)
    return watched, crossings, spent_s / frames


def whose(walks: Sequence[Walk], entered_s: float, left_s: float) -> str | None:
    """The person who came in and went out at these two times, if it is one."""
    came, gone = (
        {walk.person for walk in walks if walk.kind is kind and abs(walk.cross_s - at_s) < NEAR_S}
        for kind, at_s in ((Kind.ENTRY, entered_s), (Kind.EXIT, left_s))
    )
    return min(came & gone, default=None)


def judge(walks: Sequence[Walk], dwells: dict[str, float], watched: Watched) -> dict[str, object]:
    right, errors_s = set(), []
    for entered_s, left_s in watched.links:
        person = whose(walks, entered_s, left_s)
        if person:
            right.add(person)
            errors_s.append(abs((left_s - entered_s) - dwells[person]))
    return {
        "visits": len(dwells),
        "linked": len(watched.links),
        "recall": round(len(right) / len(dwells), 4),
        "precision": round(len(right) / len(watched.links), 4) if watched.links else None,
        "dwell_error_s_max": round(max(errors_s), 2) if errors_s else None,
    }


def scores(walks: Sequence[Walk], watched: Watched) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines between entry and exit templates: of the same person, and of different people. Of two who cross
    together nobody can say whose face it was: they are left out."""
    named: dict[Kind, dict[str, NDArray[np.float32]]] = {Kind.ENTRY: {}, Kind.EXIT: {}}
    for (kind, at_s), template in watched.templates.items():
        near = [walk for walk in walks if walk.kind is kind and abs(walk.cross_s - at_s) < 2 * NEAR_S]
        if len(near) == 1 and template is not None:
            named[kind][near[0].person] = template
    pairs = [
        (a == b, float(x @ y)) for a, x in named[Kind.ENTRY].items() for b, y in named[Kind.EXIT].items()
    ]
    return np.array([s for same, s in pairs if same]), np.array([s for same, s in pairs if not same])


def busy(
    mated: NDArray[np.float64],
    others: NDArray[np.float64],
    usable: float,
    threshold: float,
    rng: np.random.Generator,
    visitors_per_hour: int = 500,
    hours: int = 10,
) -> dict[str, object]:
    """Many visitors, by drawing scores, with the code's noise; dwells log-normal, 12 min."""
    count = visitors_per_hour * hours
    enters = np.sort(rng.uniform(0, hours * 3600, count))
    leaves = enters + np.minimum(rng.lognormal(np.log(720), 0.8, count), 7200)
    seen_in, seen_out = rng.random(count) < usable, rng.random(count) < usable
    inside = {int(i): float(enters[i]) for i in np.flatnonzero(seen_in)}
    off = noise(rng)
    right = wrong = 0
    for who_leaves in np.argsort(leaves):
        if not seen_out[who_leaves]:
            continue
        now = leaves[who_leaves]
        for gone in [i for i, entered in inside.items() if now - entered > 7200]:
            del inside[gone]
        there = np.array([i for i, entered in inside.items() if entered < now - 5], int)
        if not len(there):
            continue
        cosines = rng.choice(others, len(there))
        cosines[there == who_leaves] = rng.choice(mated)
        rows = np.abs(cosines[:, None] - COSINES).argmin(axis=1)
        distances = expected(cosines) + off[rows, rng.integers(off.shape[1], size=len(rows))]
        nearest = int(distances.argmin())
        if distances[nearest] <= threshold:
            del inside[int(there[nearest])]
            right, wrong = (right + 1, wrong) if there[nearest] == who_leaves else (right, wrong + 1)
    possible = int((seen_in & seen_out).sum())
    return {
        "visitors_per_hour": visitors_per_hour,
        "usable_faces": round(usable, 3),
        "recall_of_usable": round(right / possible, 4),
        "precision": round(right / max(1, right + wrong), 4),
    }


def noise(rng: np.random.Generator, draws: int = 200) -> NDArray[np.float64]:
    """What the weighed distances of real codes are off from those that their cosine stands for: a row for
    each of COSINES, with so many draws."""
    rows = []
    for cosine in COSINES:
        made, sought = project(rng), people(rng, 1)
        seen = seen_again(rng, sought.repeat(draws, axis=0), cosine)
        codes = np.stack([made.hash(template).words for template in seen], axis=1)
        rows.append(weighed(codes, np.arange(draws), made.probe(sought[0])) - expected(cosine))
    return np.array(rows, np.float64)


def expected(cosines: Any) -> Any:
    """The weighed distance that a cosine stands for, in bits."""
    return SCHEME.bits * (1 - cosines) / 2


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unseen", type=float, default=0.1, help="the share of people who leave unseen")
    parser.add_argument("--threshold", type=float, help="in bits; default: the manifest's")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    walks, dwells = schedule(portraits(options.folder, options.people), options.unseen, rng)
    watched, crossings, cpu_s = run(walks, options.seed, options.threshold)
    mated, others = scores(walks, watched)
    usable = float(np.mean([template is not None for template in watched.templates.values()]))
    report: dict[str, object] = {
        "walks": len(walks),
        "counted": len(crossings),
        "usable": round(usable, 4),
        **judge(walks, dwells, watched),
        "mated_cosine": [round(float(q), 3) for q in np.quantile(mated, (0, 0.05, 0.5))],
        "other_cosine": [round(float(q), 3) for q in np.quantile(others, (0.5, 0.99, 1))],
        "cpu_ms_per_frame": round(1000 * cpu_s, 2),
        "busy": busy(mated, others, usable, watched._visits.rules.threshold, rng),
    }
    print(json.dumps(report, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in report.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
