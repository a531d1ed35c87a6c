"""The only maker of bytes that leave the device: values in, messages of core.schema out.

Its rules. What does not fit the schema raises `Refused`. An id is one that the configuration knows, and that
of the message's own place. A refusal's words never repeat the refused value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone, tzinfo

from edge.core import homeassistant
from edge.core.health import Outflow, Vitals, ailments
from edge.core.intervals import CameraQuarter, Quarter, ZoneQuarter
from edge.core.ledger import Flow, Ledger, LineTotals, Numbered, local_day
from edge.core.schema import BYTES_PER_HOUR_MAX, DECLARATIONS, Declaration, Tallies
from edge.core.sealing import Refused as Refused
from edge.core.sealing import sealed
from edge.core.terms import ID, VERSION, Quality
from edge.core.values import Crossing, Dwell, Message, Moment, Sync, Visit


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

    @property
    def boot(self) -> str:
        """How the ids of this boot's events begin."""
        return f"{self.device}:{self.boot_id}:"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a message says beside its news: when, on which local day, how good, how far to trust the clock."""

    at: Moment
    day: str
    sync: Sync
    quality: Quality = "ok"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message belongs: a camera, and one of its lines or zones."""

    camera: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """The vocabulary of one device. Its methods make messages or raise `Refused`.

    `groups` are the camera groups whose visits may be published: none in tier `count`.
    """

    device: Device
    cameras: Mapping[str, Scopes] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        scopes = [scope for camera in self.cameras.values() for scope in camera.lines | camera.zones]
        for name in (self.device.site, self.device.device, *self.cameras, *scopes, *self.groups):
            if not re.fullmatch(ID, name):
                raise ValueError(f"the id {name!r} is not of the form {ID}")

    # -- events: numbered, delivered for certain

    def crossing(self, crossing: Crossing, sequence: int, today: Flow, mark: Mark) -> Message:
        """`today` are the line's totals, this crossing included."""
        data = {"line": crossing.line, "date": mark.day, "totals": _totals(today), **_trust(mark)}
        return self._event(crossing.kind.value, Place(crossing.camera, crossing.line), sequence, data, mark)

    def dwell(self, dwell: Dwell, sequence: int, mark: Mark) -> Message:
        dwell_s = min(round(dwell.dwell_s, 1), 86_400.0)
        told = {"zone": dwell.zone, "dwell_s": dwell_s, "ended": dwell.ended.value}
        return self._event("dwell", Place(dwell.camera, dwell.zone), sequence, told | _trust(mark), mark)

    def visit(self, group: str, visit: Visit, sequence: int, mark: Mark) -> Message:
        """`mark` is that of the batch that the visit is published in."""
        told = {"dwell_s": visit.dwell_s, "quality": visit.quality.value}
        return self._event("visit", Place(group), sequence, told, mark)

    def line_interval(
        self, quarter: Quarter, place: Place, sequence: int, mark: Mark, zone: tzinfo
    ) -> Message:
        seen = quarter.cameras.get(place.camera, CameraQuarter())
        told = {"line": place.scope, "totals": _totals(seen.lines.get(place.scope, Flow()))}
        data = told | _quarter(quarter, seen, mark, zone)
        return self._event("interval_line", place, sequence, data, mark)

    def zone_interval(
        self, quarter: Quarter, place: Place, sequence: int, mark: Mark, zone: tzinfo
    ) -> Message:
        seen = quarter.cameras.get(place.camera, CameraQuarter())
        told = {"zone": place.scope, **_stay(seen, seen.zones.get(place.scope, ZoneQuarter()))}
        data = told | _quarter(quarter, seen, mark, zone)
        return self._event("interval_zone", place, sequence, data, mark)

    def digest(self, day: Ledger, sequence: int, outflow: Outflow, mark: Mark) -> Message:
        """`day` is the ledger as it stood when its day ended."""
        tallies = {kind: day.numbered.get(kind, Numbered(0, 0)) for kind in Tallies.model_fields}
        data = {
            "date": day.date,
            "first": day.first,
            "last": day.sequence,
            "kinds": {kind: {"count": t.count, "last": t.last or None} for kind, t in tallies.items()},
            "losses": _losses(outflow),
            "clock": mark.sync.value,
        }
        return self._event("digest", Place(), sequence, data, mark)

    def restamped(self, message: Message, wall_minus_monotonic_s: float, zone: tzinfo) -> Message:
        """An event of this boot, made before the clock was right, with the time that it is now known to have
        had; any other message as it is."""
        if not message.id.startswith(self.device.boot):
            return message
        event = json.loads(message.payload)
        if event["data"].get("clock") != Sync.UNSYNCED.value:
            return message
        wall_s = wall_minus_monotonic_s + message.monotonic_s
        event["time"] = rfc3339(wall_s)
        event["data"]["clock"] = Sync.SYNCED.value
        if message.kind in ("entry", "exit"):
            event["data"]["date"] = local_day(wall_s, zone)
        declaration = DECLARATIONS[message.kind]
        return replace(message, payload=sealed(declaration, event))

    # -- states: retained, only the newest matters

    def status(self, state: str) -> Message:
        device = self.device
        about = {"boot_id": device.boot_id, "version": device.version, "config": device.config}
        return self.seal("status", {"state": state, **about})

    def line_count(self, place: Place, totals: LineTotals, sequence: int, mark: Mark) -> Message:
        """`sequence` is the last number that the totals include."""
        told = {"line": place.scope, "date": mark.day, "sequence": sequence}
        sums = {"today": _totals(totals.today), "boot": _totals(totals.boot)}
        return self.seal("count_line", {**told, **sums, **self._stamp(mark), **_trust(mark)}, place)

    def zone_count(self, place: Place, occupancy: int | None, mark: Mark) -> Message:
        told = {"zone": place.scope, "occupancy": occupancy}
        return self.seal("count_zone", {**told, **self._stamp(mark), **_trust(mark)}, place)

    def health(self, vitals: Vitals, outflow: Outflow, mark: Mark) -> Message:
        problems = ailments(vitals, outflow, mark.sync)
        cameras = {
            name: {
                "fps": _rounded(camera.fps, 1),
                "frame_age_s": _rounded(camera.frame_age_s, 1),
                "dropped_frames": camera.dropped_frames,
            }
            for name, camera in vitals.cameras.items()
        }
        groups = vitals.visits
        visits = None if groups is None else {name: asdict(counts) for name, counts in groups.items()}
        inference = vitals.inference_ms and [round(value, 2) for value in vitals.inference_ms]
        fields = {
            "ok": not problems,
            "problems": problems,
            "uptime_s": int(vitals.uptime_s),
            "cameras": cameras,
            "inference_ms": inference and dict(zip(("p50", "p95"), inference, strict=True)),
            "outbox_depth": outflow.depth,
            "losses": _losses(outflow),
            "temperature_c": _rounded(vitals.temperature_c, 1),
            "rss_mib": round(vitals.rss_mib, 1),
            "visits": visits,
            "clock": mark.sync.value,
        }
        return self.seal("health", {**fields, **self._stamp(mark)})

    def manifest(self, tier: str, models: Mapping[str, str], key_life_s: int | None = None) -> Message:
        """`models` maps the id of each network that runs here to its file's SHA-256."""
        fields = {
            "version": self.device.version,
            "config": self.device.config,
            "tier": tier,
            "key_life_s": key_life_s,
            "models": [{"id": name, "sha256": digest} for name, digest in sorted(models.items())],
            "cameras": {
                name: {"lines": sorted(scopes.lines), "zones": sorted(scopes.zones)}
                for name, scopes in self.cameras.items()
            },
            "publishes": [
                {"kind": d.kind, "topic": d.topic, "retained": not d.is_event, "bytes_max": d.bytes_max}
                for d in DECLARATIONS.values()
            ],
            "bytes_per_hour_max": BYTES_PER_HOUR_MAX,
            "boot_id": self.device.boot_id,
        }
        return self.seal("manifest", fields)

    def entities(self) -> dict[str, homeassistant.Options]:
        """What Home Assistant can show of this device, by unique id."""
        cameras = {name: (sorted(known.lines), sorted(known.zones)) for name, known in self.cameras.items()}
        return homeassistant.entities(self.device.base, cameras)

    def discovery(self, gone: Mapping[str, str]) -> Message:
        """`gone` maps the entities to remove to their platforms."""
        removed = {name: {"platform": platform} for name, platform in gone.items()}
        device = self.device
        components = self.entities() | removed
        return self.seal(
            "discovery", homeassistant.discovery(device.site, device.device, device.version, components)
        )

    def no_discovery(self) -> Message:
        """An empty retained message: Home Assistant forgets the device."""
        return self._empty("discovery", Place())

    def withdrawn(self, place: Place) -> Message:
        """An empty retained message for a line or zone that was counted by once and is no more: the broker
        forgets its last value, which would else be told for ever."""
        known = self.cameras.get(place.camera, Scopes())
        if place.scope in known.lines | known.zones:
            raise Refused("count_line", "its line or zone is in the configuration")
        if not all(re.fullmatch(ID, name) for name in (place.camera, place.scope)):
            raise Refused("count_line", "its place is not of the form of an id")
        return self._empty("count_line", place)

    def _empty(self, kind: str, place: Place) -> Message:
        topic = self._topic(DECLARATIONS[kind], place)
        return Message(topic, topic, b"", True, kind)

    # -- the one door

    def seal(
        self, kind: str, fields: Mapping[str, object], place: Place = Place(), monotonic_s: float = 0.0
    ) -> Message:
        """`fields` as bytes for the topic of `kind`, if the contract knows all of it; else Refused."""
        declaration = DECLARATIONS.get(kind)
        if declaration is None:
            raise Refused("a message", "its kind is not in the contract")
        self._check_place(declaration, place)
        payload = sealed(declaration, fields)
        self._check_ids(declaration, fields, place)
        topic = self._topic(declaration, place)
        if not declaration.is_event:
            return Message(topic, topic, payload, True, kind)
        sequence = int(str(fields["sequence"]))
        return Message(str(fields["id"]), topic, payload, False, kind, sequence, monotonic_s)

    def _topic(self, declaration: Declaration, place: Place) -> str:
        device = self.device
        return declaration.address.format(
            site=device.site, device=device.device, camera=place.camera, scope=place.scope, group=place.camera
        )

    def _event(
        self, kind: str, place: Place, sequence: int, data: Mapping[str, object], mark: Mark
    ) -> Message:
        self._check_place(DECLARATIONS[kind], place)
        fields = {
            "specversion": "1.0",
            "id": f"{self.device.boot}{sequence}",
            "source": self._source(place),
            "type": f"edged.{kind}.{VERSION}",
            "time": rfc3339(mark.at.wall_s),
            "sequence": str(sequence),
            "dataschema": DECLARATIONS[kind].urn,
            "data": dict(data),
        }
        return self.seal(kind, fields, place, mark.at.monotonic_s)

    def _stamp(self, mark: Mark) -> dict[str, str]:
        return {"boot_id": self.device.boot_id, "ts": rfc3339(mark.at.wall_s)}

    def _source(self, place: Place) -> str:
        return "/".join(filter(None, ("edged", self.device.site, self.device.device, place.camera)))

    def _check_place(self, declaration: Declaration, place: Place) -> None:
        if declaration.scope is None:
            return
        if declaration.scope == "group":
            if place.camera not in self.groups:
                raise Refused(declaration.kind, "its camera group is not in the configuration")
            return
        scopes = self.cameras.get(place.camera)
        if scopes is None:
            raise Refused(declaration.kind, "its camera is not in the configuration")
        if place.scope not in (scopes.lines if declaration.scope == "line" else scopes.zones):
            raise Refused(declaration.kind, f"its {declaration.scope} is not in the configuration")

    def _check_ids(self, declaration: Declaration, fields: Mapping[str, object], place: Place) -> None:
        """An id of the right form is not enough: it must be this device's and that of the message's place."""
        ours = {
            "source": self._source(place),
            "id": f"{self.device.boot}{fields.get('sequence')}",
            "boot_id": self.device.boot_id,
            "line": place.scope,
            "zone": place.scope,
        }
        data = fields.get("data")
        told = {**fields, **(data if isinstance(data, dict) else {})}
        for name, value in ours.items():
            if told.get(name, value) != value:
                raise Refused(declaration.kind, f"{name} is not the one of this message")
        if declaration.kind == "discovery":
            who = self.device
            if not homeassistant.is_of(fields, who.site, who.device, who.version, self.entities()):
                raise Refused(declaration.kind, "it is not about this device and its configuration")
        for name, known in (("cameras", self.cameras.keys()), ("visits", self.groups)):
            named = fields.get(name)
            if isinstance(named, Mapping) and not named.keys() <= known:
                raise Refused(declaration.kind, f"its {name} are not those of the configuration")


def rfc3339(wall_s: float) -> str:
    """UTC to the millisecond: 2026-03-15T10:04:31.250Z."""
    stamp = datetime.fromtimestamp(round(wall_s, 3), timezone.utc)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _totals(flow: Flow) -> dict[str, int]:
    return {"entry": flow.entry, "exit": flow.exit}


def _trust(mark: Mark) -> dict[str, object]:
    return {"quality": mark.quality, "clock": mark.sync.value}


def _losses(outflow: Outflow) -> dict[str, int]:
    return {name: getattr(outflow, name) for name in ("refused", "dropped", "lost", "rejected")}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _quarter(quarter: Quarter, seen: CameraQuarter, mark: Mark, zone: tzinfo) -> dict[str, object]:
    return {
        "start": rfc3339(quarter.start_s),
        "local": datetime.fromtimestamp(quarter.start_s, zone).isoformat(timespec="minutes"),
        "coverage": round(seen.coverage, 3),
        "quality": seen.quality,
        "partial": quarter.partial,
        "clock": mark.sync.value,
    }


def _stay(seen: CameraQuarter, zone: ZoneQuarter) -> dict[str, object]:
    dwells = zone.dwells
    occupancy = (
        {"mean": round(zone.person_s / seen.watched_s, 2), "max": zone.peak} if seen.watched_s else None
    )
    dwell_s = (
        {
            "mean": round(dwells.mean_s, 1),
            "p50": round(dwells.quantile_s(0.5), 1),
            "p90": round(dwells.quantile_s(0.9), 1),
        }
        if dwells.count
        else None
    )
    return {"occupancy": occupancy, "visits": dwells.count, "dwell_s": dwell_s}
