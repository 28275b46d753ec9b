"""Tallystick: a billing engine whose every cent is provable."""

__version__ = "0.1.0"
