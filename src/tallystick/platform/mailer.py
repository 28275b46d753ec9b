"""Mail. Development and test entities write files; what sends them over the network comes with delivery."""

import hashlib
import os
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from tallystick.platform.settings import Settings


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter ready to go. `key` names it for ever: sending the same key twice sends one letter."""

    key: str
    to: str
    subject: str
    text: str


class Mailer(Protocol):
    """Sends a letter, once per key."""

    def send(self, mail: Mail) -> None: ...


def mailer(settings: Settings) -> Mailer:
    """The mailer of this installation: files in `mail_dir`, which is `mail` in the data folder unless another is named."""
    return FileMailer(settings.mail_dir or settings.data_dir / "mail")


class FileMailer:
    """Writes each letter to `folder` as an RFC 5322 file; a repeat of a key changes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, mail: Mail) -> None:
        """On disk when this returns, readable for the owner alone. Raises `OSError` where the folder cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / _file_name(mail.key)
        if path.exists():
            return
        message = EmailMessage()
        message["To"] = mail.to
        message["From"] = "billing@localhost"
        message["Subject"] = mail.subject
        message["Message-Id"] = f"<{mail.key}@tallystick>"
        message.set_content(
            mail.text, cte="8bit"
        )  # a link stays one line, for people who read the file itself
        part = path.with_suffix(".part")
        with open(part, "wb", opener=_private) as file:
            file.write(bytes(message))
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        _settle(self.folder)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _settle(folder: Path) -> None:
    """The name too is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_name(key: str) -> str:
    """Readable, and another one for every other key, also where the file system knows no capitals."""
    readable = "".join(
        char if (char.isascii() and char.isalnum()) or char in "-_" else "_" for char in key[:80]
    )
    return f"{readable}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.eml"
