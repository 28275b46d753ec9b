"""E-mail addresses: read, bounded, spelled one way."""

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH = 254


def normalise(text: str) -> str:
    """The address with its domain in lower case (RFC 5321 leaves the local part to its host, so it keeps its case).

    Raises `ValueError` with a sentence that repeats nothing. No network is asked. Names reserved for tests and documentation
    (`.test`, `example.com`) are accepted.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"must be an e-mail address of at most {MAX_LENGTH} characters")
    try:
        address = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("must be an e-mail address such as user@example.com") from None
    return address.normalized
