"""`edged bench`: every person model, on the real recording, and an answer that an installer can use."""

from __future__ import annotations

import json

from edge.adapters import tflite
from edge.commands.bench import Row, table
from tests.test_cli import edged

FOUND = {"version": "1", "machine": "aarch64", "cores": 4, "peak_mib": 99.5, "temperature_c": 61.0}


def row(model: str, fps: float) -> Row:
    return Row(model, 10, decode_ms=3.0, detect_ms=26.0, count_ms=1.0, fps=fps)


def test_every_person_model_is_measured() -> None:
    shown = edged("bench", "--frames", "3", "--json")
    assert shown.returncode == 0, shown.stderr
    result = json.loads(shown.stdout)
    people = [spec.name for spec in tflite.manifest(tflite.models_dir()).values() if spec.role == "person"]
    assert [one["model"] for one in result["models"]] == people
    for one in result["models"]:
        assert one["frames"] == 3
        assert one["detect_ms"] > one["count_ms"] > 0, "the network is what costs"
    assert result["peak_mib"] > 50


def test_the_table_names_the_best_model_that_leaves_room() -> None:
    *_, last = table([row("large", fps=12.0), row("small", fps=20.0)], FOUND)
    assert last == "one camera at 10 frames/s: detector: {model: small}"
    *_, last = table([row("large", fps=16.0), row("small", fps=20.0)], FOUND)
    assert "large" in last
    head, first, *_ = table([row("large", fps=16.0)], FOUND)
    assert head.split()[-1] == "spent"
    assert first.split()[-1] == "30%", "30 ms, ten times a second"


def test_a_board_that_is_too_slow_is_told_what_to_do() -> None:
    *_, last = table([row("large", fps=4.0)], FOUND | {"temperature_c": None})
    assert "set fps_max lower" in last


def test_no_pictures_are_nothing_to_measure() -> None:
    refused = edged("bench", "--frames", "0")
    assert refused.returncode == 2
    assert "--frames" in refused.stderr
