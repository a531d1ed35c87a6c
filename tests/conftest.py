"""What all tests share: hypothesis without wall-clock limits, and in CI with the same examples every time.
Tests that need the reference clips and faces are skipped where these are not."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.bench.clips import SHARED

CI = bool(os.environ.get("CI"))
settings.register_profile(
    "edged", deadline=None, derandomize=CI, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("edged")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("shared") and not (SHARED / "data/clips.json").exists():
        pytest.skip(f"no reference clips and faces in {SHARED}: EDGED_SHARED=DIR says where they are")
