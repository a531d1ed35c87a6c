"""The runtime's adapter with the shipped models: what is not in the manifest does not run."""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from edge.adapters import tflite
from edge.ports import ModelError

MODELS = tflite.models_dir()
PERSON = "person-nanodet-416"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A models directory of our own to spoil."""
    file = tflite.manifest(MODELS)[PERSON].file
    shutil.copy(MODELS / file, tmp_path / file)
    shutil.copy(MODELS / "manifest.toml", tmp_path)
    return tmp_path


def model_file(directory: Path) -> Path:
    return directory / tflite.manifest(directory)[PERSON].file


def test_every_model_of_the_manifest_loads_and_runs() -> None:
    for spec in tflite.manifest(MODELS).values():
        network = tflite.Network(MODELS, spec)
        for short in {spec.side, max(spec.side // 64 * 32, spec.multiple)}:
            picture = np.zeros((short, spec.side, 3), np.uint8)
            assert len(network.run(picture)) == len(spec.outputs)


def test_a_flipped_byte_is_refused(copy: Path) -> None:
    data = bytearray(model_file(copy).read_bytes())
    data[len(data) // 2] ^= 1
    model_file(copy).write_bytes(data)
    with pytest.raises(ModelError, match=r"person_nanodet_int8\.tflite: its SHA-256 is .*swapped"):
        tflite.PersonDetector(copy, PERSON)


def test_a_missing_file_is_refused(copy: Path) -> None:
    model_file(copy).unlink()
    with pytest.raises(ModelError, match=r"person_nanodet_int8\.tflite: No such file"):
        tflite.PersonDetector(copy, PERSON)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"manifest\.toml: No such file"):
        tflite.PersonDetector(tmp_path, PERSON)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=f"person-huge: the manifest lists for person: .*{PERSON}"):
        tflite.PersonDetector(MODELS, "person-huge")


def test_a_manifest_that_does_not_fit_the_file_is_refused(copy: Path) -> None:
    path = copy / "manifest.toml"
    path.write_text(path.read_text().replace('"Identity_5"', '"Identity_9"'))
    with pytest.raises(ModelError, match="it has no int8 output Identity_9"):
        tflite.PersonDetector(copy, PERSON)


def test_the_border_is_grey_again_after_a_picture_of_another_shape() -> None:
    spec = tflite.manifest(MODELS)[PERSON]
    box = tflite.Letterbox(spec)
    white = np.full((90, 90, 3), 255, np.uint8)
    box.place(white)
    fit = box.place(white[:50])
    assert fit.size == (416, 231)
    assert (box.canvas[:231] == 255).all()
    assert (box.canvas[231:] == spec.pad).all()


def test_a_crop_that_is_a_view_is_seen_like_its_copy() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    box = tflite.Letterbox(tflite.manifest(MODELS)[PERSON])
    box.place(noise[50:250, 100:300])
    seen = box.canvas.copy()
    box.place(noise[50:250, 100:300].copy())
    assert np.array_equal(seen, box.canvas)


def test_an_unknown_delegate_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="tpu: known are xnnpack, edgetpu, gpu, external:LIBRARY"):
        tflite.PersonDetector(MODELS, PERSON, delegate="tpu")


def test_the_old_runtime_with_a_new_numpy_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setattr(sys.modules["tflite_runtime"], "interpreter", types.ModuleType("i"), raising=False)
    with pytest.raises(ModelError, match=r"built for numpy 1 and breaks with numpy 2.*numpy<2"):
        tflite.PersonDetector(MODELS, PERSON)


def test_no_runtime_at_all_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(ModelError, match="pip install ai-edge-litert"):
        tflite.PersonDetector(MODELS, PERSON)


def spoilt(content: bytes, random: np.random.Generator) -> bytes:
    """Flipped bytes, or an end that is missing."""
    if random.random() < 0.3:
        return content[: random.integers(0, len(content))]
    data = bytearray(content)
    for place in random.integers(0, len(data), random.integers(1, 20)):
        data[place] ^= random.integers(1, 256)
    return bytes(data)


def test_a_thousand_spoilt_files_are_a_thousand_clear_errors(copy: Path) -> None:
    """The loader refuses each one by its hash, before the runtime has seen a byte of it."""
    random = np.random.default_rng(0)
    path = copy / "face_yunet_int8.tflite"
    good = (MODELS / path.name).read_bytes()
    spec = tflite.manifest(copy)["face-yunet-192"]
    for _ in range(1000):
        path.write_bytes(spoilt(good, random))
        with pytest.raises(ModelError, match=r"face_yunet_int8\.tflite: its SHA-256 is"):
            tflite.Network(copy, spec)
