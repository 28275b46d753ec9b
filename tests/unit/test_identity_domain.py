"""The table of permissions, scopes, addresses."""

import pytest

from tallystick.identity.domain import PERMISSIONS, ROLES, SCOPES, UnknownScope, check_scopes
from tallystick.identity.emails import normalise


def test_roles_hold_known_permissions_only() -> None:
    assert set(ROLES) == {"admin", "finance", "support", "customer"}
    assert all(rights <= PERMISSIONS for rights in ROLES.values())
    assert ROLES["admin"] == PERMISSIONS


def test_support_only_reads() -> None:
    own = {"rating:estimate", "profile:write"}
    assert {right for right in ROLES["support"] if not right.endswith(":read")} == own


def test_finance_makes_neither_users_nor_keys_nor_time() -> None:
    assert not ROLES["finance"] & {"users:write", "apikeys:write", "clocks:write"}
    assert "invoices:write" in ROLES["finance"]


def test_a_customer_cannot_touch_what_is_everybodys() -> None:
    assert not ROLES["customer"] & {
        "catalog:write",
        "usage:write",
        "events:write",
        "ledger:read",
        "runs:write",
        "billing:write",
    }


def test_no_key_makes_keys_or_users() -> None:
    assert not SCOPES & {"apikeys:write", "users:write"}
    assert check_scopes(["usage:write", "accounts:write", "usage:write"]) == ["accounts:write", "usage:write"]
    for wrong in ([], ["apikeys:write"], ["usage:write", "nonsense"], ["*"], [""]):
        with pytest.raises(UnknownScope) as refused:
            check_scopes(wrong)
        assert "nonsense" not in str(refused.value.details)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("user@example.com", "user@example.com"),
        ("User.Name+tag@EXAMPLE.com", "User.Name+tag@example.com"),
        ("a@b.test", "a@b.test"),
        ("jürgen@exämple.de", "jürgen@exämple.de"),
    ],
)
def test_addresses(given: str, kept: str) -> None:
    assert normalise(given) == kept


@pytest.mark.parametrize(
    "wrong", ["", "a", "a@", "@b.com", "a b@c.com", "a@localhost", "a@b@c.com", "x" * 300 + "@b.com", "a@b.com\n", "a@[127.0.0.1]", "<script>@b.com", "a\x00@b.com"],
)  # fmt: skip
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(ValueError, match="e-mail address") as refused:
        normalise(wrong)
    assert len(wrong) < 3 or wrong not in str(refused.value)
