"""Pictures that explain a count, made from a recording that somebody already has; never by the daemon.

`Film` writes the recording again with boxes, ids, lines and counts. `Plot` draws when people crossed, and
their trails over the first picture, which is blurred: most where people were found, and everywhere enough for
those who were not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edge.core.values import Anchor, Box, Crossing, Frame, Kind, Pixels, Point, Scene, Track
from edge.ports import AdapterError

FONT = cv2.FONT_HERSHEY_SIMPLEX
LINE_COLOUR = (0, 220, 255)
COLOURS = {Kind.ENTRY: (80, 200, 80), Kind.EXIT: (80, 80, 230)}
FLASH_FRAMES = 8  # how long a line lights up after a crossing
CHART_HEIGHT, CHART_MARGIN = 180, 30
SOFT = 64  # of the longer side: what is smaller, as a face seen from a door camera is, cannot be made out


class Film:
    """Writes an explanation video; a context manager."""

    def __init__(self, path: Path, scene: Scene, fps: float) -> None:
        self._path, self._scene, self._fps = path, scene, fps
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._writer:
            self._writer.release()

    def add(self, frame: Frame, tracks: Sequence[Track], crossings: Sequence[Crossing]) -> None:
        """One picture; `crossings` are all that were decided up to now."""
        if self._writer is None:
            self._writer = cv2.VideoWriter(
                str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, frame.size
            )
            if not self._writer.isOpened():
                raise AdapterError("write video", str(self._path), "no encoder took it", "name it OUT.mp4")
        picture = frame.pixels.copy()
        for track in tracks:
            if track.confirmed:
                draw_track(picture, track)
        draw_scene(picture, self._scene, crossings, frame.index)
        self._writer.write(picture)


def draw_track(picture: Pixels, track: Track) -> None:
    """A box and its id; thin while the person is hidden."""
    box, colour = track.box, id_colour(track.id)
    cv2.rectangle(picture, whole((box.x1, box.y1)), whole((box.x2, box.y2)), colour, 2 if track.seen else 1)
    cv2.putText(picture, str(track.id), whole((box.x1, box.y1 - 3)), FONT, 0.45, colour, 1, cv2.LINE_AA)


def draw_scene(picture: Pixels, scene: Scene, crossings: Sequence[Crossing], index: int) -> None:
    """Lines with their counts, zones, and a flash where somebody has just crossed."""
    height, width = picture.shape[:2]
    for zone in scene.zones:
        corners = np.array([whole(point) for point in zone.scaled(width, height).polygon])
        cv2.polylines(picture, [corners], True, LINE_COLOUR, 1, cv2.LINE_AA)
    for row, line in enumerate(scene.lines):
        mine = [crossing for crossing in crossings if crossing.line == line.id]
        fresh = [crossing.kind for crossing in mine if index - crossing.at.frame <= FLASH_FRAMES]
        colour = COLOURS[fresh[-1]] if fresh else LINE_COLOUR
        drawn = line.scaled(width, height)
        cv2.line(picture, whole(drawn.start), whole(drawn.end), colour, 4 if fresh else 2, cv2.LINE_AA)
        entries = sum(crossing.kind is Kind.ENTRY for crossing in mine)
        text = f"{line.id}: {entries} in, {len(mine) - entries} out"
        cv2.putText(picture, text, (8, 20 + 20 * row), FONT, 0.55, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(picture, text, (8, 20 + 20 * row), FONT, 0.55, (255, 255, 255), 1, cv2.LINE_AA)


class Plot:
    """Collects trails while a clip is counted, and draws them at the end; a context manager."""

    def __init__(self, path: Path, scene: Scene) -> None:
        self._path, self._scene = path, scene
        self._anchor = scene.lines[0].anchor if scene.lines else Anchor.FOOT
        self._first: Pixels | None = None
        self._trails: dict[int, list[Point]] = {}
        self._crossings: Sequence[Crossing] = ()
        self._seconds = 0.0

    def __enter__(self) -> Plot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None and self._first is not None:
            self._save(self._first)

    def add(self, frame: Frame, tracks: Sequence[Track], crossings: Sequence[Crossing]) -> None:
        """One picture; `crossings` is kept, and read at the end."""
        if self._first is None:
            self._first = blurred(frame.pixels, [track.box for track in tracks])
        self._seconds, self._crossings = frame.monotonic_s, crossings
        for track in tracks:
            if track.confirmed and track.seen:
                self._trails.setdefault(track.id, []).append(self._anchor.of(track.box))

    def _save(self, picture: Pixels) -> None:
        for number, trail in self._trails.items():
            points = np.array([whole(point) for point in trail])
            cv2.polylines(picture, [points], False, id_colour(number), 1, cv2.LINE_AA)
        draw_scene(picture, self._scene, self._crossings, index=2**31)
        drawn = np.vstack([picture, chart(picture.shape[1], self._seconds, self._crossings)])
        if self._path.suffix.lower() not in (".png", ".jpg") or not cv2.imwrite(str(self._path), drawn):
            raise AdapterError("write picture", str(self._path), "it was not taken", "name it OUT.png")


def blurred(pixels: Pixels, boxes: Iterable[Box]) -> Pixels:
    """A copy in which nobody can be known: coarse in the boxes, taken generously, and soft all over, since a
    detector misses people."""
    height, width = pixels.shape[:2]
    picture = np.asarray(cv2.blur(pixels, (max(width, height) // SOFT,) * 2), np.uint8)
    for box in boxes:
        margin = 0.2 * box.height
        x1, y1 = whole((max(box.x1 - margin, 0), max(box.y1 - margin, 0)))
        x2, y2 = whole((min(box.x2 + margin, width), min(box.y2 + margin, height)))
        if x2 > x1 and y2 > y1:
            part = picture[y1:y2, x1:x2]
            coarse = cv2.resize(part, (3, 5), interpolation=cv2.INTER_AREA)
            picture[y1:y2, x1:x2] = cv2.resize(coarse, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
    return picture


def chart(width: int, seconds: float, crossings: Sequence[Crossing]) -> Pixels:
    """Entries and exits added up over the time of the clip, as two staircases."""
    picture = np.full((CHART_HEIGHT, width, 3), 255, np.uint8)
    left, right, floor = CHART_MARGIN, width - CHART_MARGIN, CHART_HEIGHT - CHART_MARGIN
    most = max(1, *(sum(crossing.kind is kind for crossing in crossings) for kind in COLOURS))
    cv2.line(picture, (left, floor), (right, floor), (0, 0, 0), 1)
    for row, (kind, colour) in enumerate(COLOURS.items()):
        times = sorted(c.at.monotonic_s for c in crossings if c.kind is kind)
        x = [left, *(round(left + (right - left) * at / max(seconds, 1e-9)) for at in times), right]
        y = [round(floor - (floor - CHART_MARGIN) * number / most) for number in range(len(times) + 1)]
        stairs = [(a, b) for i, b in enumerate(y) for a in (x[i], x[i + 1])]
        cv2.polylines(picture, [np.array(stairs)], False, colour, 2, cv2.LINE_AA)
        label = f"{kind.value}: {len(times)}"
        cv2.putText(picture, label, (left + 110 * row, 18), FONT, 0.5, colour, 1, cv2.LINE_AA)
    cv2.putText(picture, f"{seconds:.0f} s", (right - 40, floor + 18), FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def id_colour(number: int) -> tuple[int, int, int]:
    """A bright colour that is the same for the same id."""
    hue = np.array([[[number * 47 % 180, 200, 255]]], np.uint8)
    blue, green, red = cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red


def whole(point: Point) -> tuple[int, int]:
    return round(point[0]), round(point[1])
