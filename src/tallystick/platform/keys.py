"""Ed25519 keys in files: one signs access tokens, one signs the audit chain."""

import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tallystick.kernel.errors import Unavailable


class KeyMissing(Unavailable):
    code = "key_missing"
    sentence = "A signing key is missing"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its public half. `key_id` is derived from the public half, so that it cannot be mixed up."""

    key_id: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes (RFC 8032)."""
        return self.private.sign(message)

    def derived(self, purpose: str) -> bytes:
        """32 secret bytes for another purpose, the same wherever the key is the same (HMAC as in RFC 5869)."""
        raw = self.private.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        return hmac.digest(raw, purpose.encode(), "sha256")


def verifies(public: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is that key's on `message`."""
    try:
        public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def key_id(public: Ed25519PublicKey) -> str:
    """The first 16 hex digits of SHA-256 over the raw public key."""
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def load_key(folder: Path, name: str, *, make: bool) -> SigningKey:
    """The key `name` of `folder`. With `make` a missing one is generated, mode 0600, once even when two processes race.

    Without `make` a missing key is refused with the command that makes one: two replicas that each invent their own would not
    accept each other's tokens.
    """
    path = folder / f"{name}.pem"
    if not path.exists():
        if not make:
            raise KeyMissing(
                f"The signing key {path} is missing; make one with `openssl genpkey -algorithm ed25519 -out {path}` "
                "and give every replica the same"
            )
        _generate(path)
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyMissing(f"The signing key {path} is not an Ed25519 key")
    public = private.public_key()
    return SigningKey(key_id(public), private, public)


def accepted_keys(folder: Path, name: str, signing: SigningKey) -> dict[str, Ed25519PublicKey]:
    """Public keys by id whose signatures count: the one that signs, then those in `name.*.pem`, private or public.

    So a key is changed without a gap: the next one lies beside it first, the last one afterwards (decision 0005).
    """
    accepted = {signing.key_id: signing.public}
    for path in sorted(folder.glob(f"{name}.*.pem")):
        pem = path.read_bytes()
        found: object = (
            serialization.load_pem_private_key(pem, password=None).public_key()
            if b"PRIVATE KEY" in pem
            else serialization.load_pem_public_key(pem)
        )
        if not isinstance(found, Ed25519PublicKey):
            raise KeyMissing(f"The key {path} is not an Ed25519 key")
        accepted[key_id(found)] = found
    return accepted


def _generate(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)  # fails where another process was first: its key is the one
    except FileExistsError:
        pass
    finally:
        part.unlink()
