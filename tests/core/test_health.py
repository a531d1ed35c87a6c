"""The judgement: what makes a device unwell, and that a broker that is away does not."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from edge.core.health import CameraVitals, Outflow, Recent, Vitals, ailments
from edge.core.terms import Ailment
from edge.core.values import Sync

WELL = Vitals(uptime_s=60, cameras={"cam": CameraVitals(fps=10.0, frame_age_s=0.1)}, rss_mib=90.0)


def test_a_device_whose_broker_is_away_is_well() -> None:
    assert ailments(WELL, Outflow(depth=900), Sync.HOLDOVER) == []


CASES = {
    "camera_stalled": (replace(WELL, cameras={"cam": CameraVitals(10.0, 5.1)}), Outflow(), Sync.SYNCED),
    "slow": (replace(WELL, cameras={"cam": CameraVitals(4.9, 0.1)}), Outflow(), Sync.SYNCED),
    "hot": (replace(WELL, temperature_c=80.1), Outflow(), Sync.SYNCED),
    "clock_unsynced": (WELL, Outflow(), Sync.UNSYNCED),
    "events_refused": (WELL, Outflow(refused=1), Sync.SYNCED),
    "events_lost": (WELL, Outflow(dropped=1), Sync.SYNCED),
    "messages_rejected": (WELL, Outflow(rejected=1), Sync.SYNCED),
    "outbox_failing": (WELL, Outflow(failing=True), Sync.SYNCED),
    "outbox_filling": (WELL, Outflow(depth=1001), Sync.SYNCED),
    "outbox_started_anew": (WELL, Outflow(started_anew=True), Sync.SYNCED),
}


@pytest.mark.parametrize("word", get_args(Ailment))
def test_each_ailment_has_its_word(word: str) -> None:
    assert ailments(*CASES[word]) == [word]


def test_a_camera_that_never_gave_a_picture_is_stalled() -> None:
    assert ailments(replace(WELL, cameras={"cam": CameraVitals()}), Outflow(), Sync.SYNCED) == [
        "camera_stalled"
    ]


def test_quantiles_of_the_recent_past_forget_what_is_old() -> None:
    recent = Recent(most=100)
    for value in range(1000):
        recent.add(value)
    assert list(recent.quantiles(0.0, 0.5, 0.95, 1.0)) == [900, 950, 995, 999]
