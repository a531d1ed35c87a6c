"""Statistics for the face hash's privacy claims: how linkable scores are, and faces drawn from a model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.core.facehash import SEED_BYTES, Floats, Projection, Scheme, projection
from edge.core.values import FaceHash

SCHEME = Scheme(
    install_id="shop/door", model_sha256="ab" * 32, dimensions=128, bits=512, camera_group="entrance"
)


def seed(rng: np.random.Generator) -> bytearray:
    return bytearray(rng.bytes(SEED_BYTES))


def project(rng: np.random.Generator, scheme: Scheme = SCHEME, epoch: int = 0) -> Projection:
    return projection(epoch, seed(rng), scheme)


def unit(vectors: NDArray[np.floating]) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def people(rng: np.random.Generator, count: int, dimensions: int = 128) -> Floats:
    """Templates of different people: directions with no relation to each other."""
    return unit(rng.standard_normal((count, dimensions)))


def seen_again(rng: np.random.Generator, templates: Floats, cosine: float = 0.8) -> Floats:
    """The same people on another occasion, each at about this cosine from before."""
    noise = unit(rng.standard_normal(templates.shape))
    noise = unit(noise - (noise * templates).sum(axis=1, keepdims=True) * templates)
    return unit(cosine * templates + np.sqrt(1 - cosine**2) * noise)


def distance(first: FaceHash, second: FaceHash) -> int:
    return int(np.bitwise_count(first.words ^ second.words).sum())


def linkability(mated: NDArray[np.integer], non_mated: NDArray[np.integer], bins: int = 16) -> float:
    """D_sys of Gomez-Barrero et al. 2018 (ISO/IEC 30136) with equal priors: 0 unlinkable, 1 fully linkable.

    Scores go into bins of equal mass, so that each likelihood ratio rests on as many scores. The estimate
    cannot be negative, so with finite scores it is above 0 even if there is nothing: compare with `null`.
    """
    edges = np.quantile(np.concatenate([mated, non_mated]), np.linspace(0, 1, bins + 1)[1:-1])
    p = np.bincount(np.searchsorted(edges, mated), minlength=bins) / len(mated)
    q = np.bincount(np.searchsorted(edges, non_mated), minlength=bins) / len(non_mated)
    total = np.maximum(p + q, 1e-12)
    return float((p * np.maximum(0, (p - q) / total)).sum())


def null(rng: np.random.Generator, first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """The same figure when the labels mean nothing: its median over 20 permutations."""
    scores = np.concatenate([first, second])
    shuffled = (rng.permutation(scores) for _ in range(20))
    return float(np.median([linkability(s[: len(first)], s[len(first) :]) for s in shuffled]))
