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


Token = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class RefreshIn(Body):
    """The refresh token of the last grant."""

    refresh_token: Token


class LogoutIn(Body):
    """Nothing at all ends the session of this request."""

    refresh_token: Token | None = Field(
        default=None, description="Ends the session of this token too, where it is yours"
    )
    all: bool = Field(default=False, description="Ends all sessions, and every other token of yours")


class EndedOut(BaseModel):
    """What ended."""

    sessions_ended: int


class PasswordIn(Body):
    """Your password, and the one to come."""

    current_password: str
    new_password: NewPassword


class ForgotIn(Body):
    """Any address, whether or not it has an account."""

    email: Email


class ResetIn(Body):
    """The code of the letter."""

    token: Token
    new_password: NewPassword


class TokenOut(BaseModel):
    """RFC 6749 §5.1."""

    access_token: str
    token_type: str = Field(examples=["bearer"])
    expires_in: int
    scope: str = Field(description="What the token may do, apart by spaces")
    refresh_token: str | None = Field(default=None, description="Not with `client_credentials`")


class TokenRefused(BaseModel):
    """RFC 6749 §5.2."""

    error: str = Field(examples=["invalid_grant"])
    error_description: str


class KeySetOut(BaseModel):
    """RFC 7517; keys as in RFC 8037."""

    keys: list[dict[str, str]]


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
