"""systemd and the daemon: ready when it counts, a status that tells, and back again after every fault."""

from __future__ import annotations

import json
import re
import time

from tests.appliance.conftest import SITE, patience, restart, start_camera
from tests.appliance.container import Container, wait_for

WATCHDOG_S = 10
BACK_S = 3


def status(machine: Container) -> str:
    return machine.show("StatusText")["StatusText"]


def restarts(machine: Container) -> int:
    return int(machine.show("NRestarts")["NRestarts"])


def counts_again(machine: Container, restarts_before: int) -> bool:
    return restarts(machine) > restarts_before and machine.is_active()


def test_it_is_ready_with_its_first_picture_and_tells_how_it_stands(counting: Container) -> None:
    wait_for(lambda: re.search(r"\d+\.\d fps", status(counting)), 10, "a rate")
    assert re.fullmatch(
        r"1 camera, \d+\.\d fps, \d+ in / \d+ out today, broker up, outbox \d+", status(counting)
    )
    told = counting.run("edged", "status")
    assert "camera   entrance: " in told.stdout
    assert "broker   up" in told.stdout
    assert json.loads(counting.output("edged", "status", "--json"))["cameras"][0]["id"] == "entrance"


def test_the_doctor_finds_no_failure_beside_a_daemon_that_runs(counting: Container) -> None:
    checks = json.loads(counting.output("edged", "doctor", "--json"))["checks"]
    found = {check["part"]: check["found"] for check in checks}
    assert found.keys() == {"sandbox", "models", "camera entrance", "broker", "clock", "disk", "board"}
    assert found["sandbox"] == "fits the config"
    assert found["broker"].startswith("may publish on all")
    assert not [check for check in checks if check["verdict"] == "failure"], checks


def test_people_are_counted_and_published(counting: Container) -> None:
    topic = "edged/v1/lab/door/event/#"
    got = counting.run("mosquitto_sub", "-t", topic, "-C", "1", "-W", "60")
    assert json.loads(got.stdout)["type"] in ("edged.entry.v1", "edged.exit.v1")


def test_the_journal_has_fields_and_the_catalog_explains_them(counting: Container) -> None:
    started = counting.journal("EDGED_EVENT=started")[-1]
    assert started["SYSLOG_IDENTIFIER"] == "edged"
    assert started["MESSAGE"].startswith("edged "), "the words alone, for who reads them"
    explained = counting.output("journalctl", "-x", "-u", "edged", "EDGED_EVENT=started", "-n1", "--no-pager")
    assert "What to do: nothing." in explained


def test_a_daemon_that_is_killed_is_back(counting: Container) -> None:
    slow = patience(counting)
    before = restarts(counting)
    counting.run("kill", "-KILL", str(counting.main_pid()))
    took_s = wait_for(lambda: counts_again(counting, before), BACK_S * slow, "a daemon that counts")
    print(f"kill to healthy: {took_s:.1f} s on a machine {slow:.1f} times slower than an idle one")


def test_a_daemon_that_hangs_is_back_within_the_watchdogs_time(counting: Container) -> None:
    slow = patience(counting)
    before, pid = restarts(counting), counting.main_pid()
    counting.run("kill", "-STOP", str(pid))
    limit_s = WATCHDOG_S + BACK_S * slow
    took_s = wait_for(lambda: counts_again(counting, before), limit_s, "a daemon that counts")
    print(f"hang to healthy: {took_s:.1f} s with a watchdog of {WATCHDOG_S} s, {slow:.1f} times slow")
    assert counting.said("Watchdog timeout")


def test_without_a_camera_it_waits_says_so_and_is_not_ready(counting: Container) -> None:
    counting.run("systemctl", "stop", "camera")
    counting.run("systemctl", "--no-block", "restart", "edged")
    wait_for(lambda: "cannot open camera entrance" in status(counting), 30, "the reason in the status")
    assert counting.show("ActiveState")["ActiveState"] == "activating"
    lost = counting.journal("EDGED_EVENT=camera-lost")[-1]
    assert lost["EDGED_CAMERA"] == "entrance"
    assert lost["EDGED_ERROR"]
    start_camera(counting)
    wait_for(counting.is_active, 45, "readiness once the camera is there")


def test_a_camera_that_goes_away_is_a_status_and_no_restart(counting: Container) -> None:
    pid = counting.main_pid()
    counting.run("systemctl", "stop", "camera")
    wait_for(lambda: status(counting).startswith("0 of 1 camera"), 30, "the loss in the status")
    assert counting.run("edged", "status", check=False).returncode == 1
    start_camera(counting)
    wait_for(lambda: status(counting).startswith("1 camera,"), 60, "the camera in the status")
    assert counting.main_pid() == pid


def test_without_a_broker_it_counts_on_and_delivers_later(counting: Container) -> None:
    counting.run("systemctl", "stop", "mosquitto")
    wait_for(lambda: "broker down" in status(counting), 15, "the loss in the status")
    pid = counting.main_pid()
    counting.run("systemctl", "start", "mosquitto")
    wait_for(lambda: "broker up" in status(counting), 60, "the broker in the status")
    assert counting.main_pid() == pid


def test_a_wrong_config_is_explained_and_does_not_restart_every_second(counting: Container) -> None:
    counting.write("/etc/edged/edged.yaml", SITE.replace("site:", "sight:"))
    counting.run("systemctl", "--no-block", "restart", "edged")
    wait_for(lambda: "did you mean site?" in status(counting), 10, "the mistake in the status")
    before = restarts(counting)
    time.sleep(5)
    assert restarts(counting) == before
    assert counting.journal("EDGED_EVENT=config-wrong")
    restart(counting)


def test_it_stops_within_two_seconds(counting: Container) -> None:
    slow = patience(counting)
    started_s = time.monotonic()
    counting.run("systemctl", "stop", "edged")
    assert time.monotonic() - started_s < 2 * slow + 0.5  # and systemctl's own time
    assert counting.show("Result")["Result"] == "success"


def reload(machine: Container, config: str) -> None:
    machine.write("/etc/edged/edged.yaml", config)
    machine.run("systemctl", "reload", "edged")


def counted_lines(machine: Container) -> set[str]:
    """The lines whose counts the broker holds for whoever comes."""
    topic = "edged/v1/lab/door/count/#"
    got = machine.run("mosquitto_sub", "-t", topic, "--retained-only", "-W", "1", check=False)
    return {json.loads(line)["line"] for line in got.stdout.splitlines() if line}


def test_a_reload_takes_new_lines_without_a_restart(counting: Container) -> None:
    pid = counting.main_pid()
    more = "      - {id: second, from: [0.0, 0.4], to: [1.0, 0.4], inside: [0.5, 0.9]}\n"
    reload(counting, SITE.replace("localhost", "127.0.0.1") + more)
    wait_for(lambda: counting.said("mqtt.host is not taken before a restart"), 10, "what waits")
    wait_for(lambda: counted_lines(counting) == {"path", "second"}, 10, "the new line at the broker")
    reload(counting, SITE)
    wait_for(lambda: counted_lines(counting) == {"path"}, 10, "a broker that has forgotten the line")
    assert counting.main_pid() == pid
    assert counting.is_active()


def test_a_reload_of_a_wrong_config_keeps_the_old_one(counting: Container) -> None:
    pid = counting.main_pid()
    reload(counting, SITE.replace("lines:", "liens:"))
    wait_for(lambda: counting.journal("EDGED_EVENT=reload-refused"), 10, "the refusal")
    assert counting.said("did you mean lines?")
    wait_for(lambda: status(counting).startswith("1 camera,"), 10, "pictures")
    assert counting.main_pid() == pid
