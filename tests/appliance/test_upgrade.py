"""The package's life: upgrade while events flow and wait, remove, purge; and the card at boot."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.appliance.conftest import SITE, appliance, restart, start_camera
from tests.appliance.container import IMAGES, Container, package, wait_for

pytestmark = pytest.mark.slow
EVENTS = "/root/events"
BUSY = SITE + "".join(
    f"      - {{id: path{n}, from: [0.0, 0.{n}], to: [1.0, 0.{n}], inside: [0.5, 0.95]}}\n"
    for n in range(35, 80, 5)
)


@pytest.fixture(scope="module")
def device() -> Iterator[Container]:
    with appliance(packages=IMAGES / "previous") as made:
        start_camera(made)
        restart(made, BUSY)
        yield made


def received(device: Container) -> list[int]:
    """The numbers of the messages that the subscriber got, in order, without repetitions."""
    bodies = [json.loads(line) for line in device.output("cat", EVENTS).splitlines()]
    return list(dict.fromkeys(int(body["sequence"]) for body in bodies if "specversion" in body))


def waiting(device: Container) -> int:
    return int(json.loads(device.output("edged", "status", "--json"))["outbox"])


def test_an_upgrade_while_events_flow_and_wait_loses_nothing(device: Container) -> None:
    listen = f"exec mosquitto_sub -c -i audit -q 1 -t 'edged/v1/lab/door/#' >{EVENTS}"
    device.run("systemd-run", "--quiet", "--unit=audit", "--property=Restart=always", "sh", "-c", listen)
    wait_for(lambda: len(received(device)) >= 3, 60, "events")
    device.run("systemctl", "stop", "mosquitto")
    wait_for(lambda: waiting(device) >= 3, 60, "events that wait")
    pid = device.main_pid()
    device.install(package("amd64", "3.11", IMAGES))
    wait_for(lambda: device.main_pid() not in (0, pid) and device.is_active(), 30, "the new version")
    device.run("systemctl", "start", "mosquitto")
    seen = len(received(device))
    wait_for(lambda: len(received(device)) >= seen + 10 and waiting(device) == 0, 180, "all that waited")
    numbers = received(device)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_config_that_was_changed_is_kept(device: Container) -> None:
    assert device.output("cat", "/etc/edged/edged.yaml") == BUSY.strip()


def test_the_card_is_taken_at_boot(device: Container) -> None:
    device.write("/boot/firmware/edged.yaml", SITE.replace("lab", "flashed") + "# from the card\n")
    device.run("systemctl", "restart", "edged-import")
    assert device.output("ls", "/boot/firmware").split() == ["edged-import.log", "edged-imported.yaml"]
    device.run("systemctl", "restart", "edged")
    assert device.journal("EDGED_EVENT=config-imported", unit="edged-import.service")
    assert device.said("flashed/door")


def test_a_wrong_card_changes_nothing(device: Container) -> None:
    device.write("/boot/firmware/edged.yaml", SITE.replace("site", "sight"))
    assert device.run("systemctl", "restart", "edged-import", check=False).returncode
    assert device.journal("EDGED_EVENT=import-refused", unit="edged-import.service")
    assert "did you mean site?" in device.output("cat", "/boot/firmware/edged-import.log")
    device.run("systemctl", "restart", "edged")
    assert device.is_active(), "the daemon does not depend on the card"


def test_remove_keeps_config_and_events_and_purge_keeps_nothing(device: Container) -> None:
    device.run("dpkg", "--remove", "edged")
    assert device.show("ActiveState")["ActiveState"] == "inactive"
    device.run("test", "-f", "/etc/edged/edged.yaml")
    device.run("test", "-f", "/var/lib/edged/outbox.db")
    assert device.run("test", "-e", "/usr/lib/edged/edge", check=False).returncode
    device.run("dpkg", "--purge", "edged")
    for path in ("/etc/edged", "/var/lib/edged", "/usr/lib/edged", "/etc/systemd/system/edged.service.d"):
        assert device.run("test", "-e", path, check=False).returncode, path
