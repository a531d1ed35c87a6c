"""Visits as small stories at a door, and the promises that hold whatever happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.core.values import FaceHash, FaceProbe, MatchQuality, Visit
from edge.core.visits import DWELL_BUCKETS_S, OpenVisits, Probe, Release, ReleaseRules, VisitRules

WORDS = 8
RULES = VisitRules(threshold=100, dwell_s_min=5, dwell_s_max=7200, open_max=16)
ANNA, BORIS, CHIARA = 1, 2, 3


def code(person: int, epoch: int = 0, flipped: int = 0) -> FaceHash:
    """A person's code under one epoch's key, with that many of its 512 bits wrong."""
    words = np.random.default_rng([person, epoch]).integers(0, 2**63, WORDS).astype(np.uint64)
    bits = np.unpackbits(words.view(np.uint8))
    bits[:flipped] ^= 1
    return FaceHash(epoch, np.packbits(bits).view(np.uint64))


def sought(found: FaceHash) -> FaceProbe:
    """A face that is as sure of each bit as of any other: its distances are whole bits."""
    return FaceProbe(found, np.ones(64 * WORDS, np.float32))


def probe(person: int, at_s: float, epochs: tuple[int, ...] = (0,), flipped: int = 60) -> Probe:
    return Probe(tuple(sought(code(person, epoch, flipped)) for epoch in epochs), at_s)


def visits(rules: VisitRules = RULES) -> OpenVisits:
    return OpenVisits(rules, WORDS)


def dwells(shop: OpenVisits, *probes: Probe) -> list[float]:
    return [ended.visit.dwell_s for ended in shop.leave(probes)]


def test_a_person_enters_and_leaves_eight_minutes_later() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=100)
    (ended,) = shop.leave([probe(ANNA, at_s=580)])
    assert ended.visit == Visit(480, MatchQuality.OK)
    assert len(shop) == 0


def test_two_people_leave_in_the_other_order() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=0)
    shop.enter(code(BORIS), at_s=60)
    assert dwells(shop, probe(BORIS, at_s=100)) == [40]
    assert dwells(shop, probe(ANNA, at_s=300)) == [300]


def test_two_people_leave_in_the_same_moment() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=0)
    shop.enter(code(BORIS), at_s=60)
    assert sorted(dwells(shop, probe(BORIS, 100), probe(ANNA, 100))) == [40, 100]


def test_the_nearer_of_two_exits_gets_the_visit_and_the_other_gets_nothing() -> None:
    shop = visits()
    number = shop.enter(code(ANNA), at_s=0)
    (ended,) = shop.leave([probe(ANNA, 50, flipped=90), probe(ANNA, 60, flipped=10)])
    assert (ended.number, ended.visit.dwell_s) == (number, 60)
    assert shop.tally.unmatched == 1


def test_a_visit_cannot_be_ended_twice() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=0)
    assert dwells(shop, probe(ANNA, 50)) == [50]
    assert dwells(shop, probe(ANNA, 60)) == []


def test_a_stranger_leaves() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=0)
    assert dwells(shop, probe(BORIS, 50)) == []
    assert (shop.tally.unmatched, len(shop)) == (1, 1)


def test_the_threshold_is_inclusive() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=0)
    assert dwells(shop, probe(ANNA, 50, flipped=101)) == []
    assert dwells(shop, probe(ANNA, 50, flipped=100)) == [50]


def test_two_look_alikes_are_inside_and_the_link_is_of_low_quality() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=0)
    shop.enter(code(ANNA, flipped=80), at_s=10)
    (ended,) = shop.leave([probe(ANNA, 50, flipped=5)])
    assert ended.visit == Visit(50, MatchQuality.LOW)


def test_someone_turns_round_at_the_door_which_is_no_visit() -> None:
    shop = visits()
    shop.enter(code(ANNA), at_s=100)
    assert dwells(shop, probe(ANNA, at_s=100 + RULES.dwell_s_min - 0.1)) == []
    assert dwells(shop, probe(ANNA, at_s=100 + RULES.dwell_s_min)) == [RULES.dwell_s_min]


def test_someone_leaves_unseen_and_becomes_a_count() -> None:
    shop = visits()
    number = shop.enter(code(ANNA), at_s=0)
    assert shop.expire(RULES.dwell_s_max) == ()
    assert shop.expire(RULES.dwell_s_max + 1) == (number,)
    assert (shop.tally.censored, len(shop)) == (1, 0)
    assert dwells(shop, probe(ANNA, RULES.dwell_s_max + 2)) == []


def test_a_visit_crosses_an_epoch_s_end_and_is_found_under_the_older_key() -> None:
    shop = visits()
    shop.enter(code(ANNA, epoch=3), at_s=0)
    assert dwells(shop, probe(ANNA, 3700, epochs=(5, 4, 3))) == [3700]


def test_a_probe_under_the_wrong_key_finds_nothing() -> None:
    shop = visits()
    shop.enter(code(ANNA, epoch=3), at_s=0)
    same_bits_other_key = FaceHash(4, code(ANNA, epoch=3).words)
    assert shop.leave([Probe((sought(same_bits_other_key),), 100)]) == ()


def test_a_destroyed_key_takes_its_visits_along() -> None:
    shop = visits()
    for person, epoch in ((ANNA, 1), (BORIS, 2), (CHIARA, 1)):
        shop.enter(code(person, epoch), at_s=0)
    assert shop.epochs() == frozenset({1, 2})
    assert shop.forget([1]) == (1, 3)
    assert shop.epochs() == frozenset({2})
    assert shop.tally.censored == 2
    assert dwells(shop, probe(ANNA, 60, epochs=(1, 2)), probe(BORIS, 60, epochs=(1, 2))) == [60]


def test_a_full_shop_refuses_and_says_so() -> None:
    shop = visits(replace(RULES, open_max=2))
    assert [shop.enter(code(person), at_s=0) for person in (ANNA, BORIS, CHIARA)] == [1, 2, None]
    assert (shop.tally.opened, shop.tally.refused) == (2, 1)


def test_visits_go_on_after_a_restart_without_being_opened_again() -> None:
    shop = visits()
    assert shop.restore(7, code(ANNA), entered_s=100)
    assert (shop.tally.opened, shop.enter(code(BORIS), at_s=200)) == (0, 8)
    assert dwells(shop, probe(ANNA, 400)) == [300]


def test_an_unusable_face_is_counted_and_nothing_else() -> None:
    shop = visits()
    shop.unusable()
    assert (shop.tally.unusable, len(shop)) == (1, 0)


def test_a_step_without_exits_changes_nothing() -> None:
    assert visits().leave([]) == ()


class Shop(RuleBasedStateMachine):
    """Anyone comes and goes, keys die, time passes: no code outlives its visit, and none is unaccounted."""

    @initialize()
    def open(self) -> None:
        self.visits, self.now_s = visits(), 0.0

    @rule(person=st.integers(1, 6), epoch=st.integers(0, 3))
    def enter(self, person: int, epoch: int) -> None:
        self.visits.enter(code(person, epoch), self.now_s)

    @rule(people=st.lists(st.integers(1, 6), max_size=4))
    def leave(self, people: list[int]) -> None:
        probes = [probe(person, self.now_s, epochs=(0, 1, 2, 3), flipped=20) for person in people]
        ended = self.visits.leave(probes)
        assert len(ended) <= len(people)
        assert all(
            RULES.dwell_s_min <= one.visit.dwell_s <= RULES.dwell_s_max and one.number > 0 for one in ended
        )

    @rule(seconds=st.sampled_from([1.0, 10.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.visits.expire(self.now_s)

    @rule(epoch=st.integers(0, 3))
    def destroy_a_key(self, epoch: int) -> None:
        self.visits.forget([epoch])
        assert epoch not in self.visits.epochs()

    @invariant()
    def every_visit_is_accounted_for(self) -> None:
        tally = self.visits.tally
        assert tally.opened == tally.finished + tally.censored + len(self.visits)

    @invariant()
    def no_code_outlives_its_visit(self) -> None:
        assert self.visits._codes.any(axis=0).sum() == len(self.visits)

    @invariant()
    def nothing_shows(self) -> None:
        assert repr(self.visits) == f"OpenVisits({len(self.visits)} open)"


TestShop = Shop.TestCase
TestShop.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def backwards(count: int) -> list[int]:
    return list(reversed(range(count)))


def finished(release: Release, *dwells_s: float) -> Release:
    for dwell_s in dwells_s:
        release.add(Visit(dwell_s, MatchQuality.OK))
    return release


@pytest.mark.parametrize(
    ("dwell_s", "published"),
    [
        (0, 0),
        (119.9, 0),
        (120, 120),
        (299, 120),
        (300, 300),
        (600, 600),
        (1200, 1200),
        (2399, 1200),
        (7200, 2400),
    ],
)
def test_a_dwell_is_rounded_down_to_its_bucket(dwell_s: float, published: float) -> None:
    release = finished(Release(ReleaseRules(batch_min=1), now_s=0), dwell_s)
    assert [visit.dwell_s for visit in release.due(900, backwards)] == [published]


def test_nine_visits_are_held_and_the_tenth_lets_them_go() -> None:
    release = finished(Release(ReleaseRules(), now_s=0), *[60.0] * 9)
    assert release.due(900, backwards) == ()
    finished(release, 700)
    assert [release.is_due(now_s) for now_s in (1799, 1800)] == [False, True]
    assert release.due(1799, backwards) == ()
    assert [visit.dwell_s for visit in release.due(1800, backwards)] == [600] + [0] * 9
    assert release.held == ()


def test_a_batch_waits_for_the_quarter_of_an_hour() -> None:
    release = finished(Release(ReleaseRules(), now_s=0), *[60.0] * 30)
    assert release.due(899.9, backwards) == ()
    assert len(release.due(900, backwards)) == 30


def test_after_a_long_silence_the_quarters_stay_where_they_were() -> None:
    release = Release(ReleaseRules(), now_s=0)
    assert release.due(900 * 5 + 1, backwards) == ()
    finished(release, *[60.0] * 10)
    assert release.due(900 * 6 - 1, backwards) == ()
    assert len(release.due(900 * 6, backwards)) == 10


def test_held_visits_go_on_after_a_restart() -> None:
    before = finished(Release(ReleaseRules(), now_s=0), *[60.0] * 9)
    after = finished(Release(ReleaseRules(), now_s=50, held=before.held), 60)
    assert len(after.due(950, backwards)) == 10


def test_fine_release_is_at_once_and_to_the_second() -> None:
    release = finished(Release(ReleaseRules(fine=True), now_s=0), 61.4, 300.6)
    assert [visit.dwell_s for visit in release.due(1, backwards)] == [61, 301]
    assert release.due(2, backwards) == ()


@given(st.lists(st.floats(0, 8000), max_size=60), st.randoms(use_true_random=False))
def test_a_release_is_a_permutation_of_rounded_visits_or_nothing(
    dwells_s: list[float], chance: object
) -> None:
    release = finished(Release(ReleaseRules(), now_s=0), *dwells_s)
    rounded = Counter(visit.dwell_s for visit in release.held)
    released = release.due(900, lambda n: chance.sample(range(n), n))  # type: ignore[attr-defined]
    assert len(released) in (0, len(dwells_s))
    assert len(released) == 0 or len(released) >= 10
    assert Counter(visit.dwell_s for visit in (*released, *release.held)) == rounded
    assert set(rounded) <= set(DWELL_BUCKETS_S)
