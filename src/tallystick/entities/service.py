"""Commands on entities, inside the caller's transaction."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from tallystick.audit import service as audit
from tallystick.entities import repository
from tallystick.entities.domain import Entity
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound, Stale
from tallystick.platform.db import Session


async def locked(session: Session, entity_id: int, revisions: Collection[int] | None = None) -> Entity:
    """The entity, locked until the transaction ends. Raises `NotFound`, `Stale`."""
    found = await repository.lock(session, entity_id)
    if found is None:
        raise NotFound("No such entity", code="entity_not_found")
    if revisions is not None and found.revision not in revisions:
        raise Stale
    return found


async def change(session: Session, actor: Actor, entity: Entity, changes: Mapping[str, Any]) -> Entity:
    """Changes settings of a locked entity; documents made from now on follow, issued ones keep theirs. A repeat changes nothing."""
    before = {name: value for name, value in asdict(entity).items() if name in changes}
    after = dict(changes)
    if before == after:
        return entity
    await repository.update(session, entity.id, {**asdict(entity), **after})
    await audit.record(session, actor, "entity.changed", "entity", str(entity.id), before, after)
    changed = await repository.lock(session, entity.id)
    assert changed is not None, "it is locked"
    return changed
