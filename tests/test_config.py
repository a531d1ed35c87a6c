"""The installer's file: what is right passes; what is wrong is said at once, by line, with the remedy."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge import config as cfg
from edge.core.values import Anchor, Role
from edge.privacy import Legal, Privacy, Visits

ROOT = Path(__file__).parent.parent
SMALLEST: dict[str, Any] = {
    "site": "shop",
    "device": "door",
    "mqtt": {"host": "broker.local"},
    "cameras": [
        {
            "id": "entrance",
            "source": "v4l2:/dev/video0",
            "lines": [{"id": "door", "from": [0.2, 0.6], "to": [0.8, 0.6], "inside": [0.5, 0.9]}],
        }
    ],
}


BLOCKS: tuple[type[cfg.Section], ...] = (cfg.Config, cfg.Mqtt, cfg.Tls, cfg.Detector, cfg.Camera)


def load_text(tmp_path: Path, text: str) -> tuple[cfg.Config | None, list[str]]:
    path = tmp_path / "edged.yaml"
    path.write_text(text)
    config, problems = cfg.load(path)
    return config, [str(problem).removeprefix(f"{path}:") for problem in problems]


def changed(path: str, value: Any) -> str:
    """The smallest file with one key set, given as a/b/0/c."""
    document = copy.deepcopy(SMALLEST)
    *way, last = path.split("/")
    place: Any = document
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[last] = value
    return yaml.safe_dump(document, sort_keys=False)


@pytest.mark.parametrize(
    ("delegate", "right"),
    [("edgetpu", True), ("external:/usr/lib/libnpu.so", True), ("tpu", False), ("external:libnpu.so", False)],
)
def test_an_accelerator_is_named_or_is_a_library_s_whole_path(
    delegate: str, right: bool, tmp_path: Path
) -> None:
    config, problems = load_text(tmp_path, changed("detector/delegate", delegate))
    if right:
        assert config is not None
        assert config.detector.delegate == delegate
    else:
        (problem,) = problems
        assert "detector.delegate: no such delegate: use xnnpack, edgetpu, gpu, or external: and" in problem


def test_the_smallest_file_gets_sane_defaults(tmp_path: Path) -> None:
    config, problems = load_text(tmp_path, yaml.safe_dump(SMALLEST))
    assert problems == []
    assert config is not None
    assert (config.mqtt.port, config.mqtt.version, config.privacy.tier) == (1883, "5", "count")
    line = config.cameras[0].lines[0].to_line()
    assert (line.start, line.end, line.anchor) == ((0.2, 0.6), (0.8, 0.6), Anchor.FOOT)


def test_the_device_is_named_after_its_host_unless_told(tmp_path: Path) -> None:
    document = {key: value for key, value in SMALLEST.items() if key != "device"}
    config, _ = load_text(tmp_path, yaml.safe_dump(document))
    assert config is not None
    assert cfg.hostname_id("Door_North.local") == "door-north"


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.yaml")), ids=lambda path: path.name)
def test_shipped_files_are_right_but_for_secrets_that_are_not_here(path: Path) -> None:
    config, problems = cfg.load(path)
    assert [problem for problem in problems if "cannot read /etc/edged/" not in problem.text] == []
    assert (config is not None) == (not problems)


def test_the_commented_file_shows_every_key() -> None:
    text = (ROOT / "config/edged.yaml").read_text()
    sections: list[type[cfg.Section]] = [
        cfg.Config,
        cfg.Mqtt,
        cfg.Tls,
        cfg.Detector,
        cfg.Camera,
        cfg.LineSection,
        cfg.ZoneSection,
        Privacy,
        Legal,
        Visits,
    ]
    for section in sections:
        for name, info in section.model_fields.items():
            assert (info.alias or name) in text, f"{section.__name__}.{name} is not in config/edged.yaml"


def test_the_exported_schema_is_fresh_and_agrees_with_the_loader() -> None:
    exported = (ROOT / "config/edged.schema.json").read_text()
    assert exported == cfg.schema(), "run `edged check --schema > config/edged.schema.json`"
    jsonschema.Draft202012Validator.check_schema(json.loads(exported))
    jsonschema.validate(SMALLEST, json.loads(exported))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**SMALLEST, "sight": 1}, json.loads(exported))


def test_every_error_is_said_at_once_by_line(tmp_path: Path) -> None:
    text = """\
site: My Shop
timezone: Europe/Atens
mqtt:
  hosts: x
  port: 70000
  port: 1883
cameras:
  - id: a
    linse: []
    source: rtsp://user:hunter2@10.0.0.1/x
    lines:
      - {id: door, from: [0.2, 1.6], too: [1, 1], inside: [0.5, 0.9], anchor: feet}
"""
    config, problems = load_text(tmp_path, text)
    assert config is None
    assert problems == [
        "1: site: use 1 to 32 small letters, digits and hyphens, such as door-north",
        "2: timezone: no such time zone: 'Europe/Atens'; use a name such as Europe/Athens",
        "3: mqtt.host: is missing: add `host:` with name or address of the broker",
        "4: mqtt.hosts: unknown key: did you mean host?",
        "6: mqtt.port: stands twice: remove one of the two",
        "9: cameras[0].linse: unknown key: did you mean lines?",
        "10: cameras[0].source: credentials do not belong in the address: use username and password_file "
        "beside source",
        "12: cameras[0].lines[0].anchor: must be 'foot', 'centre' or 'head'",
        "12: cameras[0].lines[0].from[1]: points are fractions of the picture, from 0 to 1",
        "12: cameras[0].lines[0].to: is missing: add `to:` with the other end",
        "12: cameras[0].lines[0].too: unknown key: did you mean to?",
    ]
    assert "hunter2" not in "".join(problems)


BAD_VALUES = [
    ("cameras/0/lines/0/to", [0.2, 0.6], "the same point"),
    ("cameras/0/lines/0/inside", [0.5, 0.6], "inside lies on the line"),
    ("cameras/0/lines/0/from", [288, 576], "fractions of the picture"),
    ("cameras/0/lines", [], "nothing to count"),
    ("cameras/0/zones", [{"id": "door", "polygon": [[0, 0], [1, 0], [1, 1]]}], "used twice: door"),
    ("cameras/0/zones", [{"id": "z", "polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}], "the polygon"),
    ("cameras/0/zones", [{"id": "z", "polygon": [[0, 0], [1, 1], [0.5, 0.5]]}], "no area"),
    ("cameras/0/zones", [{"id": "z", "polygon": [[0, 0], [1, 1]]}], "at least 3"),
    ("cameras/0/ignore", [[[0, 0], [1, 1], [0.5, 0.5]]], "no area"),
    ("cameras/0/source", "/dev/video0", "no such kind of source"),
    ("cameras/0/source", "csi:front", "no such kind of source"),
    ("cameras/0/fps_max", 0, "greater than 0"),
    ("cameras", [], "at least 1"),
    ("mqtt/password_file", "/nowhere/password", "needs a username"),
    ("mqtt/tls", {"ca_file": "/nowhere/ca.pem"}, "cannot read /nowhere/ca.pem"),
    ("mqtt/tls", {"ca_file": "a", "cert_file": "b"}, "go together"),
    ("mqtt/port", "1883", "valid integer"),
    ("mqtt/password", "hunter2", "unknown key: did you mean password_file?"),
    ("site", 7, "put it in quotes"),
    ("site", None, "put it in quotes"),
    ("privacy", {"tier": "faces"}, "must be 'count'"),
    ("timezone", "../../etc/passwd", "no such time zone"),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD_VALUES)
def test_a_wrong_value_is_named_with_its_remedy(tmp_path: Path, path: str, value: Any, words: str) -> None:
    config, problems = load_text(tmp_path, changed(path, value))
    assert config is None
    assert any(words in problem for problem in problems), problems
    assert "hunter2" not in "".join(problems)


BAD_FILES = [
    ("", "holds no settings"),
    ("- a\n- b\n", "holds no settings"),
    ("site: [\n", "is not YAML"),
    ("site: a\n\tdevice: b\n", "is not YAML"),
    ("site: &a x\ndevice: *a\n", "uses an alias"),
    ("\x00\x01\x02", "special characters are not allowed"),
    ("site: x\n---\nsite: y\n", "is not YAML"),
    ("? [a, b]\n: c\n", "unhashable key"),
    ("site: .nan\n", "site"),
    ("site: !!binary aGVsbG8=\n", "site"),
]


@pytest.mark.parametrize(("text", "words"), BAD_FILES)
def test_a_file_that_is_no_config_says_so(tmp_path: Path, text: str, words: str) -> None:
    config, problems = load_text(tmp_path, text)
    assert config is None
    assert any(words in problem for problem in problems), problems


def test_a_file_that_is_missing_or_huge_or_a_folder_says_so(tmp_path: Path) -> None:
    assert "No such file" in str(cfg.load(tmp_path / "none.yaml")[1][0])
    assert "directory" in str(cfg.load(tmp_path)[1][0])
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * 300_000)
    assert "this is not a config file" in str(cfg.load(huge)[1][0])
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("site: caf\xe9\n".encode("latin-1"))
    assert "UTF-8" in str(cfg.load(latin)[1][0])


def test_named_secret_files_must_be_readable(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    document = copy.deepcopy(SMALLEST)
    document["mqtt"] |= {"username": "door", "password_file": str(secret)}
    assert load_text(tmp_path, yaml.safe_dump(document))[0] is not None
    secret.unlink()
    assert "cannot read" in load_text(tmp_path, yaml.safe_dump(document))[1][0]


def test_a_zone_becomes_the_value_that_the_core_counts_with(tmp_path: Path) -> None:
    zone = {"id": "till", "polygon": [[0, 0], [1, 0], [1, 1]], "role": "staff", "dwell_s_min": 5}
    config, _ = load_text(tmp_path, changed("cameras/0/zones", [zone]))
    assert config is not None
    built = config.cameras[0].zones[0].to_zone()
    assert (built.id, built.role, built.dwell_s_min) == ("till", Role.STAFF, 5.0)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["site", "device", "mqtt", "cameras", "privacy", "x"]), JSONISH))
def test_whatever_stands_in_the_file_the_loader_answers(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    """No input makes the loader raise: it gives a config or at least one problem with a line."""
    path = tmp_path_factory.mktemp("fuzz") / "edged.yaml"
    path.write_text(yaml.safe_dump(data))
    config, problems = cfg.load(path)
    assert (config is None) == bool(problems)
    assert all(problem.line >= 1 and problem.text for problem in problems)
