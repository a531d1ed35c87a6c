"""The manifest: one good text, and every way in which it can be wrong."""

from __future__ import annotations

import pytest

from edge.core.manifest import ManifestError, parse

GOOD = f"""
schema = 1
[models.person-small]
role = "person"
file = "person_small.tflite"
sha256 = "{"ab" * 32}"
side = 416
multiple = 32
colour = "bgr"
pad = 114
outputs = ["scores", "distances"]
thresholds = {{ floor = 0.1, iou = 0.5 }}
licence = "Apache-2.0"
"""


def test_a_good_manifest_is_read() -> None:
    spec = parse(GOOD)["person-small"]
    assert (spec.side, spec.multiple, spec.outputs) == (416, 32, ("scores", "distances"))
    assert spec.thresholds["floor"] == 0.1
    assert spec.card["licence"] == "Apache-2.0"


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("schema = 1", "schema = 2", "schema is 2"),
        ("schema = 1", "schema = ", "not TOML"),
        ('"person"', '"plate"', "person-small.role must be one of person"),
        ("person_small.tflite", "../person.tflite", "person-small.file"),
        ("abab", "ABAB", "person-small.sha256"),
        ("416", "417000", "person-small.side must be a whole number"),
        ("416", "true", "person-small.side"),
        ('"bgr"', '"grey"', "person-small.colour"),
        ('["scores", "distances"]', "[]", "person-small.outputs"),
        ("floor = 0.1", 'floor = "low"', "person-small.thresholds"),
        ("licence", "golden", "person-small.golden must be a list of numbers"),
        ("[models.person-small]", "[other]", "lists no models"),
        ("[models.person-small]", "[models]\nx = 1\n[other]", "models.x is not a table"),
    ],
)
def test_a_bad_manifest_is_refused_by_name_and_key(was: str, becomes: str, complaint: str) -> None:
    with pytest.raises(ManifestError, match=complaint):
        parse(GOOD.replace(was, becomes, 1))
