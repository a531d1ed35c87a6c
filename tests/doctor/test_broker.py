"""The doctor on a real broker: with and without rights, and every way in which TLS can be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edge import app
from edge.core.intake import read
from edge.core.schema import DECLARATIONS
from edge.doctor.broker import about_secrecy, check_broker, probes
from edge.doctor.findings import Verdict
from tests.broker import Mosquitto, free_port, running
from tests.certificates import Authority, Pair
from tests.doctor import patient, told
from tests.messages import CAMERAS, CONTRACT


def test_a_broker_that_lets_us_publish_everywhere(tmp_path: Path) -> None:
    with running(Mosquitto(tmp_path)) as broker:
        checks = list(check_broker(patient(tmp_path, mqtt={"port": broker.port})))
    assert {check.verdict for check in checks} == {Verdict.OK}, told(checks)
    assert "may publish on all" in told(checks)


@pytest.mark.parametrize("allowed", [0, 1, -1])
def test_one_topic_without_the_right_is_found_out(tmp_path: Path, allowed: int) -> None:
    made = patient(tmp_path, mqtt={"home_assistant": True})
    asked = probes(app.contract_of(made.config, made.file), home_assistant=True)
    denied = asked.pop(allowed).topic
    (tmp_path / "acl").write_text("".join(f"topic write {probe.topic}\n" for probe in asked))
    settings = f"allow_anonymous true\nacl_file {tmp_path / 'acl'}"
    with running(Mosquitto(tmp_path, settings)) as broker:
        where = {"port": broker.port, "home_assistant": True}
        *_, last = check_broker(patient(tmp_path, mqtt=where))
    assert last.verdict is Verdict.FAILURE
    assert f"may not publish on 1 of {len(asked) + 1} topics, such as {denied}" in last.found


def test_every_kind_of_message_is_asked_for_and_nothing_is_said_by_it() -> None:
    asked = probes(replace(CONTRACT, groups=frozenset({"main"})), home_assistant=True)
    assert len(asked) >= len(DECLARATIONS) - 1, "counts of lines and zones share a topic"
    assert not any(probe.retain for probe in asked)
    counted = {(camera, scope) for camera, known in CAMERAS.items() for scope in known.lines | known.zones}
    for probe in asked:
        if "/count/" in probe.topic:
            withdrawn = read(probe.topic, probe.payload)
            assert (withdrawn.camera, withdrawn.scope) not in counted
        else:
            assert bool(probe.payload) == probe.topic.startswith("homeassistant/")


def test_no_broker_is_a_failure_with_a_hint(tmp_path: Path) -> None:
    (check,) = check_broker(patient(tmp_path))
    assert (check.verdict, check.remedy) == (Verdict.FAILURE, "is the broker running, on this port?")


def test_a_password_in_the_clear_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "pw"
    secret.touch()
    login = {"username": "door", "password_file": str(secret)}
    (check,) = about_secrecy(patient(tmp_path, mqtt={**login, "host": "10.0.0.5"}))
    assert "mqtt.tls" in check.remedy
    assert not list(about_secrecy(patient(tmp_path, mqtt={**login, "host": "localhost"})))


@contextmanager
def tls_broker(folder: Path, authority: Authority, pair: Pair) -> Iterator[int]:
    port = free_port()
    files = f"cafile {authority.ca_file}\ncertfile {pair.cert}\nkeyfile {pair.key}"
    with running(Mosquitto(folder, f"allow_anonymous true\nlistener {port} 127.0.0.1\n{files}")):
        yield port


@pytest.mark.parametrize(
    ("address", "days", "trusted", "remedy"),
    [
        ("127.0.0.1", -1, "theirs", "renew the certificate"),
        ("127.0.0.2", 90, "theirs", "mqtt.host must be the name in the broker's certificate"),
        ("127.0.0.1", 90, "ours", "mqtt.tls.ca_file is not the broker's authority"),
        ("127.0.0.1", 9, "theirs", "renew it"),
        ("127.0.0.1", 90, "theirs", ""),
    ],
    ids=["expired", "another name", "unknown authority", "ends soon", "well"],
)
def test_each_way_in_which_a_certificate_is_wrong_has_its_own_remedy(
    tmp_path: Path, address: str, days: int, trusted: str, remedy: str
) -> None:
    authorities = {name: Authority(tmp_path, name) for name in ("ours", "theirs")}
    pair = authorities["theirs"].issue("broker", address, valid=timedelta(days=days))
    with tls_broker(tmp_path, authorities["theirs"], pair) as port:
        tls = {"ca_file": str(authorities[trusted].ca_file)}
        checks = list(check_broker(patient(tmp_path, mqtt={"port": port, "tls": tls})))
    unwell = [check for check in checks if check.verdict is not Verdict.OK]
    assert [remedy in check.remedy for check in unwell] == [True] * bool(remedy), told(checks)
    if not remedy:
        assert "TLSv1.3, its certificate is that of broker by theirs" in told(checks)
