"""What all tests share: hypothesis without wall-clock limits, and in CI with the same examples every time."""

import os

from hypothesis import HealthCheck, settings

CI = bool(os.environ.get("CI"))
settings.register_profile(
    "edged", deadline=None, derandomize=CI, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("edged")
