"""Accounts and their clocks as values, and the rules that need nothing but those values."""

from tallystick.accounts.domain.account import (
    Account,
    AccountView,
    Clock,
    ClockBusy,
    EmailTaken,
    ExternalIdTaken,
    NewAccount,
    TaxIdRequired,
    UnknownClock,
    ZoneChange,
    email_key,
    month_start,
    rezoned,
    usage_schedule,
)
from tallystick.accounts.domain.places import default_timezone, is_country

__all__ = [
    "Account",
    "AccountView",
    "Clock",
    "ClockBusy",
    "EmailTaken",
    "ExternalIdTaken",
    "NewAccount",
    "TaxIdRequired",
    "UnknownClock",
    "ZoneChange",
    "default_timezone",
    "email_key",
    "is_country",
    "month_start",
    "rezoned",
    "usage_schedule",
]
