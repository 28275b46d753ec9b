"""Where time and chance enter the house. Entry points call these and pass the values inwards."""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID

from tallystick.kernel.ids import text_id, uuid7


def system_now() -> datetime:
    """The machine's clock, UTC, to the microsecond."""
    return datetime.now(UTC)


def new_uuid() -> UUID:
    """A time-ordered UUID version 7."""
    return uuid7(time.time_ns() // 1_000_000, secrets.token_bytes(10))


def new_id(prefix: str) -> str:
    """A fresh string id such as `acc_06cy…`."""
    return text_id(prefix, new_uuid())
