"""Cells to values, exactly or not at all: each function raises `BadValue` whose text is the reason, never the input."""

import re
from datetime import datetime
from decimal import Context, Decimal

from tallystick.kernel.clock import bounded
from tallystick.kernel.money import MAX_INTEGER_DIGITS

MAX_PRICE_DECIMALS = 12
MAX_QUANTITY_DECIMALS = 12
MAX_QUANTITY_DIGITS = 18
"""The bounds of prices (CONTRACT §2) and quantities are those of every other door into the event store."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_NOT_FINITE = re.compile(r"[+-]?(?:s?nan[0-9]*|inf(?:inity)?)", re.IGNORECASE)
_INSTANT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_WIDE = Context(prec=200)
_FURTHEST_EXPONENT = 60


class BadValue(ValueError):
    """Why a cell cannot be read; the message completes "<column> …"."""


def number(text: str) -> Decimal:
    """The exact decimal that `text` writes, without padding zeros (0.0080 and 8E-3 are both 0.008)."""
    if _NOT_FINITE.fullmatch(text):
        raise BadValue("is not a finite number")
    if not _NUMBER.fullmatch(text):
        raise BadValue("is not a number; write digits with a decimal point")
    value = Decimal(text)
    if abs(value.adjusted()) > _FURTHEST_EXPONENT:
        raise BadValue("is out of range")
    value = value.normalize(_WIDE)
    if value.is_zero():
        return Decimal(0)
    return value.quantize(Decimal(1), context=_WIDE) if _exponent(value) > 0 else value


def decimals(value: Decimal) -> int:
    """Digits after the point."""
    return max(0, -_exponent(value))


def quantity(text: str) -> Decimal:
    """A quantity of usage: not negative, below 10^18, at most 12 decimals."""
    return _bounded(number(text), MAX_QUANTITY_DECIMALS, MAX_QUANTITY_DIGITS)


def unit_price(text: str) -> Decimal:
    """A price of one unit: not negative, below 10^15, at most 12 decimals."""
    return _bounded(number(text), MAX_PRICE_DECIMALS, MAX_INTEGER_DIGITS)


def instant(text: str, *, naive_is_utc: bool) -> datetime:
    """A UTC instant from an ISO 8601 date and time, with or without seconds.

    `naive_is_utc` says that the format defines its times as UTC without writing a zone; otherwise a zone is required.
    """
    found = _INSTANT.fullmatch(text)
    if not found:
        raise BadValue("is not a date and time like 2024-09-01T00:00:00Z")
    if found["zone"] is None and not naive_is_utc:
        raise BadValue("has no zone; this format writes UTC times with a Z")
    try:
        moment = datetime.fromisoformat(
            f"{found['day']}T{found['time']}{(found['zone'] or 'Z').replace('Z', '+00:00')}"
        )
        return bounded(moment)
    except (ValueError, OverflowError):
        raise BadValue("is not a date and time that exists") from None


def _bounded(value: Decimal, places: int, digits: int) -> Decimal:
    if value < 0:
        raise BadValue("is negative; enter a correction as a credit")
    if value.adjusted() >= digits:
        raise BadValue(f"has more than {digits} digits before the point")
    if decimals(value) > places:
        raise BadValue(f"has more than {places} decimals")
    return value


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
