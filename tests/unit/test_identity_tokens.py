"""Access tokens: what is issued is read, and nothing else is."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tallystick.identity import tokens
from tallystick.identity.domain import InvalidToken, Standing, TokenExpired
from tallystick.platform.keys import KeyMissing, SigningKey, load_key

USER = Standing(7, "finance", 1, None, None, "active", 3)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return load_key(tmp_path, "access-tokens", make=True)


def issued(key: SigningKey, now: datetime | None = None) -> str:
    return tokens.issue(key, USER, None, now=now or datetime.now(UTC), seconds=3600, jti="j")


def claims(**changes: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    whole = {
        "iss": "tallystick",
        "aud": "tallystick",
        "sub": "7",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
        "jti": "j",
        "ver": 1,
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def test_a_token_is_read_back(key: SigningKey) -> None:
    read = tokens.read(issued(key), {key.key_id: key.public})
    assert (read.user_id, read.token_version) == (7, 3)
    header = jwt.get_unverified_header(issued(key))
    assert header == {"alg": "EdDSA", "typ": "at+jwt", "kid": key.key_id}


def test_leeway_is_thirty_seconds(key: SigningKey) -> None:
    now = datetime.now(UTC)
    tokens.read(issued(key, now - timedelta(seconds=3620)), {key.key_id: key.public})
    with pytest.raises(TokenExpired) as refused:
        tokens.read(issued(key, now - timedelta(seconds=3640)), {key.key_id: key.public})
    assert (refused.value.sentence, refused.value.code, refused.value.status) == (
        "Token expired",
        "token_expired",
        401,
    )
    tokens.read(issued(key, now + timedelta(seconds=20)), {key.key_id: key.public})
    with pytest.raises(InvalidToken):
        tokens.read(issued(key, now + timedelta(seconds=60)), {key.key_id: key.public})


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "ver"])
def test_every_claim_is_required(key: SigningKey, missing: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.read(
            jwt.encode(claims(**{missing: None}), key.private, algorithm="EdDSA"), {key.key_id: key.public}
        )


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "other"}, {"aud": "other"}, {"aud": ["tallystick", "x"]}, {"sub": "-1"}, {"sub": "7 "}, {"sub": "٧"}, {"sub": "9" * 40},
        {"sub": ""}, {"ver": "1"}, {"exp": "soon"}, {"exp": 1e400}, {"nbf": "x"}, {"iat": {}},
    ],
)  # fmt: skip
def test_strange_claims_are_refused(key: SigningKey, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        tokens.read(jwt.encode(claims(**change), key.private, algorithm="EdDSA"), {key.key_id: key.public})


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_other_algorithms_are_refused(key: SigningKey, tmp_path: Path) -> None:
    raw = key.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pem = key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = part(claims())
    forged = [f"{part({'alg': 'none'})}.{body}.", f"{part({'alg': 'NONE', 'typ': 'JWT'})}.{body}.AAAA"]
    for secret in (raw, pem):  # key confusion: the public key as HMAC secret
        head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{body}"
        mac = (
            base64.urlsafe_b64encode(hmac.digest(secret, head.encode(), hashlib.sha256)).decode().rstrip("=")
        )
        forged.append(f"{head}.{mac}")
    other = rsa.generate_private_key(65537, 2048)
    forged.append(jwt.encode(claims(), other, algorithm="RS256"))
    forged.append(jwt.encode(claims(), load_key(tmp_path, "other", make=True).private, algorithm="EdDSA"))
    forged.append(
        jwt.encode(
            claims(),
            load_key(tmp_path, "other", make=True).private,
            algorithm="EdDSA",
            headers={"kid": key.key_id},
        )
    )
    for token in forged:
        with pytest.raises(InvalidToken):
            tokens.read(token, {key.key_id: key.public})


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "....",
        "é.ü.ß",
        "\x00",
        "e30.e30.e30",
        "x" * 100_000,
        "eyJhbGciOiJFZERTQSJ9.bnVsbA.AA",
    ],
)
def test_garbage_is_an_invalid_token(key: SigningKey, garbage: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        tokens.read(garbage, {key.key_id: key.public})
    assert (refused.value.sentence, refused.value.code) == ("Invalid token", "invalid_token")


def test_every_changed_character_breaks_it(key: SigningKey) -> None:
    token = issued(key)
    for place in range(0, len(token) - 1, 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(InvalidToken):
            tokens.read(changed, {key.key_id: key.public})


def test_secrets_are_43_url_safe_characters() -> None:
    secret = tokens.new_secret(tokens.API_KEY_PREFIX)
    assert secret.startswith("tsk_")
    assert len(secret) == 47
    assert set(secret) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert secret != tokens.new_secret(tokens.API_KEY_PREFIX)


def test_a_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    first = load_key(tmp_path / "keys", "k", make=True)
    assert load_key(tmp_path / "keys", "k", make=True).key_id == first.key_id
    assert (tmp_path / "keys" / "k.pem").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["k.pem"]


def test_a_missing_key_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match="openssl genpkey"):
        load_key(tmp_path, "k", make=False)
    (tmp_path / "rsa.pem").write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(KeyMissing, match="not an Ed25519 key"):
        load_key(tmp_path, "rsa", make=True)
