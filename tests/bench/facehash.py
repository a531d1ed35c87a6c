"""What the face hash costs and what it protects, in figures.

    python tests/bench/facehash.py [DIR] [--json]

Without DIR: CPU times, unlinkability across keys (D_sys and its null), and inversion with and without the
key, on synthetic templates. With DIR (person/picture files) also the FNMR at FMR 1e-3 and 1e-4 of 1, 3 and 5
fused samples, for the embedding and for its code.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.adapters import tflite
from edge.core import align
from edge.core.facehash import Floats, distances, fuse, projection, weighed
from tests.privacy import SCHEME, distance, linkability, null, people, project, seed, seen_again

PICTURES = {".pgm", ".png", ".jpg", ".jpeg", ".bmp"}
SPLITS = 40
Scores = NDArray[np.float64]


def median_ms(work: Callable[[], object], times: int) -> float:
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return round(1000 * float(np.median(spent)), 4)


def costs(rng: np.random.Generator) -> dict[str, float]:
    made, template = project(rng), people(rng, 1)[0]
    codes = rng.integers(0, 2**63, (8, 10_000)).astype(np.uint64)
    face, key_seed, columns = made.probe(template), seed(rng), np.arange(0, 10_000, 100)
    return {
        "hash_128d_ms": median_ms(lambda: made.hash(template), 500),
        "match_10000_ms": median_ms(lambda: distances(codes, face.code.words), 500),
        "weigh_100_ms": median_ms(lambda: weighed(codes, columns, face), 500),
        "new_epoch_ms": median_ms(lambda: projection(1, key_seed, SCHEME), 5),
    }


def unlinkability(rng: np.random.Generator, pairs: int = 20, count: int = 1500) -> dict[str, float]:
    mated, others = [], []
    for _ in range(pairs):
        first, second, before = project(rng), project(rng), people(rng, count)
        a, b = (
            [p.hash(t) for t in seen] for p, seen in ((first, before), (second, seen_again(rng, before, 0.9)))
        )
        mated += [distance(x, y) for x, y in zip(a, b, strict=True)]
        others += [distance(x, y) for x, y in zip(a, b[1:] + b[:1], strict=True)]
    same, different = np.array(mated), np.array(others)
    found, nothing = linkability(same, different), null(rng, same, different)
    return {"d_sys": round(found, 4), "d_sys_null": round(nothing, 4), "scores": len(mated)}


def inversion(rng: np.random.Generator) -> dict[str, float]:
    """Cosine of the true template and the one rebuilt from its code, with the key and without."""
    made, guessed = project(rng), project(rng)
    found: dict[str, list[float]] = {"with_key": [], "without_key": []}
    for template in people(rng, 200):
        bits = 2.0 * np.unpackbits(made.hash(template).words.view(np.uint8), bitorder="little") - 1
        for name, rows in (("with_key", made._rows), ("without_key", guessed._rows)):
            rebuilt = rows.T @ bits
            found[name].append(float(rebuilt @ template / np.linalg.norm(rebuilt)))
    return {f"cosine_{name}": round(float(np.mean(values)), 3) for name, values in found.items()}


def embeddings(folder: Path) -> dict[str, Floats]:
    """The embedding of every picture's largest face, by person."""
    directory = tflite.models_dir()
    detector, embedder = tflite.FaceDetector(directory), tflite.Embedder(directory)
    found: dict[str, list[Floats]] = {}
    for path in sorted(path for path in folder.glob("*/*") if path.suffix.lower() in PICTURES):
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        y, x = (round(0.3 * length) for length in picture.shape[:2])
        framed = np.asarray(cv2.copyMakeBorder(picture, y, y, x, x, cv2.BORDER_REPLICATE), np.uint8)
        faces = detector.detect(framed)
        if faces:
            face = max(faces, key=lambda one: one.box.height)
            found.setdefault(path.parent.name, []).append(embedder.embed(align.crop(framed, face.landmarks)))
    return {person: np.stack(ones) for person, ones in found.items()}


def accuracy(faces: dict[str, Floats], samples: int, rng: np.random.Generator) -> dict[str, object]:
    """FNMR at fixed FMR over random splits of each person's pictures into two templates; a key a split."""
    mean = np.zeros(SCHEME.dimensions, np.float32)  # as shipped
    same, kinds = np.eye(len(faces), dtype=bool), ("embedding", "code")
    mated: dict[str, list[float]] = {kind: [] for kind in kinds}
    others: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(SPLITS):
        orders = {person: rng.permutation(len(ones)) for person, ones in faces.items()}
        a, b = (
            np.stack(
                [
                    fuse(faces[p][order[part * samples : (part + 1) * samples]], mean)
                    for p, order in orders.items()
                ]
            )
            for part in (0, 1)
        )
        made = project(rng)
        codes, columns = np.stack([made.hash(template).words for template in b], axis=1), np.arange(len(b))
        apart = np.stack([weighed(codes, columns, made.probe(template)) for template in a])
        for kind, table in (("embedding", a @ b.T), ("code", SCHEME.bits - apart)):
            mated[kind] += list(table[same])
            others[kind] += list(table[~same])
    report: dict[str, object] = {"mated": len(mated["code"]), "non_mated": len(others["code"])}
    for kind in kinds:
        report |= {f"{kind}_fnmr@{fmr:g}": misses(mated[kind], others[kind], fmr) for fmr in (1e-3, 1e-4)}
    report["threshold_bits@0.0001"] = round(SCHEME.bits - limit(others["code"], 1e-4), 1)
    return report


def limit(others: list[float], fmr: float) -> float:
    """The score that the share `fmr` of the non-mated exceed."""
    return float(np.sort(others)[::-1][int(len(others) * fmr)])


def misses(mated: list[float], others: list[float], fmr: float) -> dict[str, float]:
    """FNMR and Wilson's 95 % upper limit (the splits share pictures, so the true one is higher)."""
    n, z = len(mated), 1.96
    rate = float((np.array(mated) <= limit(others, fmr)).mean())
    middle, spread = rate + z * z / (2 * n), z * np.sqrt(rate * (1 - rate) / n + (z / n) ** 2 / 4)
    return {"fnmr": round(rate, 4), "at_most": round(float(middle + spread) / (1 + z * z / n), 4)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    report: dict[str, object] = {
        "cost": costs(rng),
        "unlinkability": unlinkability(rng),
        "inversion": inversion(rng),
    }
    if options.folder:
        faces = embeddings(options.folder)
        report |= {f"fused_{samples}": accuracy(faces, samples, rng) for samples in (1, 3, 5)}
    print(json.dumps(report, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in report.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
