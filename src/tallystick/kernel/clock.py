"""Instants: always aware, always UTC inside. Nothing here asks the machine for the time."""

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(
    r"^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant with offset, as UTC; microseconds kept, finer digits cut. Raises `ValueError` saying why."""
    match = _RFC3339.match(text)
    if match is None:
        if re.match(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?\Z", text, re.ASCII):
            raise ValueError("needs an offset, as in 2024-01-01T00:00:00Z")
        raise ValueError("must be an RFC 3339 time with offset, as in 2024-01-01T00:00:00Z")
    fraction = (match[7] or "")[:6]
    offset = "+00:00" if match[8] in "Zz" else match[8]
    leap = match[6] == "60"
    seconds = "59" if leap else match[6]
    plain = f"{match[1]}-{match[2]}-{match[3]}T{match[4]}:{match[5]}:{seconds}"
    try:
        instant = datetime.fromisoformat(f"{plain}.{fraction.ljust(6, '0')}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time that exists") from None
    return bounded(instant)


def bounded(instant: datetime) -> datetime:
    """`instant` as UTC where it lies in 1970..9000; raises `ValueError` otherwise, or where it is naive."""
    if instant.tzinfo is None:
        raise ValueError("needs an offset, as in 2024-01-01T00:00:00Z")
    try:
        utc = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None
    if not EARLIEST <= utc < LATEST:
        raise ValueError("must lie between 1970 and 9000")
    return utc


def rfc3339(instant: datetime) -> str:
    """The instant as we write it: UTC with `Z`, fractions only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
