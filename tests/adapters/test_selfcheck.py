"""The self-check: good models pass, and whatever is wrong with one is told without harm to the parent."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.adapters import tflite
from edge.adapters.selfcheck import SelfCheck
from edge.ports import ModelError

MODELS = tflite.models_dir()
FACE = "face-yunet-192"  # the smallest file
EMBEDDER = "embedder-sface"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A models directory of our own to spoil."""
    for name in ("manifest.toml", "golden.jpg", "face_yunet_int8.tflite"):
        shutil.copy(MODELS / name, tmp_path)
    return tmp_path


def listed(directory: Path, content: bytes) -> None:
    """Puts `content` in place of the face model and its hash into the manifest: only running it can tell."""
    path = directory / "face_yunet_int8.tflite"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(content)
    manifest = directory / "manifest.toml"
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(content).hexdigest()))


def test_every_shipped_model_passes_in_one_piece() -> None:
    names = list(tflite.manifest(MODELS))
    checked = SelfCheck(MODELS, names).result()
    assert [one.model for one in checked] == names
    assert {one.pieces for one in checked} == {1}


def test_a_damaged_file_is_named(copy: Path) -> None:
    path = copy / "face_yunet_int8.tflite"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match=rf"{FACE} of .*face_yunet_int8\.tflite: its SHA-256 is"):
        SelfCheck(copy, [FACE]).result()


def test_a_model_that_answers_wrongly_is_refused(copy: Path) -> None:
    data = bytearray((copy / "face_yunet_int8.tflite").read_bytes())
    weights = slice(len(data) // 4, len(data) // 2)
    data[weights] = bytes(np.random.default_rng(0).integers(0, 256, weights.stop - weights.start, np.uint8))
    listed(copy, bytes(data))
    with pytest.raises(ModelError, match=f"run model {FACE}"):
        SelfCheck(copy, [FACE]).result()


def test_a_network_of_another_kind_is_refused_in_the_runtime_s_words(copy: Path) -> None:
    """It loads, has an output of the right name, and cannot run at the embedder's size."""
    specs = tflite.manifest(copy)
    shutil.copy(copy / specs[FACE].file, copy / specs[EMBEDDER].file)
    manifest = copy / "manifest.toml"
    manifest.write_text(manifest.read_text().replace(specs[EMBEDDER].sha256, specs[FACE].sha256))
    with pytest.raises(ModelError, match=rf"run model {EMBEDDER} of .*: .*failed to prepare"):
        SelfCheck(copy, [EMBEDDER]).result()


def test_a_crash_in_the_runtime_is_an_error_here(copy: Path) -> None:
    """A file that begins like a model and then says nothing sensible, and is listed all the same."""
    listed(copy, (copy / "face_yunet_int8.tflite").read_bytes()[:64] + b"\xff" * 4096)
    with pytest.raises(ModelError, match=f"run model {FACE}"):
        SelfCheck(copy, [FACE]).result()


def test_a_child_that_hangs_is_ended(copy: Path) -> None:
    with pytest.raises(ModelError, match=r"crashed or hung in the test run .SIGKILL"):
        SelfCheck(copy, [FACE]).result(timeout_s=0.01)


def test_the_first_run_is_remembered_and_a_slow_one_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    baselines = tmp_path / "baselines.json"
    (first,) = SelfCheck(MODELS, [FACE]).result(baselines)
    assert first.cpu_ms == first.first_ms
    remembered = json.loads(baselines.read_text())
    baselines.write_text(json.dumps({key: value / 100 for key, value in remembered.items()}))
    with caplog.at_level(logging.WARNING):
        (second,) = SelfCheck(MODELS, [FACE]).result(baselines)
    assert second.first_ms == pytest.approx(first.first_ms / 100)
    assert "was its delegate not applied?" in caplog.text


def test_a_spoilt_memory_of_first_runs_is_begun_anew(tmp_path: Path) -> None:
    baselines = tmp_path / "baselines.json"
    baselines.write_text("[1, 2")
    SelfCheck(MODELS, [FACE]).result(baselines)
    assert len(json.loads(baselines.read_text())) == 1


def test_a_check_that_nobody_waits_for_is_ended() -> None:
    check = SelfCheck(MODELS, [FACE])
    check.close()
    with pytest.raises(ModelError, match="SIGKILL"):
        check.result()
