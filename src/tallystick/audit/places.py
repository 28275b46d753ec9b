"""Where the audit log's key and its checkpoints lie: in the data folder."""

from pathlib import Path

from tallystick.platform.keys import SigningKey, load_key
from tallystick.platform.settings import Settings


def folder(settings: Settings) -> Path:
    """Where checkpoints are kept. Copy it to another machine, so that nobody can change both."""
    return settings.data_dir / "audit"


def signing_key(settings: Settings) -> SigningKey:
    """The key that signs new blocks: made on the first start of a development installation, required elsewhere."""
    return load_key(settings.data_dir / "keys", "audit", make=settings.environment == "development")


def known_keys(settings: Settings) -> list[SigningKey]:
    """Every key that ever signed: `audit.pem` and those kept after a change as `audit-….pem`; none on a new installation."""
    keys = settings.data_dir / "keys"
    return [load_key(keys, path.stem, make=False) for path in sorted(keys.glob("audit*.pem"))]
