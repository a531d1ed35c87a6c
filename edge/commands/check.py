"""Checks a config file and says everything that is wrong with it at once, by line.

Prints what the device would count when the file is right. With --clip, a recording from the camera's place,
it also says whether faces at the lines are large enough for tier visit. Exit 0: right; 2: not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge.config import DEFAULT_PATH, Config, read, schema

LOOKS_PER_S = 4.0  # into a clip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="the file (default: %(default)s)")
    parser.add_argument("--clip", type=Path, help="a recording of people who cross the lines")
    parser.add_argument("--camera", help="whose recording it is, when the config has several cameras")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the file")


def run(args: argparse.Namespace) -> int:
    if args.schema:
        print(schema(), end="")
        return 0
    config = read(args.config)
    print(f"{args.config}: right\n{summary(config)}")
    if args.clip and config.privacy.tier == "visit":
        print("\n".join(faces_in(args.clip, args.config, args.camera)))
    elif args.clip:
        print("faces    not looked at: that is for tier visit; `edged count` counts the people of a clip")
    return 0


def faces_in(clip: Path, file: Path, camera: str | None) -> Iterator[str]:
    """What the doctor finds of the faces at the lines; imported late, for its parts are large."""
    from edge.adapters import tflite
    from edge.adapters.video import FileSource
    from edge.commands.count import ClipClock, chosen
    from edge.doctor.visits import measure_faces
    from edge.visit.tier import FINDER_MODEL

    scene = chosen(file, camera).scene
    finder = tflite.FaceDetector(tflite.models_dir(), FINDER_MODEL)
    with closing(FileSource(scene.camera, clip, ClipClock(), LOOKS_PER_S)) as source:
        for check in measure_faces("faces", source.frames(), scene, finder):
            yield f"warning  {check.found}: {check.remedy}" if check.remedy else f"faces    {check.found}"


def summary(config: Config) -> str:
    """What a device with this config does, in a few lines a technician can hold against the shop."""
    lines = [
        f"topics   edged/v1/{config.site}/{config.device}/…",
        f"broker   {config.mqtt.host}:{config.mqtt.port} ({'TLS' if config.mqtt.tls else 'not encrypted'})",
        f"privacy  {config.privacy.statement}",
        *(f"warning  {risk}" for risk in config.privacy.warnings),
    ]
    for camera in config.cameras:
        things = [f"line {line.id}" for line in camera.lines]
        things += [f"zone {zone.id} ({zone.role.value})" for zone in camera.zones]
        lines.append(f"camera   {camera.id} at {camera.source}: {', '.join(things)}")
    return "\n".join(lines)
