"""The gates of the tiers: what each needs before it runs, told by `edged check` as the technician sees it."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge import cli
from edge.privacy import FINE_RELEASE, LEGAL_FIELDS, REFUSED
from tests.test_config import SMALLEST

LEGAL = {
    "controller": "Example Shops Ltd",
    "contact": "privacy@example.com",
    "purpose": "length of visits",
    "basis": "consent",
    "notice_id": "door-1",
    "assessment_id": "dpia-7",
    "jurisdiction": "EU",
}
BIPA, PIPL = REFUSED["US-IL"], REFUSED["CN"]
JURISDICTIONS = {
    "EU": "",
    "GR": "",
    "US-CA": "",
    "CN": PIPL,
    "CN-SH": PIPL,
    "US-IL": BIPA,
    "US": "the rules differ from state to state",
}
MISSING = [None, *LEGAL]


def check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], privacy: dict[str, Any]
) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of `edged check` for a file with this privacy block."""
    path = tmp_path / "edged.yaml"
    path.write_text(yaml.safe_dump({**copy.deepcopy(SMALLEST), "privacy": privacy}, sort_keys=False))
    code = cli.main(["check", "--config", str(path)])
    out, err = capsys.readouterr()
    return code, out, err


def expected(tier: str, missing: str | None, jurisdiction: str) -> tuple[int, str]:
    """The exit code, and what is said, in the order in which the gates stand."""
    if missing:
        return 2, f"privacy.legal.{missing}"
    if tier == "member":
        return 2, "tier member is not available in this version"
    if tier == "visit" and JURISDICTIONS[jurisdiction]:
        return 2, JURISDICTIONS[jurisdiction]
    return 0, f"tier {tier}: "


@pytest.mark.parametrize(
    ("tier", "missing", "jurisdiction"),
    list(itertools.product(["count", "visit", "member"], MISSING, JURISDICTIONS)),
)
def test_every_tier_field_and_jurisdiction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tier: str, missing: str | None, jurisdiction: str
) -> None:
    legal = {**LEGAL, "jurisdiction": jurisdiction}
    if missing:
        del legal[missing]
    code, out, err = check(tmp_path, capsys, {"tier": tier, "legal": legal})
    wanted_code, wanted_words = expected(tier, missing, jurisdiction)
    assert code == wanted_code
    assert wanted_words in (err if code else out)


@pytest.mark.parametrize(("tier", "code"), [("count", 0), ("visit", 2), ("member", 2)])
def test_without_any_legal_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tier: str, code: int
) -> None:
    found, _, err = check(tmp_path, capsys, {"tier": tier})
    assert found == code
    if tier == "visit":
        assert f"tier visit needs the legal block: {LEGAL_FIELDS}" in err


def test_an_empty_field_is_a_missing_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = check(tmp_path, capsys, {"tier": "visit", "legal": {**LEGAL, "contact": ""}})
    assert code == 2
    assert "privacy.legal.contact" in err


def test_tier_visit_says_what_is_kept_for_how_long_and_who_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = check(tmp_path, capsys, {"tier": "visit", "legal": LEGAL})
    assert "keys that live in memory for at most 3 h" in out
    assert "a hash is kept until its person leaves, at most 2 h" in out
    for word in ("Example Shops Ltd", "consent", "door-1", "dpia-7", "EU"):
        assert word in out
    assert "warning" not in out


def test_a_shorter_dwell_shortens_the_keys_life(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    privacy = {"tier": "visit", "legal": LEGAL, "visits": {"dwell_s_max": 1800}}
    _, out, _ = check(tmp_path, capsys, privacy)
    assert "at most 1.5 h; a hash is kept until its person leaves, at most 0.5 h" in out


@pytest.mark.parametrize(
    ("visits", "warning"),
    [({"release": "fine"}, FINE_RELEASE), ({"plain_swap": True}, "plain swap is allowed")],
)
def test_what_lowers_the_protection_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], visits: dict[str, Any], warning: str
) -> None:
    _, out, _ = check(tmp_path, capsys, {"tier": "visit", "legal": LEGAL, "visits": visits})
    assert warning in out
    _, out, _ = check(tmp_path, capsys, {"tier": "count", "visits": visits})
    assert "warning" not in out


def test_a_dwell_longer_than_the_keys_may_live_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    privacy = {"tier": "visit", "legal": LEGAL, "visits": {"dwell_s_max": 86400}}
    code, _, err = check(tmp_path, capsys, privacy)
    assert code == 2
    assert "privacy.visits.dwell_s_max" in err
