"""Where an account is, as far as its telephone number and country tell (CONTRACT §4).

A country has one zone when all its zones in the IANA list keep the same time from now on: Büsingen keeps Berlin's, so Germany has one;
the Canary Islands do not keep Madrid's, so Spain has several and nothing is assumed.
"""

from functools import cache
from importlib import resources

import phonenumbers

from tallystick.kernel.zones import zone

_DATA = resources.files("tzdata").joinpath("zoneinfo")


def default_timezone(phone: str | None, country: str | None) -> str:
    """The zone of the phone's country where it has one, else of `country`, else UTC."""
    for place in (phone_country(phone, country), country):
        found = None if place is None else only_zone(place)
        if found is not None:
            return found
    return "UTC"


def phone_country(phone: str | None, country: str | None = None) -> str | None:
    """ISO 3166 code of a number's country, None where it cannot be told. A national number is read as one of `country`.

    A calling code shared by several countries, with a number that none of them has given out, counts for the main one.
    """
    if phone is None:
        return None
    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(number)
    if region is None and number.country_code is not None:
        region = phonenumbers.region_code_for_country_code(number.country_code)
    return region if region is not None and is_country(region) else None


def is_country(code: str) -> bool:
    """Whether `code` is an ISO 3166-1 alpha-2 code in use."""
    return code in _countries()


@cache
def only_zone(country: str) -> str | None:
    """The zone that all of a country keeps from now on; of several names for it the one of most people. None where it has several."""
    names = _countries().get(country, ())
    rules = {_rule(name) for name in names}
    return names[0] if len(rules) == 1 else None


@cache
def _countries() -> dict[str, tuple[str, ...]]:
    """Zones per country, most populous first; countries without one have none."""
    listed = {line.split("\t")[0]: () for line in _lines("iso3166.tab")}
    zones: dict[str, tuple[str, ...]] = dict(listed)
    for line in _lines("zone.tab"):
        country, _, name = line.split("\t")[:3]
        zones[country] = (*zones.get(country, ()), name)
    return zones


def _lines(table: str) -> list[str]:
    text = _DATA.joinpath(table).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _rule(name: str) -> bytes:
    """The POSIX rule at the end of a zone's file (RFC 9636 §3.3): how it keeps time from its last listed change on."""
    zone(name)
    data = _DATA.joinpath(*name.split("/")).read_bytes()
    return data.rsplit(b"\n", 2)[1]
