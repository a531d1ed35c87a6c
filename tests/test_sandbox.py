"""From a config to the holes in the sandbox: exactly what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import sandbox
from edge.config import Config, credential
from edge.sandbox import LOCALHOST, PRIVATE, allowed, drop_in

LINES = [{"id": "door", "from": [0, 0.5], "to": [1, 0.5], "inside": [0.5, 0.9]}]


def config(*sources: str, **mqtt: object) -> Config:
    cameras = [{"id": f"c{n}", "source": source, "lines": LINES} for n, source in enumerate(sources)]
    settings = {"site": "lab", "device": "door", "mqtt": {"host": "10.0.0.5", **mqtt}, "cameras": cameras}
    return Config.model_validate(settings, strict=False)


def directives(made: Config) -> list[str]:
    text = drop_in(made, Path("/etc/edged/edged.yaml"))
    head, _, body = text.partition("[Service]\n")
    assert all(line.startswith("#") for line in head.splitlines())
    return body.splitlines()


def test_network_cameras_open_two_addresses_and_no_device() -> None:
    assert directives(config("rtsp://10.0.0.9:8554/a", "http://10.0.0.9/b")) == [
        "IPAddressAllow=10.0.0.5/32 10.0.0.9/32"
    ]


def test_a_usb_camera_opens_video_devices_and_nothing_else() -> None:
    assert directives(config("v4l2:/dev/video0", "v4l2:/dev/video2")) == [
        "IPAddressAllow=10.0.0.5/32",
        "PrivateDevices=no",
        "SupplementaryGroups=video",
        "DeviceAllow=char-video4linux rw",
    ]


def test_a_csi_camera_opens_the_image_processor_of_this_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "JETSON", tmp_path / "nv_tegra_release")
    opened = directives(config("csi:0", "v4l2:/dev/video9"))
    assert [line for line in opened if line.startswith("Device")] == [
        "DeviceAllow=char-video4linux rw",
        "DeviceAllow=char-media rw",
        "DeviceAllow=char-dma_heap rw",
    ]
    (tmp_path / "nv_tegra_release").touch()
    opened = directives(config("csi:0"))
    assert "DeviceAllow=/dev/nvmap rw" in opened
    assert "BindPaths=-/tmp/argus_socket" in opened, "the sandbox has a /tmp of its own"
    assert "DeviceAllow=char-video4linux rw" not in opened, "NVIDIA's daemon opens the camera, not ours"


def test_secrets_stay_roots_and_are_handed_over() -> None:
    made = config(
        "rtsp://10.0.0.9/a",
        username="door",
        password_file="/etc/edged/secrets/pw",
        tls={"ca_file": "/etc/edged/ca.pem"},
    )
    assert directives(made)[1:] == [
        "LoadCredential=etc-edged-secrets-pw:/etc/edged/secrets/pw",
        "LoadCredential=etc-edged-ca.pem:/etc/edged/ca.pem",
    ]


def test_the_daemon_reads_what_was_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Path("/etc/edged/secrets/pw")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert credential(secret) == secret
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert credential(secret) == secret
    (tmp_path / "etc-edged-secrets-pw").write_text("x")
    assert credential(secret) == tmp_path / "etc-edged-secrets-pw"


@pytest.mark.parametrize(
    ("host", "networks"),
    [
        ("localhost", LOCALHOST),
        ("192.168.1.4", ("192.168.1.4/32",)),
        ("fd00::4", ("fd00::4/128",)),
        ("broker", PRIVATE),
        ("broker.local", PRIVATE),
        ("broker.example.com", ("any",)),
    ],
)
def test_an_address_is_pinned_and_a_name_only_as_far_as_it_can_be(
    host: str, networks: tuple[str, ...]
) -> None:
    assert allowed(host) == networks


def test_a_name_of_the_internet_is_admitted_in_words() -> None:
    found = directives(config("rtsp://10.0.0.9/a", host="broker.example.com"))
    assert "broker.example.com" in found[0]
    assert found[1] == "IPAddressAllow=any"
