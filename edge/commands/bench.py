"""Measures this device: what each person model costs here, and how many pictures a second that leaves.

The shipped recording runs through the daemon's own pipeline, once for every person model of the manifest, as
fast as the device goes. CPU times are of one picture and of all threads; `spent` is the share of one core
that a camera at 10 pictures a second would take. Run it on a device that does nothing else: stop the daemon.

  edged bench                one thread, as the config's default
  edged bench --threads 2 --json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice

from edge import __version__
from edge.adapters import tflite
from edge.adapters.board import temperature_c
from edge.adapters.clock import SystemClock
from edge.adapters.video import FileSource
from edge.app import FPS_MAX
from edge.commands.demo import CAMERA, LINE, demo_clip
from edge.core.values import Detection, Line, Pixels, Scene
from edge.pipeline import Pipeline
from edge.ports import Detector

ROOM = 1.5  # pictures a second that a model must manage for every one that a camera gives

GATE = Scene(CAMERA, (Line(LINE, (0.2865, 0.2604), (0.2865, 0.5903), inside=(0.0911, 0.42)),))


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frames", type=positive, default=200, help="pictures a model is given (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, choices=(1, 2), default=1, help="inference threads (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


class Stopwatch:
    """Adds up the CPU time that this process spends in each stage."""

    def __init__(self) -> None:
        self.spent_s: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began_s = time.process_time()
        yield
        self.spent_s[stage] += time.process_time() - began_s


@dataclass(frozen=True, slots=True)
class Watched:
    """A detector (ports.Detector) whose calls are timed."""

    detector: Detector
    watch: Stopwatch

    @property
    def side(self) -> int:
        return self.detector.side

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        with self.watch("detect"):
            return self.detector.detect(pixels)


@dataclass(frozen=True, slots=True)
class Row:
    """What one model costs here; CPU milliseconds a picture."""

    model: str
    frames: int
    decode_ms: float
    detect_ms: float
    count_ms: float
    fps: float

    @property
    def cpu_ms(self) -> float:
        return self.decode_ms + self.detect_ms + self.count_ms


def measure(model: str, frames: int, threads: int) -> Row:
    """At most `frames` pictures of the shipped recording through the pipeline with this model."""
    watch = Stopwatch()
    pipeline = Pipeline(GATE, Watched(tflite.PersonDetector(tflite.models_dir(), model, threads), watch))
    with closing(FileSource(CAMERA, demo_clip(), SystemClock())) as source:
        pictures, seen, began_s = islice(source.frames(), frames), 0, time.monotonic()
        while True:
            with watch("decode"):
                frame = next(pictures, None)
            if frame is None:
                break
            with watch("step"):
                pipeline.step(frame)
            seen += 1
        took_s = time.monotonic() - began_s
    ms = {stage: spent_s * 1000 / seen for stage, spent_s in watch.spent_s.items()}
    return Row(model, seen, ms["decode"], ms["detect"], ms["step"] - ms["detect"], seen / took_s)


def board() -> dict[str, object]:
    """What was measured, and on what."""
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "version": __version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "peak_mib": round(peak_mib, 1),
        "temperature_c": temperature_c(),
    }


def table(rows: list[Row], found: Mapping[str, object]) -> Iterator[str]:
    yield f"{'model':<20}{'decode':>9}{'detect':>9}{'count':>8}{'CPU ms':>9}{'frames/s':>10}{'spent':>8}"
    for row in rows:
        spent = row.cpu_ms * FPS_MAX / 1000
        yield (
            f"{row.model:<20}{row.decode_ms:>9.1f}{row.detect_ms:>9.1f}{row.count_ms:>8.2f}"
            f"{row.cpu_ms:>9.1f}{row.fps:>10.0f}{spent:>8.0%}"
        )
    heat = found["temperature_c"]
    yield (
        f"\nedged {found['version']} on {found['machine']}, {found['cores']} cores; "
        f"peak memory with all models {found['peak_mib']} MiB"
        + (f"; {heat:.0f} °C" if isinstance(heat, float) else "")
    )
    best = next((row for row in rows if row.fps >= ROOM * FPS_MAX), None)
    yield (
        f"one camera at {FPS_MAX:.0f} frames/s: detector: {{model: {best.model}}}"
        if best
        else f"no model leaves room for a camera at {FPS_MAX:.0f} frames/s: set fps_max lower, or threads: 2"
    )


def run(args: argparse.Namespace) -> int:
    specs = tflite.manifest(tflite.models_dir()).values()
    rows = []
    for model in (spec.name for spec in specs if spec.role == "person"):
        if sys.stderr.isatty():
            print(f"\r{model}: {args.frames} pictures …\033[K", end="", file=sys.stderr, flush=True)
        rows.append(measure(model, args.frames, args.threads))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    found = board()
    if args.json:
        print(json.dumps(found | {"models": [asdict(row) | {"cpu_ms": row.cpu_ms} for row in rows]}))
    else:
        print(*table(rows, found), sep="\n")
    return 0
