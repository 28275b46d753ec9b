"""Which events are admitted, how they are identified, compared and spelled."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.metering.domain.admission import (
    AHEAD,
    LATE_LIMIT,
    Admitted,
    Directory,
    MeteredAccount,
    Rules,
    admit,
    compare,
)
from tallystick.metering.domain.digest import content_digest, event_key, halves, plain, properties_text, whole
from tallystick.metering.domain.events import IncomingEvent, Verdict

NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)


class Meter:
    def __init__(
        self, id: int, aggregation: str = "sum", field: str | None = None, *, recurring: bool = False
    ) -> None:
        self.id, self.aggregation, self.field, self.recurring = id, aggregation, field, recurring


LIVE = MeteredAccount(1, "acc_live", 1, "customer-7")
ON_CLOCK = MeteredAccount(2, "acc_clock", 2, None, datetime(2030, 1, 1, tzinfo=UTC))
DIRECTORY = Directory(
    {LIVE.id: LIVE, ON_CLOCK.id: ON_CLOCK},
    {"customer-7": LIVE},
    {
        "calls": Meter(1),
        "bytes": Meter(2, "sum", "bytes"),
        "users": Meter(3, "unique", "user"),
        "hits": Meter(4, "count", "anything"),
        "seats": Meter(5, "unique", "user", recurring=True),
    },
)


def event(**fields: Any) -> IncomingEvent:
    return IncomingEvent(**{"id": "e1", "meter": "calls", "account_id": "acc_live", **fields})


def judge(sent: IncomingEvent, **rules: Any) -> Admitted | Verdict:
    return admit([sent], DIRECTORY, Rules(NOW, **rules))[0]


def admitted(**fields: Any) -> Admitted:
    row = judge(event(**fields))
    assert isinstance(row, Admitted), row
    return row


def refused(reason: str, field: str, sent: IncomingEvent, **rules: Any) -> None:
    verdict = judge(sent, **rules)
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.reason, list(verdict.details)) == ("invalid", reason, [field])


def test_defaults_are_one_unit_now() -> None:
    row = admitted()
    assert (row.quantity, row.unit_price, row.properties, row.occurred_at) == ("1", "", "", NOW)
    assert row.key == event_key("", "e1")


def test_an_account_goes_by_its_own_id_or_the_callers() -> None:
    assert admitted(account_id=None, external_id="customer-7").account_no == 1
    refused("unknown_account", "account_id", event(account_id="acc_other"))
    refused("unknown_account", "external_id", event(account_id=None, external_id="nobody"))
    refused("invalid_event", "account_id", event(account_id=None))
    refused("invalid_event", "external_id", event(external_id="customer-7"))


def test_a_meter_must_exist() -> None:
    refused("unknown_meter", "meter", event(meter="nothing"))


@pytest.mark.parametrize(
    ("offset", "backfill", "reason"),
    [
        (AHEAD, False, None),
        (AHEAD + timedelta(microseconds=1), False, "future"),
        (AHEAD + timedelta(microseconds=1), True, "future"),
        (-LATE_LIMIT, False, None),
        (-LATE_LIMIT - timedelta(microseconds=1), False, "too_late"),
        (-LATE_LIMIT - timedelta(microseconds=1), True, None),
        (timedelta(days=-365 * 60), True, "invalid_event"),
    ],
)
def test_the_window_of_time(offset: timedelta, backfill: bool, reason: str | None) -> None:
    sent = event(occurred_at=NOW + offset)
    if reason is None:
        assert isinstance(judge(sent, backfill=backfill), Admitted)
    else:
        refused(reason, "occurred_at", sent, backfill=backfill)


def test_the_window_follows_the_accounts_clock() -> None:
    assert admitted(account_id="acc_clock").occurred_at == ON_CLOCK.frozen_time
    assert isinstance(
        judge(event(account_id="acc_clock", occurred_at=datetime(2029, 12, 31, tzinfo=UTC))), Admitted
    )
    refused("too_late", "occurred_at", event(account_id="acc_clock", occurred_at=NOW))


def test_times_become_utc_and_the_ends_of_time_are_no_accident() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert admitted(occurred_at=datetime(2024, 6, 15, 12, tzinfo=east)).occurred_at == datetime(
        2024, 6, 15, 6, 30, tzinfo=UTC
    )
    refused("invalid_event", "occurred_at", event(occurred_at=datetime(2024, 6, 15)))
    refused("invalid_event", "occurred_at", event(occurred_at=datetime(1, 1, 1, tzinfo=east)), backfill=True)
    west = timezone(timedelta(hours=-11))
    refused(
        "future", "occurred_at", event(occurred_at=datetime(9999, 12, 31, 23, tzinfo=west)), backfill=True
    )


@pytest.mark.parametrize(
    ("number", "spelled"),
    [
        (Decimal("1.50"), "1.5"), (Decimal("1E+3"), "1000"), (0, "0"), (Decimal("-0.00"), "0"), (10**18 - 1, "9" * 18),
        (Decimal("0.000000000001"), "0.000000000001"), (Decimal("999999999999999999.999999999999"), "9" * 18 + "." + "9" * 12),
        (Decimal("0E-999999"), "0"), (-5, "-5"),
    ],
)  # fmt: skip
def test_quantities_have_one_spelling(number: int | Decimal, spelled: str) -> None:
    assert admitted(quantity=number).quantity == spelled


@pytest.mark.parametrize(
    "number", [10**18, -(10**18), Decimal("0.0000000000001"), Decimal("1.0000000000001"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+400")]
)  # fmt: skip
def test_quantities_have_bounds(number: int | Decimal) -> None:
    refused("invalid_event", "quantity", event(quantity=number))


def test_prices_have_bounds() -> None:
    assert admitted(unit_price=Decimal("0.050")).unit_price == "0.05"
    for number in (-1, Decimal("-0.01"), 10**15, Decimal("1E-13"), Decimal("sNaN")):
        refused("invalid_event", "unit_price", event(unit_price=number))


def test_a_meter_over_a_property_needs_it() -> None:
    refused("missing_property", "properties", event(meter="bytes"))
    refused("missing_property", "properties", event(meter="bytes", properties={"bytes": "12"}))
    refused("missing_property", "properties", event(meter="bytes", properties={"bytes": True}))
    assert admitted(meter="bytes", properties={"bytes": 12}).properties == '{"bytes":12}'
    refused("missing_property", "properties", event(meter="users", properties={"user": None}))
    assert admitted(meter="users", properties={"user": "ada"})
    assert admitted(meter="hits")


def test_an_event_of_a_recurring_meter_adds_or_removes() -> None:
    for operation in ("add", "remove"):
        assert admitted(meter="seats", properties={"user": "ada", "operation_type": operation})
    assert admitted(meter="seats", properties={"user": "ada"})
    for wrong in ("delete", 1, None, True):
        refused(
            "invalid_event",
            "properties",
            event(meter="seats", properties={"user": "ada", "operation_type": wrong}),
        )
    assert admitted(meter="users", properties={"user": "ada", "operation_type": "delete"})


def test_properties_are_bounded_as_text() -> None:
    refused("invalid_event", "properties", event(properties={"note": "x" * 8200}))


def test_conflict_compares_only_what_was_sent() -> None:
    first = admitted(quantity=2, properties={"region": "eu"}, occurred_at=NOW)
    later = Rules(NOW + timedelta(minutes=1))

    def again(**fields: Any) -> str:
        row = admit([event(**fields)], DIRECTORY, later)[0]
        assert isinstance(row, Admitted)
        return compare(row, first).status

    assert again(quantity=2, properties={"region": "eu"}, occurred_at=NOW) == "duplicate"
    assert again(quantity=Decimal("2.000"), properties={"region": "eu"}) == "duplicate"
    assert again() == "duplicate"
    assert again(quantity=3) == "conflict"
    assert again(quantity=2, occurred_at=NOW + timedelta(seconds=1)) == "conflict"
    assert again(properties={}) == "conflict"
    assert again(properties={"region": "us"}) == "conflict"
    assert again(unit_price=1) == "conflict"
    assert again(meter="hits") == "conflict"
    assert again(account_id="acc_clock") == "conflict"


numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18, places=12)


@given(numbers)
def test_plain_spelling_keeps_the_value(number: Decimal) -> None:
    text = plain(number)
    assert Decimal(text) == number
    assert plain(Decimal(text)) == text
    assert "E" not in text


@given(numbers, numbers)
def test_equal_numbers_and_only_these_spell_alike(one: Decimal, other: Decimal) -> None:
    assert (plain(one) == plain(other)) == (one == other)


def test_properties_are_spelled_by_value() -> None:
    assert properties_text({"b": Decimal("1.50"), "a": Decimal("1E+2")}) == properties_text(
        {"a": 100, "b": Decimal("1.5")}
    )
    assert properties_text({"a": "1"}) != properties_text({"a": 1})
    assert properties_text({}) == ""


def test_every_part_of_an_event_is_in_its_digest() -> None:
    parts: list[Any] = [event_key("", "a"), 1, 2, NOW, "1", "", ""]
    other: list[Any] = [event_key("", "b"), 3, 4, NOW + timedelta(microseconds=1), "2", "1", '{"a":1}']
    digests = {content_digest(*parts)}
    for position, value in enumerate(other):
        digests.add(content_digest(*[*parts[:position], value, *parts[position + 1 :]]))
    assert len(digests) == 8


def test_source_and_id_do_not_run_together() -> None:
    assert event_key("a", "bc") != event_key("ab", "c")


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=5))
def test_halves_make_a_whole(digests: list[bytes]) -> None:
    high, low = halves(digests)
    assert [whole(h, n).to_bytes(16, "big") for h, n in zip(high, low, strict=True)] == digests
