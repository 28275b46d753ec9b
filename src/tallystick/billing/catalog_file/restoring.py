"""A version of the catalog as it can be made again today. Pure.

Some of what came since can not be undone: rates of a tax are only ever added, and a coupon cannot be given out less often than it was.
A version keeps these as they stand, or it could never be rolled back to.
"""

from decimal import Decimal
from typing import Any

from tallystick.billing.catalog_file.queries import Standing
from tallystick.billing.catalog_file.reading import plain, read
from tallystick.billing.catalog_file.sections import COUPONS, TAXES, Fields
from tallystick.billing.catalog_file.writing import write


def restorable(text: str, standing: Standing) -> str:
    """The recorded file `text` with the later rates of today, and today's limit of a coupon that was redeemed more often than its
    limit of then allows. The same bytes where nothing of the kind came since."""
    root, mistakes = read(text)
    if root is None or mistakes:
        return text
    content = plain(root)
    kept = [
        *(_keep_rates(thing, standing.content[TAXES.name].get(code)) for code, thing in _things(content, TAXES.name)),
        *(_keep_limit(thing, standing, code) for code, thing in _things(content, COUPONS.name)),
    ]  # fmt: skip
    return write(content) if any(kept) else text


def _things(content: dict[str, Any], name: str) -> list[tuple[str, Fields]]:
    return list((content.get(name) or {}).items())


def _keep_rates(thing: Fields, now: Fields | None) -> bool:
    then = thing.get("later_rates") or []
    rates = (now or {}).get("later_rates") or []
    if len(rates) <= len(then) or _canonical(rates[: len(then)]) != _canonical(then):
        return False
    thing["later_rates"] = rates
    return True


def _canonical(rates: list[Fields]) -> list[tuple[str, Decimal | None]]:
    return [
        (str(each["valid_from"]), None if each["rate"] is None else Decimal(str(each["rate"])))
        for each in rates
    ]


def _keep_limit(thing: Fields, standing: Standing, code: str) -> bool:
    now, then = standing.coupons.get(code), thing.get("max_redemptions")
    if now is None or then is None or int(then) >= now.redemptions:
        return False
    thing["max_redemptions"] = now.max_redemptions
    return True
