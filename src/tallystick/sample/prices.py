"""The sample's price list: five meters, one plan per currency, the same structure with each currency's own amounts."""

from dataclasses import dataclass
from decimal import Decimal

from tallystick.billing.importers.dataset import Charge, Meter, Plan

API_CALLS = Meter("sample.api_calls", "API calls", "call")
EGRESS = Meter("sample.egress_gb", "Data sent", "GB")
EMAILS = Meter("sample.emails", "E-mails sent", "e-mail")
STORAGE = Meter("sample.storage_gb", "Storage, highest of the month", "GB", aggregation="max")
USERS = Meter("sample.active_users", "Active users", "user", aggregation="unique", field="user_id")

METERS = (API_CALLS, EGRESS, EMAILS, STORAGE, USERS)


@dataclass(frozen=True, slots=True)
class PriceList:
    """One currency's amounts, as they are written in a price list. Tiers are (up to and including, amount of a unit)."""

    currency: str
    fee: str
    api_calls: tuple[tuple[str | None, str], ...]
    egress: tuple[tuple[str | None, str], ...]
    emails_per_thousand: str
    storage_gb: str
    user: str


PRICE_LISTS = (
    PriceList(
        currency="USD",
        fee="49.00",
        api_calls=(("10000", "0"), ("50000", "0.0009"), (None, "0.00055")),
        egress=(("100", "0.09"), ("250", "0.085"), (None, "0.07")),
        emails_per_thousand="0.85",
        storage_gb="0.023",
        user="1.50",
    ),
    PriceList(
        currency="EUR",
        fee="45.00",
        api_calls=(("10000", "0"), ("50000", "0.00085"), (None, "0.0005")),
        egress=(("100", "0.085"), ("250", "0.08"), (None, "0.065")),
        emails_per_thousand="0.80",
        storage_gb="0.0215",
        user="1.40",
    ),
    PriceList(
        currency="JPY",
        fee="7300",
        api_calls=(("10000", "0"), ("50000", "0.135"), (None, "0.082")),
        egress=(("100", "13.5"), ("250", "12.75"), (None, "10.5")),
        emails_per_thousand="127",
        storage_gb="3.45",
        user="225",
    ),
)


def plans() -> tuple[Plan, ...]:
    """One plan per currency."""
    return tuple(
        Plan(
            code=plan_code(prices.currency),
            name=f"Platform {prices.currency}",
            currency=prices.currency,
            fee=Decimal(prices.fee),
            charges=_charges(prices),
        )
        for prices in PRICE_LISTS
    )


def plan_code(currency: str) -> str:
    """The code of the plan in `currency`."""
    return f"sample-platform-{currency.lower()}"


def _charges(prices: PriceList) -> tuple[Charge, ...]:
    package = {"package_size": "1000", "package_amount": prices.emails_per_thousand, "free_units": "2000"}
    return (
        Charge(API_CALLS.code, "graduated", {"tiers": _tiers(prices.api_calls)}, API_CALLS.name),
        Charge(EGRESS.code, "volume", {"tiers": _tiers(prices.egress)}, EGRESS.name),
        Charge(EMAILS.code, "package", package, EMAILS.name),
        Charge(STORAGE.code, "standard", {"unit_amount": prices.storage_gb}, STORAGE.name),
        Charge(USERS.code, "standard", {"unit_amount": prices.user}, USERS.name),
    )


def _tiers(steps: tuple[tuple[str | None, str], ...]) -> list[dict[str, str | None]]:
    return [{"up_to": up_to, "unit_amount": amount, "flat_amount": "0"} for up_to, amount in steps]
