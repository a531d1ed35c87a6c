"""Tier `visit` under a real systemd: its keys stay with the manager over a crash, and go with a stop."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.core.values import Kind
from tests.appliance.conftest import CAMERA, SITE, appliance, restart, start_camera
from tests.appliance.container import Container, wait_for
from tests.bench.visits import FPS, HEIGHT, WIDTH, Walk, picture
from tests.scenarios.test_tier_visit import head
from tests.test_privacy import LEGAL

pytestmark = pytest.mark.slow
PASSED_S = 8.0  # until who came in is out of sight: only then is the visit written
LINE = "{id: path, from: [0.0, 0.55], to: [1.0, 0.55], inside: [0.5, 0.9]}"
DOOR = "{id: door, from: [0.5, 0.0], to: [0.5, 1.0], inside: [1.0, 0.5], anchor: centre}"
VISITS = SITE.replace(LINE, DOOR) + f"privacy: {json.dumps({'tier': 'visit', 'legal': LEGAL})}\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody comes in and is not seen again."""
    walk = Walk("hopper", Kind.ENTRY, 1.0, 0.5, [head("hopper.jpg")])
    rng, wall = np.random.default_rng(1), np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    path = tmp_path_factory.mktemp("clip") / "portraits.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for now_s in np.arange(0, 30, 1 / FPS):
        writer.write(picture([walk], float(now_s), wall, rng))
    writer.release()
    return path


@pytest.fixture(scope="module")
def shop(clip: Path) -> Iterator[Container]:
    with appliance() as made:
        made.put(clip, "/srv/portraits.mp4")
        start_camera(made, CAMERA.replace("vtest", "portraits"))
        restart(made, VISITS)
        yield made


def kept(machine: Container) -> int:
    return int(machine.show("NFileDescriptorStore")["NFileDescriptorStore"])


def resumed(machine: Container) -> int:
    """How often a daemon has said that visits go on."""
    return sum("open visits go on after the restart" in str(e["MESSAGE"]) for e in machine.journal())


def test_visits_go_on_over_a_crash_and_a_restart_and_end_with_the_unit(shop: Container) -> None:
    wait_for(lambda: re.search(r" [1-9]\d* in /", shop.show("StatusText")["StatusText"]), 90, "somebody")
    assert kept(shop) == 1, "the ring of keys, with the manager"
    time.sleep(PASSED_S)
    shop.run("kill", "-KILL", str(shop.main_pid()))
    wait_for(lambda: resumed(shop) == 1, 30, "visits that go on after a crash")
    wait_for(shop.is_active, 30, "a daemon that counts")
    shop.run("systemctl", "restart", "edged")
    wait_for(lambda: resumed(shop) == 2, 30, "visits that go on after a restart")
    shop.run("systemctl", "stop", "edged")
    assert kept(shop) == 0
    assert shop.run("test", "-e", "/run/edged", check=False).returncode, "nothing is left in memory"
    restart(shop, VISITS)
    assert kept(shop) == 1
    assert resumed(shop) == 2, "this one begins anew"
