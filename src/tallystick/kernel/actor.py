"""Who acts: the same small value from the edge down to the audit row."""

from dataclasses import dataclass, field
from typing import Literal

from tallystick.kernel.errors import Forbidden, NotFound

Kind = Literal["user", "api_key", "system", "anonymous"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The principal behind a command or a query.

    `permissions` are the role's or key's rights (`accounts:read`). `account_no` and `account_id` are set for customers: they see
    and touch only what belongs to that account, and what belongs to others is not there for them (404).
    """

    kind: Kind
    id: str
    role: str
    permissions: frozenset[str] = frozenset()
    entity_id: int = 1
    user_id: int | None = None
    account_no: int | None = None
    account_id: str | None = None
    request_id: str = ""
    address: str | None = field(default=None, compare=False)

    @property
    def principal(self) -> str:
        """The name under which idempotency keys and rate limits are kept: `user:7`, `api_key:3`, `system:cli`."""
        return f"{self.kind}:{self.id}"

    @property
    def is_customer(self) -> bool:
        """True for someone who may only see his own account."""
        return self.role == "customer"

    def may(self, permission: str) -> bool:
        """Whether the actor holds `permission`; the system holds all."""
        return self.kind == "system" or permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises `Forbidden` unless the actor holds `permission`; for a customer, what he may not is not there (`NotFound`)."""
        if self.may(permission):
            return
        if self.is_customer:
            raise NotFound
        raise Forbidden(details={"required": permission})


def system_actor(name: str, *, request_id: str = "", entity_id: int = 1) -> Actor:
    """An actor for work that no person asked for: `system_actor("background")`, `system_actor("cli")`."""
    return Actor("system", name, "system", entity_id=entity_id, request_id=request_id)
