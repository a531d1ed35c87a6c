"""The command line as a person meets it: help that teaches, one clear line per fault, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import COMMANDS

ROOT = Path(__file__).parent.parent


def edged(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


def test_help_lists_every_command_and_says_where_to_begin() -> None:
    ran = edged("--help")
    assert ran.returncode == 0
    assert all(f"  {name} " in ran.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    ran = edged(command, "--help")
    assert ran.returncode == 0
    assert len(ran.stdout.splitlines()) > 5


def test_an_unknown_command_names_the_known_ones() -> None:
    ran = edged("chekc")
    assert ran.returncode == 2
    assert "check" in ran.stderr


def test_check_says_what_a_right_config_does() -> None:
    ran = edged("check", "--config", "config/edged.yaml")
    assert ran.returncode == 0
    assert "line door, zone till (area)" in ran.stdout


def test_check_says_all_that_is_wrong_and_exits_2(tmp_path: Path) -> None:
    path = tmp_path / "edged.yaml"
    path.write_text("sight: x\nmqtt: {host: 5}\n")
    ran = edged("check", "--config", path)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert f"{path}:1: sight: unknown key: did you mean site?" in ran.stderr.splitlines()
    assert f"{path}:2: mqtt.host: must be text: put it in quotes" in ran.stderr.splitlines()
