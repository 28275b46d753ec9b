"""Reading entities. There are few; a batch reads them all at once."""

from tallystick.entities.domain import Entity
from tallystick.kernel.errors import NotFound
from tallystick.platform.db import ReadSession

COLUMNS = """id, code, name, currency, timezone, country, is_test, rounding, tax_rounding, fee_close_delay_seconds,
              usage_close_delay_seconds, net_terms_days, tax_point, prices_include_tax, revision"""
"""The columns of `Entity`."""


async def get(session: ReadSession, entity_id: int) -> Entity:
    """One entity by its id. Raises `NotFound`."""
    record = await session.fetchrow(f"SELECT {COLUMNS} FROM entities WHERE id = $1", entity_id)  # noqa: S608
    if record is None:
        raise NotFound("No such entity", code="entity_not_found")
    return Entity(**record)


async def all(session: ReadSession) -> dict[int, Entity]:
    """Every entity by id."""
    records = await session.fetch(f"SELECT {COLUMNS} FROM entities ORDER BY id")  # noqa: S608
    return {record["id"]: Entity(**record) for record in records}
