"""`make models`: packages -> weights -> Keras -> int8 TensorFlow Lite -> `models/*.tflite` and the manifest.

The float32 twins stay in `models/build/out/` for the benches. What a machine cannot find out (licences, input,
thresholds, figures measured on data that may not be shipped) is written by hand in `cards.toml`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Determinism first: one thread and no reordering of sums, so that ranges come out the same every time.
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "TF_DETERMINISTIC_OPS": "1"}

import calibration
import keras
import nanodet
import numpy as np
import onnx_keras
import quantise
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from fetch import fetch
from manifest import write

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
from edge.adapters import tflite  # the golden answers are the daemon's own

MODELS = HERE.parent
OUT = HERE / "out"
YUNET = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]


@dataclass(frozen=True)
class Recipe:
    """How one file is made: its network, and the pictures in the network's own units."""

    file: str
    network: Callable[[], keras.Model]
    pictures: Callable[[], list[np.ndarray]]


def recipes(files: dict[str, Path]) -> list[Recipe]:
    yunet = files["face_detection_yunet_2023mar_int8bq.onnx"]
    sface = files["face_recognition_sface_2021dec_int8bq.onnx"]
    scenes = _floats(calibration.face_scenes(320, 0))
    crops = _floats(picture[..., ::-1] for picture in calibration.aligned_faces())
    return [
        Recipe(
            "person_nanodet",
            lambda: nanodet.build(files["nanodet.json"], files["nanodet.bin"], 416, 416),
            lambda: [picture - nanodet.OFFSET for picture in _floats(calibration.people(416, 114))],
        ),
        Recipe(
            "face_yunet",
            lambda: onnx_keras.build_equalised(yunet, 320, 320, YUNET, scenes[2:]),
            lambda: scenes,
        ),
        Recipe(
            "embedder_sface",
            lambda: onnx_keras.build_equalised(sface, 112, 112, ["fc1"], crops[2::2]),
            lambda: crops,
        ),
    ]


def _floats(pictures) -> list[np.ndarray]:
    """Batches of one, after an all-dark and an all-bright picture that fix the input's scale to 1."""
    found = [picture[None].astype(np.float32) for picture in pictures]
    return [np.zeros_like(found[0]), np.full_like(found[0], 255), *found]


def make(recipe: Recipe) -> None:
    model, pictures = recipe.network(), recipe.pictures()
    floats, int8 = quantise.to_float(model), quantise.to_int8(model, pictures)
    (OUT / f"{recipe.file}_f32.tflite").write_bytes(floats)
    (MODELS / f"{recipe.file}_int8.tflite").write_bytes(int8)
    digest = hashlib.sha256(int8).hexdigest()
    print(f"{recipe.file}_int8.tflite  {len(int8)} bytes  sha256 {digest}", flush=True)
    for line in compare(floats, int8, pictures[2::7]):
        print("  " + line, flush=True)


def compare(floats: bytes, int8: bytes, pictures: list[np.ndarray]) -> list[str]:
    """Per output: the root mean square of int8 against float32, as a part of the float's own spread."""
    pairs = [(run(floats, picture), run(int8, picture)) for picture in pictures]
    lines = []
    for index in range(len(pairs[0][0])):
        true, found = (np.stack([pair[side][index] for pair in pairs]) for side in (0, 1))
        lines.append(f"output {index}: rms error {np.sqrt(((true - found) ** 2).mean()) / true.std():.3f} of spread")
    return lines


def run(model: bytes, picture: np.ndarray) -> list[np.ndarray]:
    """The outputs as real numbers."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    scale, zero = details["quantization"]
    value = np.round(picture / scale + zero).astype(details["dtype"]) if scale else picture
    interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    found = []
    for one in interpreter.get_output_details():
        scale, zero = one["quantization"]
        value = interpreter.get_tensor(one["index"]).astype(np.float32)
        found.append((value - zero) * scale if scale else value)
    return found


def main() -> int:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    OUT.mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    for recipe in recipes(fetch(HERE / "cache")):
        if not wanted or recipe.file in wanted:
            make(recipe)
    cards = tomllib.loads((HERE / "cards.toml").read_text())
    sources = tomllib.loads((HERE / "sources.toml").read_text())
    target = MODELS / "manifest.toml"
    target.write_text(write(cards, sources, MODELS))
    for name, spec in tflite.manifest(MODELS).items():
        golden = tflite.answer(MODELS, tflite.Network(MODELS, spec))
        cards[name]["golden"] = [round(float(value), 3) for value in golden]
    target.write_text(write(cards, sources, MODELS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
