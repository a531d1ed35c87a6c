"""Everything that may leave the device, declared once: topics, fields, types, ranges, words and sizes.

A message is one of `DECLARATIONS`. Its fields are a closed set of bounded numbers, words from fixed lists,
ids and times. There is no field for free text, for a picture, for a track or for a person. The JSON Schemas,
the AsyncAPI document and docs/MQTT.md are generated from here. Unknown is null, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from edge.core.homeassistant import DISCOVERY_TOPIC, Discovery
from edge.core.terms import (
    BY_ID,
    VERSION,
    Ailment,
    BootId,
    Clock,
    Closed,
    Count,
    Day,
    EventId,
    Hash,
    Id,
    LocalTime,
    ModelId,
    Number,
    People,
    Quality,
    Scope,
    Seconds,
    Sequence,
    Share,
    Source,
    Template,
    Time,
    Version,
    text,
)

# An MQTT v5 user property on an event that waited this long, or longer than the boot that made it.
HISTORICAL = ("delivery", "historical")
HISTORICAL_S = 60.0
BYTES_PER_HOUR_MAX = 16 * 1024 * 1024


class Totals(Closed):
    """People by direction: `entry` towards the inner side of the line."""

    entry: Count
    exit: Count


class Trust(Closed):
    """How far a message can be believed."""

    quality: Quality
    """what may have made it miss people. degraded: fewer than five pictures a second; small: most people are
    too small for the network; crowded: many hide one another"""
    clock: Clock
    """synced: a time server sets the clock; holdover: it did; unsynced: it never did in this boot"""


class Crossed(Trust):
    """One person crossed a line."""

    line: Id
    date: Day
    """the local day that the totals belong to"""
    totals: Totals
    """of that day, this crossing included"""


class Dwelt(Trust):
    """One person's visit to a zone, when it ended."""

    zone: Id
    dwell_s: Seconds
    """to a tenth of a second; 86400 is a day or longer"""
    ended: Literal["left", "lost", "shutdown"]
    """left the zone; was lost from sight in it; the device stopped"""


class Visited(Closed):
    """One entry that was linked to its exit, published among at least nine others: no time, no id.

    The event's time is that of the batch.
    """

    dwell_s: Seconds
    """the start of its bucket: 0, 120, 300, 600, 1200 or 2400; whole seconds where fine release was chosen"""
    quality: Literal["ok", "low"]
    """low: another open visit looked alike, so the link is a choice"""


class Interval(Closed):
    """A quarter of an hour, aligned to the local clock."""

    start: Time
    local: LocalTime
    """the start on the wall of the shop"""
    coverage: Share
    """the share of the quarter in which the camera was watched; 0.98 and more is normal"""
    quality: Quality | None
    """what it was like for most of the time that was watched; null when none was"""
    partial: bool
    """the quarter was not watched from its start, or was closed late after a restart"""
    clock: Clock


class LineInterval(Interval):
    """Crossings of a line in a quarter of an hour."""

    line: Id
    totals: Totals


class OccupancySummary(Closed):
    """People at once, over the time that was watched."""

    mean: Annotated[float, Field(ge=0, le=10_000)]
    max: People


class DwellSummary(Closed):
    """Seconds, of the visits that ended in the interval; quantiles to 5 %."""

    mean: Seconds
    p50: Seconds
    p90: Seconds


class ZoneInterval(Interval):
    """Occupancy of a zone and visits to it in a quarter of an hour."""

    zone: Id
    occupancy: OccupancySummary | None
    """null when nothing was watched"""
    visits: Count
    dwell_s: DwellSummary | None
    """null when no visit ended"""


class Tally(Closed):
    """How many messages of one kind took a number, and the last number taken."""

    count: Count
    last: Number | None


class Tallies(Closed):
    """One tally a kind of event."""

    entry: Tally
    exit: Tally
    dwell: Tally
    visit: Tally
    interval_line: Tally
    interval_zone: Tally
    digest: Tally


class Losses(Closed):
    """Messages since the start of this boot that did not arrive, by cause."""

    refused: Count
    """not in the contract: a defect of the device"""
    dropped: Count
    """the outbox was full"""
    lost: Count
    """the disk did not take them and the memory was full"""
    rejected: Count
    """the broker did not take them; they are kept, and offered again at the next start"""


class DayDigest(Closed):
    """What was numbered in a local day, said after its midnight, so that a gap can be proven or excluded."""

    date: Day
    first: Number
    """the first number of the day; above `last` on a day without any"""
    last: Number
    kinds: Tallies
    losses: Losses
    clock: Clock


class CloudEvent(Closed):
    """CloudEvents 1.0, structured mode, with the `sequence` extension."""

    specversion: Literal["1.0"]
    id: EventId
    """device:boot:sequence, unique for ever: who sees it twice may drop the second"""
    source: Source
    type: str
    time: Time
    sequence: Sequence
    """grows by one with every event, interval and digest of the device; restarts do not reset it"""
    dataschema: str
    data: Any


class Status(Closed):
    """Whether the device is there."""

    state: Literal["online", "stopped", "offline"]
    """stopped was planned; offline is the broker's word for a device that broke off"""
    boot_id: BootId
    version: Version
    config: Hash
    """the first digits of the configuration's SHA-256"""


class LineCount(Trust):
    """A line's totals so far; empty once the line was removed."""

    line: Id
    date: Day
    today: Totals
    """since local midnight; they never fall within a day"""
    boot: Totals
    """since the daemon started"""
    boot_id: BootId
    sequence: Number
    """the last sequence number that these totals include"""
    ts: Time


class ZoneCount(Trust):
    """How many people are in a zone; empty once the zone was removed."""

    zone: Id
    occupancy: People | None
    """null until the camera has been watched in this boot"""
    boot_id: BootId
    ts: Time


class CameraHealth(Closed):
    """One camera, over the last minute."""

    fps: Annotated[float, Field(ge=0, le=1_000)] | None
    frame_age_s: Annotated[float, Field(ge=0, le=1e9)] | None
    """how old the newest picture is; null before the first"""
    dropped_frames: Count
    """since the start: pictures that were replaced by newer ones before anything looked"""


class Latency(Closed):
    """Milliseconds, over the last minute."""

    p50: Annotated[float, Field(ge=0, le=1e6)]
    p95: Annotated[float, Field(ge=0, le=1e6)]


class UnlinkedVisits(Closed):
    """What will never have a dwell."""

    unusable: Count
    """crossings, in or out, whose face gave no usable hash: too small, turned away, masked"""
    unfinished: Count
    """entries whose exit was not recognised in time"""


class Health(Closed):
    """How the device is, once a minute."""

    ok: bool
    problems: Annotated[list[Ailment], Field(max_length=16)]
    uptime_s: Annotated[int, Field(ge=0, le=10_000_000_000)]
    cameras: Annotated[dict[Id, CameraHealth], BY_ID]
    inference_ms: Latency | None
    outbox_depth: Count
    """messages that the broker has not acknowledged"""
    losses: Losses
    temperature_c: Annotated[float, Field(ge=-60, le=200)] | None
    rss_mib: Annotated[float, Field(ge=0, le=1e6)]
    visits: Annotated[dict[Id, UnlinkedVisits], BY_ID] | None
    """by camera group, since the daemon started, as it stood at the latest quarter-hour batch; null in tier
    count"""
    clock: Clock
    boot_id: BootId
    ts: Time


class ModelFile(Closed):
    """A network that runs on the device."""

    id: ModelId
    sha256: Annotated[str, text(r"[0-9a-f]{64}", 64)]


class CameraScopes(Closed):
    """The ids that a camera's messages may name."""

    lines: Annotated[list[Id], Field(max_length=64)]
    zones: Annotated[list[Id], Field(max_length=64)]


class Publication(Closed):
    """One kind of message that may leave."""

    kind: Template
    topic: Template
    """below edged/v1/<site>/<device>/"""
    retained: bool
    bytes_max: Count


class Manifest(Closed):
    """What this device is and all that it may say: the contract as data."""

    version: Version
    config: Hash
    tier: Literal["count", "visit", "member"]
    key_life_s: Annotated[int, Field(ge=0, le=10_800)] | None
    """how long a face hash can live; null when there are none"""
    models: Annotated[list[ModelFile], Field(max_length=8)]
    cameras: Annotated[dict[Id, CameraScopes], BY_ID]
    publishes: Annotated[list[Publication], Field(max_length=64)]
    bytes_per_hour_max: Count
    boot_id: BootId


@dataclass(frozen=True, slots=True)
class Declaration:
    """One kind of message: where it goes, what it may hold, and how large it may be.

    In `topic`, {camera} and {scope} stand for a configured camera and for one of its lines or zones,
    {group} for a configured camera group. An event is numbered and delivered for certain; a state is
    retained, and only its newest value matters.
    """

    kind: str
    topic: str
    model: type[Closed]
    bytes_max: int
    scope: Scope | None = None

    @property
    def is_event(self) -> bool:
        return issubclass(self.model, CloudEvent)

    @property
    def is_sparse(self) -> bool:
        """Home Assistant does not take null for an option that is left out."""
        return self.kind == "discovery"

    @property
    def address(self) -> str:
        """The whole topic, with {site} and {device} too."""
        if self.kind == "discovery":
            return self.topic
        return f"edged/{VERSION}/{{site}}/{{device}}/{self.topic}"

    @property
    def urn(self) -> str:
        return f"urn:edged:{VERSION}:{self.kind}"


def _event(kind: str, topic: str, data: type[Closed], scope: Scope | None) -> Declaration:
    fields: dict[str, Any] = {
        "type": (Literal[f"edged.{kind}.{VERSION}"], ...),
        "dataschema": (Literal[f"urn:edged:{VERSION}:{kind}"], ...),
        "data": (data, ...),
    }
    name = "".join(word.capitalize() for word in kind.split("_")) + "Event"
    model = create_model(name, __base__=CloudEvent, __doc__=data.__doc__, **fields)
    return Declaration(kind, topic, model, 1024, scope)


DECLARATIONS: Mapping[str, Declaration] = {
    declaration.kind: declaration
    for declaration in (
        Declaration("status", "status", Status, 256),
        _event("entry", "event/{camera}/entry", Crossed, "line"),
        _event("exit", "event/{camera}/exit", Crossed, "line"),
        _event("dwell", "event/{camera}/dwell", Dwelt, "zone"),
        _event("visit", "event/{group}/visit", Visited, "group"),
        Declaration("count_line", "count/{camera}/{scope}", LineCount, 512, "line"),
        Declaration("count_zone", "count/{camera}/{scope}", ZoneCount, 512, "zone"),
        _event("interval_line", "interval/{camera}/{scope}", LineInterval, "line"),
        _event("interval_zone", "interval/{camera}/{scope}", ZoneInterval, "zone"),
        _event("digest", "digest", DayDigest, None),
        Declaration("health", "health", Health, 4096),
        Declaration("manifest", "manifest", Manifest, 16_384),
        Declaration("discovery", DISCOVERY_TOPIC, Discovery, 32_768),
    )
}
