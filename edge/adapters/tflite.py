"""TensorFlow Lite: runs the int8 models of the manifest, and nothing else.

Three rules. (1) A file is read once; those bytes are hashed, compared with the manifest and handed to the
runtime: what was checked is what runs. (2) Input and output tensors are views into the runtime's memory:
nothing is copied, and no view outlives the call that took it. (3) Every way in which a model can be wrong is
a ModelError that names the file and the cause. Since a bad file can bring the whole process down from inside
the runtime, `edge.adapters.selfcheck` lets a child process go first.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core import decode
from edge.core.decode import Fit, Tensor
from edge.core.manifest import DELEGATES, LIBRARIES, XNNPACK, ManifestError, ModelSpec, parse
from edge.core.values import Detection, Embedding, Face, Pixels
from edge.ports import ModelError

THREADS_MAX = 2  # a third thread buys little and takes the core that reads the camera

log = logging.getLogger(__name__)


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


def _runtime() -> Any:
    """`ai_edge_litert`, or its forerunner `tflite_runtime` where that is what the device has."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        return _legacy_runtime()
    return interpreter


def _legacy_runtime() -> Any:
    try:
        from tflite_runtime import interpreter
    except ImportError:
        cause = "neither ai_edge_litert nor tflite_runtime can be imported"
        hint = "pip install ai-edge-litert"
        raise ModelError("start", "the TensorFlow Lite runtime", cause, hint) from None
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        cause = f"tflite_runtime is built for numpy 1 and breaks with numpy {np.__version__}"
        hint = "install ai-edge-litert, or numpy<2 with opencv-python-headless==4.11.0.86"
        raise ModelError("start", "the TensorFlow Lite runtime", cause, hint)
    return interpreter


def _delegates(name: str) -> list[Any]:
    """What runs the graph: nothing to load for `xnnpack`, the CPU's own; else `edgetpu`, `gpu` or
    `external:LIBRARY`. One that cannot be loaded is a warning, and the CPU does the work."""
    if name == XNNPACK:
        return []
    library = name.removeprefix("external:") if name.startswith("external:") else LIBRARIES.get(name)
    if not library:
        known = ", ".join([*DELEGATES, "external:LIBRARY"])
        raise ModelError("find delegate", name, f"known are {known}")
    try:
        found = ctypes.CDLL(library)  # load_delegate leaves a broken object behind where there is none
        for function in ("create", "destroy"):
            getattr(found, f"tflite_plugin_{function}_delegate")
        return [_runtime().load_delegate(library)]
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        _give_up(name, str(error))
        return []


@cache
def _give_up(name: str, cause: str) -> None:
    """Said once for all networks."""
    last = (cause.strip() or "it says nothing").splitlines()[-1]
    log.warning("delegate %s cannot be used (%s): the models run on the CPU instead", name, last)


def _interpreter(model: bytes, threads: int, delegate: str) -> Any:
    """With the delegate, or without it when it does not take the graph. ValueError or RuntimeError when the
    runtime does not take it either."""
    delegates = _delegates(delegate)
    if delegates:
        try:
            return _prepared(model, threads, delegates)
        except (ValueError, RuntimeError) as error:
            _give_up(delegate, str(error))
    return _prepared(model, threads, [])


def _prepared(model: bytes, threads: int, delegates: Sequence[Any]) -> Any:
    with _hushed():
        made = _runtime().Interpreter(
            model_content=model, num_threads=threads, experimental_delegates=delegates
        )
        made.allocate_tensors()
    return made


class Network:
    """A loaded int8 network of static batch 1: a picture in, its output tensors out."""

    def __init__(self, directory: Path, spec: ModelSpec, threads: int = 1, delegate: str = XNNPACK) -> None:
        self.spec = spec
        self._path = str(directory / spec.file)
        model = content(directory, spec)
        try:
            self._interpreter = _interpreter(model, threads, delegate)
        except (ValueError, RuntimeError) as error:
            raise self._refuse(str(error).splitlines()[0]) from None
        self._input, self._size = self._find_input()
        self._outputs = [self._find_output(name) for name in spec.outputs]

    def _refuse(self, cause: str) -> ModelError:
        hint = "the manifest and the file do not fit: rebuild both"
        return ModelError("load model", self._path, cause, hint)

    def _find_input(self) -> tuple[int, tuple[int, int]]:
        """The input takes bytes as they are, less 128: any other scale is another kind of model."""
        details = self._interpreter.get_input_details()[0]
        batch, height, width, channels = details["shape"].tolist()
        byte_wise = details["dtype"] is np.int8 and details["quantization"][0] == 1.0
        if not byte_wise or (batch, channels) != (1, 3):
            raise self._refuse(f"its input is {details['dtype'].__name__} {details['shape'].tolist()}")
        return int(details["index"]), (width, height)

    def _find_output(self, name: str) -> tuple[int, float, int]:
        for details in self._interpreter.get_output_details():
            if details["name"] == name and details["dtype"] is np.int8:
                scale, zero_point = details["quantization"]
                return int(details["index"]), float(scale), int(zero_point)
        raise self._refuse(f"it has no int8 output {name}")

    def run(self, picture: Pixels) -> Sequence[Tensor]:
        """`picture` is (height, width, 3) uint8 in the model's colour order; another size than the last one
        costs some milliseconds. The tensors are views that must be dropped before the next call.
        """
        height, width = picture.shape[:2]
        if (width, height) != self._size:
            self._interpreter.resize_tensor_input(self._input, [1, height, width, 3])
            self._interpreter.allocate_tensors()
            self._size = (width, height)
        view = self._interpreter.tensor(self._input)()[0].view(np.uint8)
        np.bitwise_xor(picture, 0x80, out=view)  # the byte p as the int8 p - 128
        del view
        self.invoke()
        return [Tensor(self._interpreter.tensor(i)()[0], scale, zero) for i, scale, zero in self._outputs]

    def invoke(self) -> None:
        """The inference alone, on the picture of the last `run`."""
        self._interpreter.invoke()

    @property
    def pieces(self) -> int:
        """In how many pieces the delegate runs the graph: one is right, none or many are slow."""
        operations = self._interpreter._get_ops_details()
        return sum(operation["op_name"] == "DELEGATE" for operation in operations)


@contextmanager
def _hushed() -> Iterator[None]:
    """Without the line that the runtime's C++ side writes to stderr when it makes a delegate; what goes wrong
    comes as an exception. At start-up only: the descriptor belongs to the whole process."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Letterbox:
    """Fits pictures into a canvas that is made once for each size of picture and used again."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._picture = (0, 0)
        self._fit = Fit(1.0, (0, 0), (0, 0))
        self.canvas: Pixels = np.empty((0, 0, 3), np.uint8)

    def place(self, pixels: Pixels) -> Fit:
        picture = pixels.shape[1], pixels.shape[0]
        if picture != self._picture:
            self._picture = picture
            self._fit = Fit.of(picture, self._spec.side, self._spec.multiple)
            self.canvas = np.full((*self._fit.canvas[::-1], 3), self._spec.pad, np.uint8)
        width, height = self._fit.size
        cv2.resize(pixels, (width, height), dst=self.canvas[:height, :width], interpolation=cv2.INTER_LINEAR)
        return self._fit


def load(directory: Path, name: str, role: str, threads: int, delegate: str) -> Network:
    """The network `name` of `role`. Raises ModelError when the manifest has no such model."""
    known = manifest(directory)
    if name not in known or known[name].role != role:
        names = ", ".join(sorted(spec.name for spec in known.values() if spec.role == role))
        raise ModelError("find model", name, f"the manifest lists for {role}: {names}")
    return Network(directory, known[name], min(threads, THREADS_MAX), delegate)


class PersonDetector:
    """Finds people (ports.Detector). Scores reach down to the model's floor: the tracker decides."""

    def __init__(
        self, directory: Path, model: str = "person-nanodet-416", threads: int = 1, delegate: str = XNNPACK
    ) -> None:
        self._network = load(directory, model, "person", threads, delegate)
        self._letterbox = Letterbox(self._network.spec)
        self.side = self._network.spec.side

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """People in `pixels` (height, width, 3) uint8 BGR of any size, best first, in its pixels."""
        thresholds = self._network.spec.thresholds
        fit = self._letterbox.place(pixels)
        tensors = self._network.run(self._letterbox.canvas)
        boxes, scores = decode.nanodet(tensors[:3], tensors[3:], thresholds["floor"])
        kept = decode.suppress(boxes, scores, thresholds["iou"])
        return decode.detections(boxes[kept], scores[kept], fit)


class FaceDetector:
    """Finds faces and their five landmarks (ports.FaceDetector)."""

    def __init__(
        self, directory: Path, model: str = "face-yunet-192", threads: int = 1, delegate: str = XNNPACK
    ) -> None:
        self._network = load(directory, model, "face", threads, delegate)
        self._letterbox = Letterbox(self._network.spec)

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        """Faces in `pixels` (height, width, 3) uint8 BGR of any size, best first, in its pixels."""
        thresholds = self._network.spec.thresholds
        fit = self._letterbox.place(pixels)
        t = self._network.run(self._letterbox.canvas)
        boxes, scores, landmarks = decode.yunet(t[:3], t[3:6], t[6:9], t[9:], thresholds["floor"])
        kept = decode.suppress(boxes, scores, thresholds["iou"])
        return decode.faces(boxes[kept], scores[kept], landmarks[kept], fit)


class Embedder:
    """Turns an aligned face into an embedding (ports.Embedder), which nobody may keep or show."""

    def __init__(
        self, directory: Path, model: str = "embedder-sface", threads: int = 1, delegate: str = XNNPACK
    ) -> None:
        self._network = load(directory, model, "embedder", threads, delegate)
        self.sha256 = self._network.spec.sha256
        self.mean = np.array(self._network.spec.mean, np.float32)

    def embed(self, crop: Pixels) -> Embedding:
        """`crop` (112, 112, 3) uint8 BGR, as `core.align` cuts it -> (dimensions,) float32 of length 1."""
        (tensor,) = self._network.run(crop[..., ::-1])  # the network wants red first
        embedding = (tensor.q.astype(np.float32) - tensor.zero_point) * tensor.scale
        length = max(float(np.linalg.norm(embedding)), 1e-12)
        return np.asarray(embedding / length, np.float32)


GOLDEN_PICTURE = "golden.jpg"
SAMPLES = 16  # values of each output that are compared


def answer(directory: Path, network: Network) -> NDArray[np.float32]:
    """What the network makes of the golden picture: evenly spread values of all its outputs."""
    picture = cv2.imread(str(directory / GOLDEN_PICTURE))
    if picture is None:
        raise ModelError("read", str(directory / GOLDEN_PICTURE), "it is missing or not a picture")
    side = network.spec.side
    tensors = network.run(np.asarray(cv2.resize(picture, (side, side)), np.uint8))
    real = [(tensor.q.ravel().astype(np.float32) - tensor.zero_point) * tensor.scale for tensor in tensors]
    return np.concatenate([values[:: max(1, values.size // SAMPLES)] for values in real])


def _prove(directory: Path, name: str, threads: int, delegate: str) -> dict[str, object]:
    """One model, loaded and run: how alike its answer is to the golden one, and what an inference costs."""
    spec = manifest(directory).get(name)
    if spec is None:
        raise ModelError("find model", name, "the manifest does not list it")
    network = Network(directory, spec, threads, delegate)
    found, golden = answer(directory, network), np.array(spec.golden, np.float32)
    alike = float(np.corrcoef(found, golden)[0, 1]) if found.shape == golden.shape else 0.0
    times = []
    for _ in range(5):
        start = time.process_time()
        network.invoke()
        times.append(time.process_time() - start)
    return {
        "model": name,
        "sha256": spec.sha256,
        "runtime": _runtime().__name__,
        "alike": round(alike, 4),
        "cpu_ms": round(min(times) * 1e3, 3),
        "pieces": network.pieces,
    }


def main(arguments: Sequence[str]) -> int:
    """The child of `edge.adapters.selfcheck`: DIRECTORY THREADS DELEGATE MODEL... -> a line of JSON each."""
    directory, threads, delegate, *names = arguments
    for name in names:
        try:
            print(json.dumps(_prove(Path(directory), name, int(threads), delegate)), flush=True)
        except (ModelError, RuntimeError, ValueError) as error:  # the runtime's own: it does not run
            print(json.dumps({"model": name, "error": str(error).strip()}), flush=True)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
