"""AWS Cost and Usage Reports (legacy CUR, `lineItem/…` columns): one row per account, day or hour, usage type and operation.

Billed are `Usage` rows at the rate that was charged (`UnblendedRate`, zero inside a free tier). The report also states the public list
price of each row; both are compared with its own cost columns. `identity/LineItemId` repeats from day to day and changes from one delivery of
a report to the next, so a row's identity is its account, interval, product, usage type, operation and rate. The end of the usage is left out: the row of a
day that was not over grows in a later delivery, and shows then as a conflict.
"""

from tallystick.billing.importers.mapping import Mapping, Rule

CUR = Mapping(
    code="cur",
    title="AWS Cost and Usage Report",
    label="AWS CUR",
    source="aws-cur",
    zone="times are UTC and say so (Z)",
    customer=("lineItem/UsageAccountId", "bill/PayerAccountId"),
    customer_name=(),
    provider="lineItem/ProductCode",
    provider_default="aws",
    sku=("lineItem/UsageType",),
    unit="pricing/unit",
    quantity="lineItem/UsageAmount",
    unit_price="lineItem/UnblendedRate",
    price_word="charged",
    cost="lineItem/UnblendedCost",
    list_price="pricing/publicOnDemandRate",
    list_cost="pricing/publicOnDemandCost",
    currency="lineItem/CurrencyCode",
    occurred_at="lineItem/UsageStartDate",
    description="lineItem/LineItemDescription",
    category="lineItem/LineItemType",
    event_id=None,
    identity=(
        "lineItem/UsageAccountId",
        "identity/TimeInterval",
        "lineItem/ProductCode",
        "lineItem/UsageType",
        "lineItem/Operation",
    ),
    identity_if_present=("lineItem/ResourceId", "lineItem/AvailabilityZone", "pricing/RateCode"),
    consumed=None,
    cost_decimals=10,
    naive_is_utc=False,
    dimensions={
        "service": "product/ProductName",
        "region": "product/region",
        "resource": "lineItem/ResourceId",
        "operation": "lineItem/Operation",
    },
    rules=(
        Rule(
            column="lineItem/LineItemType",
            billed=frozenset({"usage"}),
            reasons={
                "tax": "a tax is not usage: tax is computed on our own invoice",
                "credit": "a credit is not usage: it is granted, not rated",
                "refund": "a refund is not usage: enter it as a credit note",
                "fee": "a fee is not usage: it is charged once, whatever is used",
                "rifee": "a reservation's fee is not usage: it is charged whatever is used",
                "discountedusage": "covered by a reservation: what it costs is in the reservation's fee",
                "savingsplancoveredusage": "covered by a savings plan: what it costs is in the plan's fee",
                "savingsplannegation": "takes back what a savings plan covers: not usage",
                "savingsplanrecurringfee": "a savings plan's fee is not usage: it is charged whatever is used",
                "savingsplanupfrontfee": "a savings plan's fee is not usage: it is charged whatever is used",
                "bundleddiscount": "a discount is not usage",
            },
            otherwise="this line item type is not one of usage",
        ),
    ),
)
