"""Two hours at a door: people walk in and out, pause, turn back and pass each other, while the detector
misses some, sees others who are not there and never puts its boxes quite right."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest

from edge.core.counting import Counter
from edge.core.tracker import Tracker
from edge.core.values import Box, Crossing, Detection, Event, Frame, Line, Moment

SEED = 20260315
HOURS, FPS, ARRIVALS_PER_MIN = 2, 8, 12
WIDTH, HEIGHT, DOOR_X, TALL = 640, 360, 320, 90.0
MISSES, FALSE_BOXES = 0.05, 0.05
DOOR = Line("door", (0.5, 0.0), (0.5, 1.0), inside=(1.0, 0.5))


@dataclass(slots=True)
class Walker:
    """Somebody on the way from one side of the picture to the other; a few turn round at the door."""

    x: float
    foot: float
    speed: float
    pause_s: float
    turn_at: float | None
    colour: tuple[int, ...]

    @classmethod
    def at_random(cls, chance: random.Random) -> Walker:
        way = chance.choice([-1, 1])
        return cls(
            x=-20.0 if way > 0 else WIDTH + 20.0,
            foot=chance.uniform(TALL + 20, HEIGHT - 20),
            speed=way * chance.uniform(0.5, 1.3) * TALL,
            pause_s=chance.uniform(1, 8) if chance.random() < 0.1 else 0.0,
            turn_at=DOOR_X + chance.choice([-1, 1]) * chance.uniform(25, 90)
            if chance.random() < 0.1
            else None,
            colour=tuple(chance.choices(range(256), k=3)),
        )

    def step(self) -> str | None:
        """One frame on; the kind of the crossing if this step goes through the door."""
        if self.pause_s > 0 and abs(self.x - WIDTH / 3) < 20:
            self.pause_s -= 1 / FPS
            return None
        before = self.x
        self.x += self.speed / FPS
        if self.turn_at is not None and (before < self.turn_at) != (self.x < self.turn_at):
            self.turn_at, self.speed = None, -self.speed
        if (before < DOOR_X) == (self.x < DOOR_X):
            return None
        return "entry" if self.x > before else "exit"

    @property
    def gone(self) -> bool:
        return not -40 < self.x < WIDTH + 40


@pytest.mark.slow
def test_two_hours_are_counted_to_one_per_cent() -> None:
    print(f"seed {SEED}")
    true, counted = simulate(SEED, HOURS * 3600 * FPS)
    print(f"true {true}, counted {counted}")
    assert sum(true.values()) > 1000
    for kind, number in true.items():
        assert counted[kind] == pytest.approx(number, rel=0.01)


def simulate(seed: int, frames: int) -> tuple[dict[str, int], dict[str, int]]:
    """Entries and exits: as they happened, and as they were counted."""
    chance = random.Random(seed)
    tracker, counter = Tracker(), Counter("door", [DOOR], [])
    walkers: list[Walker] = []
    true, counted = {"entry": 0, "exit": 0}, {"entry": 0, "exit": 0}
    for index in range(frames):
        if chance.random() < ARRIVALS_PER_MIN / 60 / FPS:
            walkers.append(Walker.at_random(chance))
        for walker in walkers:
            if kind := walker.step():
                true[kind] += 1
        walkers = [walker for walker in walkers if not walker.gone]
        frame = Frame("door", index, index / FPS, index / FPS, painted(walkers))
        tally(counter.update(tracker.update(detected(walkers, chance), frame), frame), counted)
    tally(counter.close(Moment(frames, frames / FPS, frames / FPS)), counted)
    return true, counted


def painted(walkers: list[Walker]) -> np.ndarray:
    """A picture with everybody in one colour; who stands farther down stands in front."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for w in sorted(walkers, key=lambda walker: walker.foot):
        left, right = (min(max(round(w.x + side), 0), WIDTH) for side in (-18, 18))
        picture[round(w.foot - TALL) : round(w.foot), left:right] = w.colour
    return picture


def detected(walkers: list[Walker], chance: random.Random) -> list[Detection]:
    """What a detector makes of them: misses, jitter, people hidden behind others, and false boxes."""
    found: list[Detection] = []
    for w in sorted(walkers, key=lambda walker: -walker.foot):
        x, foot = (value + chance.gauss(0, 0.02 * TALL) for value in (w.x, w.foot))
        box = Box(max(x - 18, 0), foot - TALL, min(max(x + 18, 1), WIDTH), foot) if 0 < x < WIDTH else None
        hidden = any(abs(other.box.centre[0] - x) < 10 and abs(other.box.y2 - foot) < 40 for other in found)
        if box and not hidden and chance.random() > MISSES:
            found.append(Detection(box, min(1.0, max(0.2, chance.gauss(0.75, 0.1)))))
    if chance.random() < FALSE_BOXES:
        x, foot = chance.uniform(20, WIDTH - 20), chance.uniform(TALL, HEIGHT)
        found.append(Detection(Box(x - 18, foot - TALL, x + 18, foot), chance.uniform(0.2, 0.7)))
    return found


def tally(events: list[Event], counted: dict[str, int]) -> None:
    for event in events:
        if isinstance(event, Crossing):
            counted[event.kind.value] += 1
