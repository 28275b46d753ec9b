"""Instants, ids and letters: the small things that everything else leans on."""

from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.clock import EARLIEST, LATEST, bounded, parse_instant, rfc3339
from tallystick.kernel.ids import text_id, uuid7
from tallystick.platform.edge import new_id, new_uuid, system_now
from tallystick.platform.mailer import FileMailer, Mail, mailer
from tallystick.platform.settings import Settings

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(8999, 1, 1), timezones=OFFSETS)


@given(INSTANTS)
def test_an_instant_comes_back(instant: datetime) -> None:
    assert parse_instant(rfc3339(instant)) == instant
    assert parse_instant(instant.isoformat()) == instant
    assert rfc3339(instant).endswith("Z")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01t00:00:00z", "2024-01-01T00:00:00Z"),
        ("2024-01-01 00:00:00+00:00", "2024-01-01T00:00:00Z"),
        ("2024-03-31T02:30:00+05:30", "2024-03-30T21:00:00Z"),
        ("2024-01-01T00:00:00.1234567Z", "2024-01-01T00:00:00.123456Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00Z"),
    ],
)
def test_read(text: str, told: str) -> None:
    assert rfc3339(parse_instant(text)) == told


@pytest.mark.parametrize(
    "text",
    ["", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T00:00Z", "2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z",
     "2024-13-01T00:00:00Z", "2024-01-01T00:00:00+25:00", "2024-01-01T00:00:00+0200", "2024-01-01T00:00:00 Europe/Berlin",
     "1969-12-31T23:59:59Z", "9000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00Z",
     "٢٠٢٤-01-01T00:00:00Z", "2024-01-01T00:00:00Z\n", "20240101T000000Z", "1704067200"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|needs|is not"):
        parse_instant(text)


def test_naive_times_have_no_place() -> None:
    with pytest.raises(ValueError, match="offset"):
        bounded(datetime(2024, 1, 1))
    assert bounded(EARLIEST) == EARLIEST
    with pytest.raises(ValueError, match="between"):
        bounded(LATEST)
    with pytest.raises(ValueError, match=r"range|between"):
        bounded(datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))))


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_uuids_of_version_7(milliseconds: int, chance: bytes) -> None:
    made = uuid7(milliseconds, chance)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == milliseconds


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_later_ids_sort_later(milliseconds: int, one: bytes, two: bytes) -> None:
    early, late = uuid7(milliseconds, one), uuid7(milliseconds + 1, two)
    assert early < late
    assert text_id("acc", early) < text_id("acc", late), "as text too"


@given(st.uuids(), st.uuids())
def test_text_ids_are_unique(one: UUID, two: UUID) -> None:
    assert (text_id("acc", one) == text_id("acc", two)) == (one == two)
    assert text_id("acc", one).isascii()
    assert text_id("acc", one).replace("_", "").isalnum()


def test_fresh_ids() -> None:
    made = [new_uuid() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert abs((made[0].int >> 80) / 1000 - datetime.now(UTC).timestamp()) < 60
    assert new_id("acc").startswith("acc_")
    assert system_now().tzinfo is UTC


def letter(**changes: str) -> Mail:
    return Mail(
        **{
            "key": "invoice:1",
            "to": "ada@example.com",
            "subject": "Your invoice",
            "text": "Grüße\n",
            **changes,
        }
    )


def test_a_letter_is_a_file(tmp_path: Path) -> None:
    FileMailer(tmp_path / "mail").send(letter())
    (path,) = (tmp_path / "mail").iterdir()
    read = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert (read["To"], read["Subject"]) == ("ada@example.com", "Your invoice")
    assert read.get_content() == "Grüße\n"


def test_the_same_letter_once(tmp_path: Path) -> None:
    box = FileMailer(tmp_path)
    box.send(letter())
    box.send(letter(text="another"))
    box.send(letter(key="invoice:2"))
    assert len(list(tmp_path.iterdir())) == 2
    assert sum("another" in path.read_text() for path in tmp_path.iterdir()) == 0


def test_keys_that_look_alike_are_two_letters(tmp_path: Path) -> None:
    box = FileMailer(tmp_path)
    box.send(letter(key="a/b"))
    box.send(letter(key="a:b"))
    box.send(letter(key="A/b"))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "..", "a\\..\\b", "x" * 1000])
def test_a_key_is_no_path(tmp_path: Path, key: str) -> None:
    FileMailer(tmp_path / "mail").send(letter(key=key))
    assert [path.parent for path in tmp_path.rglob("*.eml")] == [tmp_path / "mail"]


@pytest.mark.parametrize("field", ["to", "subject"])
def test_no_header_is_smuggled_in(tmp_path: Path, field: str) -> None:
    with pytest.raises(ValueError, match=r"newline|linefeed|carriage"):
        FileMailer(tmp_path).send(letter(**{field: "x\r\nBcc: eve@example.com"}))
    assert list(tmp_path.iterdir()) == []


def test_where_letters_go(tmp_path: Path) -> None:
    chosen = mailer(Settings(data_dir=tmp_path))
    assert isinstance(chosen, FileMailer)
    assert chosen.folder == tmp_path / "mail"
    named = mailer(Settings(data_dir=tmp_path, mail_dir=tmp_path / "out"))
    assert isinstance(named, FileMailer)
    assert named.folder == tmp_path / "out"
