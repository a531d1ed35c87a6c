"""What face work adds: CPU time of the pipeline in tier `visit` over tier `count`, frame by frame.

    python tests/bench/facecost.py CLIP... [--portraits DIR] [--repeats 5] [--json]

Every frame goes through both pipelines in turn, so that a noisy machine disturbs them alike; a clip is shown
at 720p, to and fro, for ten seconds. Given are the means a frame of the median repeat, for all of it and for
its first three seconds, when everybody is new and the saved looks are spent. With `--portraits` three people
of DIR walk through a rendered picture as well (see visits.py).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.adapters import tflite
from edge.core.values import Frame, Kind, Pixels, Scene
from edge.pipeline import Pipeline
from tests.bench import visits

SECONDS, FPS, FIRST_S = 10.0, 10.0, 3.0
SIZE = (1280, 720)


def clip(path: Path) -> list[Pixels]:
    """The clip's pictures, to and fro."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(np.asarray(cv2.resize(read[1], SIZE), np.uint8))
    if not frames:
        raise SystemExit(f"cannot read {path}")
    to_and_fro = frames + frames[-2:0:-1]
    return [to_and_fro[index % len(to_and_fro)] for index in range(round(SECONDS * FPS))]


def rendered(folder: Path) -> list[Pixels]:
    """Three people who walk through the picture, one after the other and side by side."""
    faces, rng = visits.portraits(folder, 3), np.random.default_rng(1)
    starts = zip(faces.items(), (0.0, 1.5, 5.0), (0.3, 0.72, 0.5), strict=True)
    walks = [visits.Walk(name, Kind.ENTRY, begin, height, all_) for (name, all_), begin, height in starts]
    wall = np.full((visits.HEIGHT, visits.WIDTH, 3), 120, np.uint8)
    return [visits.picture(walks, index / FPS, wall, rng) for index in range(round(SECONDS * FPS))]


def spent(frames: Sequence[Pixels]) -> np.ndarray:
    """CPU milliseconds (frames, 2) of tier `count` and of tier `visit`."""
    _, faces = visits.parts(None)
    scene, directory = Scene("door", (visits.DOOR,)), tflite.models_dir()
    pipelines = [Pipeline(scene, tflite.PersonDetector(directory), stage) for stage in (None, faces)]
    times = np.zeros((len(frames), 2))
    for index, pixels in enumerate(frames):
        for tier, pipeline in enumerate(pipelines):
            frame = Frame("door", index, index / FPS, index / FPS, pixels.copy())
            began_s = time.thread_time()
            pipeline.step(frame)
            times[index, tier] = 1000 * (time.thread_time() - began_s)
    return times


def report(frames: Sequence[Pixels], repeats: int) -> dict[str, object]:
    """The median repeat of the whole, and the median of the beginning."""
    runs = [spent(frames) for _ in range(repeats)]
    means = np.median([run.mean(axis=0) for run in runs], axis=0)
    first = np.median([run[: round(FIRST_S * FPS)].mean(axis=0) for run in runs], axis=0)
    return {
        "frames": len(frames),
        "count_ms": round(float(means[0]), 2),
        "visit_ms": round(float(means[1]), 2),
        "added": round(float(means[1] / means[0]) - 1, 3),
        "added_at_first": round(float(first[1] / first[0]) - 1, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--portraits", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pictures = {path.name: clip(path) for path in options.clips}
    if options.portraits:
        pictures["rendered"] = rendered(options.portraits)
    for name, frames in pictures.items():
        row = {"clip": name} | report(frames, options.repeats)
        print(json.dumps(row) if options.json else "  ".join(f"{key} {row[key]}" for key in row), flush=True)


if __name__ == "__main__":
    main()
