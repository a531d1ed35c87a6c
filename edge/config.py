"""YAML -> typed config. The loader neither raises nor prints: it returns a config or every problem at once.

A problem names file, line, key and the way to mend it. Secrets never stand in the file: it names files that
hold them. Points are fractions of the picture, x then y.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from edge.core.manifest import DELEGATES, XNNPACK
from edge.core.values import Anchor, Line, Role, Scene, Zone
from edge.ports import ConfigError
from edge.privacy import Privacy
from edge.section import Section as Section
from edge.yamlpos import Document, Problem, in_order, parse, problems_of

Id = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
PointOf = tuple[Fraction, Fraction]
Polygon = Annotated[tuple[PointOf, ...], Field(min_length=3, max_length=32)]

DEFAULT_PATH = Path("/etc/edged/edged.yaml")
SOURCE = re.compile(r"^((rtsps?://|https?://|v4l2:/dev/|file:).|csi:[0-9]$)")
MIN_LINE = 0.01  # of the picture: a shorter line is a slip of the pen
MIN_OFF_LINE = 0.005


def credential_name(path: Path) -> str:
    """The name under which systemd hands a file over (LoadCredential=)."""
    return str(path).strip("/").replace("/", "-")


def credential(path: Path) -> Path:
    """Where a file with a secret can be read: from systemd where it hands the file over, else in place."""
    handed_over = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / credential_name(path)
    return handed_over if handed_over.exists() else path


SecretFile = Annotated[Path, AfterValidator(credential)]


class Tls(Section):
    """TLS to the broker. The server's name is always checked."""

    ca_file: SecretFile
    """PEM file with the authority that signed the broker's certificate."""
    cert_file: SecretFile | None = None
    """PEM file with this device's certificate (mutual TLS)."""
    key_file: SecretFile | None = None
    """PEM file with the key of that certificate."""

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together: give both or neither")
        return self


class Mqtt(Section):
    """The broker that the events go to."""

    host: str = Field(min_length=1, max_length=253)
    """Name or address of the broker."""
    port: int = Field(default=1883, ge=1, le=65535)
    """1883, or 8883 with tls."""
    username: str | None = Field(default=None, max_length=256)
    """User name, if the broker asks for one."""
    password_file: SecretFile | None = None
    """File whose first line is the password; never the password itself."""
    tls: Tls | None = None
    """TLS to the broker; without it the connection is not encrypted."""
    version: Literal["5", "3.1.1"] = "5"
    """MQTT version. With 3.1.1 a broker cannot say that it refused a message."""
    home_assistant: bool = False
    """Announce the device to Home Assistant's MQTT discovery."""

    @model_validator(mode="after")
    def _login(self) -> Mqtt:
        if self.password_file and not self.username:
            raise ValueError("password_file needs a username beside it")
        return self


class Detector(Section):
    """The network that finds people."""

    model: str = "person-nanodet-416"
    """A person model of models/manifest.toml."""
    threads: int = Field(default=1, ge=1, le=4)
    """Inference threads; 1 or 2 leaves the board room for the rest."""
    delegate: str = XNNPACK
    """What runs the networks: xnnpack (the processor), edgetpu, gpu, or external:/path/of/a/library.so."""

    @field_validator("delegate")
    @classmethod
    def _delegate(cls, delegate: str) -> str:
        if delegate not in DELEGATES and not re.fullmatch(r"external:/.+", delegate):
            known = ", ".join(DELEGATES)
            raise ValueError(f"no such delegate: use {known}, or external: and a library's whole path")
        return delegate


class LineSection(Section):
    """A counting line."""

    id: Id
    """Stands in the topic, so choose it once."""
    start: PointOf = Field(alias="from")
    """One end of the line."""
    end: PointOf = Field(alias="to")
    """The other end."""
    inside: PointOf
    """Any point on the inner side: who crosses towards it enters."""
    anchor: Anchor = Anchor.FOOT
    """The point of a person that must cross: foot, centre or head."""

    @model_validator(mode="after")
    def _drawn(self) -> LineSection:
        (x1, y1), (x2, y2), (x, y) = self.start, self.end, self.inside
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        if length < MIN_LINE:
            raise ValueError(
                "from and to are the same point: draw the line from one side of the door to the other"
            )
        if abs((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) / length < MIN_OFF_LINE:
            raise ValueError("inside lies on the line: choose a point clearly on the inner side")
        return self

    def to_line(self) -> Line:
        return Line(self.id, self.start, self.end, self.inside, self.anchor)


class ZoneSection(Section):
    """An area whose occupancy and dwell are measured."""

    id: Id
    """Stands in the topic, so choose it once."""
    polygon: Polygon
    """The corners in order."""
    dwell_s_min: float = Field(default=3.0, ge=0, le=3600)
    """Shorter stays are passers-by and make no dwell event."""
    role: Role = Role.AREA
    """area, queue, or staff: people who work there are not counted anywhere."""
    anchor: Anchor = Anchor.FOOT
    """The point of a person that must be inside: foot, centre or head."""

    @field_validator("polygon")
    @classmethod
    def _simple(cls, polygon: tuple[PointOf, ...]) -> tuple[PointOf, ...]:
        return simple_polygon(polygon)

    def to_zone(self) -> Zone:
        return Zone(self.id, self.polygon, self.dwell_s_min, self.role, self.anchor)


class Camera(Section):
    """One camera and what is counted in its picture."""

    id: Id
    """Stands in the topic, so choose it once."""
    source: str
    """rtsp://host/path, http://host/mjpeg, v4l2:/dev/video0, csi:0, or file:clip.mp4 for a recording."""
    username: str | None = Field(default=None, max_length=128)
    """User name of a network camera."""
    password_file: SecretFile | None = None
    """File whose first line is the camera's password."""
    fps_max: float | None = Field(default=None, gt=0, le=60)
    """Frames a second that are looked at; default 10 for cameras, and every frame of a file."""
    lines: tuple[LineSection, ...] = Field(default=(), max_length=16)
    """Counting lines."""
    zones: tuple[ZoneSection, ...] = Field(default=(), max_length=16)
    """Zones."""
    near_view: bool = True
    """Look closer where the lines are, when they lie in a small part of the picture."""
    group: Id = "main"
    """Tier visit: cameras of one group share keys, so that an entry at one can end at another."""
    ignore: tuple[Polygon, ...] = Field(default=(), max_length=16)
    """Polygons that are blacked out before anything looks."""

    @field_validator("source")
    @classmethod
    def _source(cls, source: str) -> str:
        if not SOURCE.match(source):
            raise ValueError(
                "no such kind of source: use rtsp://, http://, v4l2:/dev/video0, csi:0 or file:clip.mp4"
            )
        if re.match(r"^\w+://[^/]*@", source):
            raise ValueError(
                "credentials do not belong in the address: use username and password_file beside source"
            )
        return source

    @field_validator("ignore")
    @classmethod
    def _ignore(cls, ignore: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
        return tuple(map(simple_polygon, ignore))

    @model_validator(mode="after")
    def _ids(self) -> Camera:
        if not self.lines and not self.zones:
            raise ValueError("nothing to count: give the camera at least one line or zone")
        _unique("lines and zones", [*(line.id for line in self.lines), *(zone.id for zone in self.zones)])
        return self

    def to_scene(self) -> Scene:
        lines = tuple(line.to_line() for line in self.lines)
        zones = tuple(zone.to_zone() for zone in self.zones)
        return Scene(self.id, lines, zones, self.ignore, self.near_view)


class Config(Section):
    """The installer's one file."""

    site: Id
    """The shop or building; first part of every topic."""
    device: Id = Field(default_factory=lambda: hostname_id(socket.gethostname()))
    """This box; default: the host's name."""
    timezone: str | None = None
    """IANA name, for the daily reset; default: the system's."""
    mqtt: Mqtt
    """The broker."""
    privacy: Privacy = Privacy()
    """The privacy tier."""
    detector: Detector = Detector()
    """The person detector."""
    cameras: tuple[Camera, ...] = Field(min_length=1, max_length=8)
    """The cameras."""

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no such time zone: {name!r}; use a name such as Europe/Athens") from None
        return name

    @field_validator("cameras")
    @classmethod
    def _cameras(cls, cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
        _unique("cameras", [camera.id for camera in cameras])
        return cameras


def load(path: Path) -> tuple[Config | None, tuple[Problem, ...]]:
    """The config in the file, or None and every problem that stands in its way, by line."""
    document = parse(path)
    if document.data is None:
        return None, document.problems
    try:
        # JSON mode: strict about types, and a YAML list may become a tuple.
        config = Config.model_validate_json(json.dumps(document.data, default=repr))
    except ValidationError as error:
        return None, problems_of(error, document, Config)
    problems = in_order([*document.problems, *_missing_files(config, document)])
    return (None, problems) if problems else (config, ())


def read(path: Path) -> Config:
    """The config in the file. Raises ConfigError with every problem."""
    config, problems = load(path)
    if config is None:
        raise ConfigError(problems)
    return config


def schema() -> str:
    """The JSON Schema of the config file, for editors."""
    document = Config.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
    return json.dumps(document, indent=2) + "\n"


def hostname_id(hostname: str) -> str:
    """A host name made to fit the alphabet of ids."""
    short = hostname.split(".")[0].lower()
    return re.sub(r"[^a-z0-9-]", "-", short)[:32] or "device"


def simple_polygon(polygon: tuple[PointOf, ...]) -> tuple[PointOf, ...]:
    """The same polygon, if it has an area and no two of its sides cross."""
    area = sum(
        x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(polygon, polygon[1:] + polygon[:1], strict=True)
    )
    if abs(area) / 2 < 1e-4:
        raise ValueError("the polygon has no area: give its corners in order")
    sides = list(zip(polygon, polygon[1:] + polygon[:1], strict=True))
    if any(_cross(*a, *b) for i, a in enumerate(sides) for b in sides[i + 1 :]):
        raise ValueError("the sides of the polygon cross: give its corners in order, around the area")
    return polygon


def _cross(a: PointOf, b: PointOf, c: PointOf, d: PointOf) -> bool:
    def turn(p: PointOf, q: PointOf, r: PointOf) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0


def _unique(what: str, ids: list[str]) -> None:
    twice = sorted(name for name, times in Counter(ids).items() if times > 1)
    if twice:
        raise ValueError(f"{what} must have different ids; used twice: {', '.join(twice)}")


def _missing_files(config: Config, document: Document) -> list[Problem]:
    """A file that the config names but that cannot be read; found at `check`, not at night."""
    tls = config.mqtt.tls
    named: dict[tuple[str | int, ...], Path | None] = {("mqtt", "password_file"): config.mqtt.password_file}
    if tls:
        named |= {("mqtt", "tls", key): getattr(tls, key) for key in ("ca_file", "cert_file", "key_file")}
    for index, camera in enumerate(config.cameras):
        named["cameras", index, "password_file"] = camera.password_file
    return [
        document.problem(loc, f"cannot read {path}: create the file, readable by the user that runs edged")
        for loc, path in named.items()
        if path is not None and not _readable(path)
    ]


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
