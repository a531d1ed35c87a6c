"""The contract, told to people and programs: JSON Schemas, an AsyncAPI document, the tables of docs/MQTT.md.

All of it is made from core.schema, with examples that core.wire itself has made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta, timezone
from typing import Any

from pydantic.json_schema import models_json_schema

from edge.core.health import CameraVitals, Outflow, Unlinked, Vitals
from edge.core.intervals import CameraQuarter, Dwells, Quarter, ZoneQuarter
from edge.core.ledger import Flow, Ledger, LineTotals, Numbered
from edge.core.schema import DECLARATIONS, HISTORICAL, HISTORICAL_S, Declaration
from edge.core.values import Crossing, Dwell, Ended, Kind, MatchQuality, Message, Moment, Sync, Visit
from edge.core.wire import Contract, Device, Mark, Place, Scopes

Json = dict[str, Any]

JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
PARAMETERS = {
    "site": "The site, as configured.",
    "device": "The device, as configured; unique within its site.",
    "camera": "One of the device's cameras.",
    "scope": "One of the camera's lines or zones.",
    "group": "Cameras whose entries and exits are linked, as configured.",
}
LATE = f"Present when the event waited over {HISTORICAL_S:.0f} s, or over a restart."

EXAMPLE = Contract(
    Device("aegean-park", "door-north", "5f2c9a1e", "0.1.0", "3b7f0c21d4aa"),
    {"entrance": Scopes(frozenset({"door"}), frozenset({"till"}))},
    frozenset({"main"}),
)
_AT = Moment(frame=5000, monotonic_s=500.0, wall_s=1773569071.25)
_MARK = Mark(_AT, "2026-03-15", Sync.SYNCED)
_EET = timezone(timedelta(hours=2))
_DOOR, _TILL = Place("entrance", "door"), Place("entrance", "till")


def examples() -> dict[str, Message]:
    """One message of every kind, as core.wire makes it."""
    made = [
        EXAMPLE.status("online"),
        EXAMPLE.crossing(_crossing(Kind.ENTRY), 1842, Flow(412, 398), _MARK),
        EXAMPLE.crossing(_crossing(Kind.EXIT), 1843, Flow(412, 399), _MARK),
        EXAMPLE.dwell(Dwell("entrance", "till", 42.0, Ended.LEFT, _AT, track=0), 1844, _MARK),
        EXAMPLE.visit("main", Visit(300.0, MatchQuality.OK), 1845, _MARK),
        EXAMPLE.line_count(_DOOR, LineTotals(Flow(412, 399), Flow(97, 90)), 1843, _MARK),
        EXAMPLE.zone_count(_TILL, 3, _MARK),
        EXAMPLE.line_interval(_quarter(), _DOOR, 1846, _MARK, _EET),
        EXAMPLE.zone_interval(_quarter(), _TILL, 1847, _MARK, _EET),
        EXAMPLE.digest(_day(), 1848, Outflow(), _MARK),
        EXAMPLE.health(_vitals(), Outflow(depth=2), _MARK),
        EXAMPLE.manifest("count", {"person-nanodet-416": "0" * 64}),
        EXAMPLE.discovery({}),
    ]
    return {message.kind: message for message in made}


def _crossing(kind: Kind) -> Crossing:
    return Crossing("entrance", "door", kind, _AT, track=0, reason="")


def _quarter() -> Quarter:
    till = ZoneQuarter(person_s=1260.0, peak=5, dwells=Dwells().plus(31.0).plus(42.0).plus(95.0))
    seen = CameraQuarter(
        watched_s=899.2, quality_s={"ok": 899.2}, lines={"door": Flow(23, 19)}, zones={"till": till}
    )
    return Quarter(1773568800, partial=False, cameras={"entrance": seen})


def _day() -> Ledger:
    numbered = {"entry": Numbered(412, 1801), "exit": Numbered(410, 1811), "dwell": Numbered(88, 1790)}
    return Ledger("5f2c9a1e", "2026-03-14", sequence=1811, first=902, numbered=numbered)


def _vitals() -> Vitals:
    return Vitals(
        86_400, {"entrance": CameraVitals(10.0, 0.1, 12)}, 96.4, (21.3, 24.8), 54.2, {"main": Unlinked(31, 4)}
    )


def schemas() -> dict[str, Json]:
    """A closed JSON Schema (2020-12) for each kind of message."""
    return {kind: _schema(declaration) for kind, declaration in DECLARATIONS.items()}


def _schema(declaration: Declaration) -> Json:
    head = {"$schema": JSON_SCHEMA, "$id": declaration.urn}
    return {**head, **declaration.model.model_json_schema()}


def asyncapi(version: str) -> Json:
    """An AsyncAPI 3.0 document of the device: it sends, and receives nothing."""
    models = [(declaration.model, "validation") for declaration in DECLARATIONS.values()]
    names, shared = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    refs = {declaration.kind: names[declaration.model, "validation"] for declaration in DECLARATIONS.values()}
    made = examples()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edged",
            "version": version,
            "description": "Counts people and forgets them. It publishes; it subscribes to nothing.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {declaration.kind: _channel(declaration) for declaration in DECLARATIONS.values()},
        "operations": {
            f"send_{kind}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{kind}"},
                "bindings": {
                    "mqtt": {"qos": 1, "retain": not declaration.is_event, "bindingVersion": "0.2.0"}
                },
            }
            for kind, declaration in DECLARATIONS.items()
        },
        "components": {
            "messages": {kind: _message(DECLARATIONS[kind], refs[kind], made[kind]) for kind in DECLARATIONS},
            "schemas": shared["$defs"],
        },
    }


def _channel(declaration: Declaration) -> Json:
    address = declaration.address
    return {
        "address": address,
        "messages": {declaration.kind: {"$ref": f"#/components/messages/{declaration.kind}"}},
        "parameters": {
            name: {"description": told} for name, told in PARAMETERS.items() if f"{{{name}}}" in address
        },
    }


def _message(declaration: Declaration, payload: Json, example: Message) -> Json:
    late = {HISTORICAL[0]: {"const": HISTORICAL[1], "description": LATE}}
    return {
        "name": declaration.kind,
        "summary": (declaration.model.__doc__ or "").strip(),
        "contentType": "application/cloudevents+json" if declaration.is_event else "application/json",
        **({"headers": {"type": "object", "properties": late}} if declaration.is_event else {}),
        "payload": payload,
        "examples": [{"payload": json.loads(example.payload)}],
    }


def topic_table() -> str:
    """Every topic, as Markdown."""
    rows = [
        (f"`{d.topic}`", f"`{d.kind}`", "no" if d.is_event else "yes", str(d.bytes_max), _about(d))
        for d in DECLARATIONS.values()
    ]
    return _table(("topic below `<base>`", "kind", "retained", "bytes at most", "what"), rows)


def messages_text() -> str:
    """Every kind of message: an example and its fields, as Markdown."""
    made = examples()
    return "\n\n".join(_message_text(DECLARATIONS[kind], made[kind]) for kind in DECLARATIONS)


def _message_text(declaration: Declaration, example: Message) -> str:
    schema = declaration.model.model_json_schema()
    rows = list(_fields(schema, schema.get("$defs", {}), ""))
    told = json.dumps(json.loads(example.payload), indent=1)
    return (
        f"### {declaration.kind}\n\n{_about(declaration)}\n\n`{example.topic}`\n\n"
        f"```json\n{told}\n```\n\n{_table(('field', 'type', 'meaning'), rows)}"
    )


def _about(declaration: Declaration) -> str:
    return " ".join((declaration.model.__doc__ or "").split())


def _fields(schema: Json, shared: Json, prefix: str) -> Iterator[tuple[str, str, str]]:
    """The fields of an object and of the objects in it: path, type, meaning."""
    for name, field in schema.get("properties", {}).items():
        found, nullable = _resolved(field, shared)
        if found.get("type") == "object" and "properties" in found:
            if prefix or name != "data":
                told = field.get("description") or found.get("description", "")
                yield f"`{prefix}{name}`", "object" + nullable, _line(told)
            yield from _fields(found, shared, f"{prefix}{name}.")
        else:
            yield f"`{prefix}{name}`", _type(found, shared) + nullable, _line(field.get("description", ""))
            inner, _ = _resolved(_element(found), shared)
            yield from _fields(inner, shared, f"{prefix}{name}[].")


def _element(field: Json) -> Json:
    """What a list or a mapping by id holds, else nothing."""
    by_id: list[Json] = list(field.get("patternProperties", {}).values())
    return by_id[0] if by_id else field.get("items", {})


def _resolved(field: Json, shared: Json) -> tuple[Json, str]:
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    nullable = " or null" if "anyOf" in field else ""
    only: Json = options[0]
    if "$ref" in only:
        only = shared[only["$ref"].rsplit("/", 1)[1]]
    return only, nullable


def _type(field: Json, shared: Json) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "pattern" in field:
        return f"text `{field['pattern'].strip('^$')}`"
    if field["type"] == "array":
        item, _ = _resolved(field["items"], shared)
        told = "objects" if item["type"] == "object" else _type(item, shared)
        return f"list of at most {field['maxItems']}: {told}"
    if field["type"] == "object":
        return "object by id"
    if "minimum" in field:
        return f"{field['type']} {field['minimum']:g} to {field['maximum']:g}"
    return str(field["type"])


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
