"""The float32 twins of the int8 models, run through the same path: for benches, never in the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edge.adapters.tflite import Network
from edge.core.decode import Tensor
from edge.core.manifest import ModelSpec
from edge.core.values import Pixels

STEPS = 1 << 20  # fine enough to stand for a real number


class FloatNetwork(Network):
    """Runs `<name>_f32.tflite` of a directory; its outputs are quantised too finely to matter."""

    def __init__(self, directory: Path, spec: ModelSpec, threads: int = 1) -> None:
        self.spec = spec
        path = directory / spec.file.replace("_int8", "_f32")
        self._interpreter = Interpreter(str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        details = self._interpreter.get_input_details()[0]
        self._input, self._size = int(details["index"]), (0, 0)
        self._offset = spec.card.get("offset", 0)
        names = {one["name"]: one["index"] for one in self._interpreter.get_output_details()}
        self._wanted = [names[name] for name in spec.outputs]

    def run(self, picture: Pixels) -> Sequence[Tensor]:
        height, width = picture.shape[:2]
        if (width, height) != self._size:
            self._interpreter.resize_tensor_input(self._input, [1, height, width, 3])
            self._interpreter.allocate_tensors()
            self._size = (width, height)
        self._interpreter.set_tensor(self._input, picture[None].astype(np.float32) - self._offset)
        self._interpreter.invoke()
        return [self._fine(self._interpreter.get_tensor(index)[0]) for index in self._wanted]

    def _fine(self, values: NDArray[np.float32]) -> Tensor:
        return Tensor(np.round(values * STEPS).astype(np.int32), 1 / STEPS, 0)
