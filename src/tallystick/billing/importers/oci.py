"""Oracle Cloud cost reports (`reports/cost-csv`): one row per resource, SKU and hour, identified by its reference number.

Corrections arrive as rows of their own, which repeat what they correct: billing both would charge it twice, so they are
kept off the bill and named. The same holds for rows at a contract's overage price.
"""

from tallystick.billing.importers.mapping import Mapping, Rule

OCI = Mapping(
    code="oci",
    title="Oracle Cloud cost report",
    label="OCI",
    source="oci",
    zone="times are UTC and say so (Z)",
    customer=("lineItem/tenantId",),
    customer_name=(),
    provider=None,
    provider_default="oracle",
    sku=("cost/productSku",),
    unit="cost/skuUnitDescription",
    quantity="usage/billedQuantity",
    unit_price="cost/unitPrice",
    cost="cost/myCost",
    currency="cost/currencyCode",
    occurred_at="lineItem/intervalUsageStart",
    description="product/Description",
    category="product/service",
    event_id="lineItem/referenceNo",
    identity=(),
    consumed=None,
    cost_decimals=18,
    naive_is_utc=False,
    dimensions={
        "service": "product/service",
        "region": "product/region",
        "resource": "product/resourceId",
        "compartment": "product/compartmentId",
    },
    rules=(
        Rule(
            column="lineItem/isCorrection",
            billed=frozenset({"false", ""}),
            reasons={"true": "a correction of an earlier row: enter it as a credit or a debit"},
            otherwise="lineItem/isCorrection is neither true nor false",
        ),
        Rule(
            column="cost/overageFlag",
            billed=frozenset({"false", "n", ""}),
            reasons={
                "true": "charged at the contract's overage price, not at cost/unitPrice",
                "y": "charged at the contract's overage price, not at cost/unitPrice",
            },
            otherwise="cost/overageFlag is neither true nor false",
        ),
    ),
)
