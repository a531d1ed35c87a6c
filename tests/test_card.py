"""The installer's card: what is right is taken, what is wrong changes nothing, and no secret stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.card import adopt
from edge.config import read

CONFIG = """\
site: lab
device: door
mqtt:
  host: 10.0.0.5
  username: door
  password: s3cret # the broker's
  tls: {{ca_file: ca.pem}}
cameras:
  - id: entrance
    source: rtsp://10.0.0.9/a
    username: admin
    password: '{camera}'
    lines:
      - {{id: door, from: [0, 0.5], to: [1, 0.5], inside: [0.5, 0.9]}}
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "card").mkdir()
    (tmp_path / "card/ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    return tmp_path / "card"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


def put(card: Path, text: str) -> None:
    (card / "edged.yaml").write_text(text)


def test_a_right_config_is_in_force_and_its_secrets_are_roots(card: Path, etc: Path) -> None:
    put(card, CONFIG.format(camera="p: #1"))
    assert adopt(card, etc) == ()
    config = read(etc / "edged.yaml")
    assert config.mqtt.password_file
    assert config.cameras[0].password_file
    assert config.mqtt.tls
    assert config.mqtt.password_file.read_text() == "s3cret\n"
    assert config.cameras[0].password_file.read_text() == "p: #1\n"
    assert config.mqtt.tls.ca_file.read_text() == "-----BEGIN CERTIFICATE-----"
    assert {path.stat().st_mode & 0o777 for path in (etc / "secrets").iterdir()} == {0o600}
    assert (etc / "secrets").stat().st_mode & 0o777 == 0o700


def test_the_card_keeps_the_config_and_no_secret(card: Path, etc: Path) -> None:
    put(card, CONFIG.format(camera="other"))
    adopt(card, etc)
    assert not (card / "edged.yaml").exists(), "else the next boot would take it again"
    left = "".join(path.read_text() for path in card.iterdir())
    assert "site: lab" in left
    assert "# the broker's" in left
    assert not [secret for secret in ("s3cret", "other", "BEGIN") if secret in left]


@pytest.mark.parametrize("text", ["site: [", "site: lab\n", CONFIG.format(camera="x") + "colour: red\n"])
def test_a_wrong_config_changes_nothing_and_every_problem_is_told(card: Path, etc: Path, text: str) -> None:
    (etc / "edged.yaml").write_text("the old one")
    put(card, text)
    problems = adopt(card, etc)
    assert problems
    assert all(str(problem).startswith(f"{card / 'edged.yaml'}:") for problem in problems)
    assert (card / "edged.yaml").read_text() == text
    assert [path.name for path in etc.rglob("*") if path.is_file()] == ["edged.yaml"]
    assert (etc / "edged.yaml").read_text() == "the old one"


def test_the_previous_config_keeps_its_secrets_and_older_ones_go(card: Path, etc: Path) -> None:
    for password in ("first", "second", "third"):
        put(card, CONFIG.format(camera=password))
        (card / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
        assert adopt(card, etc) == ()
    previous = read(etc / "edged.yaml.previous").cameras[0].password_file
    assert previous
    assert previous.read_text() == "second\n"
    assert sorted(p.read_text() for p in (etc / "secrets").glob("password-*")) == [
        *("s3cret\n", "s3cret\n", "second\n", "third\n")
    ]


def test_a_file_from_a_windows_editor_is_taken(card: Path, etc: Path) -> None:
    text = CONFIG.format(camera="x").replace("\n", "\r\n")
    (card / "edged.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert adopt(card, etc) == ()
    assert read(etc / "edged.yaml").site == "lab"
