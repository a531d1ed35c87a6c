"""`edged apply`: the config into force, with what it needs of the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main

CONFIG = """\
site: lab
device: door
mqtt: {host: 10.0.0.5}
cameras:
  - id: entrance
    source: rtsp://10.0.0.9/a
    lines:
      - {id: door, from: [0, 0.5], to: [1, 0.5], inside: [0.5, 0.9]}
"""


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("edge.commands.apply.tell_systemd", lambda: None)
    monkeypatch.setattr("edge.commands.apply.log_to_journal", lambda level: None)
    (tmp_path / "card").mkdir()
    return [
        *("apply", "--config", str(tmp_path / "edged.yaml"), "--card", str(tmp_path / "card")),
        *("--drop-in", str(tmp_path / "unit.d/50-config.conf")),
    ]


def test_the_card_is_taken_and_the_sandbox_follows(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "card/edged.yaml").write_text(CONFIG)
    assert main(arguments) == 0
    assert "IPAddressAllow=10.0.0.5/32 10.0.0.9/32" in (tmp_path / "unit.d/50-config.conf").read_text()
    assert (tmp_path / "card/edged-import.log").read_text() == "taken.\n"
    assert main(arguments) == 0, "the next boot finds no new file, and changes nothing"


def test_a_wrong_card_leaves_the_config_in_force_and_says_why_on_the_card(
    arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "edged.yaml").write_text(CONFIG)
    (tmp_path / "card/edged.yaml").write_text(CONFIG.replace("site", "sight"))
    assert main(arguments) == 2
    told = (tmp_path / "card/edged-import.log").read_text()
    assert told.startswith("not taken, the device keeps its config:\n")
    assert "did you mean site?" in told
    assert (tmp_path / "edged.yaml").read_text() == CONFIG
    assert (tmp_path / "unit.d/50-config.conf").exists(), "the old config's holes are still opened"
