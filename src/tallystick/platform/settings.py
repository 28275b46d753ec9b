"""Settings: read once at start, checked whole, every problem named at the same time.

Each field is an environment variable `TALLYSTICK_<NAME>`; `DATABASE_URL` and `REDIS_URL` go by their customary names.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tallystick.kernel.currencies import EXPONENTS

Environment = Literal["development", "staging", "production"]


class SettingsError(Exception):
    """Start-up is refused; `problems` lists every setting that is wrong, each with its variable's name."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("Settings are not valid:\n" + "\n".join(f"  - {problem}" for problem in problems))


class Settings(BaseSettings):
    """Everything an installation can choose."""

    model_config = SettingsConfigDict(
        env_prefix="TALLYSTICK_", extra="ignore", frozen=True, populate_by_name=True
    )

    environment: Environment = "development"
    data_dir: Path = Path(".data")
    database_url: str | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url")
    )
    redis_url: str | None = Field(default=None, validation_alias=AliasChoices("REDIS_URL", "redis_url"))

    host: str = "127.0.0.1"
    subscription_port: int = Field(default=8001, ge=0, le=65535)
    extra_ports: Annotated[tuple[int, ...], NoDecode] = (3001, 8080)
    workers: int = Field(default=1, ge=1, le=64)
    pool_size: int = Field(default=10, ge=1, le=200)

    admin_email: str | None = None
    admin_password: SecretStr | None = None
    access_token_seconds: int = Field(default=3600, ge=60, le=86400)
    bcrypt_cost: int = Field(default=12, ge=4, le=16)
    password_reset_seconds: int = Field(default=1800, ge=60, le=86400)
    password_reset_url: str | None = None

    default_currency: str = "USD"
    allowed_services: Annotated[tuple[str, ...], NoDecode] = ("Database Hosting",)
    late_limit_days: int = Field(default=35, ge=0, le=3650)

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_batch_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    rate_limit_anonymous: int = Field(default=100, ge=1)
    rate_limit_principal: int = Field(default=6000, ge=1)
    rate_limit_login: int = Field(default=10, ge=1)
    rate_limit_register: int = Field(default=30, ge=1)
    rate_limit_reset: int = Field(default=10, ge=1)
    redis_timeout_ms: int = Field(default=250, ge=10, le=10_000)
    idempotency_days: int = Field(default=30, ge=1)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    access_log: bool = True
    mail_dir: Path | None = None

    @field_validator("extra_ports", mode="before")
    @classmethod
    def _ports(cls, value: object) -> object:
        return (
            tuple(part for part in value.replace(" ", "").split(",") if part)
            if isinstance(value, str)
            else value
        )

    @field_validator("allowed_services", mode="before")
    @classmethod
    def _services(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("default_currency")
    @classmethod
    def _currency(cls, value: str) -> str:
        if value not in EXPONENTS:
            raise ValueError("is not an ISO 4217 currency code")
        return value

    @field_validator("password_reset_url")
    @classmethod
    def _page(cls, value: str | None) -> str | None:
        if value is not None and (
            not value.startswith(("http://", "https://")) or any(char in value for char in " #\r\n")
        ):
            raise ValueError("must be the http(s) address of a page, without a fragment")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: str | None) -> str | None:
        if value and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value or None

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value or None

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        if self.environment == "production" and not self.database_url:
            raise ValueError("DATABASE_URL is required in production")
        if self.environment == "production" and (self.password_reset_url or "https://").startswith("http://"):
            raise ValueError("TALLYSTICK_PASSWORD_RESET_URL must begin with https:// in production")
        if (self.admin_email is None) != (self.admin_password is None):
            raise ValueError("TALLYSTICK_ADMIN_EMAIL and TALLYSTICK_ADMIN_PASSWORD go together")
        return self


def load_settings(**overrides: object) -> Settings:
    """The settings of this process. Raises `SettingsError` with all problems at once."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError([_problem(item["loc"], item["msg"]) for item in error.errors()]) from None


def _problem(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not location:
        return message
    name = str(location[0])
    variable = name if name.isupper() else f"TALLYSTICK_{name.upper()}"
    return f"{variable}: {message}"
