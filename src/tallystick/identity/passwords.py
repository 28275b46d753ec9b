"""Passwords: what is refused, how they are kept.

bcrypt over HMAC-SHA-384 in base 64: 64 ASCII bytes, so that neither bcrypt's 72-byte limit nor NUL bytes matter and a long
passphrase counts whole. The HMAC's key is public; it only keeps hashes leaked elsewhere from being tried here.
Rules follow NIST SP 800-63B: length and a blocklist, no character classes.
"""

import asyncio
import base64
import hmac
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import bcrypt

from tallystick.identity.domain import WeakPassword
from tallystick.kernel.errors import Unavailable

MIN_LENGTH, MAX_LENGTH = 12, 1024
_DOMAIN = b"tallystick password v1"
_WAITING = 16
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "1q2w3e4r5t6y7u8i9o0p", "qazwsxedcrfvtgbyhnujmikolp")  # fmt: skip
_ENDINGS = (
    "", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "!", "1!", "12!", "123!",
    "1234!", "@123", "@1234", "#123", "_123", "01", "007", "69", "111", "321", "4321", "54321", "654321",
)  # fmt: skip


_ADDED = _ENDINGS + tuple(str(year) for year in range(1950, 2051))


@cache
def common_words() -> frozenset[str]:
    """What common passwords are made of, in lower case."""
    lines = files("tallystick.identity").joinpath("common_passwords.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def is_common(plain: str) -> bool:
    """Whether the whole of `plain` (lower case) is a common word, once to three times over, with an ending people add."""
    words = common_words()
    for ending in _ADDED:
        stem = plain.removesuffix(ending)
        if len(plain) - len(stem) != len(ending):
            continue
        for times in (1, 2, 3):
            part = stem[: len(stem) // times]
            if part in words and part * times == stem:
                return True
    return False


def check_password(password: str, email: str) -> None:
    """Raises `WeakPassword` saying how to choose a better one."""
    problem = _problem(unicodedata.normalize("NFC", password), email)
    if problem is not None:
        raise WeakPassword(details={"password": problem})


def _problem(password: str, email: str) -> str | None:
    plain = password.casefold()
    if len(password) < MIN_LENGTH:
        return f"must have at least {MIN_LENGTH} characters"
    if len(password) > MAX_LENGTH:
        return f"must have at most {MAX_LENGTH} characters"
    if is_common(plain):
        return "is one of the most common passwords"
    if plain == email.casefold():
        return "must not be the e-mail address"
    if len(set(plain)) < 4 or _is_row(plain):
        return "repeats a few characters or follows a row of keys"
    return None


def _is_row(text: str) -> bool:
    return any(text in row * 3 or text in row[::-1] * 3 for row in _ROWS)


def _prepared(password: str) -> bytes:
    plain = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(_DOMAIN, plain, "sha384"))


def _hash(password: str, cost: int) -> str:
    return bcrypt.hashpw(_prepared(password), bcrypt.gensalt(cost)).decode()


def _check(password: str, stored: str) -> bool:
    return bcrypt.checkpw(_prepared(password), stored.encode())


@dataclass(slots=True)
class Hasher:
    """Hashes beside the event loop, a few at a time: password work must never hold up a bill."""

    cost: int
    workers: int = 2
    pool: ThreadPoolExecutor = field(init=False)
    waiting: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.workers, thread_name_prefix="password")

    async def hash(self, password: str) -> str:
        """A new salted hash. Raises `Unavailable` where too many wait already."""
        return str(await self._run(_hash, password, self.cost))

    async def check(self, password: str, stored: str | None) -> bool:
        """Whether the password fits. With None (nobody by that name) it costs the same and is False."""
        usable = stored is not None and len(password) <= MAX_LENGTH
        fits = await self._run(_check, password[:MAX_LENGTH], stored if stored else self._nobody())
        return bool(fits) and usable

    def _nobody(self) -> str:
        return f"$2b${self.cost:02d}$" + "abcdefghijklmnopqrstuu" + "A" * 31

    async def _run(self, work: object, *arguments: object) -> object:
        if self.waiting >= _WAITING:
            raise Unavailable("Too many sign-ins at this moment; try again shortly", retry_after=2)
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, work, *arguments)  # type: ignore[arg-type]
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Ends the threads."""
        self.pool.shutdown(wait=False, cancel_futures=True)
