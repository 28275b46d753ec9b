"""Granted credit of lines whose corrections stand on credit notes goes back to its grants: a note has no place for it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from tallystick.invoicing.domain.draft import ZERO, Line
from tallystick.invoicing.domain.drawing import returned
from tallystick.invoicing.queries import InvoiceView
from tallystick.ledger import service as ledger
from tallystick.ledger.domain import Entry, Posting
from tallystick.platform.db import Session
from tallystick.wallets import posting
from tallystick.wallets import service as wallets
from tallystick.wallets.service import Settlement


async def give_back(
    session: Session, noted: Iterable[tuple[Line, datetime]], invoices: Mapping[UUID, InvoiceView]
) -> None:
    """What corrections that are on notes give back to grants: told at the line that is corrected, its revenue taken back with it.

    The caller holds the accounts' locks. A correction is noted once, so this happens once.
    """
    settlements: list[Settlement] = []
    postings: list[Posting] = []
    for line, moment in noted:
        back = returned([line])
        if not back:
            continue
        assert line.corrects is not None, "only corrections give back"
        invoice, position = invoices[line.corrects[0]], line.corrects[1]
        given = [(position - 1, grant, amount) for _, grant, amount in back]
        settlements.append(Settlement(invoice.id, moment, (), given))
        revenue = Entry(
            "deferred" if line.timing == "advance" else "revenue", ZERO, None, line.gl_code, (line.period_start, line.period_end)
        )  # fmt: skip
        source = f"{invoice.id}:{position}:{line.revision}"
        total = posting.total(amount for _, _, amount in given)
        postings.append(
            posting.returned(source, invoice.account_no, invoice.entity_id, invoice.currency, total, revenue, moment)
        )  # fmt: skip
    await wallets.settle(session, settlements)
    await ledger.post(session, postings)
