"""Commands on invoices, inside the caller's transaction. Number, ledger entry, outbox and audit row commit together.

Order of locks: invoice row, the customer's ledger account, the number series last (DESIGN §7).
"""

from tallystick.invoicing.service.changing import finalize, locked, mark_paid, void
from tallystick.invoicing.service.noting import CreditNoteRef, NoteOrder, issue, issue_many
from tallystick.invoicing.service.recording import RecordWish, change_record, create_record
from tallystick.invoicing.service.storing import AlreadyBilled, InvoiceRef, store

__all__ = [
    "AlreadyBilled", "CreditNoteRef", "InvoiceRef", "NoteOrder", "RecordWish", "change_record", "create_record", "finalize", "issue",
    "issue_many", "locked", "mark_paid", "store", "void",
]  # fmt: skip
