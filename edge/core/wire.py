"""The egress contract: all that may leave the device, declared once, and the only maker of its bytes.

Its rules. A message is one of `DECLARATIONS`; its fields are a closed set of bounded numbers, words from
fixed lists, and ids. An id is one the configuration knows. There is no field for free text, for a picture,
for a track or for a person. Whatever does not fit raises `Refused`, whose words never repeat the value.
The JSON Schemas, the AsyncAPI document and docs/MQTT.md are generated from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from edge.core.ledger import Flow, LineTotals
from edge.core.values import Crossing, Dwell, Message, Moment, Sync

VERSION = "v1"
# An MQTT v5 user property on an event that waited this long, or longer than the boot that made it.
HISTORICAL = ("delivery", "historical")
HISTORICAL_S = 60.0
ID = r"[a-z0-9-]{1,32}"


def _text(pattern: str, length: int) -> Any:
    return StringConstraints(pattern=f"^{pattern}$", max_length=length)


Id = Annotated[str, _text(ID, 32)]
BootId = Annotated[str, _text(r"[0-9a-f]{4,16}", 16)]
EventId = Annotated[str, _text(rf"{ID}:[0-9a-f]{{4,16}}:[1-9][0-9]{{0,15}}", 66)]
Source = Annotated[str, _text(rf"edged/{ID}/{ID}(/{ID})?", 104)]
Sequence = Annotated[str, _text(r"[1-9][0-9]{0,15}", 16)]
Time = Annotated[str, _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", 24)]
Day = Annotated[str, _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", 10)]
Version = Annotated[str, _text(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}([a-z]{1,4}[0-9]{1,4})?", 24)]
Digest = Annotated[str, _text(r"[0-9a-f]{8,64}", 64)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
DwellS = Annotated[float, Field(ge=0, le=86_400, description="seconds, to a tenth")]
Clock = Literal["synced", "holdover", "unsynced"]
Quality = Literal["ok", "degraded"]


class Closed(BaseModel):
    """No unknown field, no conversion, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Totals(Closed):
    entry: Count
    exit: Count


class Passage(Closed):
    """One person crossed a line. `totals` are those of the local day `date`, this crossing included."""

    line: Id
    date: Day
    totals: Totals
    quality: Quality
    clock: Clock


class Stay(Closed):
    """One visit to a zone, published when it ended."""

    zone: Id
    dwell_s: DwellS
    ended: Literal["left", "lost", "shutdown"]
    quality: Quality
    clock: Clock


class CloudEvent(Closed):
    """CloudEvents 1.0, structured mode, with the `sequence` extension."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    type: str
    time: Time
    sequence: Sequence
    dataschema: str
    data: Any


class Status(Closed):
    """Whether the device is there: `stopped` was planned, `offline` is the broker's word."""

    state: Literal["online", "stopped", "offline"]
    boot_id: BootId
    version: Version
    config: Digest = Field(description="the first digits of the configuration's SHA-256")


class LineCount(Closed):
    """A line's cumulative totals since local midnight and since the daemon started."""

    line: Id
    date: Day
    today: Totals
    boot: Totals
    boot_id: BootId
    sequence: Count = Field(description="the last sequence number that these totals include")
    ts: Time
    quality: Quality
    clock: Clock


class ZoneCount(Closed):
    """How many people are in a zone; null until the camera has been seen."""

    zone: Id
    occupancy: Annotated[int, Field(ge=0, le=10_000)] | None
    boot_id: BootId
    ts: Time
    quality: Quality
    clock: Clock


@dataclass(frozen=True, slots=True)
class Declaration:
    """One kind of message: where it goes, what it may hold, and how large it may be.

    In `topic`, {camera} and {scope} stand for a configured camera and for one of its lines or zones.
    """

    kind: str
    topic: str
    model: type[Closed]
    retain: bool
    bytes_max: int
    scope: Literal["line", "zone"] | None = None


def _event(kind: str, data: type[Closed], scope: Literal["line", "zone"]) -> Declaration:
    fields: dict[str, Any] = {
        "type": (Literal[f"edged.{kind}.{VERSION}"], ...),
        "dataschema": (Literal[f"urn:edged:{VERSION}:{kind}"], ...),
        "data": (data, ...),
    }
    name = f"{kind.capitalize()}Event"
    model = create_model(name, __base__=CloudEvent, __doc__=data.__doc__, **fields)
    return Declaration(kind, f"event/{{camera}}/{kind}", model, retain=False, bytes_max=1024, scope=scope)


DECLARATIONS: Mapping[str, Declaration] = {
    declaration.kind: declaration
    for declaration in (
        Declaration("status", "status", Status, retain=True, bytes_max=256),
        _event("entry", Passage, "line"),
        _event("exit", Passage, "line"),
        _event("dwell", Stay, "zone"),
        Declaration("count_line", "count/{camera}/{scope}", LineCount, True, 512, "line"),
        Declaration("count_zone", "count/{camera}/{scope}", ZoneCount, True, 512, "zone"),
    )
}


class Refused(Exception):
    """Something that the contract does not know was about to leave. Its words hold no value of it."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind, self.reason = kind, reason
        super().__init__(f"refused to publish {kind}: {reason}")


@dataclass(frozen=True, slots=True)
class Scopes:
    """The lines and zones that one camera of the configuration has."""

    lines: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Device:
    """Who speaks: ids of the configuration, this boot, the program and its configuration's hash."""

    site: str
    device: str
    boot_id: str
    version: str
    config: str

    @property
    def base(self) -> str:
        return f"edged/{VERSION}/{self.site}/{self.device}"


@dataclass(frozen=True, slots=True)
class Mark:
    """What every message says beside its news: when, how good, and how far to trust the clock."""

    at: Moment
    day: str
    sync: Sync
    quality: Quality = "ok"


@dataclass(frozen=True, slots=True)
class Contract:
    """The vocabulary of one device. Its methods make messages or raise `Refused`."""

    device: Device
    cameras: Mapping[str, Scopes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scopes = [scope for camera in self.cameras.values() for scope in camera.lines | camera.zones]
        for name in (self.device.site, self.device.device, *self.cameras, *scopes):
            if not re.fullmatch(ID, name):
                raise ValueError(f"the id {name!r} is not of the form {ID}")

    def status(self, state: str) -> Message:
        device = self.device
        return self.seal(
            "status",
            {"state": state, "boot_id": device.boot_id, "version": device.version, "config": device.config},
        )

    def crossing(self, crossing: Crossing, sequence: int, totals: Flow, mark: Mark) -> Message:
        """`totals` are today's, this crossing included."""
        data = {"line": crossing.line, "date": mark.day, "totals": _totals(totals), **_trust(mark)}
        return self._event(crossing.kind.value, crossing.camera, crossing.line, sequence, data, mark)

    def dwell(self, dwell: Dwell, sequence: int, mark: Mark) -> Message:
        data = {
            "zone": dwell.zone,
            "dwell_s": round(dwell.dwell_s, 1),
            "ended": dwell.ended.value,
            **_trust(mark),
        }
        return self._event("dwell", dwell.camera, dwell.zone, sequence, data, mark)

    def line_count(self, camera: str, line: str, totals: LineTotals, sequence: int, mark: Mark) -> Message:
        fields = {
            "line": line,
            "date": mark.day,
            "today": _totals(totals.today),
            "boot": _totals(totals.boot),
            "boot_id": self.device.boot_id,
            "sequence": sequence,
            "ts": rfc3339(mark.at.wall_s),
            **_trust(mark),
        }
        return self.seal("count_line", fields, camera, line)

    def zone_count(self, camera: str, zone: str, occupancy: int | None, mark: Mark) -> Message:
        fields = {
            "zone": zone,
            "occupancy": occupancy,
            "boot_id": self.device.boot_id,
            "ts": rfc3339(mark.at.wall_s),
            **_trust(mark),
        }
        return self.seal("count_zone", fields, camera, zone)

    def _event(
        self, kind: str, camera: str, scope: str, sequence: int, data: Mapping[str, object], mark: Mark
    ) -> Message:
        device = self.device
        fields = {
            "specversion": "1.0",
            "id": f"{device.device}:{device.boot_id}:{sequence}",
            "source": f"edged/{device.site}/{device.device}/{camera}",
            "type": f"edged.{kind}.{VERSION}",
            "time": rfc3339(mark.at.wall_s),
            "sequence": str(sequence),
            "dataschema": f"urn:edged:{VERSION}:{kind}",
            "data": dict(data),
        }
        return self.seal(kind, fields, camera, scope, sequence, mark.at.monotonic_s)

    def seal(
        self,
        kind: str,
        fields: Mapping[str, object],
        camera: str = "",
        scope: str = "",
        sequence: int = 0,
        monotonic_s: float = 0.0,
    ) -> Message:
        """The one door out: `fields` as bytes for the topic of `kind`, if the contract knows all of it."""
        declaration = DECLARATIONS.get(kind)
        if declaration is None:
            raise Refused("a message", "its kind is not in the contract")
        self._check_place(declaration, camera, scope)
        try:
            payload = declaration.model.model_validate(dict(fields)).model_dump_json().encode()
        except ValidationError as error:
            raise Refused(kind, _explain(error)) from None
        self._check_ids(kind, fields, camera, scope)
        if len(payload) > declaration.bytes_max:
            raise Refused(kind, f"{len(payload)} bytes are more than the {declaration.bytes_max} allowed")
        topic = f"{self.device.base}/{declaration.topic.format(camera=camera, scope=scope)}"
        identity = str(fields["id"]) if sequence else topic
        return Message(identity, topic, payload, declaration.retain, kind, sequence, monotonic_s)

    def _check_ids(self, kind: str, fields: Mapping[str, object], camera: str, scope: str) -> None:
        """An id of the right form is not enough: it must be this device's and that of the message's place."""
        device = self.device
        number = fields.get("sequence")
        ours = {
            "source": f"edged/{device.site}/{device.device}/{camera}",
            "id": f"{device.device}:{device.boot_id}:{number}",
            "boot_id": device.boot_id,
            "line": scope,
            "zone": scope,
        }
        data = fields.get("data")
        told = {**fields, **(data if isinstance(data, dict) else {})}
        for name, value in ours.items():
            if told.get(name, value) != value:
                raise Refused(kind, f"{name} is not the one of this message")

    def _check_place(self, declaration: Declaration, camera: str, scope: str) -> None:
        if declaration.scope is None:
            return
        scopes = self.cameras.get(camera)
        if scopes is None:
            raise Refused(declaration.kind, "its camera is not in the configuration")
        if scope not in (scopes.lines if declaration.scope == "line" else scopes.zones):
            raise Refused(declaration.kind, f"its {declaration.scope} is not in the configuration")


def rfc3339(wall_s: float) -> str:
    """UTC to the millisecond: 2026-03-15T10:04:31.250Z."""
    stamp = datetime.fromtimestamp(round(wall_s, 3), timezone.utc)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _totals(flow: Flow) -> dict[str, int]:
    return {"entry": flow.entry, "exit": flow.exit}


def _trust(mark: Mark) -> dict[str, str]:
    return {"quality": mark.quality, "clock": mark.sync.value}


def _explain(error: ValidationError) -> str:
    """Where and how it does not fit, in words that repeat neither the value nor an unknown field's name."""
    known = {name for declaration in DECLARATIONS.values() for name in _names(declaration.model)}
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(part if part in known else "?" for part in map(str, first["loc"]))
    return f"{where}: {first['type']}"


def _names(model: type[BaseModel]) -> set[str]:
    nested = [f.annotation for f in model.model_fields.values()]
    inner = [a for a in nested if isinstance(a, type) and issubclass(a, BaseModel)]
    return set(model.model_fields).union(*map(_names, inner))
