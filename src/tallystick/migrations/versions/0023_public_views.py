"""The schema `public_v1`: views for integrators (decision 14). Each view and column carries its sentence as a comment; docs/schema.md prints them.

Views show ids of the API, never internal numbers, and run with their owner's rights: who may read them needs no right on a table.
A later migration that changes a column a view reads makes the view again, with the same columns in the same order; new ones go last.
"""

from tallystick.migrations.statements import execute

revision = "0023_public_views"
down_revision = "0022_backfills"

Column = tuple[str, str, str]  # name, expression, sentence

_CUSTOMER: Column = ("customer_id", "a.id", "The customer: `customers.id`.")
_LIVE: Column = ("livemode", "a.livemode", "False for data of accounts on a test clock.")
_CREATED = "When the row was written (system time)."
_UPDATED = "When the row last changed (system time)."
_CURRENCY = "ISO 4217; every amount of the row is in it."
_ACCOUNT = "JOIN public.accounts a ON a.no ="


def _view(name: str, sentence: str, columns: tuple[Column, ...], source: str) -> str:
    shown = ",\n    ".join(f"{expression} AS {column}" for column, expression, _ in columns)
    comments = "".join(
        f"COMMENT ON COLUMN public_v1.{name}.{column} IS $comment${told}$comment$;\n"
        for column, _, told in columns
    )
    return (
        f"CREATE VIEW public_v1.{name} AS SELECT\n    {shown}\n{source};\n"
        f"COMMENT ON VIEW public_v1.{name} IS $comment${sentence}$comment$;\n{comments}"
    )


CUSTOMERS = _view(
    "customers",
    "Billing accounts. A closed one stays, without anything personal: name, e-mail, external_id and metadata are gone.",
    (
        ("id", "a.id", "The account's id in the API."),
        ("external_id", "a.external_id", "Your own id for it."),
        ("entity", "e.code", "Code of the selling company that bills it."),
        ("name", "p.name", "Name of the customer; null once closed."),
        ("email", "p.email", "Address of the customer, where given; null once closed."),
        ("country", "a.country", "ISO 3166-1 alpha-2, where known."),
        ("currency", "a.currency", "ISO 4217; what it is billed in unless a document says otherwise."),
        ("timezone", "a.timezone", "IANA zone of its periods and days."),
        ("locale", "a.locale", "Language tag, where given."),
        ("status", "a.status", "`open` or `closed`."),
        ("metadata", "a.metadata", "What integrators keep on it."),
        ("livemode", "a.livemode", "False for accounts on a test clock."),
        ("opened_at", "a.opened_at", "When it was opened, by its own clock."),
        ("closed_at", "a.closed_at", "When it was closed, by its own clock."),
        ("created_at", "a.created_at", _CREATED),
        ("updated_at", "greatest(a.updated_at, p.updated_at)", _UPDATED),
    ),
    """FROM public.accounts a
JOIN public.entities e ON e.id = a.entity_id
LEFT JOIN public.account_profiles p ON p.account_no = a.no""",
)
USERS = _view(
    "users",
    "Who signs in. Names and addresses of people are not shown here.",
    (
        ("id", "u.id", "The user_id of the API."),
        ("customer_id", "u.account_id", "The customer he belongs to; null for staff."),
        ("role", "u.role", "`admin`, `finance`, `support` or `customer`."),
        ("status", "u.status", "`active`, `disabled` or `erased`."),
        ("created_at", "u.created_at", _CREATED),
        ("updated_at", "u.updated_at", _UPDATED),
    ),
    "FROM public.users u",
)
_TERMS: tuple[Column, ...] = (
    ("price", "v.price", "Fee of one period, before taxes."),
    ("currency", "v.currency", _CURRENCY),
    ("billing_cycle", "v.billing_cycle", "`weekly`, `monthly`, `quarterly`, `semiannual` or `yearly`."),
    ("billing_timing", "v.billing_timing", "Whether fees are billed in `advance` or in `arrears`."),
    ("alignment", "v.alignment", "Whether periods follow the `anniversary` or the `calendar`."),
    ("trial_period_days", "v.trial_period_days", "Days without a fee at the start."),
    ("minimum", "v.minimum", "What a period costs at least, where agreed."),
    ("features", "v.features", "Features and their limits."),
    ("tax_category", "v.tax_category", "Which taxes apply to its fees."),
    ("gl_code", "v.gl_code", "Account of your books that its fees belong to."),
)
PLANS = _view(
    "plans",
    "What is on offer, with the terms that new subscriptions get.",
    (
        ("id", "p.id", "The plan_id of the API."),
        ("code", "p.code", "Its code, unique."),
        ("name", "p.name", "What it is called."),
        ("version", "v.version", "Number of the terms below; 1 for the first."),
        *_TERMS,
        ("is_public", "p.is_public", "Whether everybody sees it in the catalog."),
        ("is_active", "p.is_active", "Whether new subscriptions can be made."),
        ("created_at", "p.created_at", _CREATED),
        ("updated_at", "p.updated_at", _UPDATED),
    ),
    """FROM public.plans p
JOIN public.plan_versions v ON v.plan_id = p.id AND v.version = p.current_version""",
)
PLAN_VERSIONS = _view(
    "plan_versions",
    "All terms that a plan ever had. A version never changes; subscriptions stay on theirs.",
    (
        ("plan_id", "v.plan_id", "The plan: `plans.id`."),
        ("version", "v.version", "Number of the version; 1 for the first."),
        *_TERMS,
        ("created_at", "v.created_at", _CREATED),
    ),
    "FROM public.plan_versions v",
)
PLAN_CHARGES = _view(
    "plan_charges",
    "What a version of a plan asks for usage: one row per charge.",
    (
        ("plan_id", "v.plan_id", "The plan: `plans.id`."),
        ("plan_version", "v.version", "The version: `plan_versions.version`."),
        ("position", "c.position", "Order in the plan; 1 for the first."),
        ("code", "c.code", "Its code, unique in the version."),
        ("name", "c.name", "What it is called on invoices."),
        ("meter", "m.code", "What is counted: `meters.code`."),
        ("charge_model", "c.charge_model", "How a quantity becomes an amount."),
        ("properties", "c.properties", "The prices, as the charge model reads them."),
        ("adjustments", "c.adjustments", "What is done beside: discounts, minimum, rounding."),
        ("filters", "c.filters", "Properties that an event must have to count here."),
        ("group_by", "c.group_by", "Properties by whose values it is billed line by line."),
        ("gl_code", "c.gl_code", "Account of your books that it belongs to."),
    ),
    """FROM public.plan_charges c
JOIN public.plan_versions v ON v.id = c.plan_version_id
JOIN public.meters m ON m.id = c.meter_id""",
)
METERS = _view(
    "meters",
    "How events of one kind become a quantity. A meter never changes.",
    (
        ("code", "m.code", "Its code, unique; `service:<name>` for services of internal teams."),
        ("name", "m.name", "What it is called."),
        ("aggregation", "m.aggregation", "How quantities are put together, such as `sum` or `max`."),
        ("field", "m.field", "The property that is aggregated, where it is not the quantity."),
        ("filters", "m.filters", "Properties that an event must have to count."),
        ("unit", "m.unit", "Unit of the quantity."),
        ("recurring", "m.recurring", "Whether the level is carried into the next period."),
        ("created_at", "m.created_at", _CREATED),
    ),
    "FROM public.meters m",
)
SUBSCRIPTIONS = _view(
    "subscriptions",
    "Customers on plans.",
    (
        ("id", "s.id", "Its id in the API."),
        _CUSTOMER,
        ("plan_id", "v.plan_id", "The plan: `plans.id`."),
        ("plan_version", "v.version", "The terms it is on: `plan_versions.version`."),
        (
            "status",
            "CASE WHEN s.ended_at <= coalesce(c.frozen_time, now()) THEN 'canceled' ELSE 'active' END",
            "`active`, or `canceled` once its end has come on the customer's clock.",
        ),
        ("quantity", "s.quantity", "How many times the plan's price."),
        ("currency", "s.currency", "ISO 4217; what it is billed in."),
        ("start_date", "s.started_at", "When service began."),
        ("trial_end", "s.trial_end", "When its trial ends or ended; null without one."),
        ("end_date", "s.ended_at", "When it ends or ended; null while open."),
        ("canceled_at", "s.canceled_at", "When the end was asked for."),
        ("fees_billed_to", "s.billed_to", "Fees are billed up to here."),
        ("usage_billed_to", "s.usage_billed_to", "Usage is billed up to here."),
        ("next_billing_at", "s.next_billing_at", "When its next bill is due; null when all is billed."),
        _LIVE,
        ("created_at", "s.created_at", _CREATED),
        ("updated_at", "s.updated_at", _UPDATED),
    ),
    f"""FROM public.subscriptions s
{_ACCOUNT} s.account_no
JOIN public.plan_versions v ON v.id = s.plan_version_id
LEFT JOIN public.test_clocks c ON c.id = a.test_clock_id""",
)
SUBSCRIPTION_EVENTS = _view(
    "subscription_events",
    "What happened to subscriptions, append-only.",
    (
        ("subscription_id", "h.subscription_id", "The subscription: `subscriptions.id`."),
        (
            "number",
            "row_number() OVER (PARTITION BY h.subscription_id ORDER BY h.id)",
            "Order of what happened to this subscription; 1 for the first.",
        ),
        _CUSTOMER,
        ("event", "h.event", "`started`, `end_scheduled` or `ended`."),
        ("occurred_at", "h.occurred_at", "When it took effect, by the customer's clock."),
        ("details", "h.details", "What belongs to it, such as plan and version."),
        _LIVE,
        ("created_at", "h.created_at", _CREATED),
    ),
    f"""FROM public.subscription_events h
JOIN public.subscriptions s ON s.id = h.subscription_id
{_ACCOUNT} s.account_no""",
)
USAGE_EVENTS = _view(
    "usage_events",
    "Accepted events, voided ones too. Ask for a range of `occurred_at`: only the months in it are then read.",
    (
        ("source", "u.source", "With `id` the identity of the event; empty unless the sender names one."),
        ("id", "u.event_id", "The sender's id of the event."),
        _CUSTOMER,
        ("meter", "m.code", "What it counts on: `meters.code`."),
        ("occurred_at", "u.occurred_at", "When it happened, by the customer's clock."),
        ("quantity", "u.quantity", "How much."),
        ("unit_price", "u.unit_price", "Price of one unit, where the event brought its own."),
        ("currency", "a.currency", "ISO 4217; what unit_price is in."),
        ("properties", "u.properties", "What else the sender said."),
        ("voided_at", "x.voided_at", "When it was voided; null while it counts."),
        _LIVE,
    ),
    f"""FROM public.usage_events u
{_ACCOUNT} u.account_no
JOIN public.meters m ON m.id = u.meter_id
LEFT JOIN public.event_voids x ON x.key = u.key""",
)
USER_USAGE = _view(
    "user_usage",
    "Usage by customer, meter and day. Ask for one customer; for all of them, sum `usage_events` over a range of time.",
    (
        _CUSTOMER,
        ("meter", "m.code", "What was counted: `meters.code`."),
        ("unit", "m.unit", "Unit of the quantity."),
        ("day", "(u.occurred_at AT TIME ZONE a.timezone)::date", "Local day in the customer's present zone."),
        ("events", "count(*)", "How many events, without voided ones."),
        (
            "quantity",
            "sum(u.quantity)",
            "Sum of their quantities. What is billed is up to the meter's aggregation: a maximum is no sum.",
        ),
        _LIVE,
    ),
    f"""FROM public.usage_events u
{_ACCOUNT} u.account_no
JOIN public.meters m ON m.id = u.meter_id
WHERE NOT EXISTS (SELECT FROM public.event_voids x WHERE x.key = u.key)
GROUP BY a.no, a.id, m.id, m.code, m.unit, (u.occurred_at AT TIME ZONE a.timezone)::date, a.livemode""",
)
_OWED = "CASE WHEN i.status = 'finalized' THEN i.amount_due ELSE 0 END"
INVOICES = _view(
    "invoices",
    "Invoices. subtotal − discount − granted − included_tax + tax = total. A finalized one never changes but for what is paid.",
    (
        ("id", "i.id", "Its id in the API."),
        ("number", "i.number", "Its number, gapless in its series; null on drafts."),
        _CUSTOMER,
        ("entity", "e.code", "Code of the selling company."),
        ("status", "i.status", "`draft`, `finalized`, `paid` or `void`."),
        ("currency", "i.currency", _CURRENCY),
        ("period_start", "i.period_start", "Start of what it bills."),
        ("period_end", "i.period_end", "End of what it bills, itself not included."),
        ("issue_date", "i.issue_date", "Date of the document; null on drafts."),
        ("due_date", "i.due_date", "When it is to be paid."),
        ("subtotal", "i.subtotal", "Sum of the lines."),
        ("discount", "i.discount", "Taken off by coupons, before tax."),
        ("granted", "i.granted", "Taken off by credits that were granted, before tax."),
        ("included_tax", "i.included_tax", "Tax that the prices held already."),
        ("tax", "i.tax", "All tax."),
        ("total", "i.total", "What the document asks for."),
        ("credit_applied", "i.credit_applied", "Paid with customer credit."),
        ("wallet_applied", "i.wallet_applied", "Paid from wallets."),
        ("amount_noted", "i.amount_noted", "Taken back by credit notes."),
        ("amount_paid", "i.amount_paid", "Paid with money."),
        ("amount_due", _OWED, "What is still to be paid; 0 on drafts and voids."),
        ("finalized_at", "i.finalized_at", "When it was finalized, by the customer's clock."),
        ("paid_at", "i.paid_at", "When it was paid in full, by the customer's clock."),
        ("voided_at", "i.voided_at", "When it was voided, by the customer's clock."),
        _LIVE,
        ("created_at", "i.created_at", _CREATED),
        ("updated_at", "i.updated_at", _UPDATED),
    ),
    f"""FROM public.invoices i
{_ACCOUNT} i.account_no
JOIN public.entities e ON e.id = i.entity_id""",
)
INVOICE_LINES = _view(
    "invoice_lines",
    "Lines of invoices; `GET /v1/invoices/{id}/explain` says why each costs what it costs.",
    (
        ("invoice_id", "l.invoice_id", "The invoice: `invoices.id`."),
        ("position", "l.position", "Order on the invoice; 1 for the first."),
        _CUSTOMER,
        ("kind", "l.kind", "`fee`, `usage`, `recorded`, `minimum`, `manual` or `correction`."),
        ("description", "l.description", "What the customer reads."),
        ("quantity", "l.quantity", "How much is billed."),
        ("unit", "l.unit", "Unit of the quantity."),
        ("amount", "l.amount", "What it costs before discounts, rounded once."),
        ("exact_amount", "trim_scale(l.exact)", "The amount before it was rounded, to 18 decimals."),
        ("discount", "l.discount", "Taken off by coupons."),
        ("granted", "l.granted", "Taken off by credits that were granted."),
        ("currency", "i.currency", _CURRENCY),
        ("period_start", "l.period_start", "Start of what it bills."),
        ("period_end", "l.period_end", "End of what it bills, itself not included."),
        ("subscription_id", "l.subscription_id", "The subscription, where it belongs to one."),
        ("plan_id", "v.plan_id", "The plan, where it belongs to one."),
        ("plan_version", "v.version", "The version of that plan."),
        ("charge", "c.code", "Code of the plan's charge, on usage of a plan."),
        ("meter", "m.code", "What was counted, on usage."),
        ("event_count", "l.event_count", "How many events it counts, on usage."),
        ("gl_code", "l.gl_code", "Account of your books that it belongs to."),
        ("corrects_invoice_id", "l.corrects_invoice_id", "The invoice whose line it corrects."),
        ("corrects_position", "l.corrects_position", "The line that it corrects."),
        ("voided", "l.voided", "True when its invoice is void."),
        _LIVE,
    ),
    f"""FROM public.invoice_lines l
JOIN public.invoices i ON i.id = l.invoice_id
{_ACCOUNT} l.account_no
LEFT JOIN public.plan_versions v ON v.id = l.plan_version_id
LEFT JOIN public.plan_charges c ON c.id = l.charge_id
LEFT JOIN public.meters m ON m.id = l.meter_id""",
)
INVOICE_TAXES = _view(
    "invoice_taxes",
    "Taxes of whole invoices, one row per tax and rate, as the documents state them.",
    (
        ("invoice_id", "i.id", "The invoice: `invoices.id`."),
        ("position", "t.nth", "Order on the invoice; 1 for the first."),
        _CUSTOMER,
        ("code", "t.tax ->> 'code'", "Code of the tax."),
        ("name", "t.tax ->> 'name'", "Its name on the document."),
        ("kind", "t.tax ->> 'kind'", "`standard`, `zero`, `exempt` or `reverse_charge`."),
        ("rate", "(t.tax ->> 'rate')::numeric", "Percent."),
        ("base", "(t.tax ->> 'base')::numeric", "What it is charged on."),
        ("amount", "(t.tax ->> 'amount')::numeric", "The tax."),
        ("included", "(t.tax ->> 'included')::boolean", "Whether the prices held it already."),
        ("currency", "i.currency", _CURRENCY),
        _LIVE,
    ),
    f"""FROM public.invoices i
{_ACCOUNT} i.account_no
CROSS JOIN LATERAL jsonb_array_elements(i.taxes) WITH ORDINALITY AS t (tax, nth)""",
)
CREDIT_NOTES = _view(
    "credit_notes",
    "Credit notes: what was taken back of an invoice after it was issued. They never change.",
    (
        ("id", "n.id", "Its id in the API."),
        ("number", "n.number", "Its number, gapless in a series of its own."),
        ("invoice_id", "n.invoice_id", "The invoice: `invoices.id`."),
        _CUSTOMER,
        ("entity", "e.code", "Code of the selling company."),
        ("currency", "n.currency", _CURRENCY),
        ("issue_date", "n.issue_date", "Date of the document."),
        ("reason", "n.reason", "Why."),
        ("subtotal", "n.subtotal", "Sum of its lines."),
        ("included_tax", "n.included_tax", "Tax that the prices held already."),
        ("tax", "n.tax", "All tax taken back."),
        ("total", "n.total", "What is taken back in all."),
        ("amount_offset", "n.amount_offset", "The part that lowered what was still owed."),
        ("amount_credited", "n.amount_credited", "The part that became credit of the customer."),
        ("issued_at", "n.issued_at", "When it was issued, by the customer's clock."),
        _LIVE,
        ("created_at", "n.created_at", _CREATED),
    ),
    f"""FROM public.credit_notes n
{_ACCOUNT} n.account_no
JOIN public.entities e ON e.id = n.entity_id""",
)
CREDIT_NOTE_LINES = _view(
    "credit_note_lines",
    "What a credit note takes back of each line.",
    (
        ("credit_note_id", "l.note_id", "The note: `credit_notes.id`."),
        ("position", "l.position", "Order on the note; 1 for the first."),
        ("invoice_id", "l.invoice_id", "The invoice: `invoices.id`."),
        ("invoice_position", "l.invoice_position", "The line of it: `invoice_lines.position`."),
        _CUSTOMER,
        ("description", "l.description", "What the customer reads."),
        ("amount", "l.amount", "What is taken back of the line, in the line's own sign."),
        ("currency", "n.currency", _CURRENCY),
        ("gl_code", "l.gl_code", "Account of your books that it belongs to."),
        _LIVE,
    ),
    f"""FROM public.credit_note_lines l
JOIN public.credit_notes n ON n.id = l.note_id
{_ACCOUNT} n.account_no""",
)
BILLING = _view(
    "billing",
    "Invoices as billing records, as `GET /v1/billing/history` tells them.",
    (
        ("id", "i.id", "Id of the record and of its invoice: `invoices.id`."),
        _CUSTOMER,
        ("amount", "i.total", "What it asks for."),
        ("currency", "i.currency", _CURRENCY),
        (
            "description",
            "coalesce(l.description, i.number, '')",
            "What it is for; else the invoice's number.",
        ),
        ("billing_date", "coalesce(r.billing_date, i.issue_date)", "The day it was made for."),
        ("due_date", "i.due_date", "When it is to be paid."),
        (
            "status",
            "CASE WHEN i.status = 'draft' THEN coalesce(r.shown_as, 'pending') ELSE i.status END",
            "`pending`, `draft`, `finalized`, `paid` or `void`.",
        ),
        _LIVE,
        ("created_at", "i.created_at", _CREATED),
        ("updated_at", "i.updated_at", _UPDATED),
    ),
    f"""FROM public.invoices i
{_ACCOUNT} i.account_no
LEFT JOIN public.billing_records r ON r.invoice_id = i.id
LEFT JOIN public.invoice_lines l ON l.invoice_id = i.id AND l.position = 1 AND r.invoice_id IS NOT NULL""",
)
WALLETS = _view(
    "wallets",
    "Purses of customers, with what is in them.",
    (
        ("id", "w.id", "Its id in the API."),
        _CUSTOMER,
        ("name", "w.name", "What it is called."),
        ("currency", "w.currency", _CURRENCY),
        ("priority", "w.priority", "The lowest is used first."),
        ("paid_balance", "g.paid", "What remains of what was paid for."),
        ("granted_balance", "g.granted", "What remains of what was given."),
        ("held", "g.held", "The part of both that is reserved."),
        ("expires_at", "w.expires_at", "When all of it ends, where agreed."),
        ("opened_at", "w.opened_at", "When it was opened, by the customer's clock."),
        ("terminated_at", "w.terminated_at", "When it was ended; null while it is open."),
        _LIVE,
        ("created_at", "w.created_at", _CREATED),
        ("updated_at", "w.updated_at", _UPDATED),
    ),
    f"""FROM public.wallets w
{_ACCOUNT} w.account_no
CROSS JOIN LATERAL (
    SELECT coalesce(sum(remaining) FILTER (WHERE kind = 'paid'), 0) AS paid,
        coalesce(sum(remaining) FILTER (WHERE kind = 'granted'), 0) AS granted, coalesce(sum(held), 0) AS held
    FROM public.wallet_grants WHERE wallet_id = w.id AND remaining > 0) g""",
)
WALLET_TRANSACTIONS = _view(
    "wallet_transactions",
    "What happened to wallets, append-only.",
    (
        ("wallet_id", "t.wallet_id", "The wallet: `wallets.id`."),
        (
            "number",
            "row_number() OVER (PARTITION BY t.wallet_id ORDER BY t.id)",
            "Order of what happened to this wallet; 1 for the first.",
        ),
        _CUSTOMER,
        ("top_up_id", "t.grant_id", "The top-up it concerns."),
        ("top_up_kind", "g.kind", "`paid` or `granted`."),
        (
            "kind",
            "t.kind",
            "Such as `top_up`, `draw`, `give_back`, `expiry`, `hold`, `release` or `capture`.",
        ),
        ("amount", "t.amount", "What it added; negative where it took."),
        ("held", "t.held", "What it reserved; negative where it set free."),
        ("remaining", "t.remaining", "What remained of the top-up after it."),
        ("currency", "g.currency", _CURRENCY),
        ("invoice_id", "t.invoice_id", "The invoice whose lines were paid or given back."),
        (
            "invoice_positions",
            "CASE WHEN t.kind = 'draw' THEN t.facts->'shares' WHEN t.position IS NOT NULL"
            " THEN jsonb_build_array(jsonb_build_array(t.position, abs(t.amount))) END",
            "Its lines and what of each was paid or given back: pairs of `invoice_lines.position` and an amount.",
        ),
        ("hold_id", "t.hold_id", "The hold, where it belongs to one."),
        ("occurred_at", "t.occurred_at", "When, by the customer's clock."),
        _LIVE,
        ("created_at", "t.created_at", _CREATED),
    ),
    f"""FROM public.wallet_transactions t
JOIN public.wallet_grants g ON g.id = t.grant_id
{_ACCOUNT} g.account_no""",
)
COUPON_REDEMPTIONS = _view(
    "coupon_redemptions",
    "Coupons that customers redeemed, with what each has taken off so far.",
    (
        ("id", "r.id", "Its id in the API."),
        _CUSTOMER,
        ("code", "k.code", "Code of the coupon."),
        ("name", "k.name", "What it is called."),
        ("kind", "k.kind", "`fixed` or `percent`."),
        ("value", "k.value", "The amount, or the percent."),
        ("currency", "r.currency", _CURRENCY),
        ("uses_left", "r.uses_left", "How many invoices it still lowers; null for all."),
        ("applied_at", "r.applied_at", "When it was redeemed, by the customer's clock."),
        ("withdrawn_at", "r.withdrawn_at", "When it was withdrawn; null while it counts."),
        ("invoices", "t.invoices", "How many invoices it has lowered, voided ones left out."),
        ("amount", "t.amount", "What it has taken off them."),
        _LIVE,
    ),
    f"""FROM public.applied_coupons r
JOIN public.coupons k ON k.id = r.coupon_id
{_ACCOUNT} r.account_no
CROSS JOIN LATERAL (
    SELECT count(*) AS invoices, coalesce(sum(t.amount), 0) AS amount
    FROM public.coupon_uses t WHERE t.applied_id = r.id AND NOT t.voided) t""",
)
LEDGER_ENTRIES = _view(
    "ledger_entries",
    "The books, append-only: the entries of one posting add up to 0.",
    (
        ("posting", "p.key", "Key of the posting, unique, such as `invoice:<id>:finalized`."),
        ("position", "t.position", "Order in the posting."),
        ("kind", "p.kind", "What kind of posting it is."),
        ("occurred_at", "p.occurred_at", "When, by the customer's clock."),
        ("entity", "e.code", "Code of the selling company whose books these are."),
        ("account", "b.code", "Account of the books, such as `receivable`, `revenue` or `tax:vat`."),
        ("gl_code", "b.gl_code", "Account of your own books, where the line named one."),
        ("customer_id", "a.id", "The customer, on his own accounts: `customers.id`."),
        ("amount", "t.amount", "Debit positive, credit negative."),
        ("currency", "t.currency", _CURRENCY),
        ("period_start", "t.period_start", "Start of the service that it is for, where it is for one."),
        ("period_end", "t.period_end", "End of that service."),
        ("source_type", "p.source_type", "What caused it, such as `invoice`."),
        ("source_id", "p.source_id", "Id of what caused it."),
        ("livemode", "NOT e.is_test", "False in the books of the company that bills test clocks."),
        ("created_at", "p.created_at", _CREATED),
    ),
    """FROM public.ledger_entries t
JOIN public.ledger_postings p ON p.id = t.posting_id
JOIN public.ledger_accounts b ON b.id = t.account_id
JOIN public.entities e ON e.id = p.entity_id
LEFT JOIN public.accounts a ON a.no = b.account_no""",
)

UP = (
    "CREATE SCHEMA public_v1;\n"
    "COMMENT ON SCHEMA public_v1 IS $comment$Views for integrators, versioned like the API.$comment$;\n"
    + CUSTOMERS + USERS + PLANS + PLAN_VERSIONS + PLAN_CHARGES + METERS + SUBSCRIPTIONS + SUBSCRIPTION_EVENTS + USAGE_EVENTS
    + USER_USAGE + INVOICES + INVOICE_LINES + INVOICE_TAXES + CREDIT_NOTES + CREDIT_NOTE_LINES + BILLING + WALLETS
    + WALLET_TRANSACTIONS + COUPON_REDEMPTIONS + LEDGER_ENTRIES
)  # fmt: skip
DOWN = """
DROP VIEW public_v1.customers, public_v1.users, public_v1.plans, public_v1.plan_versions, public_v1.plan_charges, public_v1.meters,
    public_v1.subscriptions, public_v1.subscription_events, public_v1.usage_events, public_v1.user_usage, public_v1.invoices,
    public_v1.invoice_lines, public_v1.invoice_taxes, public_v1.credit_notes, public_v1.credit_note_lines, public_v1.billing,
    public_v1.wallets, public_v1.wallet_transactions, public_v1.coupon_redemptions, public_v1.ledger_entries;
DROP SCHEMA public_v1;
"""
"""Without CASCADE: what an operator built upon the views is his to take away first."""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
