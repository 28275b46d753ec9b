"""What a reader of the API's description sees first: the introduction, and the sections in the order in which they are met."""

INTRODUCTION = """
Usage, subscriptions and prices in; exact, explained invoices and a double-entry ledger out.

## Credentials
`POST /v1/auth/login` with e-mail and password answers an `access_token`; send it as `Authorization: Bearer …`. It lives an hour: then
`POST /v1/auth/refresh`. Services send an API key as `X-Api-Key: tsk_…` (`POST /v1/api-keys`), or change it for a token at `POST /v1/auth/token`, which is
also what *Authorize* on this page does. Each operation names the right it needs as `x-permission`; staff without it get 403. What a customer may not see is not there: 404.

## Answers
A success:

```json
{"success": true, "data": {}, "message": "Account created", "timestamp": "2024-01-01T00:00:00Z"}
```

A refusal; rely on `code`, which is never used for anything else, and show `error` to people:

```json
{"success": false, "error": "Some fields are not valid; see details", "code": "validation_failed", "details": {"price": "must not be negative"},
 "request_id": "8ad37aef63fc4255", "timestamp": "2024-01-01T00:00:00Z"}
```

`POST /v1/auth/token`, `/.well-known`, `/v1/health` and `/api/v1` answer without the envelope.

| status | means | repeat the same request? |
| --- | --- | --- |
| 400, 413, 415 | it cannot be read | no, mend it |
| 401 | who are you? | after signing in |
| 403, 404 | not yours to do; not there, or not yours | no |
| 409 | the state does not allow it | when the state has changed |
| 412 | `If-Match` names an older revision | after reading it again |
| 422 | fields that break a rule, each named in `details` | no, mend it |
| 429, 503 | too many requests; something is down | after `Retry-After` |
| 500 | our fault | yes, with the same `Idempotency-Key` |

## Never twice
Send `Idempotency-Key` (1 to 255 visible ASCII characters) with any POST, PUT or DELETE. The same key and body get the stored answer again, with
`Idempotency-Replayed: true`; another body is 422 `idempotency_key_reused`; while the first still runs, 409 with `Retry-After`. Keys are kept 30 days. Usage
events need no key: `source` and `id` are their identity, for ever.

## Money
Amounts are JSON numbers with exact decimals, such as `29.99`; numbers and strings are read digit by digit, never as binary floats. `Prefer: decimals=string` answers
every decimal as a string. Each amount stands beside its ISO 4217 currency. Unit prices take up to 12 decimals. A line is computed exactly and rounded once.

## Time
Instants are RFC 3339 with offset in, UTC with `Z` out; periods include their start and not their end. A date without time is a local date of the account.
An account on a test clock lives by that clock.

## Lists
`limit` (1 to 200) and `cursor`; `meta.next_cursor` of one page asks for the next, and is null on the last. Filters are named after fields.

## Revisions
Single resources carry an `ETag`. `If-None-Match` answers 304; `If-Match` on a change refuses with 412 where somebody was faster.

## Limits
`RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds) stand on every answer, `Retry-After` on 429. Bodies: 1 MiB, batches 8 MiB.
`X-Request-Id` is accepted or made, answered and logged. Every path answers with and without a trailing slash.
""".strip()

SECTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "sign-in",
        "Users, tokens, passwords, and keys for services.",
        r"/v1/auth/|/v1/api-keys|/\.well-known",
    ),
    ("taxes", "Rates with their dates, and who pays which.", r"/v1/taxes|/v1/accounts/[^/]+/tax"),
    ("coupons", "What lowers invoices before tax.", r"/v1/coupons|/v1/accounts/[^/]+/coupons"),
    (
        "usage",
        "Events in, each counted once; what became of each; the current bill.",
        r"/v1/events|/v1/backfills|/v1/accounts/[^/]+/usage",
    ),
    (
        "credit notes",
        "What is taken back of an issued invoice, and the customer's credit.",
        r"/v1/credit-notes|/v1/invoices/[^/]+/credit-notes|/v1/accounts/[^/]+/credit",
    ),
    ("accounts", "Who is billed, in which currency and by which calendar.", r"/v1/accounts"),
    (
        "catalog",
        "Meters count, plans price. A version that was used never changes.",
        r"/v1/(plans|meters|services|catalog)",
    ),
    (
        "estimates",
        "What a quantity would cost and how periods are cut; nothing is stored.",
        r"/v1/(rating|periods)",
    ),
    ("subscriptions", "Accounts on plans.", r"/v1/subscriptions"),
    (
        "invoices",
        "Bills, their explanation, and the proof that they compute to the same again.",
        r"/v1/invoices",
    ),
    ("billing runs", "Bill everything that is due.", r"/v1/billing-runs"),
    ("billing records", "Invoices with one line, as older systems know them.", r"/v1/billing/|/v1/billing$"),
    ("wallets", "Paid and granted credits that pay invoices; holds.", r"/v1/wallets"),
    ("ledger", "The books: double entry, append-only.", r"/v1/ledger"),
    ("test clocks", "Time that stands until you move it, to bill years in seconds.", r"/v1/test-clocks"),
    ("entities", "The companies that sell, and their settings.", r"/v1/entities"),
    (
        "internal usage",
        "Two calls for teams that know nothing of billing. No envelope, no subscription needed.",
        r"/api/v1/",
    ),
    ("health", "Is it up?", r"/v1/health"),
)
"""Name, a sentence, and the paths that belong to it; the first that fits counts."""

ORDER = (
    "sign-in", "accounts", "catalog", "subscriptions", "usage", "internal usage", "invoices", "credit notes", "billing runs",
    "billing records", "wallets", "coupons", "taxes", "ledger", "estimates", "test clocks", "entities", "health",
)  # fmt: skip
"""How the sections stand on the page: as a newcomer meets them."""
