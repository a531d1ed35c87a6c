"""`edged doctor`: what a technician sees, and what a program reads of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.cli import main
from tests.doctor import CLIP

CONFIG = f"""\
site: lab
device: door
mqtt: {{host: 127.0.0.1, port: 1}}
cameras:
  - id: entrance
    source: file:{CLIP}
    lines:
      - {{id: door, from: [0.0, 0.5], to: [1.0, 0.5], inside: [0.5, 0.9]}}
"""


def doctor(folder: Path, *arguments: str, config: str = CONFIG) -> int:
    path = folder / "edged.yaml"
    path.write_text(config)
    return main(["doctor", "--config", str(path), "--state-dir", str(folder), *arguments])


def test_a_failure_is_told_with_its_remedy_and_in_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(tmp_path, "--only", "broker") == 1
    assert "✗ broker: cannot connect" in (told := capsys.readouterr().out)
    assert "\n    is the broker running, on this port?\n" in told


def test_a_program_reads_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(tmp_path, "--only", "disk", "--only", "broker", "--json") == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [(check["part"], check["verdict"]) for check in checks] == [("disk", "ok"), ("broker", "failure")]
    assert [bool(check["remedy"]) for check in checks] == [False, True]


def test_warnings_do_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(tmp_path, "--only", "sandbox", "--drop-in", str(tmp_path / "none")) == 0
    assert "! sandbox: has never been opened" in capsys.readouterr().out


def test_a_wrong_config_is_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(tmp_path, config=CONFIG.replace("site:", "sight:")) == 2
    assert "did you mean site?" in capsys.readouterr().err
