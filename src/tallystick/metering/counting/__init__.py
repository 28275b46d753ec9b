"""Counting: from a slice of events to its exact total, by the statement that its kind of total needs."""
