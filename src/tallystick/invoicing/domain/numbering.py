"""Numbers of issued documents: gapless per entity, series and year, in the order of their dates."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

INVOICES = "INV"
DEFAULT_ENTITY = "default"


def number_text(entity_code: str, series: str, year: int, number: int) -> str:
    """`INV-2026-000001`; entities other than the default one put their code in front."""
    prefix = "" if entity_code == DEFAULT_ENTITY else f"{entity_code.upper()}-"
    return f"{prefix}{series}-{year:04}-{number:06}"


def local_date(now: datetime, timezone: str) -> date:
    """The entity's own date at `now`: what a document issued then says."""
    return now.astimezone(ZoneInfo(timezone)).date()
