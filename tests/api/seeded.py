"""One of everything, made over HTTP: for tests that need things to be there."""

from dataclasses import dataclass, field
from typing import Any

import httpx

PLAN = {
    "name": "Seeded", "code": "seeded", "price": "29.99", "currency": "USD",
    "charges": [
        {
            "code": "storage", "meter": "gb", "charge_model": "graduated",
            "properties": {
                "tiers": [{"up_to": "10", "unit_amount": "0.29"}, {"up_to": None, "unit_amount": "0.000000000001"}]
            },
        }
    ],
}  # fmt: skip


@dataclass
class Seeded:
    """The ids, by the names that paths and bodies give them."""

    ids: dict[str, Any] = field(default_factory=dict)


async def seed(client: httpx.AsyncClient, headers: dict[str, str]) -> Seeded:
    """An account on a test clock with plan, subscription, tax, events, an invoice, a record, a run."""

    async def make(path: str, body: Any, status: int = 201) -> Any:
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == status, f"{path}: {answer.text}"
        return answer.json()["data"]

    ids: dict[str, Any] = {}
    ids["clock_id"] = (await make("/v1/test-clocks", {"frozen_time": "2024-01-01T00:00:00Z"}))["id"]
    account = await make(
        "/v1/accounts",
        {"name": "Seeded", "currency": "USD", "external_id": "seeded", "test_clock_id": ids["clock_id"]},
    )
    ids["account_id"] = ids["customer_id"] = account["id"]
    ids["meter"] = (await make("/v1/meters", {"code": "gb", "aggregation": "sum", "unit": "GB"}))["code"]
    ids["service"] = (await make("/v1/services", {"name": "Seeded Service"}))["name"]
    ids["tax_id"] = (await make("/v1/taxes", {"code": "vat", "name": "VAT", "rate": "19"}))["id"]
    ids["plan_id"] = (await make("/v1/plans", PLAN))["id"]
    bought = await make("/v1/subscriptions", {"account_id": account["id"], "plan_id": ids["plan_id"]})
    ids["subscription_id"] = bought["id"]
    for number, day in enumerate(("2024-01-01T00:00:00Z", "2023-12-20T12:00:00Z")):
        event = {
            "id": f"seed-{number}", "meter": "gb", "account_id": account["id"], "quantity": "10.5", "occurred_at": day,
            "properties": {"region": "eu"},
        }  # fmt: skip
        await make("/v1/events", event)
    ids["event_id"] = "seed-0"
    usage = {
        "id": "seed-2",
        "meter": "gb",
        "account_id": account["id"],
        "quantity": 3,
        "unit_price": "0.000000000001",
    }
    await make("/v1/events", usage)
    path = f"/v1/test-clocks/{ids['clock_id']}/advance"
    answer = await client.post(path, json={"to": "2024-02-02T00:00:00Z"}, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    await make("/v1/events", {**usage, "id": "seed-3"})
    purse = await make("/v1/wallets", {"account_id": account["id"], "name": "Seeded"})
    ids["wallet_id"] = purse["id"]
    await make(f"/v1/wallets/{purse['id']}/top-ups", {"kind": "granted", "amount": "5"})
    ids["hold_id"] = (await make(f"/v1/wallets/{purse['id']}/holds", {"amount": "1"}))["id"]
    coupon = {
        "code": "SEEDED",
        "name": "Seeded",
        "kind": "percent",
        "value": 10,
        "livemode": False,
        "per_account": 9,
    }
    ids["coupon_id"] = (await make("/v1/coupons", coupon))["id"]
    given = await make("/v1/coupons/apply", {"code": "SEEDED", "account_id": account["id"]})
    ids["applied_id"] = given["id"]
    window = {"period_start": "2024-01-03T00:00:00Z", "period_end": "2024-01-04T00:00:00Z", "mode": "add"}
    backfill = await make("/v1/backfills", {"account_ids": [account["id"]], "meters": ["gb"], **window})
    ids["backfill_id"], ids["entity_id"] = backfill["id"], 2
    record = await make("/v1/billing", {"account_id": account["id"], "amount": "12.34"})
    ids["record_id"] = record["id"]
    paid = await make("/v1/billing", {"account_id": account["id"], "amount": "5.00", "status": "paid"})
    note = await make(f"/v1/invoices/{paid['id']}/credit-notes", {"reason": "seeded", "amount": "1.00"})
    ids["note_id"] = note["id"]
    ids["run_id"] = (await make("/v1/billing-runs", {}, 202))["id"]
    ids["key_id"] = (await make("/v1/api-keys", {"name": "k", "scopes": ["usage:write"]}))["id"]
    invoices = await client.get("/v1/invoices", params={"account_id": account["id"]}, headers=headers)
    ids["invoice_id"] = invoices.json()["data"][-1]["id"]
    return Seeded(ids)
