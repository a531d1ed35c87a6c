"""The rate that is asked for is the rate that comes out."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core.pacing import Pacer


@pytest.mark.parametrize(("jitter", "fps_max", "expected"), [(0.0, 10, 100), (0.02, 10, 100), (0.0, 15, 150)])
def test_the_pacer_holds_the_rate_on_average_whatever_the_jitter(
    jitter: float, fps_max: float, expected: int
) -> None:
    rng = np.random.default_rng(7)
    pacer = Pacer(fps_max)
    times = np.sort(np.arange(300) / 30 + rng.uniform(-jitter, jitter, 300))
    assert sum(pacer.due(float(at_s)) for at_s in times) == pytest.approx(expected, abs=6)
