"""The daemon's threads, and what passes between them.

`capture <camera>`: source -> slot. `pipeline`: slot -> events -> outbox. `publisher`: outbox -> broker. The
main thread watches the three, keeps the service manager informed and answers signals. A camera or a broker
that is away is normal weather; a worker that hangs or dies is not.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Protocol

from edge.adapters.slot import LatestSlots, WhenFull
from edge.adapters.systemd import Notifier, watchdog_s
from edge.core.health import CameraVitals, Vitals
from edge.core.values import Crossing, Frame, Moment
from edge.core.wire import Contract
from edge.pipeline import Pipeline
from edge.ports import AdapterError, Clock, Source
from edge.recorder import Recorder
from edge.status import CameraStatus, Pace, Status
from edge.workers import Beat, Worker

log = logging.getLogger(__name__)

CAPTURE_FRESH_S = 30.0  # an RTSP open may take 10 s, a dead peer is noticed after 5
PIPELINE_FRESH_S = 5.0
PUBLISHER_FRESH_S = 60.0  # a TLS handshake over a bad line
RETRY_S = (1.0, 30.0)  # first and longest wait for a camera
REPORT_S = 60.0
STOP_S = 1.5
DRAIN_S = 10.0
# The manager is asked for more time, again and again, while the first picture is awaited.
EXTEND_S = 30.0


class Publishing(Protocol):
    """What takes messages out of the outbox: adapters.publisher.Publisher or Printer."""

    @property
    def connected(self) -> bool: ...

    def run(self, stop: threading.Event, beat: Beat) -> None: ...


class Queue(Protocol):
    """What the daemon asks of the outbox."""

    @property
    def depth(self) -> int: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Camera:
    """One camera: how its source is opened, where its frames go, and how many have gone there.

    A `recorded` one brings its own time: while it is slow to read, none passes.
    """

    id: str
    open: Callable[[], Source]
    pipeline: Pipeline
    recorded: bool = False
    frames: int = 0
    last: Moment | None = None
    complaint: str = ""
    pace: Pace = field(default_factory=Pace)

    def step(self, frame: Frame, recorder: Recorder) -> None:
        events = self.pipeline.step(frame)
        for event in events:
            if isinstance(event, Crossing):
                self._explain(event)
        recorder.record(self.id, frame.at, events, self.pipeline.quality)
        self.frames += 1
        self.last = frame.at

    def _explain(self, crossing: Crossing) -> None:
        words, fields = "camera %s, frame %d: %s at line %s, track %d: %s", {"EDGED_CAMERA": self.id}
        where = self.id, crossing.at.frame, crossing.kind.value, crossing.line
        log.debug(words, *where, crossing.track, crossing.reason, extra=fields)


class Daemon:
    """The threads of a running device. `stop` is set by signals; `vitals` measures the board; `chore` is done
    by the pipeline's thread after every frame, while none comes, and at the end; its time is the frames'."""

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        recorder: Recorder,
        outbox: Queue,
        clock: Clock,
        notifier: Notifier,
        vitals: Callable[[Mapping[str, CameraVitals]], Vitals],
        stop: threading.Event,
        tell: Callable[[Status], None],
        chore: Callable[[Moment], None] = lambda at: None,
    ) -> None:
        self._cameras, self._recorder, self._outbox = cameras, recorder, outbox
        self._clock, self._notifier, self._vitals, self._stop = clock, notifier, vitals, stop
        self._tell, self._chore = tell, chore
        self._stop_publisher = threading.Event()
        self._slots = LatestSlots()
        self._captures: list[Worker] = []
        self._report_at_s = 0.0
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._redrawn: SimpleQueue[tuple[Mapping[str, Pipeline], Contract, bool]] = SimpleQueue()

    def run(self, publisher: Publishing) -> int:
        """Until `stop`, the end of all recordings, or a bug. Returns the exit code."""
        self._recorder.start(self._now())
        publish = partial(publisher.run, self._stop_publisher)
        publishing = Worker("publisher", publish, PUBLISHER_FRESH_S, self._clock).start()
        for camera in self._cameras.values():
            body = partial(self._capture, camera)
            self._captures.append(Worker(f"capture {camera.id}", body, CAPTURE_FRESH_S, self._clock).start())
        looking = Worker("pipeline", self._look, PIPELINE_FRESH_S, self._clock).start()
        self._watch([publishing, *self._captures, looking], looking, publisher)
        return self._end(looking, publishing)

    def ask(self, errand: Callable[[], None]) -> None:
        """Have the main thread do something, such as reading the config again; safe in a signal handler."""
        self._asked.put(errand)

    def adopt(self, pipelines: Mapping[str, Pipeline], contract: Contract, *, home_assistant: bool) -> None:
        """Count by these pipelines and publish by this contract from the next frame on."""
        self._redrawn.put((pipelines, contract, home_assistant))

    # -- the threads

    def _capture(self, camera: Camera, beat: Beat) -> None:
        """Frames of one camera into its slot; a camera that fails is opened again, for ever."""
        wait_s, fields = RETRY_S[0], {"EDGED_CAMERA": camera.id}
        while not self._stop.is_set():
            beat()
            try:
                with closing(camera.open()) as source:
                    camera.recorded = source.lossless
                    for frame in source.frames():
                        if camera.complaint:
                            back = {**fields, "EDGED_EVENT": "camera-back"}
                            log.info("camera %s gives pictures again", camera.id, extra=back)
                        wait_s, camera.complaint = RETRY_S[0], ""
                        self._slots.put(frame, WhenFull.WAIT if source.lossless else WhenFull.REPLACE)
                        beat()
                        if self._stop.is_set():
                            return
                return
            except AdapterError as error:
                if str(error) != camera.complaint:
                    lost = {**fields, "EDGED_EVENT": "camera-lost"}
                    log.warning("%s; trying again", error, extra=lost)
                camera.complaint = str(error)
            self._stop.wait(wait_s)
            wait_s = min(wait_s * 2, RETRY_S[1])

    def _look(self, beat: Beat) -> None:
        """Frames from the slots through their camera's pipeline into the outbox."""
        while True:
            finished = not any(capture.running for capture in self._captures)
            frame = self._slots.take(timeout_s=0.5)
            while not self._redrawn.empty():
                self._redraw(*self._redrawn.get())
            if frame is not None:
                self._cameras[frame.camera].step(frame, self._recorder)
                self._chore(frame.at)
            elif finished or self._stop.is_set():
                break
            elif not all(camera.recorded for camera in self._cameras.values()):
                self._recorder.tick(self._now())
                self._chore(self._now())
            self._report()
            beat()
        for camera in self._cameras.values():
            self._chore(self._close(camera))

    def _redraw(self, pipelines: Mapping[str, Pipeline], contract: Contract, home_assistant: bool) -> None:
        for name, pipeline in pipelines.items():
            self._close(self._cameras[name])
            self._cameras[name].pipeline = pipeline
        self._recorder.adopt(contract, self._now(), home_assistant=home_assistant)

    def _close(self, camera: Camera) -> Moment:
        """Publish what a camera's pipeline still holds, such as visits that go on; returns their moment."""
        at = camera.last or self._now()
        self._recorder.record(camera.id, at, camera.pipeline.close(at))
        return at

    def _report(self) -> None:
        """The health, once a minute."""
        now = self._now()
        if now.monotonic_s >= self._report_at_s:
            self._report_at_s = now.monotonic_s + REPORT_S
            drops = {name: CameraVitals(dropped_frames=self._slots.dropped(name)) for name in self._cameras}
            self._recorder.report(self._vitals(drops), now)

    # -- the main thread

    def _watch(self, workers: list[Worker], looking: Worker, publisher: Publishing) -> None:
        """Keep the manager informed until somebody says stop, the recordings end, or a worker fails."""
        pause_s = min((watchdog_s() or 2.0) / 4, 0.5)
        ready = False
        hanging: tuple[str, ...] = ()
        while not self._stop.wait(pause_s) and looking.running and not any(w.failed for w in workers):
            hung_before, hanging = hanging, tuple(worker.name for worker in workers if worker.hangs)
            if hanging and hanging != hung_before:
                fields = {"EDGED_EVENT": "worker-hangs", "EDGED_WORKER": hanging[0]}
                log.critical("no progress in: %s", ", ".join(hanging), extra=fields)
            # Progress, never a bare timer: a hang is found one watchdog period after the last beat.
            if looking.progressed() and not hanging:
                self._notifier.notify(**({"WATCHDOG": 1} if ready else self._more_time()))
            if not ready and any(camera.frames for camera in self._cameras.values()):
                ready = True
                self._notifier.notify(READY=1)
                log.info("counting", extra={"EDGED_EVENT": "ready"})
            while not self._asked.empty():
                self._answer(self._asked.get(), ready)
            self._tell(self._status(publisher, hanging))

    def _answer(self, errand: Callable[[], None], ready: bool) -> None:
        """Do what a signal asked for, with the manager in the picture."""
        if ready:
            self._notifier.notify(RELOADING=1, MONOTONIC_USEC=int(self._clock.monotonic_s() * 1e6))
        errand()
        if ready:
            self._notifier.notify(READY=1)

    def _more_time(self) -> dict[str, int]:
        return {"EXTEND_TIMEOUT_USEC": int(EXTEND_S * 1e6)}

    def _end(self, looking: Worker, publishing: Worker) -> int:
        """Stop in reverse: cameras, pipeline, and last the publisher, which takes out what is left."""
        self._notifier.notify(STOPPING=1)
        if not self._stop.is_set():
            self._drain(publishing)
        self._stop.set()
        self._slots.close()
        for worker in (looking, *self._captures):
            worker.join(STOP_S)
        self._stop_publisher.set()
        publishing.join(STOP_S)
        log.info("stopped, %d messages wait", self._outbox.depth, extra={"EDGED_EVENT": "stopped"})
        failed = int(any(worker.failed or worker.running for worker in (looking, publishing)))
        if any(worker.running for worker in (looking, publishing, *self._captures)):
            self._leave(failed)
        return failed

    def _leave(self, code: int) -> None:
        """A camera's driver may block where nothing can interrupt it, and aborts the process if the
        interpreter ends around it. All that counts is committed: leave without ceremony."""
        self._outbox.close()
        sys.stderr.flush()
        os._exit(code)

    def _drain(self, publishing: Worker) -> None:
        """The recordings have ended: give a broker that listens the time to take what is left."""
        deadline_s = self._clock.monotonic_s() + DRAIN_S
        while self._outbox.depth and publishing.running and self._clock.monotonic_s() < deadline_s:
            if self._stop.wait(0.05):
                return

    def _status(self, publisher: Publishing, hanging: tuple[str, ...]) -> Status:
        now_s = self._clock.monotonic_s()
        cameras = tuple(
            CameraStatus(camera.id, camera.pace.fps(now_s, camera.frames), camera.complaint)
            for camera in self._cameras.values()
        )
        today = [totals.today for totals in self._recorder.ledger.lines.values()]
        entries, exits = sum(flow.entry for flow in today), sum(flow.exit for flow in today)
        return Status(cameras, entries, exits, publisher.connected, self._outbox.depth, hanging)

    def _now(self) -> Moment:
        return Moment(0, self._clock.monotonic_s(), self._clock.wall_s())
