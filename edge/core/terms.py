"""The terms of the contract: every type that a field of a message may have, all of them bounded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

VERSION = "v1"
ID = r"[a-z0-9-]{1,32}"


def text(pattern: str, length: int) -> Any:
    return StringConstraints(pattern=f"^{pattern}$", max_length=length)


Id = Annotated[str, text(ID, 32)]
BootId = Annotated[str, text(r"[0-9a-f]{4,16}", 16)]
EventId = Annotated[str, text(rf"{ID}:[0-9a-f]{{4,16}}:[1-9][0-9]{{0,15}}", 66)]
Source = Annotated[str, text(rf"edged/{ID}/{ID}(/{ID})?", 104)]
Sequence = Annotated[str, text(r"[1-9][0-9]{0,15}", 16)]
Time = Annotated[str, text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", 24)]
LocalTime = Annotated[str, text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}", 22)]
Day = Annotated[str, text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", 10)]
Version = Annotated[str, text(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}([a-z]{1,4}[0-9]{1,4})?", 24)]
Hash = Annotated[str, text(r"[0-9a-f]{8,64}", 64)]
ModelId = Annotated[str, text(r"[a-z0-9.-]{1,64}", 64)]
Template = Annotated[str, text(r"[a-z_/{}-]{1,64}", 64)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Number = Annotated[int, Field(ge=0, le=9_999_999_999_999_999)]
People = Annotated[int, Field(ge=0, le=10_000)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]
BY_ID = Field(max_length=64, json_schema_extra={"additionalProperties": False})
Clock = Literal["synced", "holdover", "unsynced"]
Quality = Literal["ok", "degraded", "small", "crowded"]
Scope = Literal["line", "zone", "group"]
# Why a device is not well, in words that a program can act on; core.health says when each is said.
Ailment = Literal[
    "camera_stalled",
    "clock_unsynced",
    "events_lost",
    "events_refused",
    "hot",
    "messages_rejected",
    "outbox_failing",
    "outbox_filling",
    "outbox_started_anew",
    "slow",
]


class Closed(BaseModel):
    """No unknown field, no conversion, no NaN."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
