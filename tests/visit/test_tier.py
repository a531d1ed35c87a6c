"""The running tier's chores, with a real key ring and a real store."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from edge.adapters import keys, tflite
from edge.core.values import Moment
from edge.ports import AdapterError
from edge.visit.tier import SWAP_CHECK_S, VisitTier
from tests.adapters.test_keys import fake_root
from tests.privacy import people
from tests.visit.test_visitors import opened, passer

FACES = cast(tflite.FaceDetector, None)  # no chore looks at anything


def tier(plain_swap: bool) -> VisitTier:
    visitors = opened(None)
    (anna,) = people(np.random.default_rng(1), 1)
    visitors.entered(passer(anna, 1))
    embedder = cast(tflite.Embedder, SimpleNamespace())
    return VisitTier(
        {"door": visitors}, FACES, FACES, embedder, {}, None, threading.Event(), plain_swap, checked_s=0.0
    )


@pytest.mark.parametrize("allowed", [False, True])
def test_a_swap_that_is_made_later_ends_the_tier_and_every_key(
    allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boards that make their swap file once they run have none yet when the daemon starts."""
    running, published = tier(allowed), list[object]()
    root = fake_root(tmp_path, "/var/swap")
    monkeypatch.setattr(keys, "refuse_plain_swap", partial(keys.refuse_plain_swap, root))
    running.chore(lambda *visits: published.append(visits), Moment(1, SWAP_CHECK_S - 1, 0))
    assert len(running.groups["door"]) == 1
    if allowed:
        running.chore(lambda *visits: published.append(visits), Moment(2, SWAP_CHECK_S, 0))
        assert len(running.groups["door"]) == 1
        return
    with pytest.raises(AdapterError, match="the swap on /var/swap"):
        running.chore(lambda *visits: published.append(visits), Moment(2, SWAP_CHECK_S, 0))
    assert len(running.groups["door"]) == 0


def test_whoever_asks_to_forget_while_the_daemon_starts_is_heard_at_the_first_chore() -> None:
    running = tier(plain_swap=True)
    running.forget_requested.set()
    running.chore(lambda *visits: None, Moment(1, 2.0, 0))
    assert len(running.groups["door"]) == 0
    assert not running.forget_requested.is_set()
