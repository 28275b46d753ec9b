"""A month of our own making, so that the first bill needs no file: six customers, three currencies, every charge model."""

from tallystick.sample.month import sample_month

__all__ = ["sample_month"]
