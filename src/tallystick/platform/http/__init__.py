"""The HTTP conventions of CONTRACT §2, written once: envelope, errors, fields, routes, idempotency, the edge."""
