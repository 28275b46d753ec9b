"""Taxes as values: which are due (`rules`), and what they come to (`computing`)."""

from tallystick.taxes.domain.computing import PER_LINE, PER_RATE, Taxable, Taxed, TaxResult, shared, tax_lines
from tallystick.taxes.domain.rules import (
    NO_TAXES,
    Kind,
    KindHasNoRate,
    Profile,
    RateNotLater,
    Tax,
    TaxExists,
    TaxRate,
    Treatment,
    UnknownTax,
    check_kind,
    check_later,
    in_order,
)

__all__ = [
    "NO_TAXES", "PER_LINE", "PER_RATE", "Kind", "KindHasNoRate", "Profile", "RateNotLater", "Tax", "TaxExists",
    "TaxRate", "TaxResult", "Taxable", "Taxed", "Treatment", "UnknownTax", "check_kind", "check_later", "in_order", "shared",
    "tax_lines",
]  # fmt: skip
