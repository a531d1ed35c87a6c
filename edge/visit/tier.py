"""The parts of tier `visit`, made and joined: the second page of the composition root.

`app` imports this only when the configuration asks for the tier. In tier `count` the face models are not
loaded, and neither is the code that would use them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.adapters import keys, tflite
from edge.adapters.facestore import FaceStore, refuse_flash
from edge.config import Config
from edge.core.facehash import Scheme
from edge.core.health import Unlinked
from edge.core.values import Moment, Visit
from edge.core.visits import ReleaseRules, VisitRules
from edge.ports import AdapterError
from edge.visit.faces import Faces
from edge.visit.visitors import Forgotten, Visitors

log = logging.getLogger(__name__)

FINDER_MODEL, FACE_MODEL, EMBEDDER_MODEL = "face-yunet-640", "face-yunet-192", "embedder-sface"
BITS_PER_DIMENSION = 4
SWAP_CHECK_S = 60.0
LOCK, FORGOTTEN = "visits.lock", "visits.forgotten"


@dataclass(slots=True)
class VisitTier:
    """The running tier: a `Visitors` for each camera group, and the models that its cameras share."""

    groups: Mapping[str, Visitors]
    finder: tflite.FaceDetector
    detector: tflite.FaceDetector
    embedder: tflite.Embedder
    models: Mapping[str, str]
    runtime_dir: Path | None
    forget_requested: threading.Event
    plain_swap: bool
    checked_s: float

    def faces(self, group: str) -> Faces:
        """The face stage of one camera."""
        return Faces(self.finder, self.detector, self.embedder, self.groups[group])

    def chore(self, publish: Callable[[str, Sequence[Visit], Moment], None], at: Moment) -> None:
        """What time and the technician bring: expiry, rotation, release, forgetting. Pipeline's thread.

        Raises AdapterError, with all keys destroyed, if there is by now a swap that would remember.
        """
        if self.forget_requested.is_set():
            self.forget_requested.clear()
            self._forget(at.monotonic_s)
        if not self.plain_swap and at.monotonic_s - self.checked_s >= SWAP_CHECK_S:
            self.checked_s = at.monotonic_s
            self._refuse_plain_swap()
        for group, visitors in self.groups.items():
            publish(group, visitors.tick(at.monotonic_s), at)

    @property
    def unlinked(self) -> dict[str, Unlinked]:
        """By camera group, for the health."""
        return {group: visitors.unlinked for group, visitors in self.groups.items()}

    def _refuse_plain_swap(self) -> None:
        """The check of the start, again: on many boards a swap file is only made once they run."""
        try:
            keys.refuse_plain_swap()
        except AdapterError:
            self._forget(self.checked_s)
            raise

    def _forget(self, now_s: float) -> None:
        done = [visitors.forget(now_s) for visitors in self.groups.values()]
        total = Forgotten(sum(one.keys for one in done), sum(one.visits for one in done))
        if self.runtime_dir:
            answer = self.runtime_dir / FORGOTTEN
            answer.with_suffix(".new").write_text(f"{total.keys} {total.visits}\n")
            answer.with_suffix(".new").rename(answer)


def open_tier(
    config: Config,
    runtime_dir: Path | None,
    keep: Callable[[str, int], None],
    now_s: float,
    forget_requested: threading.Event | None = None,
) -> VisitTier:
    """Everything of the tier, or AdapterError: no swap or flash that would remember, no second daemon.

    Without a runtime directory open visits are kept in memory only.
    """
    keys.refuse_core_dumps()
    if not config.privacy.visits.plain_swap:
        keys.refuse_plain_swap()
    if runtime_dir:
        refuse_flash(runtime_dir)
        _lock(runtime_dir / LOCK)
    for risk in config.privacy.warnings:
        log.warning("%s", risk)
    directory = tflite.models_dir()
    delegate = config.detector.delegate
    embedder = tflite.Embedder(directory, EMBEDDER_MODEL, delegate=delegate)
    specs = tflite.manifest(directory)
    threshold = specs[EMBEDDER_MODEL].thresholds["hash"]
    make = partial(_visitors, config, embedder, threshold, runtime_dir, keep, now_s)
    groups = {group: make(group) for group in sorted({camera.group for camera in config.cameras})}
    models = {name: specs[name].sha256 for name in (FINDER_MODEL, FACE_MODEL, EMBEDDER_MODEL)}
    faces = partial(tflite.FaceDetector, directory, delegate=delegate)
    return VisitTier(
        groups,
        faces(FINDER_MODEL),
        faces(FACE_MODEL),
        embedder,
        models,
        runtime_dir,
        forget_requested or threading.Event(),
        config.privacy.visits.plain_swap,
        now_s,
    )


def _visitors(
    config: Config,
    embedder: tflite.Embedder,
    threshold: float,
    runtime_dir: Path | None,
    keep: Callable[[str, int], None],
    now_s: float,
    group: str,
) -> Visitors:
    settings = config.privacy.visits
    dimensions = len(embedder.mean)
    install = f"{config.site}/{config.device}"
    scheme = Scheme(install, embedder.sha256, dimensions, BITS_PER_DIMENSION * dimensions, group)
    path = runtime_dir / f"visits-{group}.db" if runtime_dir else None
    return Visitors(
        keys.open_ring(os.environ, group, keep, settings.dwell_s_max),
        partial(FaceStore, path, words=scheme.bits // 64),
        scheme,
        VisitRules(threshold, dwell_s_max=settings.dwell_s_max),
        ReleaseRules(fine=settings.release == "fine"),
        shuffle,
        now_s,
    )


def shuffle(count: int) -> list[int]:
    """An unpredictable order."""
    return secrets.SystemRandom().sample(range(count), count)


def _lock(path: Path) -> None:
    """Say that this process holds the runtime directory; `edged forget` finds it by this."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise AdapterError("use", str(path.parent), "another edged runs there", "stop it first") from None
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())  # the lock lasts as long as the descriptor, so it stays open
