"""What the key protects, in figures: codes of different keys say nothing of each other; of one key, all.

Each claim has its counter-test: a weakened key schedule must make the claim's own figure fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge.core.facehash import Projection, projection
from tests.privacy import SCHEME, distance, linkability, null, people, seed, seen_again

PEOPLE_PER_PAIR = 1000
LIMIT = 0.02

KeyPair = Callable[[np.random.Generator], tuple[Projection, Projection]]


def two_epochs(rng: np.random.Generator) -> tuple[Projection, Projection]:
    return projection(1, seed(rng), SCHEME), projection(2, seed(rng), SCHEME)


def two_groups(rng: np.random.Generator) -> tuple[Projection, Projection]:
    shared = seed(rng)
    return projection(1, shared, SCHEME), projection(1, shared, replace(SCHEME, camera_group="back"))


def two_devices(rng: np.random.Generator) -> tuple[Projection, Projection]:
    """Even if both had drawn the same seed."""
    shared = seed(rng)
    return projection(1, shared, SCHEME), projection(1, shared, replace(SCHEME, install_id="shop/back"))


def group_left_out(rng: np.random.Generator) -> tuple[Projection, Projection]:
    """Weakened: the camera group is not in the key."""
    shared = seed(rng)
    return projection(1, shared, SCHEME), projection(1, shared, SCHEME)


def quarter_shared(rng: np.random.Generator) -> tuple[Projection, Projection]:
    """Weakened: one of the four blocks does not depend on the epoch."""
    first, second = two_epochs(rng)
    second._rows[:128] = first._rows[:128]
    return first, second


def scores(rng: np.random.Generator, pair: KeyPair) -> tuple[np.ndarray, np.ndarray]:
    """Distances across ten pairs of keys: of the same person's two codes, and of two people's."""
    mated, non_mated = [], []
    for _ in range(10):
        first, second = pair(rng)
        before = people(rng, PEOPLE_PER_PAIR)
        a = [first.hash(template) for template in before]
        b = [second.hash(template) for template in seen_again(rng, before, 0.9)]
        mated += [distance(x, y) for x, y in zip(a, b, strict=True)]
        non_mated += [distance(x, y) for x, y in zip(a, b[1:] + b[:1], strict=True)]
    return np.array(mated), np.array(non_mated)


@pytest.mark.parametrize("pair", [two_epochs, two_groups, two_devices])
def test_codes_of_different_keys_cannot_be_linked(pair: KeyPair) -> None:
    rng = np.random.default_rng(11)
    mated, non_mated = scores(rng, pair)
    assert linkability(mated, non_mated) <= LIMIT
    assert null(rng, mated, non_mated) <= LIMIT  # else the sample is too small to say so


@pytest.mark.parametrize("pair", [group_left_out, quarter_shared])
def test_a_weakened_key_schedule_is_found_out(pair: KeyPair) -> None:
    mated, non_mated = scores(np.random.default_rng(12), pair)
    assert linkability(mated, non_mated) > 10 * LIMIT


def test_under_one_key_codes_are_linkable_which_is_why_the_key_must_die() -> None:
    mated, non_mated = scores(np.random.default_rng(13), group_left_out)
    assert linkability(mated, non_mated) > 0.99


def test_who_holds_the_key_can_rebuild_the_template() -> None:
    """Not a claim of safety but its absence, kept as a figure: the code's signs times the rows give the
    template's direction back (as Jacques et al. 2013 do for one-bit measurements)."""
    rng = np.random.default_rng(14)
    made = projection(1, seed(rng), SCHEME)
    found = []
    for template in people(rng, 50):
        bits = np.unpackbits(made.hash(template).words.view(np.uint8), bitorder="little").astype(np.float64)
        rebuilt = made._rows.T @ (2 * bits - 1)
        found.append(rebuilt @ template / np.linalg.norm(rebuilt))
    assert np.median(found) > 0.9


def test_without_the_key_the_template_cannot_be_rebuilt() -> None:
    rng = np.random.default_rng(15)
    made, guessed = two_epochs(rng)
    found = []
    for template in people(rng, 200):
        bits = np.unpackbits(made.hash(template).words.view(np.uint8), bitorder="little").astype(np.float64)
        rebuilt = guessed._rows.T @ (2 * bits - 1)
        found.append(rebuilt @ template / np.linalg.norm(rebuilt))
    assert abs(np.mean(found)) < 0.03
    assert np.std(found) == pytest.approx(1 / np.sqrt(128), rel=0.2)  # as for two unrelated directions
