"""Face verification over any folder of `person/image` files, through the shipped path.

    python tests/bench/verify.py DIR [--json] [--floats DIR] [--upscale N]

Every picture is detected, aligned and embedded as the daemon does it; all pairs are compared. Reported:
failure to acquire, EER, and the true accept rate (TAR) at false accept rates (FAR) 1e-2, 1e-3 and 1e-4 with
95 % intervals (Wilson), for the embedding and, as means over several keys, for its face hash.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.adapters import tflite
from edge.core import align
from edge.core.facehash import Scheme, fuse, projection, weighed
from edge.core.values import Pixels
from edge.visit.closer import CloserLook, head_area
from edge.visit.faces import body_under
from edge.visit.tier import EMBEDDER_MODEL, FACE_MODEL, FINDER_MODEL
from tests.bench.floats import FloatNetwork

Floats = NDArray[np.float64]
PICTURES = {".pgm", ".png", ".jpg", ".jpeg", ".bmp"}
KEYS = 8
BORDER = 0.3  # of the picture, repeated around it: portraits are often cut closer than a camera's view


@dataclass(frozen=True)
class Path_:
    """The models of the shipped path."""

    finder: tflite.FaceDetector
    detector: tflite.FaceDetector
    embedder: tflite.Embedder

    def embed(self, picture: Pixels) -> NDArray[np.float32] | None:
        """The embedding of the largest face, found and looked at as the daemon does with someone new in a
        close-up; None when no face is found."""
        found = self.finder.detect(picture)
        if not found:
            return None
        face = max(found, key=lambda one: one.box.width * one.box.height)
        closer, area = CloserLook(self.detector), head_area(body_under(face, picture.shape[1::-1]))
        seen = max(closer.glance(picture, area), key=lambda one: one.height, default=None)
        upright = seen and closer.upright(picture, seen)
        return self.embedder.embed(align.crop(picture, upright.landmarks)) if upright else None


def pictures(folder: Path) -> Iterator[tuple[str, Pixels]]:
    for path in sorted(path for path in folder.glob("*/*") if path.suffix.lower() in PICTURES):
        picture = cv2.imread(str(path))
        if picture is None:
            raise SystemExit(f"cannot read {path}")
        y, x = (round(length * BORDER) for length in picture.shape[:2])
        bordered = cv2.copyMakeBorder(picture, y, y, x, x, cv2.BORDER_REPLICATE)
        yield path.parent.name, np.asarray(bordered, np.uint8)


def hashed(embeddings: NDArray[np.float32], embedder: tflite.Embedder, key: int) -> Floats:
    """Each embedding looked for among the codes of the others, as at an exit: the cosine that the weighed
    distance stands for. One sample a code: harder than a track's."""
    dimensions = embeddings.shape[1]
    scheme = Scheme("bench", embedder.sha256, dimensions, 4 * dimensions, "bench")
    keyed = projection(0, bytearray([key] * 32), scheme)
    templates = [fuse(one[None], embedder.mean) for one in embeddings]
    codes = np.stack([keyed.hash(template).words for template in templates], axis=1)
    everyone = np.arange(len(templates))
    found = [weighed(codes, everyone, keyed.probe(template)) for template in templates]
    return np.asarray(1 - 2 * np.stack(found).astype(np.float64) / scheme.bits)


def hash_rates(
    embeddings: NDArray[np.float32], embedder: tflite.Embedder, people: list[str]
) -> dict[str, float]:
    """The means over several keys: between two keys the TAR at 1e-3 differs by up to three points."""
    reports = [rates(*split(hashed(embeddings, embedder, key), people)) for key in range(KEYS)]
    names = [name for name, value in reports[0].items() if isinstance(value, float)]
    return {name: round(float(np.mean([report[name] for report in reports])), 4) for name in names}


def split(similarity: Floats, people: list[str]) -> tuple[Floats, Floats]:
    """Scores of mated and of non-mated pairs."""
    rows, columns = np.triu_indices(len(people), 1)
    same = np.array(people)[rows] == np.array(people)[columns]
    scores = similarity[rows, columns]
    return scores[same], scores[~same]


def interval(part: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval. Pairs share pictures, so that the true one is wider."""
    middle = (part + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(part * (1 - part) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return round(middle - half, 4), round(middle + half, 4)


def rates(mated: Floats, others: Floats) -> dict[str, object]:
    report: dict[str, object] = {
        "mated": len(mated),
        "non_mated": len(others),
        "eer": round(eer(mated, others), 4),
    }
    ranked = np.sort(others)[::-1]
    for far in (1e-2, 1e-3, 1e-4):
        allowed = int(len(others) * far)
        threshold = float(ranked[allowed])
        tar = float((mated > threshold).mean())
        report[f"tar@{far:g}"] = round(tar, 4)
        report[f"interval@{far:g}"] = interval(tar, len(mated))
        report[f"threshold@{far:g}"] = round(threshold, 4)
    return report


def eer(mated: Floats, others: Floats) -> float:
    thresholds = np.quantile(np.concatenate([mated, others]), np.linspace(0, 1, 2001))
    misses = np.searchsorted(np.sort(mated), thresholds) / len(mated)
    alarms = 1 - np.searchsorted(np.sort(others), thresholds) / len(others)
    nearest = int(np.argmin(abs(misses - alarms)))
    return float(misses[nearest] + alarms[nearest]) / 2


def verify(folder: Path, path: Path_, upscale: float) -> dict[str, object]:
    people, found, missed, heights = [], [], 0, []
    for person, picture in pictures(folder):
        heights.append(picture.shape[0] / (1 + 2 * BORDER))
        if upscale != 1:
            picture = np.asarray(cv2.resize(picture, None, fx=upscale, fy=upscale), np.uint8)
        embedding = path.embed(picture)
        if embedding is None:
            missed += 1
        else:
            people.append(person)
            found.append(embedding)
    embeddings = np.stack(found)
    report: dict[str, object] = {
        "people": len(set(people)),
        "pictures": len(people) + missed,
        "median_height_px": round(float(np.median(heights))),
        "failure_to_acquire": round(missed / (len(people) + missed), 4),
        "embedding": rates(*split(np.asarray(embeddings @ embeddings.T, np.float64), people)),
    }
    return report | {"hash": hash_rates(embeddings, path.embedder, people)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=tflite.models_dir())
    parser.add_argument("--floats", type=Path, help="directory of the float32 twins: compare with them")
    parser.add_argument("--upscale", type=float, default=1.0, help="enlarge the pictures first")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    finder, detector = (tflite.FaceDetector(options.models, name) for name in (FINDER_MODEL, FACE_MODEL))
    path = Path_(finder, detector, tflite.Embedder(options.models, EMBEDDER_MODEL))
    reports = {"int8": verify(options.folder, path, options.upscale)}
    if options.floats:
        for part in (path.finder, path.detector, path.embedder):
            part._network = FloatNetwork(options.floats, part._network.spec)
        reports["float32"] = verify(options.folder, path, options.upscale)
    if options.json:
        print(json.dumps(reports, indent=1))
        return 0
    for precision, report in reports.items():
        print(precision, *(f"{key} {value}" for key, value in report.items()), sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
