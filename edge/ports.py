"""The Protocols between the pure core and the world. Built-ins enter by the same door as visitors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from edge.core.health import Outflow
from edge.core.values import Detection, Embedding, Face, Frame, Message, Pixels


class Clock(Protocol):
    """The two clocks: one measures, the other labels."""

    def monotonic_s(self) -> float: ...

    def wall_s(self) -> float: ...


class Source(Protocol):
    """A camera or a clip. `frames` yields until the source ends (clip) or fails (AdapterError).

    `lossless` says that no frame may be dropped to keep up: a clip waits, a camera does not.
    """

    lossless: bool

    def frames(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


class Detector(Protocol):
    """Finds people: pixels (height, width, 3) uint8 BGR -> detections in pixels of that picture.

    `side` is the longer side of what its network is shown, in pixels: any picture is brought to that.
    """

    @property
    def side(self) -> int: ...

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]: ...


class FaceDetector(Protocol):
    """Finds faces: pixels (height, width, 3) uint8 BGR -> faces with landmarks in pixels of that picture."""

    def detect(self, pixels: Pixels) -> tuple[Face, ...]: ...


class Embedder(Protocol):
    """Turns an aligned face (112, 112, 3) uint8 BGR into an embedding (dimensions,) float32 of length 1.

    An embedding is transient: never stored, never shown; each is an array of its own, which the caller wipes.
    `mean` is that of the model's embeddings, which the face hash subtracts; `sha256` names the weights that
    the embeddings belong to.
    """

    @property
    def mean(self) -> Embedding: ...

    @property
    def sha256(self) -> str: ...

    def embed(self, crop: Pixels) -> Embedding: ...


class Sink(Protocol):
    """Takes messages for good: what `commit` returned from survives a power cut; else AdapterError.

    `books` is kept in the same transaction and replaces the one before. `post` takes a retained state, which
    needs no disk: it is made again from the books after a restart. `rewrite` changes messages that wait.
    """

    def commit(self, messages: Sequence[Message], books: str) -> None: ...

    def post(self, state: Message) -> None: ...

    def rewrite(self, change: Callable[[Message], Message]) -> None: ...

    def outflow(self) -> Outflow: ...


class AdapterError(Exception):
    """The world failed: what was done, to what, why, and what the operator can do about it.

    Retried inside the worker that met it; credentials are redacted before they come in here.
    """

    def __init__(self, operation: str, subject: str, cause: str, hint: str = "") -> None:
        self.operation, self.subject, self.cause, self.hint = operation, subject, cause, hint
        super().__init__(f"cannot {operation} {subject}: {cause}" + (f" ({hint})" if hint else ""))


class ModelError(AdapterError):
    """A model that must not be run: missing, broken, or not the one of the manifest. Never retried."""


class ConfigError(Exception):
    """The config is wrong. `problems` holds every complaint at once, each with file, line, key and remedy."""

    def __init__(self, problems: Sequence[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, problems)))
