"""Checks a config file and says everything that is wrong with it at once, by line.

Prints what the device would count when the file is right. Exit 0: right; 2: not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.config import DEFAULT_PATH, Config, read, schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="the file (default: %(default)s)")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the file")


def run(args: argparse.Namespace) -> int:
    if args.schema:
        print(schema(), end="")
        return 0
    config = read(args.config)
    print(f"{args.config}: right\n{summary(config)}")
    return 0


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
