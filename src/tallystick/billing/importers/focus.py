"""FinOps FOCUS 1.0 cost and usage reports (focus.finops.org/focus-specification/v1-0).

Two choices. Billed is what has a quantity and a list price: `Usage`, and `Adjustment` rows that are written like usage
(Oracle writes free usage so, at a list price of zero). And a row has no identifier in FOCUS, so its identity is who used
which SKU on what and when; amounts are left out of it, so that a restated row shows as a conflict and is never billed twice.
"""

from tallystick.billing.importers.mapping import Mapping, Rule

FOCUS = Mapping(
    code="focus",
    title="FOCUS 1.0",
    label="FOCUS",
    source="focus",
    zone="times are UTC, as FOCUS defines them, though no zone is written",
    customer=("SubAccountId", "BillingAccountId"),
    customer_name=("SubAccountName", "BillingAccountName"),
    provider="ProviderName",
    provider_default="cloud",
    sku=("SkuPriceId", "SkuId"),
    unit="PricingUnit",
    quantity="PricingQuantity",
    unit_price="ListUnitPrice",
    cost="ListCost",
    currency="BillingCurrency",
    occurred_at="ChargePeriodStart",
    description="ChargeDescription",
    category="ChargeCategory",
    event_id=None,
    identity=(
        "ProviderName",
        "BillingAccountId",
        "SubAccountId",
        "ChargePeriodStart",
        "ChargePeriodEnd",
        "ChargeCategory",
        "ChargeDescription",
        "PricingCategory",
        "PricingUnit",
        "SkuId",
        "SkuPriceId",
        "ResourceId",
        "RegionId",
        "AvailabilityZone",
        "CommitmentDiscountId",
    ),
    consumed="ConsumedQuantity",
    cost_decimals=10,
    naive_is_utc=True,
    dimensions={
        "service": "ServiceName",
        "region": "RegionId",
        "resource": "ResourceId",
        "category": "ChargeCategory",
    },
    rules=(
        Rule(
            column="ChargeCategory",
            billed=frozenset({"usage", "adjustment"}),
            reasons={
                "credit": "a credit is not usage: it has no list price and is granted, not rated",
                "purchase": "a purchase is not usage: it is a commitment paid for, not something used",
                "tax": "a tax is not usage: tax is computed on our own invoice",
            },
            otherwise="this charge category is not one that FOCUS 1.0 defines",
        ),
    ),
    nulls=frozenset({"", "NULL"}),
)
