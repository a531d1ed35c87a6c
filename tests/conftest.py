"""What all tests share: hypothesis without wall-clock limits, for machines that are busy."""

from hypothesis import HealthCheck, settings

settings.register_profile("edged", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edged")
