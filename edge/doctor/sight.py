"""What the device sees by: the models, and each camera's pace, light and people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from statistics import median

import numpy as np

from edge import app
from edge.adapters import tflite
from edge.adapters.clock import SystemClock
from edge.adapters.selfcheck import Checked
from edge.core.health import FPS_MIN
from edge.core.sight import PERSON_MIN, stands_at
from edge.core.values import Box, Frame, Scene
from edge.core.views import Gaze, View, near_view
from edge.doctor.findings import SCORE_MIN, Check, Patient, Verdict, failure, ok, warn_if
from edge.pipeline import blackout
from edge.ports import AdapterError, Detector
from edge.walk import DARK

FRAMES = 30  # of a camera: three seconds
BLOWN = 235  # mean brightness, of 255
WHITE, WHITE_SHARE_MAX = 250, 0.25  # a window or an open door burns out this much of the picture
INFERENCE_MS_MAX = 100.0
MODELS_S = 600.0  # emulated machines are slow


def check_models(patient: Patient) -> Iterator[Check]:
    """Every model that the config needs is the manifest's and gives the right answer; a child tries them."""
    try:
        with closing(app.check_models(patient.config, tflite.models_dir())) as trial:
            found = trial.result(timeout_s=MODELS_S)
    except AdapterError as error:
        yield failure("models", error)
    else:
        yield from map(judge, found)


def judge(model: Checked) -> Check:
    """Whether XNNPACK, the processor's fast path, took the whole graph, and how long a picture takes."""
    pieces = {0: "without XNNPACK", 1: "whole on XNNPACK"}.get(
        model.pieces, f"cut in {model.pieces} pieces for XNNPACK"
    )
    found = f"{model.model} runs {pieces}, {model.cpu_ms:.0f} ms a picture"
    if model.pieces != 1:
        remedy = "the runtime does not fit the model: install the package again, and tell its authors"
        return Check("models", Verdict.WARNING, found, remedy)
    slow = model.cpu_ms > INFERENCE_MS_MAX
    return warn_if(
        slow, "models", found, "close other programs; look at the temperature; use one camera less"
    )


def check_cameras(patient: Patient) -> Iterator[Check]:
    """Every camera opens, keeps its pace, is neither dark nor blown, and shows people large enough."""
    for camera in patient.config.cameras:
        part = f"camera {camera.id}"
        if camera.source.startswith(("v4l2:", "csi:")) and camera.id in patient.running:
            yield ok(part, "in use by the daemon: `edged status` says how fast it is")
            continue
        try:
            with closing(app.source_of(camera, patient.file.parent, SystemClock())) as source:
                frames = list(islice(source.frames(), FRAMES))
            yield from look_through(part, frames, lossless=source.lossless)
            scene, detector = camera.to_scene(), app.detector_of(patient.config.detector)
            yield from tell_near_view(part, frames, scene)
            yield from measure_people(part, frames, scene, detector)
            if patient.config.privacy.tier == "visit":
                yield from _measure_faces(part, frames[::3], scene)
        except AdapterError as error:
            yield failure(part, error)


def look_through(part: str, frames: Sequence[Frame], *, lossless: bool) -> Iterator[Check]:
    """Size, pace and light of a few seconds of pictures."""
    if len(frames) < 2:
        yield Check(part, Verdict.FAILURE, "gives no pictures", "is it another program's, or a dead stream?")
        return
    width, height = frames[0].size
    fps = (len(frames) - 1) / max(frames[-1].monotonic_s - frames[0].monotonic_s, 1e-6)
    slow = fps < FPS_MIN and not lossless
    yield warn_if(
        slow, part, f"{width}x{height}, {fps:.1f} fps", "raise the camera's frame rate to 8 or more"
    )
    yield judge_light(part, frames)


def judge_light(part: str, frames: Sequence[Frame]) -> Check:
    """Too dark to see anybody, or burnt out: the whole picture, or the bright door behind the people."""
    seen = np.stack([frame.pixels[::4, ::4].mean(axis=2) for frame in frames[::5]])
    light, white = float(seen.mean()), float((seen >= WHITE).mean())
    found = f"mean brightness {light:.0f} of 255, {white:.0%} of the picture burnt out"
    if light <= DARK:
        remedy = "dark: give it light, or a camera with infrared; is a cap on the lens?"
        return Check(part, Verdict.WARNING, found, remedy)
    remedy = "blown: turn it away from the light, lower the exposure, or turn on its backlight compensation"
    return warn_if(light >= BLOWN or white > WHITE_SHARE_MAX, part, found, remedy)


def tell_near_view(part: str, frames: Sequence[Frame], scene: Scene) -> Iterator[Check]:
    """Where the detector looks closer than at the whole picture."""
    near = near_view(scene, frames[0].size) if frames else None
    if near:
        larger = frames[0].size[0] / (near.x2 - near.x1)
        where = f"from {near.x1},{near.y1} to {near.x2},{near.y2}"
        yield ok(part, f"looked at {larger:.1f} times closer {where} (near_view: false turns it off)")
    elif frames:
        why = "the lines and zones fill it" if scene.near_view else "near_view is false"
        yield ok(part, f"looked at as a whole: {why}")


def measure_people(part: str, frames: Sequence[Frame], scene: Scene, detector: Detector) -> Iterator[Check]:
    """The height of the people at each line, in the pixels of the network's picture where it looks there."""
    gaze, people = Gaze(scene), list[Box]()
    near = near_view(scene, frames[0].size) if frames else None
    for frame in frames[::3]:
        blackout(frame.pixels, scene.ignore)
        people += [found.box for found in gaze.look(frame, detector.detect) if found.score > SCORE_MIN]
    for line in scene.lines:
        at_line = [box for box in people if stands_at(box, line.scaled(*frames[0].size))]
        heights = [_height_to_network(box, near, frames[0].size, detector.side) for box in at_line]
        if heights:
            found = f"people at line {line.id} are {median(heights):.0f} pixels high to the network"
            remedy = f"{PERSON_MIN:.0f} are needed: hang the camera nearer, or zoom in"
            yield warn_if(median(heights) < PERSON_MIN, part, found, remedy)
        else:
            found = f"nobody was at line {line.id}: `edged walktest` measures somebody who walks"
            yield ok(part, found)


def _measure_faces(part: str, frames: Sequence[Frame], scene: Scene) -> Iterator[Check]:
    from edge.doctor.visits import measure_faces
    from edge.visit.tier import FINDER_MODEL

    return measure_faces(part, frames, scene, tflite.FaceDetector(tflite.models_dir(), FINDER_MODEL))


def _height_to_network(box: Box, near: View | None, size: tuple[int, int], network: int) -> float:
    """People who fit into the near view are looked at through it, if there is one."""
    fits = near is not None and box.height < near.y2 - near.y1
    side = max(near.x2 - near.x1, near.y2 - near.y1) if near is not None and fits else max(size)
    return box.height * network / side
