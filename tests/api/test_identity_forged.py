"""Tokens that we did not make, or not like this: each is refused. And the keys that others verify with."""

import base64
import hashlib
import hmac
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from fastapi import FastAPI
from support import bearer, make_settings, make_user, serving, staff_headers

from tallystick.apps.subscription_service import create_app
from tallystick.identity.domain import Standing
from tallystick.platform.edge import system_now
from tallystick.platform.keys import SigningKey, load_key

Forger = Callable[["Forge"], str]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Forge:
    """What a forger has: a real user's number, our public key, keys of his own; and our private key, for what we would never sign."""

    def __init__(self, key: SigningKey, user: Standing) -> None:
        self.key = key
        self.now = int(system_now().timestamp())
        self.own = Ed25519PrivateKey.generate()
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.claims: dict[str, Any] = {
            "iss": "tallystick", "aud": "tallystick", "sub": str(user.id), "iat": self.now, "nbf": self.now, "exp": self.now + 600,
            "jti": "j", "ver": user.token_version, "role": user.role,
        }  # fmt: skip
        self.header: dict[str, Any] = {"alg": "EdDSA", "typ": "at+jwt", "kid": key.key_id}

    def sign(
        self, header: Any = None, claims: Any = None, *, by: Ed25519PrivateKey | None = None, raw: str | None = None
    ) -> str:  # fmt: skip
        """A token signed by our key or another, with changes; a None takes the claim or header away. `raw` is the payload's text."""
        head = {**self.header, **(header or {})}
        body = {**self.claims, **(claims or {})}
        head, body = (
            {name: value for name, value in part.items() if value is not None} for part in (head, body)
        )
        text = raw if raw is not None else json.dumps(body)
        signed = f"{b64(json.dumps(head).encode())}.{b64(text.encode())}"
        return f"{signed}.{b64((by or self.key.private).sign(signed.encode()))}"

    def mac(self, secret: bytes) -> str:
        signed = f"{b64(json.dumps({**self.header, 'alg': 'HS256'}).encode())}.{b64(json.dumps(self.claims).encode())}"
        return f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    def edited(self, **changes: Any) -> str:
        """A real token whose payload was edited afterwards."""
        head, _, signature = self.sign().split(".")
        return f"{head}.{b64(json.dumps({**self.claims, **changes}).encode())}.{signature}"

    def pem(self) -> bytes:
        return self.key.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self) -> dict[str, str]:
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": b64(self.own.public_key().public_bytes_raw()),
            "kid": "mine",
        }

    def twice(self, name: str, value: Any) -> str:
        """A payload that says something twice."""
        return json.dumps(self.claims)[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"


def none(forge: Forge, name: str, signature: str = "") -> str:
    return ".".join((*forge.sign({"alg": name}).split(".")[:2], signature))


URL = "https://attacker.example/keys.json"
FORGED: dict[str, Forger] = {
    "alg none": lambda f: none(f, "none"),
    "alg None, signed": lambda f: none(f, "None", "A" * 86),
    "alg nOnE": lambda f: none(f, "nOnE"),
    "alg empty": lambda f: f.sign({"alg": ""}),
    "no alg": lambda f: f.sign({"alg": None}),
    "alg twice": lambda f: (lambda s: f"{s}.{b64(f.key.private.sign(s.encode()))}")(
        b64(('{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"' + f.key.key_id + '"}').encode()) + "." + b64(json.dumps(f.claims).encode())
    ),
    "HS256 with the public key as PEM": lambda f: f.mac(f.pem()),
    "HS256 with the public key raw": lambda f: f.mac(f.key.public.public_bytes_raw()),
    "HS256 with the published x": lambda f: f.mac(b64(f.key.public.public_bytes_raw()).encode()),
    "HS256 with an empty key": lambda f: f.mac(b""),
    "RS256 of another key": lambda f: jwt.encode(f.claims, f.rsa, "RS256", {"kid": f.key.key_id, "typ": "at+jwt"}),
    "ES256 of another key": lambda f: jwt.encode(f.claims, f.ec, "ES256", {"kid": f.key.key_id, "typ": "at+jwt"}),
    "another key, our kid": lambda f: f.sign(by=f.own),
    "another key, its kid": lambda f: f.sign({"kid": "mine"}, by=f.own),
    "unknown kid": lambda f: f.sign({"kid": "0" * 16}),
    "no kid": lambda f: f.sign({"kid": None}),
    "kid a path": lambda f: f.sign({"kid": "../../../../dev/null"}, by=f.own),
    "kid SQL": lambda f: f.sign({"kid": "' OR 1=1 --"}, by=f.own),
    "kid a number": lambda f: f.sign({"kid": 0}),
    "kid a list": lambda f: f.sign({"kid": [f.key.key_id]}),
    "jku": lambda f: f.sign({"jku": URL}, by=f.own),
    "jku, our signature": lambda f: f.sign({"jku": URL}),
    "x5u": lambda f: f.sign({"x5u": URL}, by=f.own),
    "x5c": lambda f: f.sign({"x5c": ["AAAA"]}, by=f.own),
    "jwk": lambda f: f.sign({"jwk": f.jwk()}, by=f.own),
    "jwk, its kid": lambda f: f.sign({"jwk": f.jwk(), "kid": "mine"}, by=f.own),
    "crit": lambda f: f.sign({"crit": ["exp"]}),
    "b64 false": lambda f: f.sign({"b64": False, "crit": ["b64"]}),
    "zip": lambda f: f.sign({"zip": "DEF"}),
    "another typ": lambda f: f.sign({"typ": "JWT"}),
    "no typ": lambda f: f.sign({"typ": None}),
    "wrong issuer": lambda f: f.sign(claims={"iss": "https://attacker.example"}),
    "no issuer": lambda f: f.sign(claims={"iss": None}),
    "wrong audience": lambda f: f.sign(claims={"aud": "other-service"}),
    "several audiences": lambda f: f.sign(claims={"aud": ["tallystick", "other-service"]}),
    "no audience": lambda f: f.sign(claims={"aud": None}),
    "no exp": lambda f: f.sign(claims={"exp": None}),
    "exp a text": lambda f: f.sign(claims={"exp": "never"}),
    "exp infinite": lambda f: f.sign(raw=json.dumps(f.claims).replace(str(f.now + 600), "1e999")),
    "no iat": lambda f: f.sign(claims={"iat": None}),
    "no jti": lambda f: f.sign(claims={"jti": None}),
    "no nbf": lambda f: f.sign(claims={"nbf": None}),
    "not before tomorrow": lambda f: f.sign(claims={"nbf": f.now + 86400, "exp": f.now + 90000}),
    "issued tomorrow": lambda f: f.sign(claims={"iat": f.now + 86400}),
    "no sub": lambda f: f.sign(claims={"sub": None}),
    "sub a number": lambda f: f.sign(claims={"sub": 1}),
    "sub nobody": lambda f: f.sign(claims={"sub": "999999"}),
    "sub negative": lambda f: f.sign(claims={"sub": "-1"}),
    "sub in other digits": lambda f: f.sign(claims={"sub": "١"}),
    "sub of no key": lambda f: f.sign(claims={"sub": "key:999999", "scope": "usage:write"}),
    "sub of a key without scope": lambda f: f.sign(claims={"sub": "key:1"}),
    "no version": lambda f: f.sign(claims={"ver": None}),
    "an older version": lambda f: f.sign(claims={"ver": 0}),
    "version a truth": lambda f: f.sign(claims={"ver": True}),
    "no such session": lambda f: f.sign(claims={"sid": "00000000-0000-7000-8000-000000000000"}),
    "session no UUID": lambda f: f.sign(claims={"sid": "x"}),
    "sub twice": lambda f: f.sign(raw=f.twice("sub", "1")),
    "exp twice": lambda f: f.sign(raw=f.twice("exp", f.now + 10**6)),
    "role twice": lambda f: f.sign(raw=f.twice("role", "admin")),
    "payload no object": lambda f: f.sign(raw="[]"),
    "payload null": lambda f: f.sign(raw="null"),
    "payload no JSON": lambda f: f.sign(raw="{"),
    "payload empty": lambda f: f.sign(raw=""),
    "payload too deep": lambda f: f.sign(raw="[" * 1000 + "]" * 1000),
    "role edited": lambda f: f.edited(role="admin"),
    "sub edited": lambda f: f.edited(sub="2"),
    "exp edited": lambda f: f.edited(exp=f.now + 10**6),
    "scope edited in": lambda f: f.edited(scope="users:write"),
    "signature of another token": lambda f: ".".join((*f.sign(claims={"role": "admin"}).split(".")[:2], f.sign().split(".")[2])),
    "truncated": lambda f: f.sign()[:-10],
    "signature cut off": lambda f: f.sign().rpartition(".")[0],
    "signature empty": lambda f: f.sign().rpartition(".")[0] + ".",
    "one segment more": lambda f: f.sign() + "." + b64(b"{}"),
    "a dot more": lambda f: f.sign() + ".",
    "a dot before": lambda f: "." + f.sign(),
    "padded": lambda f: f.sign() + "==",
    "signature with noise": lambda f: f.sign()[:-4] + "!" + f.sign()[-4:],
    "standard base 64": lambda f: f.sign().replace("-", "+").replace("_", "/") + "+",
    "huge": lambda f: f.sign(claims={"pad": "x" * 20_000}),
    "huge garbage": lambda f: "x" * 30_000,
    "JWE": lambda f: ".".join([b64(b'{"alg":"dir","enc":"A256GCM"}'), "", "AAAA", "AAAA", "AAAA"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORGED)
async def test_forged(app: FastAPI, client: httpx.AsyncClient, kind: str) -> None:
    user = await make_user(app, "support")
    forge = Forge(app.state.identity.key, user)
    assert (await ask(client, forge.sign())).status_code == 200, (
        "the forger's tools make a good token, were it ours"
    )
    answer = await ask(client, FORGED[kind](forge))
    assert answer.status_code == 401, f"{kind}: {answer.text}"
    assert (answer.json()["error"], answer.json()["code"]) == ("Invalid token", "invalid_token"), kind


async def ask(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {token}"})


async def test_expired_is_said_so_only_of_our_own(app: FastAPI, client: httpx.AsyncClient) -> None:
    forge = Forge(app.state.identity.key, await make_user(app, "support"))
    old = {"exp": forge.now - 60, "iat": forge.now - 660, "nbf": forge.now - 660}
    answer = await ask(client, forge.sign(claims=old))
    assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (
        401,
        "Token expired",
        "token_expired",
    )
    assert (await ask(client, forge.sign(claims=old, by=forge.own))).json()["code"] == "invalid_token"


async def test_the_role_in_a_token_decides_nothing(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Even if we signed it: what a user may comes from the database."""
    forge = Forge(app.state.identity.key, await make_user(app, "support"))
    token = {
        "Authorization": f"Bearer {forge.sign(claims={'role': 'admin', 'scope': 'users:write catalog:write'})}"
    }
    assert (await client.post("/v1/meters", json={}, headers=token)).status_code == 403
    assert (await client.get("/v1/auth/me", headers=token)).json()["data"]["role"] == "support"


async def test_the_key_set(app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    answer = await client.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers.get_list("cache-control") == ["public, max-age=300"]
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "use", "alg", "kid", "x"}, "public, and no envelope"
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA")
    token = admin_headers["Authorization"].removeprefix("Bearer ")
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    verified = jwt.decode(token, jwt.PyJWK(key).key, ["EdDSA"], audience="tallystick", issuer="tallystick")
    assert verified["role"] == "admin", "whoever has the key set verifies, and cannot sign"
    raw = base64.urlsafe_b64decode(key["x"] + "=")
    assert (
        Ed25519PublicKey.from_public_bytes(raw).public_bytes_raw()
        == app.state.identity.key.public.public_bytes_raw()
    )


async def test_keys_are_changed_without_a_gap(database_url: str, tmp_path: Path) -> None:
    """The next key lies beside the first, then signs with the first beside it, then is alone."""
    keys = tmp_path / "keys"
    load_key(keys, "access-tokens", make=True)
    load_key(tmp_path / "next", "access-tokens", make=True)
    now_path, next_path = keys / "access-tokens.pem", tmp_path / "next" / "access-tokens.pem"
    settings = make_settings(database_url, tmp_path)

    async def serve(tokens: list[dict[str, str]]) -> tuple[list[int], int, dict[str, str]]:
        app = create_app(settings)
        async with serving(app) as client:
            made = await staff_headers(app, "admin")
            answers = [
                (await client.get("/v1/auth/me", headers=token)).status_code for token in [*tokens, made]
            ]
            return answers, len((await client.get("/.well-known/jwks.json")).json()["keys"]), made

    answers, published, first = await serve([])
    assert (answers, published) == ([200], 1)
    shutil.copy(next_path, keys / "access-tokens.next.pem")
    answers, published, second = await serve([first])
    assert (answers, published) == ([200, 200], 2)
    old = load_key(keys, "access-tokens", make=False).public
    (keys / "access-tokens.previous.pem").write_bytes(
        old.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (keys / "access-tokens.next.pem").rename(now_path)
    answers, published, third = await serve([first, second])
    assert (answers, published) == ([200, 200, 200], 2), "the public half of the last one is enough"
    (keys / "access-tokens.previous.pem").unlink()
    answers, published, _ = await serve([first, second, third])
    assert (answers, published) == ([401, 401, 200, 200], 1)


async def test_a_token_for_another_house_is_worth_nothing(
    app: FastAPI, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    user = await make_user(app, "admin")
    ours = bearer(app, user)
    assert (await client.get("/v1/auth/me", headers=ours)).status_code == 200
    forge = Forge(load_key(tmp_path / "other", "access-tokens", make=True), user)
    assert (await ask(client, forge.sign())).json()["code"] == "invalid_token"
