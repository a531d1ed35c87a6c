"""What tier `visit` remembers, with a real key ring and a real store: stories of a door, and forgetting."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.facestore import FaceStore, StoredVisit
from edge.adapters.keys import KeyRing, open_ring
from edge.core.facehash import Floats, Projection
from edge.core.health import Unlinked
from edge.core.values import FaceHash, FaceProbe
from edge.core.visits import OpenVisits, Probe, ReleaseRules, VisitRules
from edge.ports import AdapterError
from edge.visit.visitors import Passer, Visitors
from tests.privacy import SCHEME, people, project, seen_again

HOUR = 3600.0
RULES = VisitRules(threshold=150, open_max=64)
RNG = np.random.default_rng(1)
ANNA, BORIS, CHIARA = people(RNG, 3)


def passer(template: Floats | None, at_s: float) -> Passer:
    """Someone with a template of their own: who takes them in wipes it."""
    return Passer(None if template is None else template.copy(), at_s)


def again(template: Floats) -> Floats:
    (template,) = seen_again(np.random.default_rng(7), template[None], 0.85)
    return template


def backwards(count: int) -> list[int]:
    return list(reversed(range(count)))


def opened(path: Path | None, ring: KeyRing | None = None, now_s: float = 0.0, fine: bool = True) -> Visitors:
    return Visitors(
        ring or open_ring({}, "door", lambda name, fd: None),
        lambda key_of: FaceStore(path, key_of, SCHEME.bits // 64),
        SCHEME,
        RULES,
        ReleaseRules(fine=fine),
        backwards,
        now_s,
    )


def dwells(visitors: Visitors, now_s: float) -> list[float]:
    return [visit.dwell_s for visit in visitors.tick(now_s)]


def same_memory(ring: KeyRing) -> KeyRing:
    """The ring as the next process gets it from systemd."""
    return KeyRing(os.dup(ring._fd))


def test_anna_stays_for_eight_minutes_and_boris_for_one() -> None:
    visitors = opened(None)
    visitors.entered(passer(ANNA, 10))
    visitors.entered(passer(BORIS, 20))
    visitors.left([passer(again(BORIS), 80)])
    visitors.left([passer(again(ANNA), 490)])
    assert dwells(visitors, 500) == [60, 480]


def test_a_visit_longer_than_an_epoch_is_found_under_the_older_key() -> None:
    visitors = opened(None)
    visitors.entered(passer(ANNA, 3000))
    for now_s in (HOUR + 1, HOUR + 2):
        visitors.tick(now_s)
    visitors.entered(passer(BORIS, HOUR + 10))
    visitors.left([passer(again(ANNA), HOUR + 100), passer(again(BORIS), HOUR + 100)])
    assert sorted(dwells(visitors, HOUR + 200)) == [90, HOUR - 2900]


def test_fine_release_never_waits_not_even_for_the_next_second() -> None:
    visitors = opened(None)
    visitors.entered(passer(ANNA, 0))
    assert dwells(visitors, 60) == []
    visitors.left([passer(again(ANNA), 60.1)])
    assert dwells(visitors, 60.1) == [60]


def test_every_hour_the_journal_gets_the_counts_of_keys_and_of_who_gave_no_visit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    visitors = opened(None)
    visitors.left([passer(None, 80)])
    visitors.tick(HOUR + 1)
    told = "1 faces unusable, 0 visits unfinished, 0 without room"
    assert f"a new key; 1 destroyed since the last; since the start: {told}" in caplog.text


def test_the_journal_does_not_tell_who_left(caplog: pytest.LogCaptureFixture) -> None:
    """One came in and one went out: if a line appears when their key is no longer needed, or tells that a
    visit was finished, then it was the same person, before any batch of ten."""
    caplog.set_level(logging.DEBUG)
    journals = []
    for leaving in (ANNA, BORIS):
        visitors = opened(None, fine=False)
        visitors.entered(passer(ANNA, 3000))
        for now_s in (HOUR + 1, HOUR + 100):
            visitors.tick(now_s)
        visitors.left([passer(again(leaving), HOUR + 101)])
        for now_s in (HOUR + 103, HOUR + 900):
            visitors.tick(now_s)
        journals.append(caplog.text)
        caplog.clear()
    assert journals[0] == journals[1] == ""


def test_a_face_that_gave_no_code_is_counted_at_both_ends() -> None:
    visitors = opened(None)
    visitors.entered(passer(None, 1))
    visitors.left([passer(None, 2)])
    assert (visitors.tally.unusable, visitors.tally.opened, visitors.tally.unmatched) == (2, 0, 0)


def test_what_is_published_of_such_counts_moves_only_with_the_quarter_s_batch() -> None:
    visitors = opened(None, fine=False)
    visitors.left([Passer(None, 10)])
    dwells(visitors, 20)
    assert visitors.unlinked == Unlinked()
    dwells(visitors, 901)
    assert visitors.unlinked == Unlinked(unusable=1)


def test_who_left_unseen_is_a_count_after_two_hours_and_the_key_goes_with_the_visit() -> None:
    visitors = opened(None)
    visitors.entered(passer(ANNA, 0))
    for now_s in range(0, 3 * 3600, 600):
        visitors.tick(float(now_s))
    assert (visitors.tally.censored, len(visitors)) == (1, 0)
    assert visitors.unlinked == Unlinked(unfinished=1)
    visitors.left([passer(again(ANNA), 3 * HOUR)])
    assert dwells(visitors, 3 * HOUR + 2) == []


def test_ten_visits_are_released_together_in_buckets() -> None:
    visitors = opened(None, fine=False)
    crowd = people(np.random.default_rng(3), 10)
    for person in crowd:
        visitors.entered(passer(person, 0))
    visitors.left([passer(again(person), 100.0 + 30 * index) for index, person in enumerate(crowd)])
    assert dwells(visitors, 899) == []
    assert sorted(dwells(visitors, 901)) == [0] * 1 + [120] * 6 + [300] * 3


def test_visits_go_on_after_a_restart_under_systemd_s_store(tmp_path: Path) -> None:
    ring = open_ring({}, "door", lambda name, fd: None)
    before = opened(tmp_path / "visits.db", ring)
    before.entered(passer(ANNA, 100))
    before._store.close()  # type: ignore[attr-defined]
    after = opened(tmp_path / "visits.db", same_memory(ring), now_s=150)
    assert len(after) == 1
    after.left([passer(again(ANNA), 400)])
    assert dwells(after, 410) == [300]


def test_after_a_power_cut_nothing_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The keys' memory is gone; even if the store were still there, it could not be read."""
    caplog.set_level(logging.INFO)
    before = opened(tmp_path / "visits.db")
    before.entered(passer(ANNA, 100))
    before._store.close()  # type: ignore[attr-defined]
    after = opened(tmp_path / "visits.db", now_s=150)
    assert len(after) == 0
    assert "0 open visits go on after the restart, 1 rows refused" in caplog.text
    after.left([passer(again(ANNA), 400)])
    assert dwells(after, 410) == []


def test_forgetting_destroys_every_key_and_no_probe_matches_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    visitors = opened(tmp_path / "visits.db")
    visitors.entered(passer(ANNA, 0))
    visitors.tick(HOUR + 1)
    visitors.entered(passer(BORIS, HOUR + 2))
    forgotten = visitors.forget(HOUR + 10)
    assert (forgotten.keys, forgotten.visits) == (2, 2)
    assert "forgotten on request: 2 keys destroyed, 2 visits unfinished" in caplog.text
    visitors.left([passer(again(ANNA), HOUR + 60), passer(again(BORIS), HOUR + 60)])
    assert dwells(visitors, HOUR + 100) == []
    visitors.entered(passer(CHIARA, HOUR + 200))
    visitors.left([passer(again(CHIARA), HOUR + 300)])
    assert dwells(visitors, HOUR + 400) == [100]


def test_forgetting_keeps_what_is_finished_because_it_is_nobody_s() -> None:
    visitors = opened(None, fine=False)
    crowd = people(np.random.default_rng(4), 10)
    for person in crowd:
        visitors.entered(passer(person, 0))
    visitors.left([passer(again(person), 100) for person in crowd])
    visitors.forget(200)
    assert dwells(visitors, 901) == [0] * 10


def test_a_store_that_fails_is_told_and_worked_without(caplog: pytest.LogCaptureFixture) -> None:
    class Full(FaceStore):
        def put(self, number: int, code: FaceHash, entered_s: float) -> None:
            raise AdapterError("write to the store of open visits", "visits.db", "disk full")

    visitors = Visitors(
        open_ring({}, "door", lambda name, fd: None),
        lambda key_of: Full(None, key_of, 8),
        SCHEME,
        RULES,
        ReleaseRules(fine=True),
        backwards,
        0,
    )
    visitors.entered(passer(ANNA, 0))
    visitors.left([passer(again(ANNA), 60)])
    assert dwells(visitors, 61) == [60]
    assert "disk full; visits will not survive a restart" in caplog.text


@pytest.mark.parametrize("broken", [False, True])
def test_codes_and_templates_are_wiped_before_the_call_returns(
    broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FaceProbe] = []
    visitors = opened(None)
    hashing = Projection.probe

    def watched(self: Projection, template: Floats) -> FaceProbe:
        made.append(hashing(self, template))
        return made[-1]

    monkeypatch.setattr(Projection, "probe", watched)
    if broken:
        monkeypatch.delattr(OpenVisits, "_cost")
    came, gone = passer(ANNA, 0), [passer(again(ANNA), 60), passer(again(BORIS), 60)]
    visitors.entered(came)
    with pytest.raises(AttributeError) if broken else nullcontext():
        visitors.left(gone)
    assert len(made) == 3
    assert not any(face.code.words.any() or face.weights.any() for face in made)
    assert not any(one.template.any() for one in (came, *gone) if one.template is not None)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_no_form_in_which_a_face_is_handed_on_shows_it(number: int) -> None:
    (template,) = people(np.random.default_rng(number), 1)
    face = project(np.random.default_rng(number)).probe(template)
    code = face.code
    forms = (Passer(template, 1.5), Probe((face,), 1.5), StoredVisit(1, code, 1.5), code, face)
    shown = "".join(f"{form!r} {form} {ValueError(form)!r} {KeyError(form)}" for form in forms)
    secrets = [f"{value:.4f}" for value in np.abs(template) if value > 0.001]
    secrets += [f"{value:.4f}" for value in face.weights]
    secrets += [spelt(int(word)) for word in code.words for spelt in (str, hex)]
    assert not [secret for secret in ("array", *secrets) if secret in shown]


def test_nothing_about_anyone_is_logged_or_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ring = open_ring({}, "door", lambda name, fd: None)
    visitors = opened(tmp_path / "visits.db", ring)
    anna = passer(ANNA, 1.5)
    shown = repr(anna)
    visitors.entered(anna)
    with ring.seed(1) as seed:
        secrets = [bytes(seed).hex(), repr(bytes(seed))[2:20]]
    secrets += [str(value) for value in ANNA if abs(value) > 0.01]
    secrets += [str(word) for word in visitors._visits._codes[:, 0]]
    visitors.left([passer(again(ANNA), 60)])
    visitors.forget(70)
    shown += caplog.text + repr(visitors._visits) + repr(visitors._projections) + repr(ring)
    assert not [secret for secret in secrets if secret in shown]
