"""The manifest of models: the only list of what may be loaded, and what each model expects and gives.

Text in, values out. `models/manifest.toml` says more than this (source, licence, figures): that is for people
and for the egress contract, and it is kept in `ModelSpec.card` without being looked into.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
ROLES = ("person", "face", "embedder")
COLOURS = ("bgr", "rgb")
# What may run the networks, by name, and the library that brings it: XNNPACK is the runtime's own.
XNNPACK = "xnnpack"
LIBRARIES = {"edgetpu": "libedgetpu.so.1", "gpu": "libtensorflowlite_gpu_delegate.so"}
DELEGATES = (XNNPACK, *LIBRARIES)


class ManifestError(ValueError):
    """The manifest says something that cannot be; the message names the model and the key."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. Its input is as long as `side` on the picture's longer side and as short as the picture
    allows on the other, in steps of `multiple` pixels; `pad` is the grey that fills the rest. `outputs` names
    its output tensors in the order in which the decoder of its role takes them. `thresholds` are the figures
    that go with these weights and no others, `mean` (of an embedder) is that of its embeddings, `golden` is
    what it answers to the golden picture."""

    name: str
    role: str
    file: str
    sha256: str
    side: int
    multiple: int
    colour: str
    pad: int
    outputs: tuple[str, ...]
    thresholds: Mapping[str, float]
    mean: tuple[float, ...]
    golden: tuple[float, ...]
    card: Mapping[str, Any] = field(repr=False, compare=False)


def parse(text: str) -> dict[str, ModelSpec]:
    """The models by name. Raises ManifestError for anything missing, unknown or malformed."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"not TOML: {error}") from None
    if document.get("schema") != SCHEMA:
        raise ManifestError(f"schema is {document.get('schema')!r}, this edged reads {SCHEMA}")
    models = document.get("models")
    if not isinstance(models, dict) or not models:
        raise ManifestError("it lists no models")
    return {name: _spec(name, table) for name, table in models.items()}


def _spec(name: str, table: object) -> ModelSpec:
    if not isinstance(table, dict):
        raise ManifestError(f"models.{name} is not a table")
    get = _Reader(name, table)
    return ModelSpec(
        name=name,
        role=get.one_of("role", ROLES),
        file=get.text("file", r"[a-z0-9_]+\.tflite"),
        sha256=get.text("sha256", r"[0-9a-f]{64}"),
        side=get.whole("side", 32, 2048),
        multiple=get.whole("multiple", 1, 2048),
        colour=get.one_of("colour", COLOURS),
        pad=get.whole("pad", 0, 255),
        outputs=get.texts("outputs"),
        thresholds=get.numbers("thresholds"),
        mean=get.floats("mean"),
        golden=get.floats("golden"),
        card=table,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one model's table; every refusal names the model and the key."""

    name: str
    table: Mapping[str, Any]

    def _refuse(self, key: str, wanted: str) -> ManifestError:
        return ManifestError(f"models.{self.name}.{key} must be {wanted}, not {self.table.get(key)!r}")

    def text(self, key: str, pattern: str) -> str:
        value = self.table.get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self._refuse(key, f"a text like {pattern}")
        return value

    def one_of(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.table.get(key)
        if value not in choices:
            raise self._refuse(key, "one of " + ", ".join(choices))
        return str(value)

    def whole(self, key: str, low: int, high: int) -> int:
        value = self.table.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._refuse(key, f"a whole number from {low} to {high}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.table.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self._refuse(key, "a list of names")
        return tuple(value)

    def floats(self, key: str) -> tuple[float, ...]:
        """A list that may be absent."""
        value = self.table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, int | float) for item in value):
            raise self._refuse(key, "a list of numbers")
        return tuple(map(float, value))

    def numbers(self, key: str) -> dict[str, float]:
        value = self.table.get(key)
        if not isinstance(value, dict) or not all(isinstance(item, int | float) for item in value.values()):
            raise self._refuse(key, "a table of numbers")
        return {name: float(number) for name, number in value.items()}
