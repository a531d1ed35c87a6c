"""The doctor on real parts: a recording, the shipped model, a real broker with and without rights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge import sandbox
from edge.config import Config
from edge.core.values import Frame
from edge.diagnosis import (
    Check,
    Patient,
    Verdict,
    check_broker,
    check_cameras,
    check_disk,
    check_models,
    check_sandbox,
    look_through,
    topics,
)
from tests.broker import Mosquitto, running

CLIP = Path(__file__).parent / "data/vtest.mp4"
BAD = (Verdict.WARNING, Verdict.FAILURE)


def patient(folder: Path, *, port: int = 1, source: str = f"file:{CLIP}") -> Patient:
    lines = [{"id": "door", "from": [0, 0.5], "to": [1, 0.5], "inside": [0.5, 0.9]}]
    (folder / "edged.yaml").touch()
    config = Config.model_validate(
        {
            "site": "lab",
            "device": "door",
            "mqtt": {"host": "127.0.0.1", "port": port},
            "cameras": [{"id": "entrance", "source": source, "lines": lines}],
        },
        strict=False,
    )
    return Patient(config, folder / "edged.yaml", folder, folder / "50-config.conf")


def told(checks: list[Check]) -> str:
    return "\n".join(f"{check.verdict.value}: {check.found}" for check in checks)


def test_a_well_camera_and_model_are_well(tmp_path: Path) -> None:
    checks = [*check_models(patient(tmp_path)), *check_cameras(patient(tmp_path))]
    assert not [check for check in checks if check.verdict is Verdict.FAILURE], told(checks)
    assert "768x576" in told(checks)
    assert "pixels high to the network" in told(checks)


def test_a_camera_that_is_not_there_fails_with_what_to_do(tmp_path: Path) -> None:
    (check,) = check_cameras(patient(tmp_path, source="v4l2:/dev/video99"))
    assert check.verdict is Verdict.FAILURE
    assert "is the camera plugged in?" in check.remedy


@pytest.mark.parametrize(
    ("light", "verdict"), [(5, Verdict.WARNING), (120, Verdict.OK), (250, Verdict.WARNING)]
)
def test_dark_and_blown_pictures_are_told(light: int, verdict: Verdict) -> None:
    pixels = np.full((48, 64, 3), light, np.uint8)
    frames = [Frame("door", index, index / 10, 0.0, pixels) for index in range(30)]
    assert [check.verdict for check in look_through("camera door", frames, lossless=False)] == [
        Verdict.OK,
        verdict,
    ]


def test_a_slow_camera_is_told() -> None:
    pixels = np.full((48, 64, 3), 100, np.uint8)
    frames = [Frame("door", index, index / 2, 0.0, pixels) for index in range(5)]
    assert next(look_through("camera door", frames, lossless=False)).verdict in BAD


def test_a_broker_that_lets_us_publish_everywhere(tmp_path: Path) -> None:
    with running(Mosquitto(tmp_path)) as broker:
        made = patient(tmp_path, port=broker.port)
        checks = list(check_broker(made))
    assert {check.verdict for check in checks} == {Verdict.OK}, told(checks)
    assert f"all {len(topics(made.config, 'x'))} topics" in told(checks)


def test_a_broker_without_the_rights_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic write edged/v1/lab/door/status\n")
    settings = f"allow_anonymous true\nacl_file {tmp_path / 'acl'}"
    with running(Mosquitto(tmp_path, settings)) as broker:
        checks = list(check_broker(patient(tmp_path, port=broker.port)))
    assert checks[-1].verdict is Verdict.FAILURE
    assert "may not publish on" in checks[-1].found


def test_no_broker_is_a_failure_with_a_hint(tmp_path: Path) -> None:
    (check,) = check_broker(patient(tmp_path))
    assert (check.verdict, check.remedy) == (Verdict.FAILURE, "is the broker running, on this port?")


def test_a_sandbox_that_does_not_fit_the_config_is_told(tmp_path: Path) -> None:
    made = patient(tmp_path)
    assert [check.verdict for check in check_sandbox(made)] == [Verdict.WARNING]
    made.drop_in.write_text(sandbox.drop_in(made.config, made.file))
    assert [check.verdict for check in check_sandbox(made)] == [Verdict.OK]
    made.drop_in.write_text("[Service]\nIPAddressAllow=any\n")
    assert [check.verdict for check in check_sandbox(made)] == [Verdict.WARNING]


def test_the_disk_that_will_hold_the_outbox_is_looked_at(tmp_path: Path) -> None:
    (check,) = check_disk(replace(patient(tmp_path), state_dir=tmp_path / "not/there/yet"))
    assert str(tmp_path) in check.found
