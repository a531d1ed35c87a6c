"""The composition root: makes every part, starts them in order, watches them, stops them in reverse.

It is a table of contents. The threads: `capture <camera>` (source -> slot), `pipeline` (slot -> events ->
outbox), `publisher` (outbox -> broker), and this one, which watches the others and answers signals.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from edge import __version__
from edge.adapters import mqtt, tflite
from edge.adapters.clock import KernelSync, SystemClock, system_zone
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Printer, Publisher
from edge.adapters.slot import LatestSlots, WhenFull
from edge.adapters.systemd import Notifier, watchdog_s
from edge.adapters.video import Address, CameraSource, FileSource
from edge.config import Camera, Config, Mqtt
from edge.core.values import Moment
from edge.core.wire import Contract, Device, Scopes
from edge.pipeline import Pipeline
from edge.ports import AdapterError, Clock, Source
from edge.recorder import Recorder
from edge.workers import Beat, Worker

log = logging.getLogger(__name__)

FPS_MAX = 10.0  # of a camera, unless the config says otherwise
CAPTURE_FRESH_S = 30.0  # an RTSP open may take 10 s, a dead peer is noticed after 5
PIPELINE_FRESH_S = 10.0
PUBLISHER_FRESH_S = 60.0  # a TLS handshake over a bad line
RETRY_S = (1.0, 30.0)  # first and longest wait for a camera
STOP_S = 1.5
DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides. `file` is the config's own path: `file:` sources are relative to it."""

    file: Path
    state_dir: Path
    printing: bool = False


def run(config: Config, options: Options) -> int:
    """The daemon, until SIGTERM, SIGINT, the end of all recordings, or a bug. Returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        notifier = stack.enter_context(closing(Notifier()))
        clock = SystemClock()
        detector = tflite.PersonDetector(tflite.models_dir(), config.detector.model, config.detector.threads)
        outbox = stack.enter_context(closing(open_outbox(options.state_dir)))
        contract = contract_of(config, options.file)
        zone = ZoneInfo(config.timezone) if config.timezone else system_zone()
        recorder = Recorder(contract, outbox, zone, outbox.books, outbox.floor, KernelSync())
        pipelines = {camera.id: Pipeline(camera.to_scene(), detector) for camera in config.cameras}
        daemon = Daemon(config, options, clock, notifier, outbox, recorder, pipelines, stop)
        log.info("%s", greeting(config, options))
        return daemon.run(publisher_of(config.mqtt, outbox, contract, printing=options.printing))


class Daemon:
    """The threads of a running device, and what they share."""

    def __init__(
        self,
        config: Config,
        options: Options,
        clock: Clock,
        notifier: Notifier,
        outbox: Outbox,
        recorder: Recorder,
        pipelines: Mapping[str, Pipeline],
        stop: threading.Event,
    ) -> None:
        self._config, self._options, self._clock, self._notifier = config, options, clock, notifier
        self._outbox, self._recorder, self._pipelines = outbox, recorder, pipelines
        self._stop, self._stop_publisher = stop, threading.Event()
        self._slots = LatestSlots()
        self._frames = dict.fromkeys(pipelines, 0)
        self._captures: list[Worker] = []

    def run(self, publisher: Publisher | Printer) -> int:
        self._recorder.start(self._now())
        publishing = self._worker(
            "publisher", partial(publisher.run, self._stop_publisher), PUBLISHER_FRESH_S
        ).start()
        self._captures = [
            self._worker(f"capture {camera.id}", partial(self._capture, camera), CAPTURE_FRESH_S).start()
            for camera in self._config.cameras
        ]
        looking = self._worker("pipeline", self._look, PIPELINE_FRESH_S).start()
        workers = [publishing, *self._captures, looking]
        self._watch(workers, looking)
        return self._end(workers, looking, publishing)

    def _worker(self, name: str, body: Callable[[Beat], None], fresh_s: float) -> Worker:
        return Worker(name, body, fresh_s, self._clock)

    # -- the threads

    def _capture(self, camera: Camera, beat: Beat) -> None:
        """Frames of one camera into its slot; a camera that fails is opened again, for ever."""
        wait_s, complaint = RETRY_S[0], ""
        while not self._stop.is_set():
            try:
                with closing(source_of(camera, self._options.file.parent, self._clock)) as source:
                    for frame in source.frames():
                        if complaint:
                            log.info("camera %s gives pictures again", camera.id)
                        wait_s, complaint = RETRY_S[0], ""
                        self._slots.put(frame, WhenFull.WAIT if source.lossless else WhenFull.REPLACE)
                        beat()
                        if self._stop.is_set():
                            return
                return
            except AdapterError as error:
                if str(error) != complaint:
                    log.warning("%s; trying again", error)
                complaint = str(error)
            beat()
            self._stop.wait(wait_s)
            wait_s = min(wait_s * 2, RETRY_S[1])

    def _look(self, beat: Beat) -> None:
        """Frames from the slots through their camera's pipeline into the outbox."""
        while True:
            finished = not any(capture.running for capture in self._captures)
            frame = self._slots.take(timeout_s=0.5)
            if frame is None:
                if finished or self._stop.is_set():
                    break
                self._recorder.tick(self._now())
            else:
                events = self._pipelines[frame.camera].step(frame)
                self._recorder.record(frame.camera, frame.at, events)
                self._frames[frame.camera] += 1
            beat()
        for camera, pipeline in self._pipelines.items():
            self._recorder.record(camera, at := self._now(), pipeline.close(at))

    def _watch(self, workers: list[Worker], looking: Worker) -> None:
        """Keep the manager informed until somebody says stop, the recordings end, or a worker fails."""
        pause_s = min((watchdog_s() or 2.0) / 2, 1.0)
        ready = False
        while not self._stop.wait(pause_s) and looking.running and not any(w.failed for w in workers):
            hanging = [worker.name for worker in workers if worker.hangs]
            if hanging:
                log.critical("no progress in: %s", ", ".join(hanging))
            else:
                self._notifier.notify(WATCHDOG=1)
            if not ready and any(self._frames.values()):
                ready = True
                self._notifier.notify(READY=1)
            self._notifier.status(self._status())

    def _end(self, workers: list[Worker], looking: Worker, publishing: Worker) -> int:
        self._notifier.notify(STOPPING=1)
        if not self._stop.is_set():
            self._drain(publishing)
        self._stop.set()
        self._slots.close()
        for worker in (looking, *self._captures):
            worker.join(STOP_S)
        self._stop_publisher.set()
        publishing.join(STOP_S)
        failed = any(worker.failed or worker.running for worker in (looking, publishing))
        log.info("stopped: %s", self._status())
        if any(worker.running for worker in workers):
            # A camera's driver may block where nothing can interrupt it, and aborts the process if the
            # interpreter ends around it. All that counts is committed: leave without ceremony.
            self._outbox.close()
            sys.stderr.flush()
            os._exit(int(failed))
        return int(failed)

    def _drain(self, publishing: Worker) -> None:
        """The recordings have ended: give a broker that listens the time to take what is left."""
        deadline_s = self._clock.monotonic_s() + DRAIN_S
        while self._outbox.depth and publishing.running and self._clock.monotonic_s() < deadline_s:
            if self._stop.wait(0.05):
                return

    def _status(self) -> str:
        frames = sum(self._frames.values())
        waiting = [camera for camera, count in self._frames.items() if not count]
        missing = f", no picture yet from {', '.join(waiting)}" if waiting else ""
        return f"{frames} frames from {len(self._frames)} cameras{missing}, outbox {self._outbox.depth}"

    def _now(self) -> Moment:
        return Moment(0, self._clock.monotonic_s(), self._clock.wall_s())


def greeting(config: Config, options: Options) -> str:
    """The first line of the journal: what runs, for whom, and what is kept of people."""
    cameras = ", ".join(camera.id for camera in config.cameras)
    return (
        f"edged {__version__}: {config.site}/{config.device}, cameras {cameras}; "
        f"privacy tier {config.privacy.tier}: no face is looked at, nothing about anyone is kept; "
        f"state in {options.state_dir}"
    )


def open_outbox(state_dir: Path) -> Outbox:
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "run as a user that may write there, or give another --state-dir"
        raise AdapterError("create", str(state_dir), error.strerror or str(error), hint) from None
    return Outbox(state_dir / "outbox.db")


def contract_of(config: Config, file: Path) -> Contract:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    device = Device(config.site, config.device, secrets.token_hex(4), __version__, digest)
    return Contract(device, {camera.id: scopes_of(camera) for camera in config.cameras})


def scopes_of(camera: Camera) -> Scopes:
    return Scopes(frozenset(line.id for line in camera.lines), frozenset(zone.id for zone in camera.zones))


def source_of(camera: Camera, folder: Path, clock: Clock) -> Source:
    """The camera's source, opened. Raises AdapterError."""
    if camera.source.startswith("file:"):
        return FileSource(camera.id, folder / camera.source.removeprefix("file:"), clock, camera.fps_max)
    password = secret(camera.password_file) if camera.password_file else ""
    address = Address(camera.source, camera.username or "", password)
    return CameraSource(camera.id, address, clock, camera.fps_max or FPS_MAX)


def secret(path: Path) -> str:
    """The first line of a file that holds a secret. Raises AdapterError, which never shows the secret."""
    try:
        return path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeError, IndexError):
        raise AdapterError(
            "read the secret in", str(path), "it is empty or unreadable", "write it on the first line"
        ) from None


def publisher_of(
    settings: Mqtt, outbox: Outbox, contract: Contract, *, printing: bool
) -> Publisher | Printer:
    if printing:
        return Printer(outbox)
    device = contract.device
    tls = mqtt.Tls(files.ca_file, files.cert_file, files.key_file) if (files := settings.tls) else None
    broker = mqtt.Broker(
        settings.host,
        settings.port,
        f"edged-{device.site}-{device.device}",
        settings.username,
        settings.password_file,
        tls,
        settings.version,
    )
    return Publisher(
        outbox,
        partial(mqtt.Connection, broker, contract.status("offline")),
        contract.status("online"),
        contract.status("stopped"),
        f"{device.device}:{device.boot_id}:",
    )
