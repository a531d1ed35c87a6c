"""The composition root: makes every part, gives them to each other, and lets the daemon run.

It alone knows everyone, and reads as a table of contents.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge import __version__
from edge import config as cfg
from edge.adapters import encoders, keys, mqtt, tflite
from edge.adapters.board import Board, Timed
from edge.adapters.clock import KernelSync, SystemClock, system_zone
from edge.adapters.gstreamer import GStreamerSource, csi
from edge.adapters.outbox import Outbox
from edge.adapters.publisher import Printer, Publisher
from edge.adapters.selfcheck import SelfCheck
from edge.adapters.statusfile import StatusFile
from edge.adapters.systemd import Notifier
from edge.adapters.video import Address, CameraSource, FileSource
from edge.config import Config, Mqtt
from edge.core.health import CameraVitals, Vitals
from edge.core.values import Message
from edge.core.wire import Contract, Device, Scopes
from edge.daemon import Camera, Daemon
from edge.pipeline import Pipeline
from edge.ports import AdapterError, Clock, Detector, Source
from edge.privacy import Privacy
from edge.recorder import Recorder
from edge.reload import left_out, merged
from edge.status import Status

if TYPE_CHECKING:
    from edge.visit.tier import VisitTier

log = logging.getLogger(__name__)

FPS_MAX = 10.0  # of a camera, unless the config says otherwise


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides. `file` is the config's own path: `file:` sources are relative to it."""

    file: Path
    state_dir: Path
    printing: bool = False
    runtime_dir: Path | None = None


def run(config: Config, options: Options, notifier: Notifier) -> int:
    """The daemon, until SIGTERM, SIGINT, the end of all recordings, or a bug. Returns the exit code."""
    encoders.give_up()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        clock = SystemClock()
        models = tflite.models_dir()
        check = stack.enter_context(closing(check_models(config, models)))
        detector = Timed(detector_of(config.detector), clock)
        outbox = stack.enter_context(closing(open_outbox(options.state_dir)))
        tier = open_visit_tier(config, options, notifier, clock)
        contract = contract_of(config, options.file)
        zone = ZoneInfo(config.timezone) if config.timezone else system_zone()
        recorder = Recorder(contract, outbox, zone, outbox.books, outbox.floor, KernelSync())
        digests = {config.detector.model: tflite.manifest(models)[config.detector.model].sha256}
        digests |= tier.models if tier else {}
        manifest = partial(manifest_of, config.privacy, digests)
        outbox.post(manifest(contract))
        recorder.discover(enabled=config.mqtt.home_assistant)
        draw = partial(pipeline_of, detector=detector, tier=tier)
        cameras = {
            camera.id: Camera(
                camera.id,
                partial(source_of, camera, options.file.parent, clock),
                draw(camera),
            )
            for camera in config.cameras
        }
        check.result(options.state_dir / "models-first-run.json")
        log.info("%s", greeting(config, options), extra={"EDGED_EVENT": "started"})
        tell = partial(tell_status, notifier, StatusFile(options.runtime_dir))
        vitals = partial(vitals_of, Board(clock, detector), tier)
        chore = partial(tier.chore, recorder.release) if tier else lambda at: None
        daemon = Daemon(cameras, recorder, outbox, clock, notifier, vitals, stop, tell, chore)
        reloader = Reloader(config, options, contract, draw, manifest, daemon, outbox)
        signal.signal(signal.SIGHUP, lambda *_: daemon.ask(reloader))
        return daemon.run(publisher_of(config.mqtt, outbox, contract, printing=options.printing))


def check_models(config: Config, models: Path) -> SelfCheck:
    """A child process runs what this one is about to load; its verdict is waited for before the cameras."""
    visit = config.privacy.tier == "visit"
    others = [name for name, spec in tflite.manifest(models).items() if visit and spec.role != "person"]
    how = config.detector
    return SelfCheck(models, [how.model, *others], how.threads, how.delegate)


def detector_of(settings: cfg.Detector) -> tflite.PersonDetector:
    """The person detector that the config asks for. Raises ModelError."""
    return tflite.PersonDetector(tflite.models_dir(), settings.model, settings.threads, settings.delegate)


def open_visit_tier(config: Config, options: Options, notifier: Notifier, clock: Clock) -> VisitTier | None:
    """The face models and all that goes with them; in tier `count` not even their code is imported."""
    visit = config.privacy.tier == "visit"
    groups = {camera.group for camera in config.cameras} if visit else set()
    if destroyed := keys.abandon_kept(os.environ, groups, notifier.give_back):
        log.info("%d keys destroyed: their camera groups are gone", destroyed)
    if not visit:
        return None
    from edge.visit.tier import open_tier

    asked = threading.Event()  # before the lock, by which `edged forget` finds whom to ask
    signal.signal(signal.SIGUSR1, lambda *_: asked.set())
    return open_tier(config, options.runtime_dir, notifier.keep, clock.monotonic_s(), asked)


class Reloader:
    """`systemctl reload`: reads the config again and applies what can be; a wrong one changes nothing."""

    def __init__(
        self,
        config: Config,
        options: Options,
        contract: Contract,
        pipeline: Callable[[cfg.Camera], Pipeline],
        manifest: Callable[[Contract], Message],
        daemon: Daemon,
        outbox: Outbox,
    ) -> None:
        self._config, self._options, self._contract = config, options, contract
        self._pipeline, self._manifest, self._daemon, self._outbox = pipeline, manifest, daemon, outbox

    def __call__(self) -> None:
        wanted, problems = cfg.load(self._options.file)
        for problem in problems:
            log.error("%s", problem, extra={"EDGED_EVENT": "reload-refused"})
        if wanted is not None:
            self._apply(wanted)

    def _apply(self, wanted: Config) -> None:
        config = merged(self._config, wanted)
        changed = [c for c, before in zip(config.cameras, self._config.cameras, strict=True) if c != before]
        fresh = contract_of(config, self._options.file)
        device = replace(self._contract.device, config=fresh.device.config)
        self._contract = replace(fresh, device=device, groups=self._contract.groups)
        pipelines = {camera.id: self._pipeline(camera) for camera in changed}
        self._daemon.adopt(pipelines, self._contract, home_assistant=config.mqtt.home_assistant)
        for state in (self._manifest(self._contract), self._contract.status("online")):
            self._outbox.post(state)
        self._config = config
        names, waiting = ", ".join(camera.id for camera in changed) or "none", left_out(config, wanted)
        words = "config read again; lines and zones changed for cameras: %s; keys that wait for a restart: %d"
        log.info(words, names, len(waiting), extra={"EDGED_EVENT": "config-reloaded"})
        for key in waiting:
            fields = {"EDGED_EVENT": "reload-waits", "EDGED_KEY": key}
            log.warning("%s is not taken before a restart", key, extra=fields)


def manifest_of(privacy: Privacy, models: Mapping[str, str], contract: Contract) -> Message:
    """The contract as data; `models` are digests by name."""
    return contract.manifest(privacy.tier, models, privacy.key_life_s)


def pipeline_of(camera: cfg.Camera, detector: Detector, tier: VisitTier | None) -> Pipeline:
    return Pipeline(camera.to_scene(), detector, tier.faces(camera.group) if tier else None)


def vitals_of(board: Board, tier: VisitTier | None, cameras: Mapping[str, CameraVitals]) -> Vitals:
    return replace(board(cameras), visits=tier.unlinked if tier else None)


def tell_status(notifier: Notifier, file: StatusFile, status: Status) -> None:
    """The same facts for `systemctl status` and for `edged status`."""
    notifier.status(status.line())
    file.write({"line": status.line(), **asdict(status)})


def greeting(config: Config, options: Options) -> str:
    """The first line of the journal: what runs, for whom, and what is kept of people."""
    cameras = ", ".join(camera.id for camera in config.cameras)
    return (
        f"edged {__version__}: {config.site}/{config.device}, cameras {cameras}; "
        f"privacy {config.privacy.statement}; "
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
    linked = config.cameras if config.privacy.tier == "visit" else ()
    groups = frozenset(camera.group for camera in linked)
    return Contract(device, {camera.id: scopes_of(camera) for camera in config.cameras}, groups)


def scopes_of(camera: cfg.Camera) -> Scopes:
    return Scopes(frozenset(line.id for line in camera.lines), frozenset(zone.id for zone in camera.zones))


def source_of(camera: cfg.Camera, folder: Path, clock: Clock) -> Source:
    """The camera's source, opened. Raises AdapterError."""
    if camera.source.startswith("file:"):
        return FileSource(camera.id, folder / camera.source.removeprefix("file:"), clock, camera.fps_max)
    fps_max = camera.fps_max or FPS_MAX
    if camera.source.startswith("csi:"):
        element = csi(camera.id, int(camera.source.removeprefix("csi:")))
        return GStreamerSource(camera.id, camera.source, element, clock, fps_max)
    password = secret(camera.password_file) if camera.password_file else ""
    address = Address(camera.source, camera.username or "", password)
    return CameraSource(camera.id, address, clock, fps_max)


def secret(path: Path) -> str:
    """The first line of a file that holds a secret. Raises AdapterError, which never shows the secret."""
    try:
        return path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeError, IndexError):
        raise AdapterError(
            "read the secret in", str(path), "it is empty or unreadable", "write it on the first line"
        ) from None


def broker_of(settings: Mqtt, client_id: str) -> mqtt.Broker:
    files = settings.tls
    return mqtt.Broker(
        settings.host,
        settings.port,
        client_id,
        settings.username,
        settings.password_file,
        mqtt.Tls(files.ca_file, files.cert_file, files.key_file) if files else None,
        settings.version,
    )


def publisher_of(
    settings: Mqtt, outbox: Outbox, contract: Contract, *, printing: bool
) -> Publisher | Printer:
    if printing:
        return Printer(outbox)
    device = contract.device
    broker = broker_of(settings, f"edged-{device.site}-{device.device}")
    return Publisher(
        outbox,
        partial(mqtt.Connection, broker, contract.status("offline")),
        contract.status("online"),
        contract.status("stopped"),
        f"{device.device}:{device.boot_id}:",
    )
