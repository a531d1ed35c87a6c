"""Commissions a line: walk over it, in and out by turns, and hear whether each walk was counted, or why not.

Looks through the camera itself, so stop the daemon first if it is a USB or CSI camera. Exit 0: all passed.

  sudo edged walktest --camera entrance --line door
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge import app
from edge.adapters.clock import SystemClock
from edge.commands.count import chosen
from edge.config import DEFAULT_PATH, Camera, read
from edge.core.values import Frame, Kind
from edge.pipeline import Pipeline
from edge.ports import AdapterError
from edge.walk import Walk

ROUND_S = 20.0  # for one walk
AFTERMATH_S = 2.0  # watched after a count, for a second one that must not come
WAY = {Kind.ENTRY: "in", Kind.EXIT: "out"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="the config (default: %(default)s)")
    parser.add_argument("--camera", help="which camera, when the config has several")
    parser.add_argument("--line", help="which line, when the camera has several")
    parser.add_argument("--walks", type=int, default=6, help="how many times (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    config = read(args.config)
    chosen(args.config, args.camera)  # the same questions about the camera as `edged count` asks
    camera = next(one for one in config.cameras if args.camera in (None, one.id))
    line = line_of(camera, args.line)
    pipeline = Pipeline(camera.to_scene(), app.detector_of(config.detector))
    passed = 0
    with closing(app.source_of(camera, args.config.parent, SystemClock())) as source:
        frames = source.frames()
        for number in range(args.walks):
            walk = Walk(line, Kind.EXIT if number % 2 else Kind.ENTRY)
            print(f"{args.walks - number} to go: walk {WAY[walk.expected]} over {line} now …", flush=True)
            look(frames, pipeline, walk)
            print(
                "  passed" if walk.passed else "\n".join(f"  {fault}" for fault in walk.faults()), flush=True
            )
            passed += walk.passed
    print(f"{passed} of {args.walks} walks passed: {'commissioned' if passed == args.walks else 'not yet'}")
    return int(passed != args.walks)


def line_of(camera: Camera, wanted: str | None) -> str:
    """The line to walk over. Raises AdapterError."""
    ids = [line.id for line in camera.lines]
    if wanted in ids:
        return str(wanted)
    if wanted is None and len(ids) == 1:
        return ids[0]
    cause = f"camera {camera.id} has {', '.join(ids) or 'no line'}"
    raise AdapterError("choose", wanted or "a line", cause, "give --line")


def look(frames: Iterator[Frame], pipeline: Pipeline, walk: Walk) -> None:
    """Watch one walk: until it is counted and a moment longer, or until its time is over."""
    until_s = None
    for frame in frames:
        events = pipeline.step(frame)
        walk.see(frame, pipeline.tracks, events, pipeline.scale)
        if walk.counted and until_s is None:
            until_s = walk.seconds + AFTERMATH_S
        if walk.seconds >= (until_s or ROUND_S):
            return
