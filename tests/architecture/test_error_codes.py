"""Every code a refusal may carry stands in docs/errors.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import error_codes


def test_every_code_is_documented() -> None:
    assert error_codes.PAGE.read_text() == error_codes.page(), "run scripts/error_codes.py"
