"""How many bare and how many half hidden faces get through the gate of tier `visit`.

    python -m tests.bench.covered FOLDER... [--json]

FOLDER holds person/picture files, or pictures. Every face is shown 56 to 150 pixels high, blurred and in
changing light, bare and with something painted over a part of it, and looked at as the daemon does. Given is
the share of pictures whose sample would be embedded.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.adapters import tflite
from edge.core import align
from edge.core.covered import is_covered
from edge.core.values import Box, Pixels
from edge.visit.closer import CloserLook
from edge.visit.faces import SCORE_MIN
from edge.visit.tier import FACE_MODEL, FINDER_MODEL
from tests.bench.verify import BORDER, PICTURES

SIDE, TURNS = 400, 3
BODY = Box(40, 60, 360, 380)  # the square around the head of someone whose face is in the middle
Mask = NDArray[np.bool_]
Where = NDArray[np.float64]


def disc(u: Where, v: Where, x: float, y: float, wide: float, high: float) -> Mask:
    return np.asarray(((u - x) / wide) ** 2 + ((v - y) / high) ** 2 < 1)


# Where each lies on a face: u across and v down its box, 0 to 1; a number is drawn for those with two sides.
COVERS: dict[str, Callable[[Where, Where, float], Mask]] = {
    "bare": lambda u, v, at: np.zeros(u.shape, bool),
    "mask": lambda u, v, at: (v > 0.42 + 0.12 * (2 * u - 1) ** 2) & (v < 1.1),
    "dark glasses": lambda u, v, at: disc(u, v, 0.27, 0.42, 0.2, 0.11) | disc(u, v, 0.73, 0.42, 0.2, 0.11),
    "hand on mouth": lambda u, v, at: disc(u, v, 0.5, 0.85, 0.45, 0.22),
    "hand on cheek": lambda u, v, at: disc(u, v, 0.1 if at < 0.5 else 0.9, 0.6, 0.35, 0.45),
    "half": lambda u, v, at: u < 0.48 if at < 0.5 else u > 0.52,
    "fringe": lambda u, v, at: v < 0.5,
}


def faces(folder: Path, finder: tflite.FaceDetector) -> Iterator[tuple[Pixels, Box]]:
    """Pictures with a border, and the largest face of each."""
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES):
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        y, x = (round(length * BORDER) for length in picture.shape[:2])
        framed = np.asarray(cv2.copyMakeBorder(picture, y, y, x, x, cv2.BORDER_REPLICATE), np.uint8)
        found = finder.detect(framed)
        if found:
            yield framed, max(found, key=lambda one: one.box.height).box


def shown(picture: Pixels, face: Box, cover: str, rng: np.random.Generator) -> Pixels:
    """The face in the middle of a square, with the cover on it in flat or patterned grey."""
    high = rng.uniform(56, 150)
    (x, y), scale = face.centre, high / face.height
    matrix = np.array([[scale, 0, SIDE / 2 - scale * x], [0, scale, SIDE / 2 - scale * y]])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=way, borderMode=cv2.BORDER_REPLICATE)
    canvas = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), rng.uniform(0.3, 1.2))
    v, u = (np.mgrid[:SIDE, :SIDE] - SIDE / 2) / high + 0.5
    u = (u - 0.5) * face.height / face.width + 0.5
    pattern = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), 4)
    cloth = rng.choice([2, 18]) * pattern / pattern.std() + rng.uniform(60, 200)
    cloth = 25 + pattern if cover == "dark glasses" else cloth
    edge = cv2.GaussianBlur(COVERS[cover](u, v, rng.random()).astype(np.float32), (0, 0), 1)[..., None]
    canvas = (canvas + edge * (cloth[..., None] - canvas)) * rng.uniform(0.75, 1.25)
    return np.clip(canvas + rng.normal(0, 4, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)


def passes(closer: CloserLook, pixels: Pixels) -> bool:
    """Whether the daemon would embed this face."""
    near = max(closer.glance(pixels, BODY), key=lambda one: one.height, default=None)
    upright = near and closer.upright(pixels, near)
    if not near or not upright or near.upright.score < SCORE_MIN:
        return False
    crop = align.crop(pixels, upright.landmarks)
    return align.Gate().passes(align.assess(upright.upright, crop)) and not is_covered(crop)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    directory, rng = tflite.models_dir(), np.random.default_rng(1)
    finder = tflite.FaceDetector(directory, FINDER_MODEL)
    closer = CloserLook(tflite.FaceDetector(directory, FACE_MODEL))
    for folder in options.folders:
        found = [*faces(folder, finder)] * TURNS
        row: dict[str, object] = {"folder": folder.name, "pictures": len(found)}
        for cover in COVERS:
            seen = (passes(closer, shown(*one, cover, rng)) for one in found)
            row[cover] = round(sum(seen) / len(found), 3)
        print(json.dumps(row) if options.json else "  ".join(f"{key} {row[key]}" for key in row), flush=True)


if __name__ == "__main__":
    main()
