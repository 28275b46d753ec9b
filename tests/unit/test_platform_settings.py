"""Settings: every problem at once, by the name of its variable; the example file says what there is."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tallystick.platform.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without settings."""
    for name in list(os.environ):
        if name.startswith("TALLYSTICK_") or name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name)


def variable(name: str) -> str:
    return name.upper() if name in ("database_url", "redis_url") else f"TALLYSTICK_{name.upper()}"


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert settings.environment == "development"
    assert settings.database_url is None


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://db/x")
    monkeypatch.setenv("REDIS_URL", "redis://cache")
    monkeypatch.setenv("TALLYSTICK_EXTRA_PORTS", " 3001, 8080,")
    monkeypatch.setenv("TALLYSTICK_ALLOWED_SERVICES", "A, Database Hosting ,")
    monkeypatch.setenv("TALLYSTICK_ACCESS_LOG", "false")
    settings = load_settings()
    assert (settings.database_url, settings.redis_url) == ("postgres://db/x", "redis://cache")
    assert settings.extra_ports == (3001, 8080)
    assert settings.allowed_services == ("A", "Database Hosting")
    assert settings.access_log is False


def test_all_problems_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "DATABASE_URL": "mysql://db", "REDIS_URL": "http://cache", "TALLYSTICK_ENVIRONMENT": "prod",
        "TALLYSTICK_SUBSCRIPTION_PORT": "70000", "TALLYSTICK_EXTRA_PORTS": "a,b", "TALLYSTICK_WORKERS": "0",
        "TALLYSTICK_DEFAULT_CURRENCY": "XXX", "TALLYSTICK_BCRYPT_COST": "99", "TALLYSTICK_LOG_LEVEL": "loud",
        "TALLYSTICK_ACCESS_LOG": "perhaps", "TALLYSTICK_MAX_BODY_BYTES": "-1",
    }  # fmt: skip
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == set(wrong)
    for problem in caught.value.problems:
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"environment": "production"}, "DATABASE_URL is required in production"),
        (
            {"admin_email": "a@example.com"},
            "TALLYSTICK_ADMIN_EMAIL and TALLYSTICK_ADMIN_PASSWORD go together",
        ),
        (
            {"admin_password": "secret-canary"},
            "TALLYSTICK_ADMIN_EMAIL and TALLYSTICK_ADMIN_PASSWORD go together",
        ),
    ],
)
def test_what_belongs_together(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert caught.value.problems == [told]
    assert "canary" not in str(caught.value)


def test_a_wrong_value_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection string may hold a password."""
    monkeypatch.setenv("DATABASE_URL", "mysql://user:secret-canary@db")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "canary" not in str(caught.value)


def test_a_secret_does_not_show_itself() -> None:
    settings = load_settings(admin_email="a@example.com", admin_password="secret-canary")
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


def test_settings_do_not_change() -> None:
    with pytest.raises(Exception, match="frozen"):
        load_settings().workers = 5  # type: ignore[misc]


EXAMPLE = re.compile(r"^# (?P<name>[A-Z_]+)=(?P<value>.*)$")


def example() -> dict[str, tuple[str, str]]:
    """Variable → value shown and the sentence above it."""
    found: dict[str, tuple[str, str]] = {}
    before = ""
    for line in (ROOT / ".env.example").read_text().splitlines():
        match = EXAMPLE.match(line)
        if match:
            found[match["name"]] = (match["value"], before)
        before = line
    return found


def test_the_example_lists_every_variable() -> None:
    assert list(example()) == [variable(name) for name in Settings.model_fields]


def test_the_example_shows_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as it stands, it changes nothing."""
    for name, (value, sentence) in example().items():
        assert sentence.startswith("# "), f"{name} is not explained"
        assert sentence.endswith("."), name
        if value:
            monkeypatch.setenv(name, value)
    assert load_settings() == Settings.model_construct(
        **{n: f.get_default() for n, f in Settings.model_fields.items()}
    )
