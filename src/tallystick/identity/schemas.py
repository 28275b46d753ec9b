"""Bodies of identity's routes."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, WithJsonSchema

from tallystick.identity.emails import MAX_LENGTH, normalise
from tallystick.platform.http.fields import Body, Instant, Name

Email = Annotated[
    str,
    StringConstraints(max_length=MAX_LENGTH),
    AfterValidator(normalise),
    WithJsonSchema({"type": "string", "format": "email", "examples": ["user@example.com"]}),
]
"""An e-mail address, normalised; for every context that takes one."""

NewPassword = Annotated[
    str, StringConstraints(min_length=12, max_length=1024), Field(examples=["SecurePassword123!"])
]


class LoginIn(Body):
    """Any strings: what is no address or no password is simply wrong."""

    email: str = Field(examples=["user@example.com"])
    password: str = Field(examples=["SecurePassword123!"])


class GrantOut(BaseModel):
    """A sign-in."""

    access_token: str
    token_type: str = Field(examples=["bearer"])
    expires_in: int = Field(description="Seconds the access token lives")
    user_id: int
    email: str
    refresh_token: str


class MeOut(BaseModel):
    """The user behind the token. `account_id` is null for staff."""

    user_id: int
    email: str
    first_name: str
    last_name: str
    role: str
    account_id: str | None


class ApiKeyIn(Body):
    """A key for a service."""

    name: Name
    scopes: list[str] = Field(min_length=1, max_length=50, examples=[["usage:write", "accounts:write"]])
    expires_at: Instant | None = None


class ApiKeyOut(BaseModel):
    """A key as it is listed."""

    id: int
    name: str
    hint: str = Field(description="How the key begins, to tell keys apart")
    scopes: list[str]
    expires_at: str | None
    created_by: int | None
    created_at: str


class NewApiKeyOut(BaseModel):
    """A new key. `key` is shown this once."""

    id: int
    key: str
    name: str
    scopes: list[str]
    expires_at: str | None
