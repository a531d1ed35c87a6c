"""A process's memory image, and a search in it for secrets of at least eight bytes at any alignment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

SIEVE = np.uint64(0xFFFFFF)


def image(pid: int) -> Iterator[bytes]:
    """Everything that a process could have written to: its heap, stacks, buffers and shared memory."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, flags, *_ = line.split()
            begin, end = (int(part, 16) for part in span.split("-"))
            if not flags.startswith("rw"):
                continue
            memory.seek(begin)
            yield memory.read(end - begin)


def found(regions: Iterable[bytes], secrets: Iterable[bytes]) -> set[bytes]:
    """Those secrets of which any aligned piece of eight bytes is in one of the regions."""
    return set(copies(regions, secrets))


def copies(regions: Iterable[bytes], secrets: Iterable[bytes]) -> Counter[bytes]:
    """How many aligned pieces of eight bytes of each secret are in the regions: a whole copy of one of n
    bytes counts n / 8."""
    piece_of = {secret[at : at + 8]: secret for secret in secrets for at in range(0, len(secret) - 7, 8)}
    pieces = np.array(sorted(int.from_bytes(piece, "little") for piece in piece_of), np.uint64)
    common = np.zeros(1 << 24, bool)
    common[pieces & SIEVE] = True  # most memory ends differently
    hits: Counter[bytes] = Counter()
    for region in regions:
        for shift in range(min(8, len(region))):
            words = np.frombuffer(region, "<u8", (len(region) - shift) // 8, shift)
            candidates = words[common[words & SIEVE]]
            nearest = pieces[np.searchsorted(pieces, candidates).clip(max=len(pieces) - 1)]
            hits.update(
                piece_of[int(word).to_bytes(8, "little")] for word in candidates[candidates == nearest]
            )
    return hits
