"""The shipped int8 files on real pictures: they fail when a model is broken, swapped or badly quantised."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.adapters import tflite
from edge.core import align
from edge.core.values import Embedding, Face, Landmarks, Pixels

DATA = Path(__file__).parents[1] / "data"
MODELS = tflite.models_dir()
SPECS = tflite.manifest(MODELS)
PERSON_MODELS = [name for name, spec in SPECS.items() if spec.role == "person"]
FACE_MODELS = [name for name, spec in SPECS.items() if spec.role == "face"]
PLAINLY = 0.5
FACE_PX = 40

# Marked by hand in the portraits: eye, eye, tip of the nose, corner and corner of the mouth.
LANDMARKS: dict[str, Landmarks] = {
    "biden": ((246, 146), (296, 157), (274, 186), (237, 207), (285, 216)),
    "collins": ((203, 101), (246, 103), (223, 125), (203, 140), (243, 141)),
    "hopper": ((224, 191), (307, 187), (268, 241), (232, 275), (300, 276)),
    "obama_2009": ((123, 185), (182, 189), (139, 225), (127, 261), (177, 264)),
    "obama_2010": ((314, 165), (367, 170), (346, 191), (315, 218), (363, 224)),
    "obama_2012": ((234, 112), (288, 111), (258, 143), (235, 169), (285, 169)),
}


def portrait(name: str) -> Pixels:
    return np.asarray(cv2.imread(str(DATA / "portraits" / f"{name}.jpg")), np.uint8)


def clip(every: int = 20) -> list[Pixels]:
    capture = cv2.VideoCapture(str(DATA / "vtest.mp4"), cv2.CAP_FFMPEG)
    frames = [np.asarray(capture.read()[1], np.uint8) for _ in range(795)]
    return frames[::every]


def largest(faces: tuple[Face, ...]) -> Face:
    return max(faces, key=lambda face: face.box.width * face.box.height)


@pytest.mark.parametrize("model", PERSON_MODELS)
@pytest.mark.parametrize("name", list(LANDMARKS))
def test_a_plainly_visible_person_is_found(model: str, name: str) -> None:
    best = tflite.PersonDetector(MODELS, model).detect(portrait(name))[0]
    assert best.score > PLAINLY
    nose = LANDMARKS[name][2]
    assert best.box.x1 < nose[0] < best.box.x2
    assert best.box.y1 < nose[1] < best.box.y2


@pytest.mark.parametrize("model", PERSON_MODELS)
def test_nobody_is_found_where_nobody_is(model: str) -> None:
    """The demo clip's scene without its people: the median of many frames."""
    empty = np.median(np.stack(clip()), axis=0).astype(np.uint8)
    found = tflite.PersonDetector(MODELS, model).detect(empty)
    assert max((detection.score for detection in found), default=0) < PLAINLY


@pytest.mark.parametrize("model", PERSON_MODELS)
def test_people_in_a_street_are_found_in_most_frames(model: str) -> None:
    """True counts by eye in frames 0, 200, 400 and 600 of the clip: at least so many are plain."""
    detector = tflite.PersonDetector(MODELS, model)
    plain = [sum(d.score > 0.4 for d in detector.detect(frame)) for frame in clip(every=200)]
    assert [found >= 3 for found in plain] == [True] * 4


@pytest.mark.parametrize("model", FACE_MODELS)
@pytest.mark.parametrize("name", list(LANDMARKS))
def test_the_landmarks_lie_where_the_eye_sees_them(model: str, name: str) -> None:
    """Within 3 pixels on a face 40 pixels high; the float network errs as much, in parts of the face."""
    truth = np.asarray(LANDMARKS[name])
    scale = FACE_PX / (2.2 * np.ptp(truth[:, 1]))  # from the eyes to the mouth is under half of a face
    picture = cv2.resize(portrait(name), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    side = SPECS[model].side
    room = np.zeros((side * 9 // 16, side, 3), np.uint8)
    part = np.asarray(picture, np.uint8)[: len(room), :side]
    room[: part.shape[0], : part.shape[1]] = part
    face = largest(tflite.FaceDetector(MODELS, model).detect(room))
    assert np.hypot(*(np.asarray(face.landmarks) - truth * scale).T).max() <= 3


def embedding(name: str) -> Embedding:
    picture = portrait(name)
    face = largest(tflite.FaceDetector(MODELS).detect(picture))
    return tflite.Embedder(MODELS).embed(align.crop(picture, face.landmarks))


def test_the_same_face_is_above_and_different_faces_are_below_the_threshold() -> None:
    threshold = SPECS["embedder-sface"].thresholds["cosine"]
    embeddings = {name: embedding(name) for name in LANDMARKS}
    for one, other in combinations(LANDMARKS, 2):
        same = one.split("_")[0] == other.split("_")[0]
        assert (float(embeddings[one] @ embeddings[other]) > threshold) == same, (one, other)


def test_an_embedding_has_length_one() -> None:
    assert float(np.linalg.norm(embedding("collins"))) == pytest.approx(1, abs=1e-5)
