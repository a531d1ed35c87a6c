"""Recall of the face detectors on mosaics of reference faces 16 to 64 pixels high, int8 and float32.

    python tests/bench/faces.py FOLDER [--floats models/build/out] [--json]

FOLDER holds `person/image` portraits of one face each. Faces are found once in each enlarged portrait by the
float32 network (the reference); mosaics of them, shrunk, are then searched. A face is found when a box
overlaps its true box by more than 0.4; every other box is a false alarm.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.adapters import tflite
from edge.core.values import Box, Pixels
from tests.bench.ap import overlaps
from tests.bench.floats import FloatNetwork
from tests.bench.verify import pictures

SIZES_PX = (16, 20, 24, 32, 48, 64)
MOSAICS = 4
Boxes = NDArray[np.float64]


def corners(box: Box) -> Boxes:
    return np.array([box.x1, box.y1, box.x2, box.y2])


def references(folder: Path, detector: tflite.FaceDetector) -> list[tuple[Pixels, Boxes]]:
    """Portraits with the box of their face."""
    found = []
    for _, picture in pictures(folder):
        large = np.asarray(cv2.resize(picture, None, fx=2, fy=2), np.uint8)
        faces = detector.detect(large)
        if faces:
            found.append((large, corners(max(faces, key=lambda face: face.box.height).box)))
    return found


def mosaic(
    portraits: list[tuple[Pixels, Boxes]], px: int, width: int, height: int, random: np.random.Generator
) -> tuple[Pixels, Boxes]:
    """Portraits side by side, each shrunk until its face is `px` high; and the true boxes."""
    canvas, boxes = np.zeros((height, width, 3), np.uint8), []
    cell = int(px * 2.2)
    for y in range(0, height - cell + 1, cell):
        for x in range(0, width - cell + 1, cell):
            picture, box = portraits[random.integers(len(portraits))]
            scale = px / (box[3] - box[1])
            small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:cell, :cell]
            if box[2] * scale > small.shape[1] or box[3] * scale > small.shape[0]:
                continue
            canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
            boxes.append(box * scale + (x, y, x, y))
    return canvas, np.array(boxes).reshape(-1, 4)


def recall(detector: tflite.FaceDetector, portraits: list[tuple[Pixels, Boxes]], px: int) -> dict[str, float]:
    random = np.random.default_rng(px)
    side = detector._network.spec.side
    total = found = alarms = 0
    for _ in range(MOSAICS):
        canvas, true = mosaic(portraits, px, side, side * 9 // 16, random)
        free = np.ones(len(true))
        for face in detector.detect(canvas):
            iou = overlaps(corners(face.box), true) * free
            if iou.max(initial=0) > 0.4:
                free[iou.argmax()] = 0
            else:
                alarms += 1
        total, found = total + len(true), found + int((free == 0).sum())
    return {"px": px, "faces": total, "recall": round(found / max(total, 1), 4), "false": alarms}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=tflite.models_dir())
    parser.add_argument("--floats", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    specs = [spec for spec in tflite.manifest(options.models).values() if spec.role == "face"]
    reference = tflite.FaceDetector(options.models, specs[0].name)
    reference._network = FloatNetwork(options.floats, specs[0])
    portraits = references(options.folder, reference)
    for spec in specs:
        for precision in ("int8", "float32"):
            detector = tflite.FaceDetector(options.models, spec.name)
            if precision == "float32":
                detector._network = FloatNetwork(options.floats, spec)
            for px in SIZES_PX:
                row = {"model": spec.name, "precision": precision} | recall(detector, portraits, px)
                line = json.dumps(row) if options.json else "  ".join(f"{key} {row[key]}" for key in row)
                print(line, flush=True)


if __name__ == "__main__":
    main()
