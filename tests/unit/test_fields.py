"""Request fields keep every digit or say what is wrong."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tallystick.platform.http.fields import Amount, Currency, Day, Instant, Quantity, UnitPrice


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (Quantity, Decimal("123456789012345678.123456789012"), "123456789012345678.123456789012"),
        (Quantity, "1e5", None),
        (Quantity, Decimal("1E+5"), "100000"),
        (Quantity, "0.0000000000001", None),
        (Quantity, Decimal("1.00000000000000000000000000001"), None),
        (Quantity, -1, None),
        (Quantity, True, None),
        (Quantity, 1.5, None),
        (Quantity, "١٢", None),
        (Quantity, "1_000", None),
        (Quantity, Decimal("NaN"), None),
        (Quantity, Decimal("Infinity"), None),
        (Quantity, 10**18, None),
        (UnitPrice, "0.000000000001", "0.000000000001"),
        (Amount, 58, "58"),
        (Amount, "29.99", "29.99"),
        (Amount, Decimal("29.99999"), None),
        (Amount, "-0", "0"),
        (Currency, "USD", "USD"),
        (Currency, "usd", None),
        (Currency, "XXX", None),
        (Day, "2024-02-30", None),
        (Day, "2024-02-29", "2024-02-29"),
        (Instant, "2024-01-01T00:00:00", None),
        (Instant, "2024-01-01T00:00:00+02:00", "2023-12-31 22:00:00+00:00"),
        (Instant, "9999-12-31T23:59:59-14:00", None),
        (Instant, 1704067200, None),
    ],
)
def test_kept_or_refused(kind: Any, given: object, kept: str | None) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    if kept is None:
        with pytest.raises(ValidationError):
            adapter.validate_python(given)
    else:
        value = adapter.validate_python(given)
        assert (
            (Decimal(kept) == value and f"{value:f}" == kept)
            if isinstance(value, Decimal)
            else str(value) == kept
        )
