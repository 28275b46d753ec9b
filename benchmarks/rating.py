"""Rating of prices that look at events, beside a floor: adding up the same values as decimals.

A percentage with allowances and bounds over a million events is folded once, when it is billed; what is explained later comes from the
few numbers that were frozen. No database: what reads the events is measured by others.
"""

import random
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from benchmarks.common import Figure, median, show
from tallystick.rating.domain import Metered, Price, amount_of, compile_price, estimate, freeze, thaw

EVENTS, COMBINATIONS, ROUNDS, SEED = 1_000_000, 100_000, 3, 20_260_301
FOLD_SECONDS, EXPLAIN_SECONDS = 1.0, 1.0


def percentage() -> Price:
    """Everything a percentage can have."""
    properties = {
        "rate": "0.029", "fixed_amount": "0.30", "free_events": 1000, "free_total": "500000",
        "min_per_event": "0.5", "max_per_event": "25",
    }  # fmt: skip
    return compile_price("percentage", properties)


def matrix() -> Price:
    """A thousand rows of two dimensions, some of them open."""
    rows = [{"values": [str(n), None if n % 100 == 0 else "l"], "unit_amount": n} for n in range(1000)]
    return compile_price(
        "matrix", {"dimensions": ["a", "b"], "rows": rows, "default": {"unit_amount": "0.01"}}
    )


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, as nothing is waited for: the median of the rounds."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return median(taken)


def figures() -> list[Figure]:
    """Fold, explain, and the combinations of a matrix."""
    draw = random.Random(SEED)
    values = tuple(Decimal(draw.randint(1, 10**6)).scaleb(-draw.choice((0, 2, 3, 6))) for _ in range(EVENTS))
    usage = Metered(Fraction(sum(values)), EVENTS, values=values)
    price = percentage()
    frozen = freeze(price, usage)
    floor, folded = seconds(lambda: sum(values)), seconds(lambda: amount_of(price, usage))
    told = seconds(lambda: estimate(price, thaw(frozen), "USD"))
    return [
        _figure(f"amount of a percentage of {EVENTS:,} events", floor, folded, FOLD_SECONDS),
        _figure("the same explained from what its line froze", floor, told, EXPLAIN_SECONDS),
        _matrix_figure(draw),
    ]


def _matrix_figure(draw: random.Random) -> Figure:
    groups = tuple(
        ((str(n), draw.choice(("s", "l"))), Fraction(draw.randint(1, 10**6), 1000))
        for n in range(COMBINATIONS)
    )
    usage, price = Metered(Fraction(1), 1, groups=groups), matrix()
    floor = seconds(lambda: sum(units for _, units in groups))
    return _figure(
        f"a matrix of 1,000 rows over {COMBINATIONS:,} combinations",
        floor,
        seconds(lambda: amount_of(price, usage)),
        1.0,
    )


def _figure(what: str, floor: float, ours: float, allowed: float) -> Figure:
    return Figure(
        what,
        f"{floor * 1000:,.1f} ms",
        f"{ours * 1000:,.1f} ms",
        floor / ours,
        f"< {allowed:g} s",
        ours < allowed,
    )


def main() -> bool:
    """Prints the table; True where every target is reached."""
    return show("Prices that look at events", figures())


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
