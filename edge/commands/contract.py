"""Prints what may leave the device: every topic, and with --kind every field of one kind of message.

--asyncapi prints the whole contract as an AsyncAPI 3.0 document, and --write keeps a folder of documents up
to date: MQTT.md between its markers, asyncapi.json, and schemas/ with one JSON Schema a kind.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from edge import __version__
from edge.core.reference import asyncapi, examples, messages_text, schemas, topic_table
from edge.core.schema import DECLARATIONS

MARKED = r"(<!-- made: {name} -->\n).*?(<!-- end: {name} -->)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=list(DECLARATIONS), help="print the JSON Schema of this kind")
    parser.add_argument("--example", action="store_true", help="with --kind: print an example instead")
    parser.add_argument("--asyncapi", action="store_true", help="print the AsyncAPI document")
    parser.add_argument("--write", type=Path, metavar="DIR", help="bring the documents in DIR up to date")


def run(args: argparse.Namespace) -> int:
    if args.write:
        for path, text in documents(args.write).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    elif args.asyncapi:
        print(_json(asyncapi(__version__)), end="")
    elif args.kind and args.example:
        print(examples()[args.kind].payload.decode())
    elif args.kind:
        print(_json(schemas()[args.kind]), end="")
    else:
        print(topic_table())
    return 0


def documents(folder: Path) -> dict[Path, str]:
    """The generated documents of `folder` as they should be now; MQTT.md keeps the prose that it has."""
    prose = (folder / "MQTT.md").read_text(encoding="utf-8")
    for name, text in (("topics", topic_table()), ("messages", messages_text())):
        marked = re.compile(MARKED.format(name=name), re.DOTALL)
        prose = marked.sub(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", prose)  # type: ignore[misc]
    made = {folder / "MQTT.md": prose, folder / "asyncapi.json": _json(asyncapi(__version__))}
    return made | {folder / "schemas" / f"{kind}.json": _json(schema) for kind, schema in schemas().items()}


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
