"""Integration events: one frozen class each, named in the past tense, small, with the ids to ask for more.

`TYPE` and `VERSION` are the wire name; a field may be added, never removed or given another meaning (then VERSION rises).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Protocol


class Event(Protocol):
    """What the outbox needs of an event."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]
    SUBJECT: ClassVar[str]

    @property
    def subject_id(self) -> str: ...

    @property
    def occurred_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """A billing account exists from now on."""

    TYPE: ClassVar[str] = "account.opened"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "account"
    account_id: str
    currency: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.account_id


@dataclass(frozen=True, slots=True)
class AccountClosed:
    """A billing account was closed and its personal data erased."""

    TYPE: ClassVar[str] = "account.closed"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "account"
    account_id: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.account_id


@dataclass(frozen=True, slots=True)
class SubscriptionStarted:
    """A subscription is active."""

    TYPE: ClassVar[str] = "subscription.started"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "subscription"
    subscription_id: str
    account_id: str
    plan_id: int
    plan_version: int
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.subscription_id


@dataclass(frozen=True, slots=True)
class SubscriptionEnded:
    """A subscription ended; what it used until then is still billed."""

    TYPE: ClassVar[str] = "subscription.ended"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "subscription"
    subscription_id: str
    account_id: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.subscription_id


@dataclass(frozen=True, slots=True)
class InvoiceFinalized:
    """An invoice was numbered and posted; nothing on it changes any more."""

    TYPE: ClassVar[str] = "invoice.finalized"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "invoice"
    invoice_id: str
    account_id: str
    number: str
    total: Decimal
    currency: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.invoice_id


@dataclass(frozen=True, slots=True)
class InvoicePaid:
    """Nothing is owed on the invoice any more."""

    TYPE: ClassVar[str] = "invoice.paid"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "invoice"
    invoice_id: str
    account_id: str
    amount: Decimal
    currency: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.invoice_id


@dataclass(frozen=True, slots=True)
class InvoiceVoided:
    """The invoice keeps its number and charges nothing."""

    TYPE: ClassVar[str] = "invoice.voided"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "invoice"
    invoice_id: str
    account_id: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.invoice_id


@dataclass(frozen=True, slots=True)
class CreditNoteIssued:
    """A part of an invoice was taken back: `amount_offset` is owed no more, `amount_credited` is credit for later invoices."""

    TYPE: ClassVar[str] = "credit_note.issued"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "credit_note"
    credit_note_id: str
    invoice_id: str
    account_id: str
    number: str
    total: Decimal
    amount_offset: Decimal
    amount_credited: Decimal
    currency: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.credit_note_id


@dataclass(frozen=True, slots=True)
class WalletToppedUp:
    """A wallet holds more: `kind` says whether it was paid for or granted."""

    TYPE: ClassVar[str] = "wallet.topped_up"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "wallet"
    wallet_id: str
    account_id: str
    grant_id: str
    kind: str
    amount: Decimal
    currency: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.wallet_id


@dataclass(frozen=True, slots=True)
class WalletGrantEnded:
    """What was left of a top-up is gone: it expired, or its wallet was terminated (`reason` expiry or forfeit)."""

    TYPE: ClassVar[str] = "wallet.grant_ended"
    VERSION: ClassVar[int] = 1
    SUBJECT: ClassVar[str] = "wallet"
    wallet_id: str
    account_id: str
    grant_id: str
    kind: str
    reason: str
    amount: Decimal
    currency: str
    occurred_at: datetime

    @property
    def subject_id(self) -> str:
        return self.wallet_id
