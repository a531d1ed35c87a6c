"""What may be known about people: the tiers, what each needs before it runs, and the statement that is made.

Tier `visit` handles biometric data while a key lives. It refuses to start without somebody who answers for
that, and where the law does not let a shop do it for analytics.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edge.section import Section

# Where tier `visit` is not available for analytics, and by which rule. A region counts with its country.
REFUSED = {
    "CN": "the Personal Information Protection Law (PIPL) art. 26 and the 2025 measures on face recognition",
    "US-IL": "the Biometric Information Privacy Act (BIPA), 740 ILCS 14",
}
LEGAL_FIELDS = "controller, contact, purpose, basis, notice_id, assessment_id, jurisdiction"
EPOCH_S = 3600.0
FINE_RELEASE = (
    "fine release: each visit is published at once and to the second; an entry minute and a dwell minute "
    "together single out 74 to 100 % of visits"
)


class Legal(Section):
    """Who answers for the face hashes of tier `visit`, and on what ground."""

    controller: str = Field(min_length=1, max_length=200)
    """The organisation that decides why and how."""
    contact: str = Field(min_length=1, max_length=200)
    """Where people turn with their rights."""
    purpose: str = Field(min_length=1, max_length=200)
    """What the visits are measured for."""
    basis: str = Field(min_length=1, max_length=200)
    """The legal basis, such as consent."""
    notice_id: str = Field(min_length=1, max_length=64)
    """The notice that hangs at the door."""
    assessment_id: str = Field(min_length=1, max_length=64)
    """The impact assessment that was made."""
    jurisdiction: str = Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")
    """Country, or country-region, such as EU or US-CA. Quote NO."""


class Visits(Section):
    """How visits are linked and published in tier `visit`."""

    release: Literal["batched", "fine"] = "batched"
    """batched: every 15 minutes, shuffled, in buckets, at least 10 at a time. fine: at once, to the second,
    which can single people out."""
    dwell_s_max: float = Field(default=7200, ge=60, le=7200)
    """Who has not been seen leaving after this many seconds is forgotten, and counted as unfinished."""
    plain_swap: bool = False
    """Run although memory may be written to a swap that is neither zram nor encrypted."""


class Privacy(Section):
    """What may be known about people."""

    tier: Literal["count", "visit", "member"] = "count"
    """count: no face is ever looked at. visit: a keyed face hash links entry and exit, and dies."""
    legal: Legal | None = None
    """Needed by tier visit."""
    visits: Visits = Visits()
    """For tier visit."""

    @model_validator(mode="after")
    def _available(self) -> Privacy:
        if self.tier == "member":
            raise ValueError("tier member is not available in this version: use count or visit")
        if self.tier == "visit":
            _check(self.legal)
        return self

    @property
    def key_life_s(self) -> int | None:
        """How long a face hash can live; None where there are none."""
        return None if self.tier == "count" else int(EPOCH_S + self.visits.dwell_s_max)

    @property
    def statement(self) -> str:
        """What is looked at, what is kept and for how long, in one sentence for the journal and `check`."""
        if self.legal is None or self.tier == "count":
            return "tier count: no face is looked at, nothing about anyone is kept"
        hours = f"{self.visits.dwell_s_max / 3600:g} h"
        return (
            f"tier visit: faces at the lines are hashed under keys that live in memory for at most "
            f"{(self.key_life_s or 0) / 3600:g} h; a hash is kept until its person leaves, at most {hours}; "
            f"controller {self.legal.controller}, basis {self.legal.basis}, notice {self.legal.notice_id}, "
            f"assessment {self.legal.assessment_id}, jurisdiction {self.legal.jurisdiction}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """The risks that this configuration takes on."""
        if self.tier == "count":
            return ()
        swap = "plain swap is allowed: face hashes and keys may be written to the disk"
        taken = {FINE_RELEASE: self.visits.release == "fine", swap: self.visits.plain_swap}
        return tuple(risk for risk, is_taken in taken.items() if is_taken)


def _check(legal: Legal | None) -> None:
    """Raises ValueError if tier `visit` may not run under this block."""
    if legal is None:
        raise ValueError(f"tier visit needs the legal block: {LEGAL_FIELDS}")
    country = legal.jurisdiction.split("-")[0]
    rule = REFUSED.get(legal.jurisdiction) or REFUSED.get(country)
    if rule:
        raise ValueError(f"tier visit is not available in {legal.jurisdiction} for analytics, by {rule}")
    if legal.jurisdiction == "US":
        raise ValueError("the rules differ from state to state: give the jurisdiction as US-CA, US-TX ...")
