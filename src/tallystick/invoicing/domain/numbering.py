"""Numbers of issued documents: gapless per entity, series and year, in the order of their dates."""

INVOICES = "INV"
CREDIT_NOTES = "CN"
DEFAULT_ENTITY = "default"


def number_text(entity_code: str, series: str, year: int, number: int) -> str:
    """`INV-2026-000001`; entities other than the default one put their code in front."""
    prefix = "" if entity_code == DEFAULT_ENTITY else f"{entity_code.upper()}-"
    return f"{prefix}{series}-{year:04}-{number:06}"
