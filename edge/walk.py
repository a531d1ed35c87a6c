"""Judges one walk over a line: counted the right way, or what is wrong, for who stands at the door."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from edge.core.sight import PERSON_MIN
from edge.core.values import Crossing, Event, Frame, Kind, Track

DARK = 25  # mean brightness, of 255
FPS_MIN = 5.0


@dataclass(slots=True)
class Walk:
    """What was seen of one walk. Heights are in pixels of the network's picture."""

    line: str
    expected: Kind
    counted: list[Kind] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    light: list[float] = field(default_factory=list)
    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0

    def see(self, frame: Frame, tracks: Iterable[Track], events: Iterable[Event], scale: float) -> None:
        """`scale` is how many pixels of the network's picture a pixel of the frame becomes."""
        self.first_s = frame.monotonic_s if not self.frames else self.first_s
        self.last_s = frame.monotonic_s
        self.frames += 1
        self.light.append(float(frame.pixels[::8, ::8].mean()))
        self.heights += [track.box.height * scale for track in tracks if track.confirmed and track.seen]
        crossings = (event for event in events if isinstance(event, Crossing))
        self.counted += [crossing.kind for crossing in crossings if crossing.line == self.line]

    @property
    def seconds(self) -> float:
        return self.last_s - self.first_s

    @property
    def passed(self) -> bool:
        return self.counted == [self.expected]

    def faults(self) -> Iterator[str]:
        """Why it did not pass, the likeliest cause first."""
        if self.passed:
            return
        if self.light and median(self.light) < DARK:
            yield "too dark: give it light"
        if self.seconds and self.frames / self.seconds < FPS_MIN:
            yield f"too few frames: {self.frames / self.seconds:.1f} a second, 8 are wanted"
        yield from self._about_the_walker()

    def _about_the_walker(self) -> Iterator[str]:
        if not self.heights:
            yield "nobody was seen: does the camera look at the door, and is nothing in front of it?"
        elif median(self.heights) < PERSON_MIN:
            height = median(self.heights)
            yield f"too small: {height:.0f} pixels, {PERSON_MIN:.0f} are needed: hang it nearer, or zoom"
        elif not self.counted:
            yield "seen, but the line was not crossed: draw it across the way that people take"
        elif len(self.counted) > 1:
            yield f"counted {len(self.counted)} times: was somebody else there? Walk alone"
        else:
            yield "the direction is the wrong way round: put `inside` on the other side of the line"
