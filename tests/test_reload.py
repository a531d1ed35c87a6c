"""What a running daemon takes of a changed config, and what it says must wait."""

from __future__ import annotations

from typing import Any

from edge.config import Config
from edge.reload import left_out, merged

DOOR = {"id": "door", "from": [0, 0.5], "to": [1, 0.5], "inside": [0.5, 0.9]}
GATE = {**DOOR, "id": "gate"}


def camera(name: str, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "source": f"rtsp://10.0.0.9/{name}", "lines": list(lines), **more}


def config(*cameras: dict[str, Any], **more: Any) -> Config:
    settings = {"site": "lab", "device": "door", "mqtt": {"host": "10.0.0.5"}, "cameras": list(cameras)}
    return Config.model_validate({**settings, **more}, strict=False)


RUNNING = config(camera("a", DOOR), camera("b", DOOR))


def test_new_lines_are_taken_at_once() -> None:
    wanted = config(camera("a", DOOR, GATE), camera("b", GATE))
    assert merged(RUNNING, wanted) == wanted
    assert left_out(merged(RUNNING, wanted), wanted) == []


def test_sources_and_broker_wait_for_a_restart_and_are_named() -> None:
    broker = {"host": "10.0.0.6", "username": "door", "tls": {"ca_file": "/etc/edged/ca.pem"}}
    wanted = config(camera("a", GATE, fps_max=5), camera("b", DOOR), mqtt=broker)
    had = merged(RUNNING, wanted)
    assert [line.id for line in had.cameras[0].lines] == ["gate"], "the lines do not wait"
    assert had.mqtt == RUNNING.mqtt
    assert left_out(had, wanted) == ["mqtt.host", "mqtt.username", "mqtt.tls", "fps_max of camera a"]


def test_a_key_deep_in_a_section_is_named_as_the_installer_wrote_it() -> None:
    with_tls = [config(camera("a", DOOR), mqtt={"host": "x", "tls": {"ca_file": ca}}) for ca in ("/a", "/b")]
    assert left_out(*with_tls) == ["mqtt.tls.ca_file"]


def test_what_home_assistant_is_told_does_not_wait() -> None:
    wanted = config(camera("a", DOOR), camera("b", DOOR), mqtt={"host": "10.0.0.5", "home_assistant": True})
    assert merged(RUNNING, wanted) == wanted


def test_cameras_come_and_go_with_a_restart() -> None:
    wanted = config(camera("a", DOOR), camera("c", DOOR))
    had = merged(RUNNING, wanted)
    assert [one.id for one in had.cameras] == ["a", "b"]
    assert left_out(had, wanted) == ["camera b", "camera c"]
