"""AP50 of the person models on the reference frames with boxes: `python tests/bench/ap.py [--json]`.

Average precision at IoU 0.5 over 101 points of recall, each picture matched greedily, best score first. With
`--floats DIR` the float32 twins that `make models` leaves behind run through the same path, for comparison.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.adapters import tflite
from edge.core.values import Detection, Pixels
from tests.bench.clips import SHARED
from tests.bench.floats import FloatNetwork

DATA = SHARED / "data"
Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A clip with true boxes in MOTChallenge format, of which every so many frames are looked at."""

    name: str
    clip: Path
    boxes: Path
    every: int


SCENES = (
    Scene("PETS", DATA / "pets/vtest.avi", DATA / "pets/gt.txt", 10),
    Scene("TUD", DATA / "tud_campus/TUD-Campus.mp4", DATA / "tud_campus/TUD-Campus_gt.txt", 2),
)


def truth(path: Path) -> dict[int, Boxes]:
    """Boxes as x1, y1, x2, y2 by video frame, counted from 0 (the file counts from 1)."""
    rows = np.loadtxt(path, delimiter=",", usecols=(0, 2, 3, 4, 5))
    rows[:, 3:] += rows[:, 1:3]
    return {int(frame) - 1: rows[rows[:, 0] == frame, 1:] for frame in np.unique(rows[:, 0])}


def frames(clip: Path, every: int) -> Iterator[tuple[int, Pixels]]:
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    index = 0
    while True:
        good, picture = capture.read()
        if not good:
            return
        if index % every == 0:
            yield index, np.asarray(picture, np.uint8)
        index += 1


def overlaps(box: Boxes, others: Boxes) -> Boxes:
    both = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(both, 0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    return np.asarray(shared / union)


def hits(found: Sequence[Detection], true: Boxes) -> Iterator[tuple[float, bool]]:
    """Each detection's score, and whether it finds somebody who was not found yet."""
    free = np.ones(len(true))
    for detection in found:
        box = detection.box
        iou = overlaps(np.array([box.x1, box.y1, box.x2, box.y2]), true) * free
        hit = bool(iou.size and iou.max() >= 0.5)
        if hit:
            free[iou.argmax()] = 0
        yield detection.score, hit


def average_precision(scored: list[tuple[float, bool]], people: int) -> float:
    good = np.array([hit for _, hit in sorted(scored, key=lambda item: -item[0])], float)
    right = good.cumsum()
    recall, precision = right / people, right / np.arange(1, len(good) + 1)
    return float(np.mean([precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, 101)]))


def measure(detector: tflite.PersonDetector, scene: Scene) -> dict[str, object]:
    true = truth(scene.boxes)
    scored: list[tuple[float, bool]] = []
    people, times = 0, []
    for index, picture in frames(scene.clip, scene.every):
        start = time.process_time()
        found = detector.detect(picture)
        times.append(time.process_time() - start)
        boxes = true.get(index, np.zeros((0, 4)))
        scored += hits(found, boxes)
        people += len(boxes)
    cpu_ms = round(float(np.median(times)) * 1e3, 2)
    ap50 = round(average_precision(scored, people), 4)
    return {"ap50": ap50, "cpu_ms": cpu_ms, "frames": len(times), "boxes": people}


def rows(models: Path, floats: Path | None, only: list[str] | None) -> Iterator[dict[str, object]]:
    for name, spec in tflite.manifest(models).items():
        if spec.role != "person" or (only and name not in only):
            continue
        for precision in ("int8", "float32")[: 2 if floats else 1]:
            detector = tflite.PersonDetector(models, name)
            if floats and precision == "float32":
                detector._network = FloatNetwork(floats, spec)
            for scene in SCENES:
                row: dict[str, object] = {"model": name, "precision": precision, "scene": scene.name}
                yield row | measure(detector, scene)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=tflite.models_dir())
    parser.add_argument("--floats", type=Path, help="directory of the float32 twins")
    parser.add_argument("--only", nargs="*", help="names of models; default: all person models")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not DATA.exists():
        print(f"no reference data at {DATA}: set EDGED_SHARED", file=sys.stderr)
        return 1
    for row in rows(options.models, options.floats, options.only):
        line = json.dumps(row) if options.json else "  ".join(f"{key} {row[key]}" for key in row)
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
