"""What `edged doctor` looks at, one function a part; each finding is a verdict with what to do about it.

The parts are tried for real: cameras are opened and looked through, the model runs, the broker is asked for
every topic. Nothing is written, and the broker gets empty messages only.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from edge import app, sandbox
from edge import config as cfg
from edge.adapters import board, mqtt, tflite
from edge.adapters.clock import KernelSync, SystemClock
from edge.config import Config
from edge.core.schema import DECLARATIONS
from edge.core.values import Frame, Message, Sync
from edge.ports import AdapterError, Detector

FRAMES = 30  # of a camera: three seconds
DARK, BLOWN = 25, 235  # mean brightness, of 255
FPS_MIN = 5.0
PERSON_MIN = 24  # pixels of height that the network needs, in its own picture
INFERENCE_MS_MAX = 100.0
FREE_MIB = (64, 512)  # below the first it fails, below the second it warns
HOT_C = 80.0
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
ACKNOWLEDGE_S = 5.0
ELSEWHERE = ("visit", "discovery")  # not published by every device


class Verdict(str, Enum):
    """From well to broken, in this order."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `remedy` says what to do and is empty when all is well."""

    part: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. `running` names the cameras that a running daemon holds open."""

    config: Config
    file: Path
    state_dir: Path
    drop_in: Path
    running: frozenset[str] = frozenset()


def ok(part: str, found: str) -> Check:
    return Check(part, Verdict.OK, found)


def failure(part: str, error: AdapterError) -> Check:
    found = f"cannot {error.operation} {error.subject}: {error.cause}"
    return Check(part, Verdict.FAILURE, found, error.hint or "see the journal: journalctl -u edged -e")


def warn_if(wrong: bool, part: str, found: str, remedy: str) -> Check:
    return Check(part, Verdict.WARNING, found, remedy) if wrong else ok(part, found)


def check_sandbox(patient: Patient) -> Iterator[Check]:
    """Whether the sandbox's holes are those that the config needs."""
    wanted = sandbox.drop_in(patient.config, patient.file)
    try:
        found = patient.drop_in.read_text()
    except OSError:
        found = ""
    stale = "does not fit the config" if found else "has never been opened for this config"
    yield warn_if(
        found != wanted, "sandbox", stale if found != wanted else "fits the config", "sudo edged apply"
    )


def check_models(patient: Patient) -> Iterator[Check]:
    """The model is the manifest's, runs, and is fast enough."""
    try:
        detector = _detector(patient.config)
        picture = np.zeros((480, 640, 3), np.uint8)
        took_ms = [_timed_ms(detector, picture) for _ in range(5)]
    except AdapterError as error:
        yield failure("models", error)
        return
    found = f"{patient.config.detector.model} runs, {median(took_ms):.0f} ms a picture"
    slow = median(took_ms) > INFERENCE_MS_MAX
    yield warn_if(slow, "models", found, "close other programs; look at the temperature; use one camera less")


def check_cameras(patient: Patient) -> Iterator[Check]:
    """Every camera opens, keeps its pace, is neither dark nor blown, and shows people large enough."""
    for camera in patient.config.cameras:
        part = f"camera {camera.id}"
        if camera.source.startswith("v4l2:") and camera.id in patient.running:
            yield ok(part, "in use by the daemon: `edged status` says how fast it is")
            continue
        try:
            with closing(app.source_of(camera, patient.file.parent, SystemClock())) as source:
                frames = list(islice(source.frames(), FRAMES))
            yield from look_through(part, frames, lossless=source.lossless)
            yield from measure_people(part, frames, _detector(patient.config))
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
    light = float(np.mean([frame.pixels.mean() for frame in frames[::5]]))
    found = f"mean brightness {light:.0f} of 255"
    yield warn_if(not DARK < light < BLOWN, part, found, "too dark or blown: check light, lens and exposure")


def measure_people(part: str, frames: Sequence[Frame], detector: Detector) -> Iterator[Check]:
    """The height of the people who are there, in the network's own pixels."""
    heights = [
        (detection.box.y2 - detection.box.y1) * 416 / max(frame.size)
        for frame in frames[::3]
        for detection in detector.detect(frame.pixels)
        if detection.score > 0.5
    ]
    if heights:
        found = f"people are {median(heights):.0f} pixels high to the network"
        yield warn_if(median(heights) < PERSON_MIN, part, found, "hang the camera nearer or zoom in")
    else:
        yield ok(part, "nobody was in the picture: `edged walktest` measures somebody who walks")


def check_broker(patient: Patient) -> Iterator[Check]:
    """Connection, certificates, login, and the right to publish on every topic."""
    config = patient.config
    contract = app.contract_of(config, patient.file)
    # Made from a message of the contract, emptied and not retained: it asks, and tells nobody anything.
    probe = replace(contract.status("online"), payload=b"", retain=False)
    broker = app.broker_of(config.mqtt, f"edged-{config.site}-{config.device}-doctor")
    try:
        with closing(mqtt.Connection(broker, probe)) as connection:
            yield ok("broker", f"connected to {broker}{' with TLS' if config.mqtt.tls else ''}")
            for warning in connection.certificates():
                yield Check("broker", Verdict.WARNING, warning, "renew the certificate")
            yield may_publish(connection, probe, topics(config, contract.device.base))
    except AdapterError as error:
        yield failure("broker", error)


def may_publish(connection: mqtt.Connection, probe: Message, wanted: Sequence[str]) -> Check:
    """The probe on every topic; the broker's answers tell."""
    asked = {connection.publish(replace(probe, topic=topic)): topic for topic in wanted}
    refused, until_s = [], time.monotonic() + ACKNOWLEDGE_S
    while asked and time.monotonic() < until_s:
        connection.exchange(0.2)
        for number, reason in connection.acknowledged():
            topic = asked.pop(number)
            if reason is not None:
                refused.append(topic)
    if refused or asked:
        found = f"may not publish on {len(refused) + len(asked)} of {len(wanted)} topics, such as "
        remedy = "give the device's user the right to write edged/v1/<site>/<device>/#"
        return Check("broker", Verdict.FAILURE, found + [*refused, *asked.values()][0], remedy)
    return ok("broker", f"may publish on all {len(wanted)} topics")


def topics(config: Config, base: str) -> list[str]:
    """Every topic that a device with this config publishes on."""
    found = {
        f"{base}/{declaration.topic.format(camera=camera.id, scope=scope, group=camera.id)}"
        for declaration in DECLARATIONS.values()
        if declaration.kind not in ELSEWHERE
        for camera in config.cameras
        for scope in scopes(camera)
    }
    return sorted(found)


def scopes(camera: cfg.Camera) -> list[str]:
    return [*(line.id for line in camera.lines), *(zone.id for zone in camera.zones)]


def check_clock(_patient: Patient) -> Iterator[Check]:
    synced = KernelSync()() is Sync.SYNCED
    found = "set by a time server" if synced else "not set by a time server: times of events may be wrong"
    yield warn_if(not synced, "clock", found, "let the device reach a time server: timedatectl status")


def check_disk(patient: Patient) -> Iterator[Check]:
    directory = next(path for path in (patient.state_dir, *patient.state_dir.parents) if path.exists())
    free_mib = shutil.disk_usage(directory).free // 2**20
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        remedy = "the file system is read-only, often a dying card: dmesg, then replace it"
        yield Check("disk", Verdict.FAILURE, f"{directory} cannot be written", remedy)
    elif free_mib < FREE_MIB[0]:
        yield Check("disk", Verdict.FAILURE, f"{free_mib} MiB free in {directory}", "free some space: df -h")
    else:
        low = free_mib < FREE_MIB[1]
        yield warn_if(low, "disk", f"{free_mib} MiB free in {directory}", "free some space: df -h")


def check_board(_patient: Patient) -> Iterator[Check]:
    """Temperature, throttling and swap."""
    celsius = board.temperature_c()
    found = "the board does not tell its temperature" if celsius is None else f"{celsius:.0f} °C"
    yield warn_if(
        (celsius or 0) > HOT_C, "board", found, "give it air or a heat sink: above 80 °C it slows down"
    )
    flags = _throttled()
    if flags is not None:
        found = f"throttling flags {flags:#x}" if flags else "never throttled since boot"
        yield warn_if(flags > 0, "board", found, "a stronger power supply (under-voltage) or cooling (heat)")
    swapping = len(Path("/proc/swaps").read_text().splitlines()) > 1
    found = "swap is on: memory may reach the card" if swapping else "no swap"
    yield warn_if(swapping, "board", found, "turn it off: what must be forgotten should never reach flash")


def _throttled() -> int | None:
    """The Raspberry Pi's flags, or None on other boards."""
    try:
        return int(THROTTLED.read_text(), 16)
    except (OSError, ValueError):
        return None


def _detector(config: Config) -> tflite.PersonDetector:
    return tflite.PersonDetector(tflite.models_dir(), config.detector.model, config.detector.threads)


def _timed_ms(detector: Detector, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    started_s = time.perf_counter()
    detector.detect(picture)
    return (time.perf_counter() - started_s) * 1000


CHECKS: dict[str, Callable[[Patient], Iterator[Check]]] = {
    "sandbox": check_sandbox,
    "models": check_models,
    "cameras": check_cameras,
    "broker": check_broker,
    "clock": check_clock,
    "disk": check_disk,
    "board": check_board,
}
