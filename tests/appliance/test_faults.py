"""What the journal says for each fault; docs/INSTALL.md shows the same table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.appliance.conftest import SITE, restart
from tests.appliance.container import Container, wait_for

pytestmark = pytest.mark.slow
STATE = "/var/lib/edged"
WITH_LOGIN = SITE.replace(
    "{host: localhost}", "{host: localhost, username: door, password_file: /etc/edged/secrets/pw}"
)


@pytest.fixture
def faulty(machine: Container) -> Iterator[Container]:
    machine.run("systemctl", "stop", "edged")
    yield machine
    machine.run("systemctl", "stop", "edged")
    while machine.run("umount", STATE, check=False).returncode == 0:
        pass
    machine.run("chmod", "644", "/etc/edged/edged.yaml")


def start(machine: Container, config: str) -> None:
    machine.write("/etc/edged/edged.yaml", config)
    machine.run("edged", "apply")
    machine.run("systemctl", "--no-block", "restart", "edged")


def says(machine: Container, text: str, event: str, timeout_s: float = 25) -> None:
    """The unit's journal comes to hold an entry of `event`, or of systemd itself, with this text."""

    def said() -> bool:
        entries = machine.journal("--since", "-60s")
        return any(text in str(e["MESSAGE"]) and e.get("EDGED_EVENT", "") == event for e in entries)

    wait_for(said, timeout_s, f"{text!r} in the journal")


def test_a_secret_that_is_missing(faulty: Container) -> None:
    faulty.run("rm", "-f", "/etc/edged/secrets/pw")
    faulty.write("/etc/edged/edged.yaml", WITH_LOGIN)
    refused = faulty.run("edged", "apply", check=False)
    assert refused.returncode == 2
    assert "mqtt.password_file: cannot read /etc/edged/secrets/pw: create the file" in refused.stderr
    faulty.run("systemctl", "--no-block", "restart", "edged")
    says(faulty, "cannot read /etc/edged/secrets/pw", "config-wrong")


def test_a_secret_that_was_deleted_later(faulty: Container) -> None:
    faulty.write("/etc/edged/secrets/pw", "secret\n")
    start(faulty, WITH_LOGIN)
    wait_for(faulty.is_active, 20, "a daemon that got its secret")
    faulty.run("rm", "/etc/edged/secrets/pw")
    faulty.run("systemctl", "--no-block", "restart", "edged")
    says(faulty, "Failed to set up credentials", "")
    restart(faulty)


def test_a_secret_is_roots_and_reaches_the_daemon(faulty: Container) -> None:
    faulty.write("/etc/edged/secrets/pw", "secret\n")
    faulty.run("chmod", "600", "/etc/edged/secrets/pw")
    restart(faulty, WITH_LOGIN)
    wait_for(lambda: "broker up" in faulty.show("StatusText")["StatusText"], 20, "a login")


def test_a_config_that_the_daemon_may_not_read(faulty: Container) -> None:
    restart(faulty)
    faulty.run("chmod", "600", "/etc/edged/edged.yaml")
    faulty.run("systemctl", "--no-block", "restart", "edged")
    says(faulty, "cannot be read: Permission denied", "config-wrong")


def test_a_full_disk_at_start(faulty: Container) -> None:
    faulty.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700,uid=edged", "tmpfs", STATE)
    faulty.run("sh", "-c", f"head -c 1M /dev/zero > {STATE}/fill || true")
    start(faulty, SITE)
    says(faulty, "full", "cannot-start")


def test_a_disk_that_fills_up_while_it_counts(faulty: Container) -> None:
    faulty.run("mount", "-t", "tmpfs", "-o", "size=1M,mode=700,uid=edged", "tmpfs", STATE)
    faulty.run("systemctl", "stop", "mosquitto")
    restart(faulty)
    pid = faulty.main_pid()
    faulty.run("sh", "-c", f"head -c 4M /dev/zero > {STATE}/fill || true")
    says(faulty, "messages wait in memory", "outbox-failing", 90)
    assert faulty.main_pid() == pid, "it counts on"
    faulty.run("rm", f"{STATE}/fill")
    says(faulty, "the outbox takes messages again", "outbox-back", 60)
    faulty.run("systemctl", "start", "mosquitto")


def test_a_read_only_state_directory(faulty: Container) -> None:
    faulty.run("mount", "-t", "tmpfs", "-o", "ro,mode=700,uid=edged", "tmpfs", STATE)
    start(faulty, SITE)
    wait_for(lambda: not faulty.is_active(), 20, "a refusal")
    says(faulty, STATE, "cannot-start")


def test_a_wrong_owner_is_mended_by_systemd(faulty: Container) -> None:
    faulty.run("chown", "-R", "root:root", STATE)
    restart(faulty)
    assert faulty.output("stat", "-c", "%U", STATE) == "edged"
