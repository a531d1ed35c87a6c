"""Counts the people in a recording with the same pipeline as the daemon, as fast as the machine goes.

The lines and zones come from a config file; without one, a line down the middle of the picture is counted
and whoever crosses it to the right enters. Frames count from 0, times from the start of the clip.

  edged count clip.mp4 --config shop.yaml
  edged count clip.mp4 --config shop.yaml --json | jq .lines
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge.adapters import tflite
from edge.adapters.video import FileSource
from edge.config import DEFAULT_PATH, Config, Detector, read
from edge.core.values import Crossing, Dwell, Event, Frame, Kind, Line, Moment, Occupancy, Scene, Track
from edge.pipeline import Pipeline
from edge.ports import AdapterError

if TYPE_CHECKING:
    from edge.visit.tier import VisitTier

QUARTER_S = 900.0

MIDDLE = Scene("clip", (Line("middle", (0.5, 0.0), (0.5, 1.0), inside=(1.0, 0.5)),))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", type=Path, help="a video file that FFmpeg reads: mp4, avi, mkv, mpg …")
    parser.add_argument("--config", type=Path, help=f"the lines and zones (default: {DEFAULT_PATH}, if any)")
    parser.add_argument("--camera", help="which camera of the config, when it has several")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--explain", action="store_true", help="say of every count why it was made")
    parser.add_argument("--tracks", type=Path, metavar="FILE", help="write the tracks as MOTChallenge text")
    parser.add_argument("--render", type=Path, metavar="OUT.mp4", help="draw boxes, ids, lines and counts")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw trails, and crossings over time")


class ClipClock:
    """A recording's own time: it begins at 0."""

    def monotonic_s(self) -> float:
        return 0.0

    def wall_s(self) -> float:
        return 0.0


@dataclass(slots=True)
class Tally:
    """All that was counted in a clip."""

    scene: Scene
    crossings: list[Crossing] = field(default_factory=list)
    dwells: list[Dwell] = field(default_factory=list)
    fullest: dict[str, int] = field(default_factory=dict)

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Crossing):
                self.crossings.append(event)
            elif isinstance(event, Dwell):
                self.dwells.append(event)
            elif isinstance(event, Occupancy):
                self.fullest[event.zone] = max(event.count, self.fullest.get(event.zone, 0))

    def of_line(self, line: str, kind: Kind) -> list[Crossing]:
        return [crossing for crossing in self.crossings if (crossing.line, crossing.kind) == (line, kind)]

    def lines(self) -> dict[str, dict[str, object]]:
        return {
            line.id: {
                "entry": len(self.of_line(line.id, Kind.ENTRY)),
                "exit": len(self.of_line(line.id, Kind.EXIT)),
                "events": [
                    {"frame": c.at.frame, "time_s": round(c.at.monotonic_s, 2), "kind": c.kind.value}
                    for c in sorted(self.crossings, key=lambda crossing: crossing.at.frame)
                    if c.line == line.id
                ],
            }
            for line in self.scene.lines
        }

    def zones(self) -> dict[str, dict[str, object]]:
        return {zone.id: self._zone(zone.id) for zone in self.scene.zones}

    def _zone(self, zone: str) -> dict[str, object]:
        stays = [round(dwell.dwell_s, 2) for dwell in self.dwells if dwell.zone == zone]
        return {"visits": len(stays), "dwell_s": stays, "occupancy_max": self.fullest.get(zone, 0)}


def run(args: argparse.Namespace) -> int:
    job = chosen(args.config, args.camera)
    scene, settings = job.scene, job.detector
    tier = visit_tier(job.config)
    detector = tflite.PersonDetector(tflite.models_dir(), settings.model, settings.threads, settings.delegate)
    with ExitStack() as stack:
        source = stack.enter_context(closing(FileSource(scene.camera, args.clip, ClipClock())))
        watchers = list(watching(args, scene, source.fps, stack))
        started_s = time.monotonic()
        pipeline = Pipeline(scene, detector, tier.faces(job.group) if tier else None)
        tally = count(source, pipeline, scene, watchers)
        speed_fps = source.frames_read / (time.monotonic() - started_s)
        source.check_whole()
    result = {
        "clip": str(args.clip),
        "frames": source.frames_read,
        "seconds": round(source.frames_read / source.fps, 2),
        "lines": tally.lines(),
        "zones": tally.zones(),
        "visits": released(tier, source.frames_read / source.fps),
        "speed_fps": round(speed_fps, 1),
    }
    print(json.dumps(result) if args.json else "\n".join(table(result, tally)))
    if args.explain:
        print(*explained(tally), sep="\n", file=sys.stderr if args.json else sys.stdout)
    return 0


@dataclass(frozen=True, slots=True)
class Job:
    """What to count, and by what configuration, if there is one."""

    scene: Scene
    detector: Detector
    config: Config | None = None
    group: str = ""


def visit_tier(config: Config | None) -> VisitTier | None:
    """Tier visit with everything in memory, if the configuration asks for it; see edge.app."""
    if config is None or config.privacy.tier != "visit":
        return None
    from edge.visit.tier import open_tier

    return open_tier(config, None, lambda name, fd: None, 0.0)


def released(tier: VisitTier | None, end_s: float) -> list[dict[str, object]]:
    """The visits that the device would have published a quarter of an hour after the clip's end."""
    groups = tier.groups.values() if tier else ()
    visits = [visit for visitors in groups for visit in visitors.tick(end_s + QUARTER_S)]
    return [{"dwell_s": visit.dwell_s, "quality": visit.quality.value} for visit in visits]


def chosen(path: Path | None, camera: str | None) -> Job:
    """What to count: a camera of the config, or the line down the middle where there is no config."""
    if path is None and not DEFAULT_PATH.exists():
        print("no config: counting a line down the middle, entering to the right", file=sys.stderr)
        return Job(MIDDLE, Detector())
    config = read(path or DEFAULT_PATH)
    cameras = {one.id: one for one in config.cameras}
    if camera is None and len(cameras) > 1:
        raise AdapterError("choose", "a camera", f"the config has {', '.join(cameras)}", "give --camera")
    if camera is not None and camera not in cameras:
        raise AdapterError("find camera", camera, f"the config has {', '.join(cameras)}")
    one = cameras[camera] if camera else config.cameras[0]
    return Job(one.to_scene(), config.detector, config, one.group)


Watcher = Callable[[Frame, Sequence[Track], Sequence[Crossing]], None]


def watching(args: argparse.Namespace, scene: Scene, fps: float, stack: ExitStack) -> Iterator[Watcher]:
    """Who wants to see every frame, its tracks and all crossings so far; `stack` closes their files."""
    if args.tracks:
        file = stack.enter_context(args.tracks.open("w"))
        yield lambda frame, tracks, _: file.writelines(
            mot_line(frame.index + 1, track) for track in tracks if track.seen
        )
    if args.render or args.plot:
        from edge.commands.render import Film, Plot  # the video encoder: never loaded unless asked for

        if args.render:
            yield stack.enter_context(Film(args.render, scene, fps)).add
        if args.plot:
            yield stack.enter_context(Plot(args.plot, scene)).add


def count(source: FileSource, pipeline: Pipeline, scene: Scene, watchers: Sequence[Watcher]) -> Tally:
    """Every frame of the clip through the pipeline, and to the watchers."""
    tally = Tally(scene)
    last = Moment(0, 0.0, 0.0)
    for frame in with_progress(source):
        tally.add(pipeline.step(frame))
        last = frame.at
        for watcher in watchers:
            watcher(frame, pipeline.tracks, tally.crossings)
    tally.add(pipeline.close(last))
    return tally


def mot_line(number: int, track: Track) -> str:
    """One row of the MOTChallenge format; frames count from 1. Unconfirmed tracks are no people yet."""
    box = track.box
    return (
        f"{number},{track.id},{box.x1:.2f},{box.y1:.2f},{box.width:.2f},{box.height:.2f},{track.score:.3f},-1,-1,-1\n"
        if track.confirmed
        else ""
    )


def with_progress(source: FileSource) -> Iterator[Frame]:
    """The frames of the clip, with a bar on a terminal."""
    total, shown = max(source.frame_count, 1), sys.stderr.isatty()
    for frame in source.frames():
        if shown and frame.index % 10 == 0:
            part = min(1.0, frame.index / total)
            bar = "█" * round(part * 30)
            print(f"\r{part:5.0%} ▕{bar:<30}▏ frame {frame.index}", end="", file=sys.stderr, flush=True)
        yield frame
    if shown:
        print("\r\033[K", end="", file=sys.stderr)


def table(result: dict[str, object], tally: Tally) -> Iterator[str]:
    """What was counted, for people."""
    yield "{clip}: {frames} frames, {seconds} s, {speed_fps} frames/s".format(**result)
    if tally.scene.lines:
        yield f"\n{'line':<20}{'entry':>8}{'exit':>8}"
    for line in tally.scene.lines:
        entries, exits = len(tally.of_line(line.id, Kind.ENTRY)), len(tally.of_line(line.id, Kind.EXIT))
        yield f"{line.id:<20}{entries:>8}{exits:>8}"
    if tally.scene.zones:
        yield f"\n{'zone':<20}{'visits':>8}{'median s':>10}{'longest s':>11}{'most at once':>14}"
    for zone in tally.scene.zones:
        stays = [dwell.dwell_s for dwell in tally.dwells if dwell.zone == zone.id]
        times = f"{statistics.median(stays):>10.1f}{max(stays):>11.1f}" if stays else f"{'-':>10}{'-':>11}"
        yield f"{zone.id:<20}{len(stays):>8}{times}{tally.fullest.get(zone.id, 0):>14}"


def explained(tally: Tally) -> Iterator[str]:
    """One line a count, with its reason."""
    for crossing in sorted(tally.crossings, key=lambda crossing: crossing.at.frame):
        at = crossing.at
        yield (
            f"{at.monotonic_s:8.2f} s  frame {at.frame:<6} {crossing.line:<12} {crossing.kind.value:<6} "
            f"track {crossing.track}: {crossing.reason}"
        )
    for dwell in tally.dwells:
        at = dwell.at
        yield (
            f"{at.monotonic_s:8.2f} s  frame {at.frame:<6} {dwell.zone:<12} dwell  track {dwell.track}: "
            f"{dwell.dwell_s:.1f} s, {dwell.ended.value}"
        )
