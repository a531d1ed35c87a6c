"""The runtime's adapter with the shipped models: what is not in the manifest does not run."""

from __future__ import annotations

import shutil
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
        tensors = network.run(np.zeros((spec.height, spec.width, 3), np.uint8))
        assert len(tensors) == len(spec.outputs)


def test_a_flipped_byte_is_refused(copy: Path) -> None:
    data = bytearray(model_file(copy).read_bytes())
    data[len(data) // 2] ^= 1
    model_file(copy).write_bytes(data)
    with pytest.raises(ModelError, match=r"person_nanodet_416_int8\.tflite: its SHA-256 is .*swapped"):
        tflite.PersonDetector(copy, PERSON)


def test_a_missing_file_is_refused(copy: Path) -> None:
    model_file(copy).unlink()
    with pytest.raises(ModelError, match=r"person_nanodet_416_int8\.tflite: No such file"):
        tflite.PersonDetector(copy, PERSON)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"manifest\.toml: No such file"):
        tflite.PersonDetector(tmp_path, PERSON)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=f"person-huge: the manifest lists for person: .*{PERSON}"):
        tflite.PersonDetector(MODELS, "person-huge")


def test_a_manifest_that_does_not_fit_the_file_is_refused(copy: Path) -> None:
    path = copy / "manifest.toml"
    path.write_text(path.read_text().replace("width = 416", "width = 448"))
    with pytest.raises(ModelError, match=r"its input is int8 \(1, 416, 416, 3\)"):
        tflite.PersonDetector(copy, PERSON)


def test_the_border_is_grey_again_after_a_picture_of_another_shape() -> None:
    spec = tflite.manifest(MODELS)[PERSON]
    box = tflite.Letterbox(spec)
    white = np.full((90, 90, 3), 255, np.uint8)
    box.place(white)
    fit = box.place(white[:45])
    assert (fit.width, fit.height) == (416, 208)
    assert (box.canvas[:208] == 255).all()
    assert (box.canvas[208:] == spec.pad).all()


def test_a_crop_that_is_a_view_is_seen_like_its_copy() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    box = tflite.Letterbox(tflite.manifest(MODELS)[PERSON])
    box.place(noise[50:250, 100:300])
    seen = box.canvas.copy()
    box.place(noise[50:250, 100:300].copy())
    assert np.array_equal(seen, box.canvas)
