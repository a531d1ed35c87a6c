"""The other end of the contract: what a central system can make of a device's messages, and prove.

A message is read by the same closed schema that made it. Numbers without a gap, identities without a
repetition and the daily digest together prove that nothing is missing; whatever is, is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from edge.core.schema import DECLARATIONS, CloudEvent, Declaration
from edge.core.terms import ID, VERSION

TOPIC = re.compile(rf"edged/{VERSION}/(?P<site>{ID})/(?P<device>{ID})/(?P<rest>.+)")
# A gap wider than this is told as one thing and not kept number by number.
GAP_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Reading:
    """One message that keeps the contract. `number` is 0 for a state."""

    site: str
    device: str
    kind: str
    camera: str
    scope: str
    content: Mapping[str, Any]
    number: int = 0
    id: str = ""

    @property
    def data(self) -> Mapping[str, Any]:
        data: Mapping[str, Any] = self.content["data"] if self.number else self.content
        return data


class Unreadable(Exception):
    """A message that does not keep the contract."""


def read(topic: str, payload: bytes) -> Reading:
    """The message, or Unreadable. A count that is empty withdraws a line or zone: its content is empty. Other
    empty messages are `edged doctor` asking: `is_a_question`."""
    place = TOPIC.fullmatch(topic)
    if place is None:
        raise Unreadable(f"{topic!r} is not a topic of the contract")
    if not payload and (where := _COUNT.fullmatch(place["rest"])):
        return Reading(place["site"], place["device"], "count_line", where["camera"], where["scope"], {})
    problem = "is not a topic of the contract"
    for declaration, pattern in _PATTERNS:
        where = pattern.fullmatch(place["rest"])
        if where is None:
            continue
        try:
            model = declaration.model.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            continue
        return _reading(place["site"], place["device"], declaration, where, model)
    raise Unreadable(f"{topic}: {problem}")


def is_a_question(topic: str, payload: bytes) -> bool:
    """Whether this is `edged doctor`, which asks the broker whether the device may publish there."""
    place = TOPIC.fullmatch(topic)
    return not payload and place is not None and not _COUNT.fullmatch(place["rest"])


def _reading(
    site: str, device: str, declaration: Declaration, where: re.Match[str], model: object
) -> Reading:
    content: dict[str, Any] = model.model_dump(mode="json")  # type: ignore[attr-defined]
    told = content["data"] if isinstance(model, CloudEvent) else content
    scope = str(told.get("line") or told.get("zone") or "")
    groups = where.groupdict()
    camera = groups.get("camera") or groups.get("group") or ""
    if not isinstance(model, CloudEvent):
        return Reading(site, device, declaration.kind, camera, scope, content)
    number = int(model.sequence)
    return Reading(site, device, declaration.kind, camera, scope, content, number, model.id)


def _pattern(topic: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", rf"(?P<\1>{ID})", topic))


_COUNT = _pattern(DECLARATIONS["count_line"].topic)
_PATTERNS = [(d, _pattern(d.topic)) for d in DECLARATIONS.values() if d.address.endswith(f"/{d.topic}")]


@dataclass(slots=True)
class Device:
    """What has arrived of one device. `missing` are the numbers that were passed over and have not come."""

    top: int = 0
    boot: str = ""
    missing: set[int] = field(default_factory=set)
    received: int = 0
    duplicates: int = 0
    lost_track: int = 0
    status: str = "unknown"
    latest: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    @property
    def absent(self) -> int:
        """How many numbers were passed over and have not come."""
        return len(self.missing) + self.lost_track

    def take(self, reading: Reading) -> list[str]:
        """Problems that this message shows; a duplicate is none, but is counted."""
        if reading.kind == "status":
            self.status = str(reading.content["state"])
        elif reading.kind.startswith("count") and reading.content:
            self.latest[reading.camera, reading.scope] = reading.content
        elif reading.kind.startswith("count"):
            self.latest.pop((reading.camera, reading.scope), None)
        if not reading.number:
            return []
        problems = self._place(reading.number, reading.id.split(":")[1])
        return problems + (self._check(reading.data) if reading.kind == "digest" else [])

    def _place(self, number: int, boot: str) -> list[str]:
        problems: list[str] = []
        if number > self.top:
            gap = range(self.top + 1, number) if self.top else range(0)
            if len(gap) > GAP_MAX:
                self.lost_track += len(gap)
            else:
                self.missing.update(gap)
            if gap:
                problems.append(f"numbers {gap.start} to {gap.stop - 1} have not come")
            self.top, self.boot = number, boot
        elif number in self.missing:
            self.missing.remove(number)
        elif boot != self.boot and number == 1:
            problems.append("the numbers began anew: the device has lost its memory")
            self.top, self.boot, self.missing = number, boot, set()
        else:
            self.duplicates += 1
            return problems
        self.received += 1
        return problems

    def _check(self, digest: Mapping[str, Any]) -> list[str]:
        """What the device says it numbered in a day, against what has come of it."""
        absent = [number for number in self.missing if digest["first"] <= number <= digest["last"]]
        told = sum(tally["count"] for tally in digest["kinds"].values())
        skipped = digest["last"] - digest["first"] + 1 - told
        found = []
        if absent:
            found.append(f"of {digest['date']}, {len(absent)} of {told} messages have not come")
        if skipped:
            found.append(f"on {digest['date']} the device itself skipped {skipped} numbers")
        return found


@dataclass(slots=True)
class Intake:
    """All devices of a central system."""

    devices: dict[tuple[str, str], Device] = field(default_factory=dict)

    def take(self, reading: Reading) -> list[str]:
        device = self.devices.setdefault((reading.site, reading.device), Device())
        return device.take(reading)

    def is_new(self, reading: Reading) -> bool:
        """Whether an event has not come before; asked before `take`."""
        device = self.devices.get((reading.site, reading.device))
        if device is None or reading.number > device.top or reading.number in device.missing:
            return True
        return reading.number == 1 and reading.id.split(":")[1] != device.boot

    def table(self) -> str:
        """A line for each line and zone: what is known now."""
        head = f"{'device':<30}{'state':<9}{'line or zone':<28}{'in':>7}{'out':>7}{'now':>6}{'missing':>9}"
        rows = [head]
        for (site, name), device in sorted(self.devices.items()):
            for (camera, scope), told in sorted(device.latest.items()) or [(("", ""), {})]:
                today = told.get("today", {"entry": "", "exit": ""})
                now = "" if told.get("occupancy") is None else told["occupancy"]
                where = f"{site + '/' + name:<30}{device.status:<9}{camera + '/' + scope:<28}"
                rows.append(f"{where}{today['entry']:>7}{today['exit']:>7}{now:>6}{device.absent:>9}")
        return "\n".join(rows)

    def summary(self) -> dict[str, int]:
        devices = self.devices.values()
        return {
            "devices": len(devices),
            "received": sum(device.received for device in devices),
            "duplicates": sum(device.duplicates for device in devices),
            "missing": sum(device.absent for device in devices),
        }
