"""How small people may become before counts go wrong: the reference clips within ever larger empty pictures.

    python -m tests.bench.sizes [--remember FILE] [--json]

The recording fills less and less of the picture, so that the network sees the same people ever smaller, all
else being equal. Nothing is looked at closer. For each size: the median height of the people to the network,
and the events wrong of all clips. It says where `core.sight.PERSON_MIN` should lie.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.core.values import Pixels, Point
from edge.pipeline import Pipeline
from edge.ports import Detector
from tests.bench import accuracy, seen
from tests.bench.clips import SHARED, Clip, Variant, Verdict, load

TIMES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # how many times wider and higher the picture is
GREY = 114


def shrunk(times: float) -> Variant:
    """The recording in the middle of a grey picture so many times wider and higher."""

    def place(point: Point) -> Point:
        return (point[0] - 0.5) / times + 0.5, (point[1] - 0.5) / times + 0.5

    return Variant(f"{times:g} times", pixels=lambda pixels: framed(pixels, times), place=place)


def framed(pixels: Pixels, times: float) -> Pixels:
    """The picture in the middle of a grey one so many times larger."""
    height, width = pixels.shape[:2]
    canvas = np.full((round(height * times), round(width * times), 3), GREY, np.uint8)
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def run(clip: Clip, times: float, detector: Detector, heights: list[float]) -> Verdict:
    """The clip so small, with the whole picture looked at; adds the heights of its people to the network."""

    def measure(pipeline: Pipeline) -> None:
        people = (track for track in pipeline.tracks if track.confirmed and track.seen)
        heights.extend(track.box.height * pipeline.scale for track in people)

    whole = replace(clip, scene=replace(clip.scene, near_view=False))
    return accuracy.run(whole, shrunk(times), detector, measure)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, default=SHARED / "data/clips.json")
    parser.add_argument("--remember", type=Path, metavar="FILE", help="look at each picture only once, ever")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    detector, rows = seen.detector(args.remember), []
    for clip in load(args.clips):
        for times in TIMES:
            heights: list[float] = []
            verdict = run(clip, times, detector, heights)
            height = round(float(np.median(heights)), 1) if heights else None
            wrong = max(len(verdict.missed), len(verdict.extra))
            rows.append({"clip": clip.id, "times": times, "height": height, "wrong": wrong, "of": verdict.of})
            if not args.json:
                people = f"people {height or 0:>5} px"
                print(f"{clip.id:<18}{times:>5.1f} x  {people}  {wrong} of {verdict.of} wrong", flush=True)
    if args.json:
        print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
