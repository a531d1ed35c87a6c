"""From measurements to a judgement: is the device well, and if not, why, in words a program can act on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edge.core.values import Sync

# A picture older than this means a camera that no longer delivers.
STALLED_S = 5.0
# Below this the counter may miss people who walk fast.
FPS_MIN = 5.0
# Messages that wait: about an hour of a busy door.
DEPTH_MAX = 1_000
# The boards throttle themselves a little above.
HOT_C = 80.0


@dataclass(frozen=True, slots=True)
class CameraVitals:
    """One camera, over the last minute. None is not known."""

    fps: float | None = None
    frame_age_s: float | None = None
    dropped_frames: int = 0


@dataclass(frozen=True, slots=True)
class Unlinked:
    """What of a camera group's visits will never have a dwell, since the start: crossings whose face gave no
    code, and entries whose exit was not seen in time."""

    unusable: int = 0
    unfinished: int = 0


@dataclass(frozen=True, slots=True)
class Vitals:
    """Everything that is measured about the device. None is not known."""

    uptime_s: float
    cameras: Mapping[str, CameraVitals]
    rss_mib: float
    inference_ms: tuple[float, float] | None = None  # p50 and p95
    temperature_c: float | None = None
    visits: Mapping[str, Unlinked] | None = None  # by camera group; None where there are no visits


@dataclass(frozen=True, slots=True)
class Outflow:
    """How the messages fare on their way out: how many wait, and since the start how many did not arrive.

    `refused` by the contract, `dropped` by a full outbox, `lost` while the disk failed and the memory was
    full, `rejected` by the broker. `failing` says that the disk takes nothing now, `started_anew` that the
    outbox was corrupt and had to be set aside.
    """

    depth: int = 0
    refused: int = 0
    dropped: int = 0
    lost: int = 0
    rejected: int = 0
    failing: bool = False
    started_anew: bool = False


def ailments(vitals: Vitals, outflow: Outflow, sync: Sync) -> list[str]:
    """The words of core.schema.Ailment that apply, sorted. A broker that is away is none of them."""
    cameras = vitals.cameras.values()
    found = {
        "camera_stalled": any(c.frame_age_s is None or c.frame_age_s > STALLED_S for c in cameras),
        "slow": any(c.fps is not None and c.fps < FPS_MIN for c in cameras),
        "hot": vitals.temperature_c is not None and vitals.temperature_c > HOT_C,
        "clock_unsynced": sync is Sync.UNSYNCED,
        "events_refused": outflow.refused > 0,
        "events_lost": outflow.lost + outflow.dropped > 0,
        "messages_rejected": outflow.rejected > 0,
        "outbox_failing": outflow.failing,
        "outbox_filling": outflow.depth > DEPTH_MAX,
        "outbox_started_anew": outflow.started_anew,
    }
    return sorted(word for word, applies in found.items() if applies)


@dataclass(slots=True)
class Recent:
    """The last measurements, bounded, for quantiles over about a minute."""

    most: int = 600
    values: deque[float] = field(default_factory=deque)

    def add(self, value: float) -> None:
        self.values.append(value)
        if len(self.values) > self.most:
            self.values.popleft()

    def quantiles(self, *shares: float) -> Iterator[float]:
        """Nearest-rank quantiles; there must be a value."""
        ordered = sorted(self.values)
        for share in shares:
            yield ordered[min(len(ordered) - 1, int(share * len(ordered)))]
