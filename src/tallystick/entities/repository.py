"""The write side of entities."""

from collections.abc import Mapping
from typing import Any

from tallystick.entities.domain import Entity
from tallystick.entities.queries import COLUMNS
from tallystick.platform.db import Session


async def lock(session: Session, entity_id: int) -> Entity | None:
    """The entity, ours until the transaction ends; None where there is none."""
    row = await session.fetchrow(
        f"SELECT {COLUMNS} FROM entities WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608
        entity_id,
    )
    return None if row is None else Entity(**row)


async def update(session: Session, entity_id: int, values: Mapping[str, Any]) -> None:
    """Writes all settings of a locked entity."""
    await session.execute(
        """
        UPDATE entities SET name = $2, currency = $3, timezone = $4, country = $5, rounding = $6, tax_rounding = $7, tax_point = $8,
            prices_include_tax = $9, fee_close_delay_seconds = $10, usage_close_delay_seconds = $11, net_terms_days = $12,
            revision = revision + 1
        WHERE id = $1
        """,
        entity_id, values["name"], values["currency"], values["timezone"], values["country"], values["rounding"],
        values["tax_rounding"], values["tax_point"], values["prices_include_tax"], values["fee_close_delay_seconds"],
        values["usage_close_delay_seconds"], values["net_terms_days"],
    )  # fmt: skip
