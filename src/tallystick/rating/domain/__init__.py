"""Pricing as pure functions: `price = compile_price(...)`, then `amount_of(price, quantity)` or `rate(price, quantity)`."""

from tallystick.rating.domain.aggregation import Aggregation, Event, aggregate
from tallystick.rating.domain.estimating import Estimate, estimate
from tallystick.rating.domain.explaining import describe, describe_rounding, describe_top_up, explain
from tallystick.rating.domain.freezing import freeze, thaw
from tallystick.rating.domain.lines import AmountTooLarge, LineAmount, less, round_line, round_lines
from tallystick.rating.domain.matrix import NoMatrixRow, as_text
from tallystick.rating.domain.metered import Folded, Metered, Need, NotMetered
from tallystick.rating.domain.models import FULL, Share
from tallystick.rating.domain.occurrences import Occurrence, meter
from tallystick.rating.domain.pricing import Exact, Price, Rated, amount_of, compile_price, fold, rate
from tallystick.rating.domain.registry import MODELS
from tallystick.rating.domain.steps import Step, as_json

__all__ = [
    "FULL",
    "MODELS",
    "Aggregation",
    "AmountTooLarge",
    "Estimate",
    "Event",
    "Exact",
    "Folded",
    "LineAmount",
    "Metered",
    "Need",
    "NoMatrixRow",
    "NotMetered",
    "Occurrence",
    "Price",
    "Rated",
    "Share",
    "Step",
    "aggregate",
    "amount_of",
    "as_json",
    "as_text",
    "compile_price",
    "describe",
    "describe_rounding",
    "describe_top_up",
    "estimate",
    "explain",
    "fold",
    "freeze",
    "less",
    "meter",
    "rate",
    "round_line",
    "round_lines",
    "thaw",
]
