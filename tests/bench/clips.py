"""The reference clips and what is true of them, for the benches. They are not part of the project."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.adapters.video import FileSource
from edge.core.values import Anchor, Crossing, Dwell, Event, Frame, Kind, Line, Pixels, Point, Scene, Zone

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("EDGED_SHARED", ROOT / "../shared"))


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording, one line or zone in it, and its true events: (frame, kind) or dwells in seconds."""

    id: str
    path: Path
    scene: Scene
    events: tuple[tuple[int, str], ...]
    dwells: tuple[float, ...]
    tolerance: float
    length: int = 0  # in frames, where it has events
    boxes: Path | None = None
    detections: Path | None = None


def load(path: Path) -> list[Clip]:
    """The clips of a clips.json."""
    return [_clip(row, path.parent) for row in json.loads(path.read_text())["clips"]]


def _clip(row: dict[str, Any], folder: Path) -> Clip:
    lines, zones, mot = [], [], row.get("mot", {})
    if drawn := row.get("line"):
        start, end, inside = (tuple(drawn[key]) for key in ("from", "to", "inside"))
        lines.append(Line(row["id"], start, end, inside, Anchor(drawn.get("anchor", "foot"))))
    if area := row.get("zone"):
        corners = tuple(map(tuple, area["polygon"]))
        zones.append(Zone(row["id"], corners, anchor=Anchor(area.get("anchor", "foot"))))
    return Clip(
        id=row["id"],
        path=folder / row["file"],
        scene=Scene(row["id"], tuple(lines), tuple(zones)),
        events=tuple((event["frame"], event["kind"]) for event in row.get("events", ())),
        dwells=tuple(row.get("dwell_s", ())),
        tolerance=row.get("tolerance_s", row.get("tolerance_frames", 15)),
        length=row.get("frames", 0),
        boxes=folder / mot["gt"] if "gt" in mot else None,
        detections=folder / mot["det"] if "det" in mot else None,
    )


class _Zero:
    def monotonic_s(self) -> float:
        return 0.0

    def wall_s(self) -> float:
        return 0.0


def frames(path: Path) -> Iterator[Frame]:
    with closing(FileSource("clip", path, _Zero())) as source:
        yield from source.frames()


@dataclass(frozen=True, slots=True)
class Variant:
    """A worse recording of the same scene: which frames are left, what became of their pixels, and where a
    point (fractions of the picture) now lies. Backwards, who came in goes out."""

    name: str
    keep: Callable[[int], bool] = lambda _: True
    pixels: Callable[[Pixels], Pixels] = lambda pixels: pixels
    place: Callable[[Point], Point] = lambda point: point
    backwards: bool = False

    def frames(self, path: Path) -> Iterator[Frame]:
        for frame in _backwards(path) if self.backwards else frames(path):
            if self.keep(frame.index):
                yield replace(frame, pixels=self.pixels(frame.pixels))

    def of(self, clip: Clip) -> Clip:
        """The clip as this variant shows it. A mirrored person still enters: `inside` is mirrored too."""
        lines = tuple(
            replace(one, start=self.place(one.start), end=self.place(one.end), inside=self.place(one.inside))
            for one in clip.scene.lines
        )
        zones = tuple(replace(z, polygon=tuple(map(self.place, z.polygon))) for z in clip.scene.zones)
        events = clip.events
        if self.backwards:
            events = tuple((clip.length - 1 - at, OTHER_WAY[kind]) for at, kind in reversed(events))
        return replace(clip, scene=replace(clip.scene, lines=lines, zones=zones), events=events)


OTHER_WAY = {Kind.ENTRY.value: Kind.EXIT.value, Kind.EXIT.value: Kind.ENTRY.value}


def _backwards(path: Path) -> Iterator[Frame]:
    """The whole recording is held in memory."""
    forwards = list(frames(path))
    for now, shown in zip(forwards, reversed(forwards), strict=True):
        yield replace(now, pixels=shown.pixels)


def _mirror(point: Point) -> Point:
    return 1 - point[0], point[1]


def _dropped(seed: int, share: float) -> Callable[[int], bool]:
    generator = random.Random(seed)
    gone = [generator.random() < share for _ in range(100_000)]
    return lambda index: not gone[index]


def _scaled(factor: float) -> Callable[[Pixels], Pixels]:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return lambda pixels: np.asarray(
        cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=way), np.uint8
    )


def _recompressed(quality: int) -> Callable[[Pixels], Pixels]:
    def pixels(pixels: Pixels) -> Pixels:
        _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)

    return pixels


def _brighter(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=1.3), np.uint8)


def _noisy(pixels: Pixels) -> Pixels:
    """The same noise for the same picture, so that a detector may remember it."""
    noise = np.random.default_rng(int(pixels.sum())).normal(0, 10, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def _without(name: str, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Variant:
    """Without these parts of the picture, by its width and height."""

    def pixels(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        rows = slice(round(top * height), height - round(bottom * height))
        return np.ascontiguousarray(pixels[rows, round(left * width) : width - round(right * width)])

    def place(point: Point) -> Point:
        x, y = (point[0] - left) / (1 - left - right), (point[1] - top) / (1 - top - bottom)
        return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)

    return Variant(name, pixels=pixels, place=place)


AS_IT_IS = Variant("as it is")
DEGRADED = (
    Variant("half the frames", keep=lambda index: index % 2 == 0),
    Variant("the other half", keep=lambda index: index % 2 == 1),
    Variant("10 % dropped, seed 1", keep=_dropped(1, 0.1)),
    Variant("10 % dropped, seed 2", keep=_dropped(2, 0.1)),
    Variant("mirrored", pixels=lambda p: np.ascontiguousarray(p[:, ::-1]), place=_mirror),
    Variant("half the size", pixels=_scaled(0.5)),
    Variant("1.5 times the size", pixels=_scaled(1.5)),
    Variant("30 % darker", pixels=lambda p: (p * 0.7).astype(np.uint8)),
    Variant("30 % brighter", pixels=_brighter),
    Variant("JPEG quality 20", pixels=_recompressed(20)),
    Variant("JPEG quality 10", pixels=_recompressed(10)),
    Variant("noise of 10 levels", pixels=_noisy),
    _without("6 % off left and top", left=0.06, top=0.06),
    _without("6 % off right and foot", right=0.06, bottom=0.06),
    Variant("backwards", backwards=True),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in a clip, beside what is true."""

    clip: str
    variant: str
    true: str
    counted: str
    missed: tuple[str, ...]
    extra: tuple[str, ...]
    of: int

    @property
    def exact(self) -> bool:
        return not self.missed and not self.extra


def judge(clip: Clip, variant: str, events: Sequence[Event]) -> Verdict:
    """Each true event may be matched by one found event of its kind within the tolerance."""
    if clip.scene.zones:
        true: list[tuple[float, str]] = [(stay, "dwell") for stay in clip.dwells]
        found = [(round(event.dwell_s, 1), "dwell") for event in events if isinstance(event, Dwell)]
    else:
        true = list(clip.events)
        found = [(event.at.frame, event.kind.value) for event in events if isinstance(event, Crossing)]
    missed, left = [], list(found)
    for when, kind in true:
        near = [one for one in left if one[1] == kind and abs(one[0] - when) <= clip.tolerance]
        if near:
            left.remove(min(near, key=lambda one: abs(one[0] - when)))
        else:
            missed.append((when, kind))
    return Verdict(
        clip.id,
        variant,
        _summary(true),
        _summary(found),
        tuple(map(_words, missed)),
        tuple(map(_words, left)),
        len(true),
    )


def _summary(events: Sequence[tuple[float, str]]) -> str:
    kinds = [kind for _, kind in events]
    return f"{len(kinds)} dwells" if "dwell" in kinds else f"{kinds.count('entry')}/{kinds.count('exit')}"


def _words(event: tuple[float, str]) -> str:
    return f"{event[1]} {event[0]:g}"
