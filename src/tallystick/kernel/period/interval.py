"""A stretch of time between two UTC instants."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from tallystick.kernel.errors import Invalid


class EmptyPeriod(Invalid):
    """A period must end after it starts."""

    code = "empty_period"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """The half-open `[start, end)`, both UTC (SEMANTICS "Periods"); sorts by start, then end.

    An event at `end` belongs to the next period. Never empty: what has no length is `None`, so that nobody
    bills it. Raises `EmptyPeriod` unless start < end, and `Invalid` for a datetime that is not in
    `datetime.UTC` (`zones.utc` converts one from outside).
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant.tzinfo is not UTC:
                raise Invalid.field(name, "must be a UTC instant", code="not_utc")
        if self.start >= self.end:
            raise EmptyPeriod.field("end", "must be after start")

    @property
    def length(self) -> timedelta:
        """Elapsed time: the local day of a spring change is 23 hours long."""
        return self.end - self.start

    def contains(self, instant: datetime) -> bool:
        """Whether `instant` falls in it; its start does, its end does not."""
        return self.start <= instant < self.end

    def covers(self, other: "Period") -> bool:
        """Whether every instant of `other` falls in it."""
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: "Period") -> bool:
        """Whether they share an instant; periods that only touch do not."""
        return self.start < other.end and other.start < self.end

    def intersect(self, other: "Period") -> "Period | None":
        """What they share, or None."""
        return Period.between(max(self.start, other.start), min(self.end, other.end))

    @classmethod
    def between(cls, start: datetime, end: datetime) -> Self | None:
        """The period from `start` to `end`, or None where nothing lies between them."""
        return cls(start, end) if start < end else None
