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

from edge.core.values import Event, Moment, Pixels, Point
from edge.pipeline import Pipeline
from edge.ports import Detector
from tests.bench import seen
from tests.bench.clips import SHARED, Clip, Verdict, frames, judge, load

TIMES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # how many times wider and higher the picture is
GREY = 114


def shrunk(clip: Clip, times: float) -> Clip:
    """The clip's lines and zones in the middle of a picture so many times larger."""

    def moved(point: Point) -> Point:
        x, y = ((at - 0.5) / times + 0.5 for at in point)
        return x, y

    scene = clip.scene
    lines = tuple(
        replace(line, start=moved(line.start), end=moved(line.end), inside=moved(line.inside))
        for line in scene.lines
    )
    zones = tuple(replace(zone, polygon=tuple(map(moved, zone.polygon))) for zone in scene.zones)
    return replace(clip, scene=replace(scene, lines=lines, zones=zones, near_view=False))


def framed(pixels: Pixels, times: float) -> Pixels:
    """The picture in the middle of a grey one so many times larger."""
    height, width = pixels.shape[:2]
    canvas = np.full((round(height * times), round(width * times), 3), GREY, np.uint8)
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def run(clip: Clip, times: float, detector: Detector, heights: list[float]) -> Verdict:
    clip = shrunk(clip, times)
    pipeline, events = Pipeline(clip.scene, detector), list[Event]()
    last = Moment(0, 0.0, 0.0)
    for frame in frames(clip.path):
        events += pipeline.step(replace(frame, pixels=framed(frame.pixels, times)))
        people = (track for track in pipeline.tracks if track.confirmed and track.seen)
        heights += [track.box.height * pipeline.scale for track in people]
        last = frame.at
    return judge(clip, f"{times:g}", events + pipeline.close(last))


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
