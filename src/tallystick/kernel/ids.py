"""Identifiers. Time-ordered so that indexes grow at one end (RFC 9562 §5.7); chance and time come in as arguments."""

from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def uuid7(milliseconds: int, chance: bytes) -> UUID:
    """A version 7 UUID from Unix milliseconds and ten random bytes."""
    if len(chance) != 10:
        raise ValueError("uuid7 needs ten random bytes")
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(chance, "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)


def text_id(prefix: str, value: UUID) -> str:
    """A string id that reads well and sorts by time: `acc_06cy…` (Crockford base 32, 26 digits)."""
    number = value.int
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"
