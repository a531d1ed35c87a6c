"""Fixtures that need a broker."""

from tests.broker import broker, subscriber

__all__ = ["broker", "subscriber"]
