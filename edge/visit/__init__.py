"""Tier `visit`: all that can see a face. In tier `count` nothing of this package is imported."""
