"""TensorFlow Lite: runs the int8 models of the manifest, and nothing else.

Three rules. (1) A file is read once; those bytes are hashed, compared with the manifest and handed to the
runtime: what was checked is what runs. (2) Input and output tensors are views into the runtime's memory:
nothing is copied, and no view outlives the call that took it. (3) Every way in which a model can be wrong is
a ModelError that names the file and the cause.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.core import decode
from edge.core.decode import Fit, Tensor
from edge.core.manifest import ManifestError, ModelSpec, parse
from edge.core.values import Detection, Pixels
from edge.ports import ModelError

THREADS_MAX = 2  # a third thread buys little and takes the core that reads the camera


def models_dir() -> Path:
    """Where the models lie: beside the package in a checkout, else where the wheel put them."""
    checkout = Path(__file__).parents[2] / "models"
    return checkout if (checkout / "manifest.toml").exists() else Path(sys.prefix) / "share/edged/models"


def manifest(directory: Path) -> dict[str, ModelSpec]:
    """The models that may be loaded from `directory`, by name. Raises ModelError."""
    path = directory / "manifest.toml"
    try:
        return parse(_read(path).decode())
    except (ManifestError, UnicodeDecodeError) as error:
        raise ModelError("read", str(path), str(error)) from None


def content(directory: Path, spec: ModelSpec) -> bytes:
    """The bytes of a model's file, proven to be the ones that the manifest names. Raises ModelError."""
    path = directory / spec.file
    found = _read(path)
    digest = hashlib.sha256(found).hexdigest()
    if digest != spec.sha256:
        cause = f"its SHA-256 is {digest[:12]}…, the manifest says {spec.sha256[:12]}… ({len(found)} bytes)"
        raise ModelError("load model", str(path), cause, "the file is damaged or swapped: install it again")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            "read", str(path), error.strerror or str(error), "install the models again"
        ) from None


def _interpreter_class() -> Any:
    """`ai_edge_litert`, or its forerunner `tflite_runtime` where that is what the device has."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return _legacy_interpreter_class()
    return Interpreter


def _legacy_interpreter_class() -> Any:
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError:
        cause = "neither ai_edge_litert nor tflite_runtime can be imported"
        raise ModelError(
            "start", "the TensorFlow Lite runtime", cause, "pip install ai-edge-litert"
        ) from None
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        cause = f"tflite_runtime is built for numpy 1 and breaks with numpy {np.__version__}"
        hint = "install ai-edge-litert, or numpy<2 with opencv-python-headless==4.11.0.86"
        raise ModelError("start", "the TensorFlow Lite runtime", cause, hint)
    return Interpreter


class Network:
    """A loaded int8 network of static batch 1: a picture in, its output tensors out."""

    def __init__(self, directory: Path, spec: ModelSpec, threads: int = 1) -> None:
        self.spec = spec
        self._path = str(directory / spec.file)
        model = content(directory, spec)
        try:
            self._interpreter = _interpreter_class()(model_content=model, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise self._refuse(str(error).splitlines()[0]) from None
        self._input = self._find_input()
        self._outputs = [self._find_output(name) for name in spec.outputs]

    def _refuse(self, cause: str) -> ModelError:
        return ModelError(
            "load model", self._path, cause, "the manifest and the file do not fit: rebuild both"
        )

    def _find_input(self) -> int:
        """The input takes bytes as they are, less 128: anything else is another kind of model."""
        wanted = (1, self.spec.height, self.spec.width, 3)
        details = self._interpreter.get_input_details()[0]
        shape = tuple(details["shape"].tolist())
        if shape != wanted or details["dtype"] is not np.int8:
            raise self._refuse(f"its input is {details['dtype'].__name__} {shape}")
        if tuple(details["quantization"]) != (1.0, -128):
            raise self._refuse(f"its input is quantised as {details['quantization']}")
        return int(details["index"])

    def _find_output(self, name: str) -> tuple[int, float, int]:
        for details in self._interpreter.get_output_details():
            if details["name"] == name and details["dtype"] is np.int8:
                scale, zero_point = details["quantization"]
                return int(details["index"]), float(scale), int(zero_point)
        raise self._refuse(f"it has no int8 output {name}")

    def run(self, picture: Pixels) -> Sequence[Tensor]:
        """`picture` is (height, width, 3) uint8 in the model's size and colour order.

        The tensors are views that must be dropped before the next call.
        """
        view = self._interpreter.tensor(self._input)()[0].view(np.uint8)
        np.bitwise_xor(picture, 0x80, out=view)  # the byte p as the int8 p - 128
        del view
        self._interpreter.invoke()
        return [Tensor(self._interpreter.tensor(i)()[0], scale, zero) for i, scale, zero in self._outputs]


class Letterbox:
    """Fits pictures of any size into one canvas that is used again and again."""

    def __init__(self, spec: ModelSpec) -> None:
        self.canvas: Pixels = np.full((spec.height, spec.width, 3), spec.pad, np.uint8)
        self._pad = spec.pad
        self._fit: Fit | None = None

    def place(self, pixels: Pixels) -> Fit:
        fit = Fit.of((pixels.shape[1], pixels.shape[0]), (self.canvas.shape[1], self.canvas.shape[0]))
        if fit != self._fit:  # a picture of another size leaves another border
            self.canvas.fill(self._pad)
            self._fit = fit
        size = (fit.width, fit.height)
        cv2.resize(pixels, size, dst=self.canvas[: fit.height, : fit.width], interpolation=cv2.INTER_LINEAR)
        return fit


def load(directory: Path, name: str, role: str, threads: int) -> Network:
    """The network `name` of `role`. Raises ModelError when the manifest has no such model."""
    known = manifest(directory)
    if name not in known or known[name].role != role:
        names = ", ".join(sorted(spec.name for spec in known.values() if spec.role == role))
        raise ModelError("find model", name, f"the manifest lists for {role}: {names}")
    return Network(directory, known[name], min(threads, THREADS_MAX))


class PersonDetector:
    """Finds people (ports.Detector). Scores reach down to the model's floor: the tracker decides."""

    def __init__(self, directory: Path, model: str = "person-nanodet-416", threads: int = 1) -> None:
        self._network = load(directory, model, "person", threads)
        self._letterbox = Letterbox(self._network.spec)

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """People in `pixels` (height, width, 3) uint8 BGR of any size, best first, in its pixels."""
        spec = self._network.spec
        fit = self._letterbox.place(pixels)
        tensors = self._network.run(self._letterbox.canvas)
        levels = len(tensors) // 2
        boxes, scores = decode.nanodet(
            tensors[:levels], tensors[levels:], spec.width, spec.thresholds["floor"]
        )
        kept = decode.suppress(boxes, scores, spec.thresholds["iou"])
        return decode.detections(boxes[kept], scores[kept], fit)
