"""The CPU time of one tracker update with 10, 50 and 200 people who walk about; the median of many.

python tests/bench/tracker.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np

from edge.core.tracker import Tracker
from edge.core.values import Box, Detection, Frame

BUDGET_MS = {10: 0.15, 50: 0.25, 200: 1.0}
WIDTH, HEIGHT, FRAMES, FPS = 1920, 1080, 300, 10.0


def main() -> int:
    figures = {people: measure(people) for people in BUDGET_MS}
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for people, spent_ms in figures.items():
            print(f"{people:>4} tracks {spent_ms:6.3f} ms CPU an update, budget {BUDGET_MS[people]} ms")
    return int(any(figures[people] > budget for people, budget in BUDGET_MS.items()))


def measure(people: int) -> float:
    """Median milliseconds of CPU time for one update, once everybody is known."""
    generator = np.random.default_rng(people)
    pixels = generator.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    at = generator.uniform((0, 100), (WIDTH, HEIGHT), (people, 2))
    speed = generator.normal(0, 40, (people, 2))
    tracker, spent = Tracker(), []
    for index in range(FRAMES):
        at += speed / FPS
        speed = np.where((at < 0) | (at > (WIDTH, HEIGHT)), -speed, speed)
        feet = at + generator.normal(0, 2, at.shape)
        seen = generator.random(people) > 0.05
        detections = [Detection(Box(x - 12, y - 60, x + 12, y), 0.8) for x, y in feet[seen].tolist()]
        frame = Frame("bench", index, index / FPS, index / FPS, pixels)
        started = time.process_time_ns()
        tracker.update(detections, frame)
        spent.append((time.process_time_ns() - started) / 1e6)
    return round(statistics.median(spent[FRAMES // 3 :]), 3)


if __name__ == "__main__":
    sys.exit(main())
