"""`edged count` as a person meets it: a table, JSON, tracks, reasons, and one clear line for a bad clip."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from tests.clips import CLIP, write_two_entries
from tests.test_cli import edged

DOOR = {"id": "door", "from": [0.2865, 0.2604], "to": [0.2865, 0.5903], "inside": [0.0911, 0.42]}
SQUARE = {"id": "square", "polygon": [[0.3, 0.2], [0.9, 0.2], [0.9, 0.9], [0.3, 0.9]], "dwell_s_min": 1}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    camera = {
        "id": "yard",
        "source": "v4l2:/dev/video0",
        "lines": [DOOR],
        "zones": [SQUARE],
    }
    path = tmp_path / "edged.yaml"
    path.write_text(yaml.safe_dump({"site": "a", "device": "b", "mqtt": {"host": "c"}, "cameras": [camera]}))
    return path


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_two_entries(tmp_path_factory.mktemp("clips") / "short.avi")


def test_the_table_and_the_json_say_the_same(short_clip: Path, config: Path, tmp_path: Path) -> None:
    tracks = tmp_path / "tracks.txt"
    shown = edged("count", short_clip, "--config", config, "--explain", "--tracks", tracks)
    assert shown.returncode == 0, shown.stderr
    result = json.loads(edged("count", short_clip, "--config", config, "--json").stdout)
    assert set(result) == {"clip", "frames", "seconds", "lines", "zones", "visits", "speed_fps"}
    assert (result["frames"], result["seconds"]) == (60, 6.0)
    door = result["lines"]["door"]
    assert (door["entry"], door["exit"]) == (2, 0)
    assert [event["frame"] + 150 for event in door["events"]] == pytest.approx([181, 203], abs=15)
    assert result["zones"]["square"]["visits"] == len(result["zones"]["square"]["dwell_s"]) > 0
    assert result["zones"]["square"]["occupancy_max"] >= 3
    assert "door                       2       0" in shown.stdout
    assert shown.stdout.count(" entry ") == 3, "the head of the table, and one reason a count"
    first = tracks.read_text().splitlines()[0].split(",")
    assert len(first) == 10
    assert first[7:] == ["-1", "-1", "-1"]
    assert int(first[0]) >= 1


def test_without_a_config_the_middle_is_counted_and_said(short_clip: Path) -> None:
    ran = edged("count", short_clip, "--json")
    assert ran.returncode == 0
    assert "line down the middle" in ran.stderr
    assert list(json.loads(ran.stdout)["lines"]) == ["middle"]


def damaged(kind: str, tmp_path: Path, whole: Path) -> Path:
    path = tmp_path / "clip.avi"
    content = whole.read_bytes()
    match kind:
        case "empty":
            path.touch()
        case "not a video":
            path.write_text("hello " * 1000)
        case "cut off":
            path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("not a video", "not a video"),
        ("cut off", "cut off"),
    ],
)
def test_a_bad_clip_is_one_clear_line_and_exit_2(
    kind: str, words: str, tmp_path: Path, short_clip: Path, config: Path
) -> None:
    ran = edged("count", damaged(kind, tmp_path, short_clip), "--config", config)
    complaint = ran.stderr.splitlines()
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert len(complaint) == 1, complaint
    assert words in complaint[0]


def test_a_bad_config_is_said_before_the_clip_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "edged.yaml"
    path.write_text("site: x\n")
    ran = edged("count", "nowhere.mp4", "--config", path)
    assert ran.returncode == 2
    assert "cameras: is missing" in ran.stderr


def test_one_of_several_cameras_must_be_chosen(tmp_path: Path, config: Path) -> None:
    document = yaml.safe_load(config.read_text())
    document["cameras"].append({**copy.deepcopy(document["cameras"][0]), "id": "back"})
    config.write_text(yaml.safe_dump(document))
    assert "the config has yard, back (give --camera)" in edged("count", CLIP, "--config", config).stderr
    assert "the config has yard, back" in edged("count", CLIP, "--config", config, "--camera", "x").stderr
