"""The selling company: whose numbers, ledger, taxes and time zone a document carries."""

from dataclasses import dataclass

DEFAULT_ID = 1
"""The entity that every installation is born with."""

TEST_ID = 2
"""The entity of accounts on a test clock: numbers and ledger of its own."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One selling company. `timezone` is an IANA name; delays are seconds after a period's end before it is billed."""

    id: int
    code: str
    name: str
    currency: str
    timezone: str
    country: str | None
    is_test: bool
    rounding: str
    tax_rounding: str
    fee_close_delay_seconds: int
    usage_close_delay_seconds: int
    net_terms_days: int
    tax_point: str
    prices_include_tax: bool
    revision: int
