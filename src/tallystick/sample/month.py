"""March 2025 of six customers: the month in which the United States and Europe change their clocks on different days.

Every quantity and every second is drawn from a digest of (customer, meter, day, position): the same on every machine and in
every run, with no seed to lose. Each customer's last call falls in the last second of its own local month.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from tallystick.billing.importers.dataset import Customer, Dataset, Event, Meter, Subscription, Tax
from tallystick.kernel.zones import local_midnight, to_instant, zone
from tallystick.sample.prices import API_CALLS, EGRESS, EMAILS, METERS, STORAGE, USERS, plan_code, plans

SOURCE = "sample"
FIRST_DAY, NEXT_MONTH = date(2025, 3, 1), date(2025, 4, 1)
CLOSE_DELAY = timedelta(hours=1)

TAXES = (
    Tax("sample-de-19", "VAT 19 % (Germany)", Decimal("0.19")),
    Tax("sample-fr-20", "VAT 20 % (France)", Decimal("0.20")),
    Tax("sample-jp-10", "Consumption tax 10 % (Japan)", Decimal("0.10")),
)


@dataclass(frozen=True, slots=True)
class Buyer:
    """A customer, the local day it subscribed, and how much it uses (100 is ordinary)."""

    customer: Customer
    first_day: date
    size: int


BUYERS = (
    Buyer(
        Customer("sample-bergmann", "Bergmann Robotik GmbH", "EUR", "Europe/Berlin", "DE", "sample-de-19"),
        FIRST_DAY,
        140,
    ),
    Buyer(
        Customer("sample-harbor", "Harbor Analytics Inc.", "USD", "America/New_York", "US"), FIRST_DAY, 260
    ),
    Buyer(
        Customer("sample-asahi", "Asahi Keisoku K.K.", "JPY", "Asia/Tokyo", "JP", "sample-jp-10"),
        FIRST_DAY,
        180,
    ),
    Buyer(
        Customer("sample-lumiere", "Atelier Lumière SARL", "EUR", "Europe/Paris", "FR", "sample-fr-20"),
        date(2025, 3, 17),
        90,
    ),
    Buyer(
        Customer("sample-prairie", "Prairie Freight LLC", "USD", "America/Chicago", "US"),
        date(2025, 3, 10),
        60,
    ),
    Buyer(Customer("sample-kauri", "Kauri Software Ltd", "USD", "Pacific/Auckland", "NZ"), FIRST_DAY, 15),
)


def sample_month() -> Dataset:
    """The sample as a data set: always equal to itself."""
    starts = {
        buyer.customer.external_id: local_midnight(buyer.first_day, zone(buyer.customer.timezone))
        for buyer in BUYERS
    }
    ends = {
        buyer.customer.external_id: local_midnight(NEXT_MONTH, zone(buyer.customer.timezone))
        for buyer in BUYERS
    }
    return Dataset(
        code="sample-2025-03",
        title="Sample month, March 2025",
        customers=tuple(buyer.customer for buyer in BUYERS),
        meters=METERS,
        plans=plans(),
        subscriptions=tuple(
            Subscription(
                buyer.customer.external_id,
                plan_code(buyer.customer.currency),
                starts[buyer.customer.external_id],
                ends[buyer.customer.external_id],
            )
            for buyer in BUYERS
        ),
        events=tuple(event for buyer in BUYERS for event in _month_of(buyer)),
        bill_as_of=max(ends.values()) + CLOSE_DELAY,
        taxes=TAXES,
    )


def _month_of(buyer: Buyer) -> list[Event]:
    days = (NEXT_MONTH - buyer.first_day).days
    return [
        event for offset in range(days) for event in _day_of(buyer, buyer.first_day + timedelta(days=offset))
    ]


def _day_of(buyer: Buyer, day: date) -> list[Event]:
    """Thirteen events: five of calls, three of data, three of users, one each of e-mails and storage."""
    size = buyer.size
    calls = [
        _event(buyer, API_CALLS, day, n, Decimal(size * (1 + _draw(buyer, API_CALLS, day, n, 5))))
        for n in range(5)
    ]
    data = [
        _event(buyer, EGRESS, day, n, _thousandths(size * (2 + _draw(buyer, EGRESS, day, n, 20))))
        for n in range(3)
    ]
    mails = _event(buyer, EMAILS, day, 0, Decimal(size + _draw(buyer, EMAILS, day, 0, size)))
    stored = size * (800 + 12 * day.day + _draw(buyer, STORAGE, day, 0, 40))
    storage = _event(buyer, STORAGE, day, 0, _thousandths(stored))
    users = [
        _event(buyer, USERS, day, n, Decimal(1), user=_draw(buyer, USERS, day, n, size // 5))
        for n in range(3)
    ]
    return [*calls, *data, mails, storage, *users]


def _event(
    buyer: Buyer, meter: Meter, day: date, position: int, quantity: Decimal, user: int | None = None
) -> Event:
    customer = buyer.customer
    last = day == NEXT_MONTH - timedelta(days=1) and meter is API_CALLS and position == 4
    second = 86_399 if last else _draw(buyer, meter, day, position, 86_400, "second")
    local = datetime.combine(day, time(second // 3600, second // 60 % 60, second % 60))
    properties = {} if user is None else {"user_id": f"{customer.external_id}-user-{user:03}"}
    return Event(
        source=SOURCE,
        id=f"{customer.external_id}.{meter.code}.{day.isoformat()}.{position}",
        customer_external_id=customer.external_id,
        meter_code=meter.code,
        quantity=quantity,
        occurred_at=to_instant(local, zone(customer.timezone)),
        properties=properties,
    )


def _draw(buyer: Buyer, meter: Meter, day: date, position: int, below: int, what: str = "quantity") -> int:
    """A whole number from 0 to `below` - 1, the same for the same arguments for ever."""
    words = f"{buyer.customer.external_id}/{meter.code}/{day.isoformat()}/{position}/{what}"
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big") % below


def _thousandths(units: int) -> Decimal:
    return Decimal(units).scaleb(-3)
