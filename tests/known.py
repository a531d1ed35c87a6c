"""What only a test may know of a running device of tier `visit`: its seed, and what follows from it for the
faces in a clip. And how the files begin that it must never write."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.adapters import keys, tflite
from edge.adapters.clock import SystemClock
from edge.adapters.video import FileSource
from edge.config import Camera
from edge.core.facehash import Floats, Scheme, projection
from edge.pipeline import Pipeline
from edge.visit.faces import Faces
from edge.visit.tier import BITS_PER_DIMENSION, EMBEDDER_MODEL, FACE_MODEL, FINDER_MODEL
from edge.visit.visitors import Passer

MAGICS = re.compile(
    b"|".join(
        (
            rb"\xff\xd8\xff[\xc0-\xfe]",  # JPEG
            rb"\x89PNG\r\n|GIF8[79]a|II\*\x00|MM\x00\*|BM.{4}\x00{4}.\x00{3}",  # and TIFF, BMP
            rb"RIFF.{4}(?:WEBP|AVI )|ftyp|\x1aE\xdf\xa3",  # MP4 and AVIF, Matroska
            rb"\x00{2}\x01[\x67\x27][\x42\x4d\x58\x64]|\x00{2}\x01[\x40\x42]\x01",  # H.264, H.265
            rb"\x93NUMPY|PK\x03\x04|TFL3",  # arrays; a network, which may stand for a face as well
        )
    ),
    re.DOTALL,
)


class Keeping:
    """Stands in for the visitors, and keeps the template of everyone who came in."""

    def __init__(self) -> None:
        self.templates: list[Floats] = []

    def entered(self, passer: Passer) -> None:
        assert passer.template is not None
        self.templates.append(passer.template)

    def left(self, passers: Sequence[Passer]) -> None: ...


def watched(clip: Path, line: dict[str, Any]) -> tuple[list[Floats], list[bytes]]:
    """What a device sees in the clip by the shipped face stage: templates in the order of entry, and pieces
    of 16 pixels with something on them, from all over its pictures."""
    models, keeping, pieces = tflite.models_dir(), Keeping(), list[bytes]()
    faces = Faces(
        tflite.FaceDetector(models, FINDER_MODEL),
        tflite.FaceDetector(models, FACE_MODEL),
        tflite.Embedder(models, EMBEDDER_MODEL),
        keeping,  # type: ignore[arg-type]
    )
    yard = {"id": "yard", "source": f"file:{clip}", "lines": [line]}
    scene = Camera.model_validate_json(json.dumps(yard)).to_scene()
    pipeline = Pipeline(scene, tflite.PersonDetector(models), faces)
    for frame in FileSource("yard", clip, SystemClock()).frames():
        pixels = frame.pixels[::40].reshape(-1, 48)
        pieces += [piece.tobytes() for piece in pixels if piece.std() > 20]
        pipeline.step(frame)
        last = frame.at
    pipeline.close(last)
    return keeping.templates, pieces


def seed_of(pid: int) -> bytes:
    """The seed of a device's first epoch, from the page in its memory; group `doors`."""
    fds = Path(f"/proc/{pid}/fd").iterdir()
    pages = {fd.read_bytes() for fd in fds if "memfd:edged-keys-doors" in os.readlink(fd)}
    (page,) = pages
    assert keys.SLOT.unpack_from(page, keys.HEADER.size)[0] == 1
    begin = keys.HEADER.size + keys.SLOT.size
    return page[begin : begin + keys.SEED_BYTES]


def codes_under(seed: bytes, templates: Sequence[Floats]) -> list[bytes]:
    """The codes that device demo/box makes of these templates in its group `doors`."""
    sha256 = tflite.manifest(tflite.models_dir())[EMBEDDER_MODEL].sha256
    made = projection(1, bytearray(seed), Scheme("demo/box", sha256, 128, 128 * BITS_PER_DIMENSION, "doors"))
    return [made.hash(template).words.tobytes() for template in templates]
