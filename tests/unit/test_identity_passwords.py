"""Which passwords are refused, and that every character of the others counts."""

import asyncio
from statistics import median
from time import perf_counter

import pytest

from tallystick.identity.domain import WeakPassword
from tallystick.identity.passwords import Hasher, check_password
from tallystick.kernel.errors import Unavailable

EMAIL = "longer.name@example.com"


@pytest.mark.parametrize(
    "password",
    ["SecurePassword123!", "a lazy fox jumps", "пароль-длинный-1", "Tr0ub4dor&3xyz", "x" * 8 + "y1z!" * 200, "å" * 4 + "bcdefghi"],
)  # fmt: skip
def test_accepted(password: str) -> None:
    check_password(password, EMAIL)


@pytest.mark.parametrize(
    "password",
    [
        "", "short", "elevenchars", "passwordpassword", "Password1234", "PASSWORD12345", "password2024", "qwerty123456", "qwertyuiop123",
        "1q2w3e4r5t6y", "123456789012", "210987654321", "abcdefghijkl", "zzzzzzzzzzzz", "ababababababab", "iloveyouiloveyou", "letmein12345",
        "correct horse battery staple", "administrator1", "changeme1234", EMAIL, EMAIL.upper(), "x1" * 513,
    ],
)  # fmt: skip
def test_refused_without_repeating_it(password: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        check_password(password, EMAIL)
    assert refused.value.status == 422
    told = f"{refused.value.sentence} {refused.value.details}"
    assert not password or password not in told
    assert "password" in refused.value.details


@pytest.fixture
def hasher() -> Hasher:
    return Hasher(4)


async def test_a_password_fits_itself_only(hasher: Hasher) -> None:
    stored = await hasher.hash("SecurePassword123!")
    assert stored.startswith("$2b$04$")
    assert await hasher.check("SecurePassword123!", stored)
    assert not await hasher.check("securePassword123!", stored)
    assert not await hasher.check("", stored)
    assert stored != await hasher.hash("SecurePassword123!")


@pytest.mark.parametrize("head", ["a" * 72, "é" * 36, "with\x00nul", "a" * 1000])
async def test_nothing_is_cut_off(hasher: Hasher, head: str) -> None:
    stored = await hasher.hash(head + "-one")
    assert await hasher.check(head + "-one", stored)
    assert not await hasher.check(head + "-two", stored)
    assert not await hasher.check(head, stored)


async def test_composed_and_decomposed_letters_are_the_same(hasher: Hasher) -> None:
    stored = await hasher.hash("caf\u00e9 au lait 1")
    assert await hasher.check("cafe\u0301 au lait 1", stored)


async def test_nobody_never_fits(hasher: Hasher) -> None:
    assert not await hasher.check("SecurePassword123!", None)
    assert not await hasher.check("x" * 100_000, None)
    assert not await hasher.check("x" * 100_000, await hasher.hash("x" * 1024))


async def test_nobody_costs_the_same() -> None:
    hasher = Hasher(8)
    stored = await hasher.hash("SecurePassword123!")

    async def cost(against: str | None) -> float:
        spent = []
        for _ in range(15):
            started = perf_counter()
            await hasher.check("SecurePassword12?!", against)
            spent.append(perf_counter() - started)
        return median(spent)

    known, unknown = await cost(stored), await cost(None)
    assert 0.5 < known / unknown < 2


async def test_a_flood_is_refused_rather_than_queued_without_end() -> None:
    hasher = Hasher(8)
    answers = await asyncio.gather(*(hasher.check("x", None) for _ in range(60)), return_exceptions=True)
    assert any(isinstance(answer, Unavailable) for answer in answers)
    assert any(answer is False for answer in answers)
    assert not await hasher.check("x", None), "and afterwards all is well"
