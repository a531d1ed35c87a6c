"""The reference clips and faces, counted and told apart by the shipped models with the defaults.

They are no part of the project. Where they are not (EDGED_SHARED names another folder than ../shared), these
tests say so and are skipped. The benches print the same figures, and more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.adapters import tflite
from edge.ports import Detector
from edge.visit.tier import EMBEDDER_MODEL, FACE_MODEL, FINDER_MODEL
from tests.bench import accuracy, ap, verify
from tests.bench.clips import AS_IT_IS, SHARED, Verdict, load
from tests.bench.seen import MODEL

pytestmark = pytest.mark.shared

EXACT = (
    "pets-easy",
    "pets-hard",
    "caviar-1",
    "caviar-3",
    "caviar-5",
    "one-by-one-in",
    "one-by-one-out",
    "one-by-one-zone",
)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return tflite.PersonDetector(tflite.models_dir(), MODEL)


def counted(name: str, detector: Detector) -> Verdict:
    (clip,) = (clip for clip in load(SHARED / "data/clips.json") if clip.id == name)
    return accuracy.run(clip, AS_IT_IS, detector)


@pytest.mark.parametrize("name", EXACT)
def test_every_event_of_a_clip_is_counted_once_and_in_time(name: str, detector: Detector) -> None:
    verdict = counted(name, detector)
    assert (verdict.missed, verdict.extra) == ((), ())


def test_four_who_hide_one_another_are_four(detector: Detector) -> None:
    """One of them crosses fully hidden: the total is right, and at most one event is another's."""
    verdict = counted("tud-campus", detector)
    assert verdict.counted == verdict.true == "4/0"
    assert len(verdict.missed) <= 1


@pytest.mark.parametrize(("model", "least"), [("person-nanodet-416", 0.92), ("person-nanodet-320", 0.89)])
def test_the_people_of_a_street_are_found(model: str, least: float) -> None:
    (street,) = (scene for scene in ap.SCENES if scene.name == "PETS")
    found = ap.measure(tflite.PersonDetector(tflite.models_dir(), model), street)
    assert float(str(found["ap50"])) >= least


def test_faces_of_22_pixels_are_told_apart() -> None:
    """Far smaller ones than the daemon accepts: a stress test, and it would show a worse embedder at once."""
    models: Path = tflite.models_dir()
    finder, closer = (tflite.FaceDetector(models, name) for name in (FINDER_MODEL, FACE_MODEL))
    path = verify.Path_(finder, closer, tflite.Embedder(models, EMBEDDER_MODEL))
    report = verify.verify(SHARED / "data/faces_orl_s01_s20", path, upscale=1.0)
    embedding = report["embedding"]
    assert isinstance(embedding, dict)
    assert report["failure_to_acquire"] == 0.0
    assert embedding["tar@0.001"] >= 0.96
