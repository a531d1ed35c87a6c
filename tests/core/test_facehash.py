"""The face hash: keyed, orthonormal, good at telling people apart under one key, and shy about itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.facehash import (
    Floats,
    Projection,
    Purpose,
    Scheme,
    derive_key,
    distances,
    fuse,
    projection,
    weighed,
)
from edge.core.values import FaceHash, FaceProbe
from tests.privacy import SCHEME, distance, people, project, seed, seen_again

SEED = bytearray(range(32))


def rows(made: Projection) -> np.ndarray:
    return made._rows.astype(np.float64)


def test_keys_are_hkdf_sha256_over_everything_they_are_bound_to() -> None:
    """Recomputed from RFC 5869 with the standard library."""
    info = f"fh1|sealing|{SCHEME.model_sha256}|128|512|entrance".encode()
    pseudo_random = hmac.digest(b"shop/door", SEED, hashlib.sha256)
    expected = hmac.digest(pseudo_random, info + b"\1", hashlib.sha256)
    assert derive_key(SEED, SCHEME, Purpose.SEALING) == expected


def test_the_two_purposes_have_different_keys() -> None:
    assert derive_key(SEED, SCHEME, Purpose.SEALING) != derive_key(SEED, SCHEME, Purpose.PROJECTION)


@pytest.mark.parametrize(
    "change",
    [
        {"install_id": "shop/back"},
        {"model_sha256": "cd" * 32},
        {"bits": 1024},
        {"dimensions": 64},
        {"camera_group": "back"},
    ],
)
def test_a_key_changes_with_every_part_of_its_scheme(change: dict[str, str | int]) -> None:
    other = replace(SCHEME, **change)  # type: ignore[arg-type]
    for purpose in Purpose:
        assert derive_key(SEED, SCHEME, purpose) != derive_key(SEED, other, purpose)


def test_a_seed_of_the_wrong_length_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="a seed has 32 bytes") as caught:
        derive_key(SEED[:31], SCHEME, Purpose.SEALING)
    assert bytes(SEED[:31]).hex() not in str(caught.value)


@pytest.mark.parametrize(("dimensions", "bits"), [(128, 500), (128, 96), (1, 64), (96, 512)])
def test_a_scheme_that_does_not_fill_its_words_and_blocks_is_refused(dimensions: int, bits: int) -> None:
    with pytest.raises(ValueError, match="multiple of 64"):
        Scheme("a", "b", dimensions, bits, "c")


def test_every_block_of_the_projection_is_orthonormal() -> None:
    for block in rows(projection(1, SEED, SCHEME)).reshape(4, 128, 128):
        np.testing.assert_allclose(block @ block.T, np.eye(128), atol=2e-6)


def test_the_projection_is_the_sign_corrected_qr_of_the_keystream_as_gaussians() -> None:
    """Recomputed with LAPACK's QR, column by column, from the keystream itself."""
    key = bytes(derive_key(SEED, SCHEME, Purpose.PROJECTION))
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(8 * 512 * 128))
    uniform = ((np.frombuffer(stream, "<u8") >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53
    radius, angle = np.sqrt(-2 * np.log(uniform[: 256 * 128])), 2 * math.pi * uniform[256 * 128 :]
    gaussians = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).reshape(4, 128, 128)
    blocks = rows(projection(1, SEED, SCHEME)).reshape(4, 128, 128)
    for block, gaussian in zip(blocks, gaussians, strict=True):
        q, r = np.linalg.qr(gaussian.T)
        np.testing.assert_allclose(block, (q * np.sign(np.diag(r))).T, atol=1e-5)


def test_the_projection_s_gaussians_are_gaussian() -> None:
    """An orthonormal block's entries times sqrt(d): mean 0, variance 1, and Gaussian tails."""
    entries = rows(projection(1, SEED, SCHEME)).ravel() * math.sqrt(128)
    assert abs(entries.mean()) < 0.02
    assert abs(entries.var() - 1) < 1e-4
    assert abs((np.abs(entries) > 1.96).mean() - 0.05) < 0.005


def test_the_same_seed_gives_the_same_code_and_another_seed_an_unrelated_one() -> None:
    rng = np.random.default_rng(1)
    template = people(rng, 1)[0]
    first = projection(1, SEED, SCHEME).hash(template)
    assert distance(first, projection(1, SEED, SCHEME).hash(template)) == 0
    assert abs(distance(first, project(rng).hash(template)) - 256) < 80


def test_the_code_s_distance_measures_the_angle_between_templates() -> None:
    """Each bit differs with probability angle / pi (Goemans and Williamson 1995)."""
    rng = np.random.default_rng(2)
    made = project(rng)
    for cosine in (0.95, 0.8, 0.5, 0.0):
        before = people(rng, 100)
        after = seen_again(rng, before, cosine)
        apart = [distance(made.hash(a), made.hash(b)) for a, b in zip(before, after, strict=True)]
        assert np.mean(apart) == pytest.approx(512 * math.acos(cosine) / math.pi, abs=5)


def test_a_person_is_nearer_to_themselves_than_to_anyone_else() -> None:
    rng = np.random.default_rng(3)
    made, before = project(rng), people(rng, 200)
    codes = np.stack([made.hash(template).words for template in before], axis=1)
    found = [int(distances(codes, made.hash(probe).words).argmin()) for probe in seen_again(rng, before)]
    assert found == list(range(200))


def sought(made: Projection, before: Floats, probe: Floats) -> Floats:
    codes = np.stack([made.hash(template).words for template in before], axis=1)
    return weighed(codes, np.arange(len(before)), made.probe(probe))


def test_the_weighed_distance_measures_the_cosine() -> None:
    """bits * (1 - c) / 2, of one probe and many codes."""
    rng = np.random.default_rng(8)
    made, probe = project(rng), people(rng, 1)[0]
    for cosine in (0.95, 0.8, 0.5, 0.0):
        found = sought(made, seen_again(rng, np.repeat(probe[None], 200, axis=0), cosine), probe)
        assert found.mean() == pytest.approx(512 * (1 - cosine) / 2, abs=4)


def test_the_weighed_distance_is_less_noisy_than_the_bits_that_differ() -> None:
    """By the separation of two people, in standard deviations, it is worth about half as many bits again."""
    rng = np.random.default_rng(9)
    made, probe = project(rng), people(rng, 1)[0]
    seen = [seen_again(rng, np.repeat(probe[None], 2000, axis=0), cosine) for cosine in (0.0, 0.5)]
    codes = [np.stack([made.hash(one).words for one in ones], axis=1) for ones in seen]
    face, columns = made.probe(probe), np.arange(2000)
    counted = [distances(ones, face.code.words).astype(float) for ones in codes]
    weights = [weighed(ones, columns, face).astype(float) for ones in codes]
    apart = [(a.mean() - b.mean()) / math.hypot(a.std(), b.std()) for a, b in (counted, weights)]
    assert apart[1] > 1.2 * apart[0]


def test_a_bit_that_the_probe_is_unsure_of_hardly_counts() -> None:
    codes = np.array([[0b01, 0b10]], np.uint64)
    face = FaceProbe(FaceHash(0, np.array([0], np.uint64)), np.array([1.9, 0.1] + [1.0] * 62, np.float32))
    assert weighed(codes, np.array([0, 1]), face).tolist() == pytest.approx([1.9, 0.1])


def test_some_columns_are_weighed_in_the_order_asked_and_none_is_changed() -> None:
    rng = np.random.default_rng(10)
    made, before = project(rng), people(rng, 5)
    codes = np.stack([made.hash(template).words for template in before], axis=1)
    kept, face = codes.copy(), made.probe(before[3])
    both = weighed(codes, np.array([4, 3]), face)
    assert (both[1], codes.tolist()) == (0.0, kept.tolist())
    assert both[0] == weighed(codes, np.array([4]), face)[0] > 100
    assert weighed(codes, np.array([], int), face).shape == (0,)


CODE = st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=3)


@given(st.lists(CODE, min_size=1, max_size=20), CODE)
def test_distances_count_the_bits_that_differ(columns: list[list[int]], probe: list[int]) -> None:
    codes = np.ascontiguousarray(np.array(columns, np.uint64).T)
    expected = [sum((a ^ b).bit_count() for a, b in zip(c, probe, strict=True)) for c in columns]
    assert distances(codes, np.array(probe, np.uint64)).tolist() == expected


def test_fusing_takes_the_direction_of_the_samples_and_not_their_lengths() -> None:
    rng = np.random.default_rng(4)
    person, mean = people(rng, 1)[0], np.zeros(128, np.float32)
    samples = seen_again(rng, np.repeat(person[None], 8, axis=0), 0.7)
    stretched = samples * rng.uniform(0.1, 30, (8, 1)).astype(np.float32)
    np.testing.assert_allclose(fuse(samples, mean), fuse(stretched, mean), atol=1e-5)
    assert fuse(samples, mean) @ person > max(samples @ person)


def test_fusing_removes_what_all_faces_share() -> None:
    rng = np.random.default_rng(5)
    shared = people(rng, 1)[0]
    alike = 0.9 * shared + 0.44 * people(rng, 50)
    templates = np.stack([fuse(one[None], 0.9 * shared) for one in alike])
    assert np.abs(np.mean(templates @ templates.T) - 1 / 50) < 0.02


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("samples", [[[1, 0], [-1, 0]], [[0, 0]], [[float("nan"), 1]]])
def test_samples_without_a_direction_are_refused(samples: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="do not give a template"):
        fuse(np.array(samples, np.float32), np.zeros(2, np.float32))


def test_a_wiped_projection_has_forgotten_and_hashes_everyone_alike() -> None:
    rng = np.random.default_rng(6)
    made = project(rng)
    made.wipe()
    assert not rows(made).any()
    assert not any(made.hash(template).words.any() for template in people(rng, 3))


def spellings(secret: bytes) -> list[str]:
    words = np.frombuffer(secret[: len(secret) // 8 * 8], np.uint64)
    return [secret.hex(), base64.b64encode(secret).decode(), repr(secret), *(str(word) for word in words)]


@settings(max_examples=50)
@given(st.binary(min_size=64, max_size=64), st.integers(0, 9))
def test_a_hash_never_shows_its_code(code: bytes, epoch: int) -> None:
    shy = FaceHash(epoch, np.frombuffer(code, np.uint64))
    for shown in (repr(shy), str(shy), f"{shy}", repr([shy]), repr(ValueError(shy)), f"{shy!r:>200}"):
        assert not [spelling for spelling in spellings(code) if len(spelling) > 2 and spelling in shown]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_a_projection_never_shows_its_rows(number: int) -> None:
    made = project(np.random.default_rng(number))
    assert repr(made) == "Projection(epoch=0, bits=512)"
    assert repr([made]) == "[Projection(epoch=0, bits=512)]"


def test_seeds_are_not_kept_by_what_was_made_from_them() -> None:
    own = seed(np.random.default_rng(7))
    made = projection(0, own, SCHEME)
    own[:] = bytes(32)
    assert rows(made).any()
