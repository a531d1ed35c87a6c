"""The CPU time of one tracker update with 10, 50 and 200 people who walk about.

python tests/bench/tracker.py [--json]

Updates are timed by the block, since reading the clock can cost as much as an update does. Of the blocks the
fastest and the median are given: on a machine that does other work too, the fastest is nearest to the truth.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np

from edge.core.tracker import Tracker
from edge.core.values import Box, Detection, Frame

BUDGET_MS = {10: 0.15, 50: 0.25, 200: 1.0}
WIDTH, HEIGHT, FPS = 1920, 1080, 10.0
BLOCK, BLOCKS, WARM = 20, 20, 100  # updates in a block, blocks, and updates before them


def main() -> int:
    figures = {people: measure(people) for people in BUDGET_MS}
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for people, (best_ms, median_ms) in figures.items():
            print(
                f"{people:>4} tracks {best_ms:6.3f} ms CPU an update (median block {median_ms:.3f}), "
                f"budget {BUDGET_MS[people]} ms"
            )
    return int(any(figures[people][0] > budget for people, budget in BUDGET_MS.items()))


def measure(people: int) -> tuple[float, float]:
    """Milliseconds of CPU time for one update once everybody is known: the fastest and the median block."""
    tracker, walk, spent = Tracker(), list(crowd(people, WARM + BLOCK * BLOCKS)), []
    for frame, detections in walk[:WARM]:
        tracker.update(detections, frame)
    for first in range(WARM, len(walk), BLOCK):
        started = time.process_time_ns()
        for frame, detections in walk[first : first + BLOCK]:
            tracker.update(detections, frame)
        spent.append((time.process_time_ns() - started) / 1e6 / BLOCK)
    return round(min(spent), 3), round(statistics.median(spent), 3)


def crowd(people: int, frames: int) -> Iterator[tuple[Frame, list[Detection]]]:
    """Frame by frame what a detector sees of people who walk to and fro: one in twenty is missed."""
    generator = np.random.default_rng(people)
    pixels = generator.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    at = generator.uniform((0, 100), (WIDTH, HEIGHT), (people, 2))
    speed = generator.normal(0, 40, (people, 2))
    for index in range(frames):
        at += speed / FPS
        speed = np.where((at < 0) | (at > (WIDTH, HEIGHT)), -speed, speed)
        feet = at + generator.normal(0, 2, at.shape)
        seen = generator.random(people) > 0.05
        yield (
            Frame("bench", index, index / FPS, index / FPS, pixels),
            [Detection(Box(x - 12, y - 60, x + 12, y), 0.8) for x, y in feet[seen].tolist()],
        )


if __name__ == "__main__":
    sys.exit(main())
