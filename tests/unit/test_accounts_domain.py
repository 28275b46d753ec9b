"""Where an account is, and by which months and boundaries it lives."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tallystick.accounts.domain import (
    Account,
    ZoneChange,
    default_timezone,
    email_key,
    is_country,
    month_start,
    rezoned,
    usage_schedule,
)
from tallystick.accounts.domain.places import only_zone, phone_country
from tallystick.kernel.period import Alignment, Cycle, Schedule, boundary, period_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def account(**fields: Any) -> Account:
    known: dict[str, Any] = {
        "no": 1, "id": "acc_1", "entity_id": 1, "external_id": None, "currency": "USD", "timezone": "UTC", "locale": None,
        "country": None, "status": "open", "livemode": True, "test_clock_id": None, "usage_from": at("2024-01-01T00:00Z"),
        "usage_billed_to": at("2024-01-01T00:00Z"), "next_usage_billing_at": None, "next_billing_at": None,
        "opened_at": at("2024-01-10T12:00Z"), "closed_at": None, "revision": 1,
        "zones": (ZoneChange(at("2024-01-10T12:00Z"), "UTC"),),
    }  # fmt: skip
    return Account(**{**known, **fields})


@pytest.mark.parametrize(
    ("phone", "country", "region", "zone"),
    [
        ("+4915112345678", None, "DE", "Europe/Berlin"),
        ("+4915112345678", "JP", "DE", "Europe/Berlin"),
        ("+12125551234", None, "US", "UTC"),
        ("+12125551234", "JP", "US", "Asia/Tokyo"),
        ("030 1234567", "DE", "DE", "Europe/Berlin"),
        ("030 1234567", None, None, "UTC"),
        ("+447700900123", None, "GB", "Europe/London"),  # kept for films: no one's number, Britain's code
        ("+99912345678", None, None, "UTC"),
        ("+8001234567", None, None, "UTC"),  # a code that is no country's
        (None, "ES", None, "UTC"),
        (None, "FR", None, "Europe/Paris"),
        (None, None, None, "UTC"),
    ],
)
def test_where_a_phone_and_a_country_put_an_account(
    phone: str | None, country: str | None, region: str | None, zone: str
) -> None:
    assert phone_country(phone, country) == region
    assert default_timezone(phone, country) == zone


def test_a_country_has_one_zone_when_all_of_it_keeps_the_same_time() -> None:
    assert only_zone("DE") == "Europe/Berlin"  # Büsingen keeps Berlin's
    assert only_zone("CN") is None  # Ürümqi does not keep Shanghai's
    assert only_zone("XX") is None
    assert only_zone("BV") is None  # nobody lives there
    assert is_country("DE")
    assert not is_country("EU")


def test_an_address_is_the_same_in_any_case() -> None:
    assert email_key("Ada@Example.COM") == "ada@example.com"
    assert email_key(None) is None


def test_a_month_begins_at_the_accounts_midnight() -> None:
    assert month_start(at("2024-03-31T23:30Z"), "Europe/Berlin") == at("2024-03-31T22:00Z")
    assert month_start(at("2024-03-31T23:30Z"), "UTC") == at("2024-03-01T00:00Z")


def test_usage_months_follow_a_zone_change_at_their_next_boundary() -> None:
    moved = account(
        zones=(ZoneChange(at("2024-01-10T12:00Z"), "UTC"), ZoneChange(at("2024-02-10T00:00Z"), "Asia/Tokyo")),
        timezone="Asia/Tokyo",
    )
    months = usage_schedule(moved)
    assert [boundary(months, n) for n in range(4)] == [
        at("2024-01-01T00:00Z"), at("2024-02-01T00:00Z"), at("2024-03-01T00:00Z"), at("2024-03-31T15:00Z"),
    ]  # fmt: skip


def test_of_two_moves_in_one_period_the_last_counts() -> None:
    schedule = Schedule(at("2024-01-15T00:00Z"), Cycle.MONTHLY, Alignment.ANNIVERSARY, "UTC")
    changes = [ZoneChange(at("2024-01-20T00:00Z"), "Asia/Tokyo"), ZoneChange(at("2024-01-21T00:00Z"), "UTC")]
    assert rezoned(schedule, changes) == schedule
    here = period_at(rezoned(schedule, changes[:1]), at("2024-02-20T00:00Z")).period
    assert (here.start, here.end) == (at("2024-02-15T00:00Z"), at("2024-03-14T15:00Z"))


def test_billing_moves_only_the_cursor() -> None:
    before = account()
    after = before.with_usage_billed_to(before.usage_billed_to + timedelta(days=31))
    assert after.usage_billed_to == at("2024-02-01T00:00Z")
    assert after.is_open
    assert after.usage_from == before.usage_from
