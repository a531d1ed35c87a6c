"""Home Assistant's MQTT discovery: the device and its entities in one retained message, closed like the rest.

Entities read the topics of the contract as they are; nothing else is published for them. An entity whose
line or zone is gone from the configuration is named once more without options: Home Assistant removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from edge.core.terms import Closed, Id, Version, text

DISCOVERY_TOPIC = "homeassistant/device/edged-{site}-{device}/config"

Platform = Literal["sensor", "binary_sensor"]
UniqueId = Annotated[str, text(r"edged-[a-z0-9-]{1,160}", 168)]
Label = Annotated[str, text(r"[a-z0-9 -]{1,120}", 120)]
StateTopic = Annotated[str, text(r"edged/v1/[a-z0-9/-]{1,160}", 176)]
Value = Literal[
    "{{ value_json.today.entry }}",
    "{{ value_json.today.exit }}",
    "{{ value_json.occupancy }}",
    "{{ value_json.data.dwell_s.mean if value_json.data.dwell_s else None }}",
    "{{ 'OFF' if value_json.ok else 'ON' }}",
    "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
]
Available = Literal["{{ 'online' if value_json.state == 'online' else 'offline' }}"]
AVAILABLE = "{{ 'online' if value_json.state == 'online' else 'offline' }}"

Options = dict[str, Any]


class Entity(Closed):
    """A sensor that reads one value of one topic; with its platform alone, one that is to be removed."""

    platform: Platform
    unique_id: UniqueId | None = None
    name: Label | None = None
    state_topic: StateTopic | None = None
    value_template: Value | None = None
    device_class: Literal["connectivity", "problem", "duration"] | None = None
    state_class: Literal["measurement", "total_increasing"] | None = None
    unit_of_measurement: Literal["s"] | None = None
    entity_category: Literal["diagnostic"] | None = None
    availability_topic: StateTopic | None = None
    availability_template: Available | None = None


class Hardware(Closed):
    """The device, as Home Assistant lists it."""

    identifiers: Annotated[list[UniqueId], Field(min_length=1, max_length=1)]
    name: Label
    manufacturer: Literal["edged"]
    model: Literal["people counter"]
    sw_version: Version
    suggested_area: Id


class Origin(Closed):
    """The program that announces it."""

    name: Literal["edged"]
    sw_version: Version


class Discovery(Closed):
    """The device for Home Assistant, if `mqtt.home_assistant` is on; empty once it was turned off."""

    device: Hardware
    origin: Origin
    components: Annotated[
        dict[UniqueId, Entity], Field(max_length=256, json_schema_extra={"additionalProperties": False})
    ]


def entities(base: str, cameras: Mapping[str, tuple[list[str], list[str]]]) -> dict[str, Options]:
    """Unique id -> options. `base` is the device's topic; `cameras` maps a camera to its lines and zones."""
    prefix = "edged-" + base.removeprefix("edged/v1/").replace("/", "-")
    found = dict(_of_the_device(base))
    for camera, (lines, zones) in cameras.items():
        for line in lines:
            found |= _of_a_line(f"{base}/count/{camera}/{line}", camera, line)
        for zone in zones:
            found |= _of_a_zone(base, camera, zone)
    return {f"{prefix}-{key}": options | {"unique_id": f"{prefix}-{key}"} for key, options in found.items()}


def _of_the_device(base: str) -> Iterator[tuple[str, Options]]:
    diagnostic = {"platform": "binary_sensor", "entity_category": "diagnostic"}
    yield (
        "connectivity",
        diagnostic
        | {
            "name": "connectivity",
            "state_topic": f"{base}/status",
            "value_template": "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
            "device_class": "connectivity",
        },
    )
    yield (
        "problem",
        diagnostic
        | _available(base)
        | {
            "name": "problem",
            "state_topic": f"{base}/health",
            "value_template": "{{ 'OFF' if value_json.ok else 'ON' }}",
            "device_class": "problem",
        },
    )


def _of_a_line(topic: str, camera: str, line: str) -> dict[str, Options]:
    base = topic.split("/count/")[0]
    return {
        f"{camera}-{line}-{way}": _available(base)
        | {
            "platform": "sensor",
            "name": f"{camera} {line} {told} today",
            "state_topic": topic,
            "value_template": f"{{{{ value_json.today.{way} }}}}",
            "state_class": "total_increasing",
        }
        for way, told in (("entry", "entries"), ("exit", "exits"))
    }


def _of_a_zone(base: str, camera: str, zone: str) -> dict[str, Options]:
    sensor = {"platform": "sensor", "state_class": "measurement"} | _available(base)
    return {
        f"{camera}-{zone}-occupancy": sensor
        | {
            "name": f"{camera} {zone} occupancy",
            "state_topic": f"{base}/count/{camera}/{zone}",
            "value_template": "{{ value_json.occupancy }}",
        },
        f"{camera}-{zone}-dwell": sensor
        | {
            "name": f"{camera} {zone} dwell in the last quarter hour",
            "state_topic": f"{base}/interval/{camera}/{zone}",
            "value_template": "{{ value_json.data.dwell_s.mean if value_json.data.dwell_s else None }}",
            "device_class": "duration",
            "unit_of_measurement": "s",
        },
    }


def _available(base: str) -> Options:
    return {"availability_topic": f"{base}/status", "availability_template": AVAILABLE}


def is_of(
    fields: Mapping[str, Any], site: str, device: str, version: str, known: Mapping[str, Options]
) -> bool:
    """Whether a message says nothing but the `known` entities of this device, or the removal of others."""
    components: Mapping[str, Options] = fields["components"]
    ours = all(
        known.get(name) == options
        or (name.startswith(f"edged-{site}-{device}-") and options.keys() == {"platform"})
        for name, options in components.items()
    )
    return ours and dict(fields) == discovery(site, device, version, components)


def discovery(site: str, device: str, version: str, components: Mapping[str, Options]) -> Options:
    """The fields of the whole message."""
    return {
        "device": {
            "identifiers": [f"edged-{site}-{device}"],
            "name": f"{site} {device}",
            "manufacturer": "edged",
            "model": "people counter",
            "sw_version": version,
            "suggested_area": site,
        },
        "origin": {"name": "edged", "sw_version": version},
        "components": dict(components),
    }
