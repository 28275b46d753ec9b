"""One history of the schema for all contexts; `tallystick migrate` and `alembic upgrade head` walk it."""
