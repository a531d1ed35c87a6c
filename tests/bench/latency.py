"""What an inference costs: every model, int8 against its float32 twin, with 1 and 2 threads, in one run.

    python tests/bench/latency.py --floats models/build/out [--json]

The best of many turns, in wall milliseconds of the inference alone: what a machine that does nothing else
would need. All variants of a model take turns, so that a noisy machine disturbs them alike. `overhead` is
what surrounds the inference in `detect` or `embed` (1 thread), as a part of it: fitting the picture, filling
the tensor, decoding, suppression.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge.adapters import tflite
from edge.adapters.tflite import Network
from edge.core.manifest import ModelSpec
from edge.core.values import Pixels
from tests.bench.floats import FloatNetwork

TURNS = 60
CLIP = Path(__file__).parents[1] / "data" / "vtest.mp4"
Use = tflite.PersonDetector | tflite.FaceDetector | tflite.Embedder
USES: dict[str, Callable[[Path, str], Use]] = {
    "person": tflite.PersonDetector,
    "face": tflite.FaceDetector,
    "embedder": tflite.Embedder,
}


def frame() -> Pixels:
    """A 720p picture with eight people in it."""
    capture = cv2.VideoCapture(str(CLIP), cv2.CAP_FFMPEG)
    for _ in range(301):
        good, picture = capture.read()
        assert good
    return np.asarray(cv2.resize(picture[:432], (1280, 720)), np.uint8)


def canvas(spec: ModelSpec) -> Pixels:
    """The input that a 16:9 picture fills; an embedder's is square."""
    height = -(-spec.side * 9 // 16 // spec.multiple) * spec.multiple
    return np.full((height, spec.side, 3), 114, np.uint8)


def milliseconds(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The best of every call, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: round(min(values) * 1e3, 2) for name, values in times.items()}


def measure(models: Path, floats: Path, spec: ModelSpec, picture: Pixels) -> dict[str, object]:
    networks: dict[str, Network] = {}
    for threads in (1, 2):
        networks[f"int8 x{threads}"] = Network(models, spec, threads)
        networks[f"float32 x{threads}"] = FloatNetwork(floats, spec, threads)
    for network in networks.values():
        network.run(canvas(spec))
    found = milliseconds({name: network.invoke for name, network in networks.items()})
    row: dict[str, object] = {"model": spec.name, "input": f"{canvas(spec).shape[1]}x{canvas(spec).shape[0]}"}
    row |= found
    row["int8/float32"] = round(found["int8 x1"] / found["float32 x1"], 3)
    return row | {"overhead": overhead(models, spec, picture)}


def overhead(models: Path, spec: ModelSpec, picture: Pixels) -> float:
    use = USES[spec.role](models, spec.name)
    crop = np.ascontiguousarray(picture[:112, :112])

    def whole() -> object:
        return use.embed(crop) if isinstance(use, tflite.Embedder) else use.detect(picture)

    whole()
    found = milliseconds({"whole": whole, "inference": use._network.invoke})
    return round(found["whole"] / found["inference"] - 1, 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=tflite.models_dir())
    parser.add_argument("--floats", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    picture = frame()
    for spec in tflite.manifest(options.models).values():
        row = measure(options.models, options.floats, spec, picture)
        print(json.dumps(row) if options.json else "  ".join(f"{key} {row[key]}" for key in row), flush=True)


if __name__ == "__main__":
    main()
