"""Wallets as values, and the one function that says which grant pays which line.

Sources: SEMANTICS "Invoice order" (granted credits before tax, paid wallets after it) and "Rounding and splitting" (largest remainder).
The run, a preview and `invoice verify` all call `draw`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

from tallystick.kernel.clock import parse_instant, rfc3339
from tallystick.kernel.errors import Conflict, Invalid, NotFound
from tallystick.kernel.money import Rounding, exponent, round_fraction, split

ZERO = Decimal(0)
PLACES = 6
"""Decimals a wallet may carry (SEMANTICS "Telephone calls"); invoices draw at the currency's exponent only."""

LONGEST_HOLD = timedelta(days=31)
USUAL_HOLD = timedelta(hours=24)
NEVER = datetime.max.replace(tzinfo=UTC)


class WalletNotFound(NotFound):
    code = "wallet_not_found"
    sentence = "There is no such wallet"


class HoldNotFound(NotFound):
    code = "hold_not_found"
    sentence = "There is no such hold on this wallet"


class WalletEnded(Conflict):
    code = "wallet_ended"
    sentence = "The wallet is terminated or expired; open another one"


class WalletHoldsMoney(Conflict):
    code = "wallet_holds_money"
    sentence = "Paid money is left in the wallet or reserved by a hold; use it up, or let it expire (expires_at), before it is terminated"


class InsufficientBalance(Conflict):
    code = "insufficient_balance"
    sentence = "The wallet's free balance does not cover this; top it up, or ask for less"


class HoldOver(Conflict):
    code = "hold_over"
    sentence = "The hold was captured or released before, or has expired"


class OverCapture(Conflict):
    code = "over_capture"
    sentence = "More than the hold reserved cannot be captured; capture less"


class UnknownScope(Invalid):
    code = "unknown_wallet_scope"
    sentence = "Some meters or plans of the scope do not exist; see details"


class WrongCurrency(Invalid):
    code = "wallet_currency_differs"
    sentence = "currency: is not the wallet's; leave it out, or top up a wallet in that currency"


class GivenBackSpent(Conflict):
    code = "given_back_spent"
    sentence = "A correction on this invoice gave credit back to a wallet that was used since; void what used it first"


class Kind(StrEnum):
    """Money that was paid for, or credit that was given."""

    PAID = "paid"
    GRANTED = "granted"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a wallet or a grant may pay: codes of meters and of plans. Each list that is not empty limits; both empty is everything."""

    meters: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether there is anything that it does not reach."""
        return bool(self.meters or self.plans)

    def reaches(self, meter: str | None, plan: str | None) -> bool:
        """Whether something metered by `meter` on `plan` lies in it."""
        return (not self.meters or meter in self.meters) and (not self.plans or plan in self.plans)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Grant:
    """One top-up as whoever draws on it sees it. `free` is what remains of it and no hold reserves; up to 6 decimals.

    A lower `priority` is used sooner. From `ends_at` on (business time, the instant excluded) it pays nothing any more. `code` is the
    wallet's name.
    """

    id: UUID
    wallet_id: UUID
    code: str
    kind: Kind
    free: Decimal
    priority: int
    ends_at: datetime | None
    granted_at: datetime
    currency: str
    scope: Scope = EVERYTHING

    def usable(self, instant: datetime, currency: str) -> bool:
        """Whether it may pay what falls due at `instant` (business time) in `currency`."""
        return (
            self.currency == currency and self.free > 0 and (self.ends_at is None or instant < self.ends_at)
        )


@dataclass(frozen=True, slots=True)
class Draw:
    """What one grant pays of one invoice. `shares`: (index of the line, amount), in order, none zero; `lines` is what it reaches, None
    for all. Everything that decided it is kept, so that it can be computed again."""

    grant: Grant
    shares: tuple[tuple[int, Decimal], ...]
    lines: tuple[int, ...] | None = None

    @property
    def amount(self) -> Decimal:
        """All that it pays."""
        return sum((amount for _, amount in self.shares), ZERO)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a grant paid of a stored invoice's line (positions count from 1); `facts` are those of `facts`."""

    wallet_id: UUID
    wallet: str
    grant_id: UUID
    kind: str
    line: int
    amount: Decimal
    facts: dict[str, Any]


def order(grant: Grant) -> tuple[int, datetime, int, datetime, UUID]:
    """The order of use: lower priority, then sooner end, then granted before paid, then older, then by id so that it is one order."""
    return (
        grant.priority, grant.ends_at or NEVER, 0 if grant.kind is Kind.GRANTED else 1, grant.granted_at, grant.id,
    )  # fmt: skip


def coverable(parts: Sequence[Decimal], total: Decimal, scale: int) -> list[Decimal]:
    """How much of each part may be covered where all of them come to `total`: a part below zero, or credit that was taken off the sum,
    lowers the others in proportion (largest remainder). Never below zero, never more than the part."""
    positive = [max(part, ZERO) for part in parts]
    whole = sum(positive, ZERO)
    if total >= whole:
        return positive
    return split(max(total, ZERO), positive, scale) if whole else positive


def draw(
    grants: Iterable[tuple[Grant, tuple[int, ...] | None]], opens: Sequence[Decimal], currency: str
) -> list[Draw]:
    """Takes grants in order of use until nothing is open: each pays what it can of the lines it reaches (None: all of them), shared over
    these in proportion to what is still open of each, by largest remainder.

    `opens` is what may be covered of each line, not negative, at the currency's exponent; so are the draws, while a grant may keep a
    fraction of the smallest coin. A grant that pays nothing is left out. Pure: the same input gives the same draws.
    """
    scale, left, drawn = exponent(currency), list(opens), []
    for grant, lines in sorted(grants, key=lambda each: order(each[0])):
        mine = left if lines is None else [left[i] if i in lines else ZERO for i in range(len(left))]
        amount = min(round_fraction(Fraction(grant.free), scale, Rounding.DOWN), sum(mine, ZERO))
        if amount <= 0:
            continue
        parts = split(amount, mine, scale)
        left = [rest - part for rest, part in zip(left, parts, strict=True)]
        drawn.append(Draw(grant, tuple((i, part) for i, part in enumerate(parts) if part), lines))
    return drawn


def reserve(grants: Iterable[Grant], amount: Decimal) -> list[tuple[Grant, Decimal]]:
    """The parts of grants that make up `amount`, in order of use. Raises `InsufficientBalance` where they do not reach it."""
    parts: list[tuple[Grant, Decimal]] = []
    for grant in sorted(grants, key=order):
        part = min(grant.free, amount)
        if part > 0:
            parts.append((grant, part))
            amount -= part
    if amount > 0:
        raise InsufficientBalance
    return parts


def capture(parts: Sequence[tuple[UUID, Decimal]], amount: Decimal) -> list[tuple[UUID, Decimal, Decimal]]:
    """(grant, taken, let go) of a hold's parts where `amount` of it is used: in the order in which it was reserved, the rest let go.

    Raises `OverCapture` where the hold reserved less.
    """
    done: list[tuple[UUID, Decimal, Decimal]] = []
    for grant_id, part in parts:
        taken = min(part, amount)
        amount -= taken
        done.append((grant_id, taken, part - taken))
    if amount > 0:
        raise OverCapture
    return done


def facts(drawn: Draw) -> dict[str, Any]:
    """What decided a draw and what it came to line by line, as it is frozen beside it: positions count from 1."""
    grant = drawn.grant
    return {
        "free": grant.free, "priority": grant.priority, "ends_at": None if grant.ends_at is None else rfc3339(grant.ends_at),
        "granted_at": rfc3339(grant.granted_at),
        "lines": None if drawn.lines is None else [index + 1 for index in drawn.lines],
        "shares": [[index + 1, amount] for index, amount in drawn.shares],
    }  # fmt: skip


def frozen(
    grant_id: UUID, wallet_id: UUID, code: str, kind: Kind, currency: str, told: Mapping[str, Any]
) -> tuple[Grant, tuple[int, ...] | None]:
    """The grant as it stood when it was drawn on, from `facts`: what `draw` needs to draw again. Raises `KeyError`, `ValueError`."""
    lines, ends = told["lines"], told["ends_at"]
    grant = Grant(
        grant_id, wallet_id, code, kind, Decimal(told["free"]), int(told["priority"]),
        None if ends is None else parse_instant(ends), parse_instant(told["granted_at"]), currency,
    )  # fmt: skip
    return grant, None if lines is None else tuple(int(position) - 1 for position in lines)


def check_ends(expires_at: datetime | None, now: datetime) -> None:
    """Raises `Invalid` for an expiry that is not ahead of the account's time."""
    if expires_at is not None and expires_at <= now:
        raise Invalid.field("expires_at", "must lie ahead of the account's time")


def hold_end(expires_at: datetime | None, now: datetime) -> datetime:
    """When a hold lets go by itself: as asked for, a day from now otherwise, 31 days at most. Raises `Invalid`."""
    check_ends(expires_at, now)
    if expires_at is not None and expires_at > now + LONGEST_HOLD:
        raise Invalid.field("expires_at", "must lie within 31 days; a hold is not for longer")
    return expires_at or now + USUAL_HOLD


def coins(field: str, amount: Decimal, currency: str) -> Decimal:
    """`amount` written with the currency's decimals. Raises `Invalid`, naming the field, where digits would be lost."""
    places = exponent(currency)
    written = round_fraction(Fraction(amount), places, Rounding.DOWN)
    if written != amount:
        raise Invalid.field(
            field, f"has more than the {places} decimals of {currency}", code="too_many_decimals"
        )
    return written


def check_price(kind: Kind, amount: Decimal, price: Decimal | None) -> Decimal:
    """What is paid for a top-up: nothing for a granted one, the amount itself unless a lower price is named. Raises `Invalid`."""
    if kind is Kind.GRANTED:
        if price:
            raise Invalid.field("price", "is for paid top-ups; what is granted costs nothing")
        return ZERO
    if price is None:
        return amount
    if not 0 < price <= amount:
        raise Invalid.field("price", "must be above zero and not above the amount")
    return price
