"""package {package_size, package_amount, free_units}: ⌈(quantity − free) ÷ size⌉ × amount; nothing at zero."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from tallystick.rating.domain.models import Share
from tallystick.rating.domain.reading import ZERO, Fields
from tallystick.rating.domain.steps import Packages, Step


@dataclass(frozen=True, slots=True)
class Package:
    """A started package is charged whole. Free units are included units: they are prorated like a fee."""

    package_size: Fraction
    package_amount: Fraction
    free_units: Fraction

    def amount(self, units: Fraction, share: Share) -> Fraction:
        return self._packages(units, share) * self.package_amount

    def steps(self, units: Fraction, share: Share) -> tuple[Step, ...]:
        packages = self._packages(units, share)
        return (
            Packages(
                units=units,
                free_units=self.free_units,
                prorated=share.limits,
                billable=self._billable(units, share),
                package_size=self.package_size,
                package_amount=self.package_amount,
                packages=packages,
                subtotal=packages * self.package_amount,
            ),
        )

    def _billable(self, units: Fraction, share: Share) -> Fraction:
        return max(units - self.free_units * share.limits, ZERO)

    def _packages(self, units: Fraction, share: Share) -> int:
        return ceil(self._billable(units, share) / self.package_size)


def read(fields: Fields) -> Package:
    """Version 1."""
    return Package(
        package_size=fields.number("package_size", positive=True),
        package_amount=fields.number("package_amount"),
        free_units=fields.number("free_units", default=ZERO),
    )
