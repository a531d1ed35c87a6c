"""FH-1: from a track's face embeddings to a keyed binary code, and from codes to their distances.

1. A track is hashed, not a frame: its samples are fused into one template.
2. The code is the signs of the template under a secret orthonormal projection. Only the key protects: without
   it a code is noise, with it a code is as good as the embedding. So a code lives no longer than its key.
3. What is kept is bits; what is looked for need not be. A probe keeps how sure it is of each bit, and a bit
   that differs counts by that (asymmetric distance; Dong, Charikar, Li 2008; Gordo et al. 2014).
4. Every buffer that held a key, a projection or a code belongs to this file and can be wiped. That is why the
   linear algebra is plain numpy: BLAS and LAPACK keep copies of what they worked on.

The secret is random orthonormal, as in BioHashing (Teoh, Goh, Ngo 2006): exactly orthogonal rows lose less
accuracy than independent Gaussian ones (super-bit hashing, Ji et al. 2012). Keys: HKDF-SHA256 (RFC 5869);
keystream: ChaCha20 (RFC 8439); Haar measure: QR whose R has a positive diagonal (Mezzadri 2007).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from edge.core.values import FaceHash, FaceProbe

Floats = NDArray[np.float32]
Codes = NDArray[np.uint64]

SEED_BYTES = 32
KEY_BYTES = 32


class Purpose(str, Enum):
    """What a key is for; one seed gives one key for each."""

    PROJECTION = "projection"
    SEALING = "sealing"


@dataclass(frozen=True, slots=True)
class Scheme:
    """All that a key is bound to. Codes of different schemes cannot be compared, even under one seed."""

    install_id: str
    model_sha256: str
    dimensions: int
    bits: int
    camera_group: str

    def __post_init__(self) -> None:
        if self.dimensions < 2 or self.bits % self.dimensions or self.bits % 64:
            raise ValueError("the code's bits must be a multiple of 64 and of the embedding's dimensions")


def derive_key(seed: bytearray | memoryview, scheme: Scheme, purpose: Purpose) -> bytearray:
    """The 32-byte key of one purpose from an epoch's 32-byte seed; the caller wipes it."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes")
    shape = f"{scheme.dimensions}|{scheme.bits}"
    info = f"fh1|{purpose.value}|{scheme.model_sha256}|{shape}|{scheme.camera_group}".encode()
    key = bytearray(KEY_BYTES)
    HKDF(SHA256(), KEY_BYTES, salt=scheme.install_id.encode(), info=info).derive_into(seed, key)
    return key


class Projection:
    """The secret projection of one epoch: template -> code. Owns its rows, (bits, dimensions) float32."""

    __slots__ = ("_dots", "_rows", "_signs", "epoch")

    def __init__(self, epoch: int, rows: Floats) -> None:
        self.epoch = epoch
        self._rows = rows
        self._dots = np.zeros(len(rows), np.float32)
        self._signs = np.zeros(len(rows), bool)

    def hash(self, template: Floats) -> FaceHash:
        """The code of a template of shape (dimensions,); the caller wipes the code after use."""
        code = self._project(template)
        _wipe(self._dots)
        return code

    def probe(self, template: Floats) -> FaceProbe:
        """The same, to be looked for among codes; the caller wipes it after use."""
        code = self._project(template)
        weights = np.abs(self._dots)
        weights /= max(float(weights.mean()), 1e-12)
        _wipe(self._dots)
        return FaceProbe(code, weights)

    def _project(self, template: Floats) -> FaceHash:
        """The code; the values that it is the signs of are left in `_dots`, for the caller to wipe."""
        np.einsum("ld,d->l", self._rows, template, out=self._dots)
        np.greater(self._dots, 0, out=self._signs)
        words = np.packbits(self._signs, bitorder="little").view(np.uint64)
        _wipe(self._signs)
        return FaceHash(self.epoch, words)

    def wipe(self) -> None:
        """Forget the projection; codes made under it can never be matched again."""
        _wipe(self._rows, self._dots, self._signs)

    def __repr__(self) -> str:
        return f"Projection(epoch={self.epoch}, bits={len(self._rows)})"


def projection(epoch: int, seed: bytearray | memoryview, scheme: Scheme) -> Projection:
    """The epoch's projection: Haar-random orthonormal blocks of (dimensions, dimensions), stacked."""
    key = derive_key(seed, scheme, Purpose.PROJECTION)
    gaussians = _gaussians(key, scheme.bits * scheme.dimensions)
    blocks = gaussians.reshape(-1, scheme.dimensions, scheme.dimensions)
    key[:] = bytes(KEY_BYTES)
    for block in blocks:
        _orthonormalise(block)
    rows = blocks.reshape(scheme.bits, scheme.dimensions).astype(np.float32)
    _wipe(blocks)
    return Projection(epoch, rows)


def _gaussians(key: bytearray, count: int) -> NDArray[np.float64]:
    """`count` (even) standard normal numbers from the key's ChaCha20 keystream, by Box and Muller."""
    stream = bytearray(8 * count)
    Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update_into(bytes(8 * count), stream)
    words = np.frombuffer(stream, "<u8")
    words >>= 11  # 53 bits, as many as a float64 holds
    normal = words.astype(np.float64)
    _wipe(words)
    normal += 0.5  # never 0, whose logarithm is infinite
    normal *= 2.0**-53
    radius, angle = normal[: count // 2], normal[count // 2 :]
    np.sqrt(np.multiply(np.log(radius, out=radius), -2, out=radius), out=radius)
    angle *= 2 * math.pi
    cosine = np.cos(angle)
    np.sin(angle, out=angle)
    angle *= radius
    radius *= cosine
    _wipe(cosine)
    return normal


def _orthonormalise(block: NDArray[np.float64]) -> None:
    """Rows made orthonormal in place, by Gram and Schmidt done twice, which is enough (Giraud et al. 2005).

    It is the QR decomposition whose R has a positive diagonal, so Gaussian rows become Haar-distributed.
    """
    for index, row in enumerate(block):
        done = block[:index]
        for _ in range(2):
            row -= np.einsum("id,i->d", done, np.einsum("id,d->i", done, row))
        row /= math.sqrt(np.einsum("d,d->", row, row))


def fuse(samples: Floats, mean: Floats) -> Floats:
    """One unit template (dimensions,) from a track's embeddings (n, dimensions), n >= 1, any lengths; the
    caller wipes both.

    `mean` is what all faces share, a direction that wastes bits. Estimated from few people it carries their
    faces and costs accuracy: then zeros are better.
    Raises ValueError if the samples cancel out or are not numbers.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", samples, samples))  # np.linalg.norm leaves the squares behind
    unit = samples / lengths[:, None]
    template = np.asarray(unit.mean(axis=0), np.float32)
    _wipe(unit)
    template -= mean
    length = math.sqrt(np.einsum("d,d->", template, template))
    if not (math.isfinite(length) and length > 1e-6):
        raise ValueError("the face samples do not give a template")
    template /= length
    return template


def distances(codes: Codes, probe: Codes) -> NDArray[np.uint16]:
    """Hamming distances (n,) of a probe (words,) to codes stored by column: shape (words, n), C order."""
    apart, bits = np.empty(codes.shape[1], np.uint64), np.empty(codes.shape, np.uint8)
    for stored, own, count in zip(codes, probe[:, None], bits, strict=True):
        np.bitwise_count(np.bitwise_xor(stored, own, out=apart), out=count)
    _wipe(apart)  # from a free column, which is zero, the probe differs by itself
    counts: NDArray[np.uint16] = np.add.reduce(bits, dtype=np.uint16)
    return counts


def weighed(codes: Codes, columns: NDArray[np.intp], probe: FaceProbe) -> Floats:
    """Asymmetric distances (n,) in bits of a probe to some of the codes, which are as for `distances`.

    Of two faces whose cosine is c, bits * (1 - c) / 2 is expected. With one side known exactly it is less
    noisy than the count of the bits that differ.
    """
    apart = np.empty((len(codes), len(columns)), np.uint64)
    for stored, own, difference in zip(codes, probe.code.words[:, None], apart, strict=True):
        np.take(
            stored, columns, out=difference, mode="clip"
        )  # another mode, or all words at once, leaves a copy
        np.bitwise_xor(difference, own, out=difference)
    by_code = np.ascontiguousarray(apart.T)
    bits = np.unpackbits(by_code.view(np.uint8), axis=1, bitorder="little")
    total: Floats = np.einsum("nb,b->n", bits, probe.weights)
    _wipe(apart, by_code, bits)
    return total


def _wipe(*buffers: NDArray[np.generic]) -> None:
    for buffer in buffers:
        buffer.fill(0)
