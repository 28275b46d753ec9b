"""What can be refused, drawn once.

    Refusal                      a client can act on it; never a fault of ours
    ├── Malformed            400 the bytes cannot be read
    ├── Unauthenticated      401 who are you?
    ├── PaymentRequired      402 declined, or a quota is spent
    ├── Forbidden            403 the role may not
    ├── NotFound             404 not there, or not yours
    ├── Conflict             409 the state does not allow it
    ├── Stale                412 `If-Match` names an older revision
    ├── TooLarge             413 body, batch or file over its limit
    ├── UnsupportedMedia     415 not a content type we read
    ├── Invalid              422 fields that break a rule, each named in `details`
    ├── RateLimited          429 too many requests
    └── Unavailable          503 something we depend on is down; the same request may succeed later

A context adds a class per refusal (`class EmailTaken(Conflict): code = "email_taken"`). `code` is stable, documented and
never reused; the sentence is for people and says the way out. Neither ever repeats what the client sent.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class Refusal(Exception):
    """Base of all refusals. `code` and `status` belong to the class; `details` to the case."""

    status: ClassVar[int] = 400
    code: str = "refused"
    sentence: str = "The request was refused"

    def __init__(
        self,
        sentence: str | None = None,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.sentence = sentence or type(self).sentence
        self.code = code or type(self).code
        self.details: dict[str, Any] = dict(details or {})
        self.retry_after = retry_after
        super().__init__(self.sentence)


class Malformed(Refusal):
    status, code, sentence = 400, "malformed", "The request could not be read"


class Unauthenticated(Refusal):
    status, code, sentence = 401, "unauthorized", "Unauthorized"


class PaymentRequired(Refusal):
    status, code, sentence = 402, "payment_required", "A payment is required"


class Forbidden(Refusal):
    status, code, sentence = 403, "forbidden", "Your role does not allow this"


class NotFound(Refusal):
    status, code, sentence = 404, "not_found", "Not found"


class Conflict(Refusal):
    status, code, sentence = 409, "conflict", "The current state does not allow this"


class Stale(Refusal):
    status, code, sentence = 412, "stale", "Someone changed this in the meantime; read it again"


class TooLarge(Refusal):
    status, code, sentence = 413, "too_large", "The request is over the size limit"


class UnsupportedMedia(Refusal):
    status, code, sentence = 415, "unsupported_media_type", "Send application/json in UTF-8"


class Invalid(Refusal):
    """Fields that break a rule. `details` maps each field's path to one sentence."""

    status, code, sentence = 422, "invalid", "Some fields are not valid; see details"

    @classmethod
    def field(cls, name: str, problem: str, *, code: str | None = None) -> "Invalid":
        """The refusal of a single field."""
        return cls(f"{name}: {problem}", code=code, details={name: problem})


class RateLimited(Refusal):
    status, code, sentence = 429, "rate_limited", "Rate limit exceeded"


class Unavailable(Refusal):
    status, code, sentence = 503, "unavailable", "A part we depend on is down; try again shortly"
