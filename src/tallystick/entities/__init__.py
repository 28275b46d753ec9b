"""The companies that sell."""
