"""From nodes to a catalog that can be applied, or to every mistake at its place.

The rules are the API's own: its bodies (`sections`), then `catalog.domain.check_terms`, which reads prices with the code that later
rates them. Where a body has mistakes, what is wrong with its prices is told in the same breath: mended copies of it are read on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ValidationError

from tallystick.billing.catalog_file.reading import Mistake, Node, locate, plain, read
from tallystick.billing.catalog_file.sections import (
    COUPONS,
    METERS,
    PLANS,
    SECTIONS,
    SERVICES,
    TAXES,
    Content,
    Section,
    TaxEntry,
    canonical,
    dumped,
)
from tallystick.catalog.domain import SERVICE_METER, Meter, Terms, check_meter, check_terms, meter_problems
from tallystick.catalog.schemas import ChargeIn, MeterIn, PlanIn
from tallystick.invoicing.domain.coupons import check_terms as check_coupon_terms
from tallystick.kernel.errors import Invalid
from tallystick.rating.domain import Aggregation
from tallystick.taxes.domain import check_kind

FORMAT = 1
_STAND_IN: dict[str, Any] = {
    "name": "x", "price": 0, "currency": "CLF", "meter": "x", "charge_model": "standard",
    "properties": {"unit_amount": "0"},
}  # fmt: skip
"""Takes the place of a field that is wrong or missing, so that the rest can be read; CLF has as many decimals as a currency can have."""

_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text; put it in quotes",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


@dataclass(slots=True)
class Checked:
    """What a file says. `bodies` are what the API would have been sent, by kind and code; `terms` those of plans that are not as they are."""

    content: Content = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def check(text: str, current: Content) -> Checked:
    """Reads a file whole against the installation as it is (`current`): known meters, and what may never change."""
    root, mistakes = read(text)
    found = Checked(mistakes=mistakes)
    if root is None:
        if not mistakes:
            mistakes.append(
                Mistake(1, 1, "", "holds nothing; `tallystick catalog export` shows how a catalog looks")
            )
        return found
    if not isinstance(root.value, dict):
        mistakes.append(
            Mistake(
                root.line, root.column, "", "must be a mapping of taxes, meters, services, plans, coupons"
            )
        )
        return found
    _check_top(root, found)
    for section in SECTIONS:
        node = root.value.get(section.name)
        found.content[section.name], found.bodies[section.name] = {}, {}
        if node is not None and node.value is not None:
            _check_section(section, node, current, found)
    unknown = _check_meters_are_known(root, current, found)
    if not unknown:
        _check_prices_fit_meters(root, current, found)
    _check_categories(root, current, found)
    _check_coupons_reach_something(root, current, found)
    return found


def _check_top(root: Node, found: Checked) -> None:
    known = {section.name for section in SECTIONS} | {"catalog"}
    for name, node in root.value.items():
        if name not in known:
            sentence = f"is not a part of a catalog: {', '.join(section.name for section in SECTIONS)}"
            found.mistakes.append(Mistake(node.line, node.column, name[:100], sentence))
    version = root.value.get("catalog")
    if version is not None and (version.value != FORMAT or isinstance(version.value, bool)):
        sentence = f"must be {FORMAT}, the format that this program reads"
        found.mistakes.append(Mistake(version.line, version.column, "catalog", sentence))


def _check_section(section: Section, node: Node, current: Content, found: Checked) -> None:
    entries = node.value
    if section.listed and isinstance(entries, list):
        for index, entry in enumerate(entries):
            _check_listed(section, entry, f"{section.name}[{index}]", found)
    elif not section.listed and isinstance(entries, dict):
        for code, entry in entries.items():
            _check_entry(section, code, entry, current, found)
    else:
        shape = "a list of names" if section.listed else f"a mapping of codes to {section.name}"
        found.mistakes.append(Mistake(node.line, node.column, section.name, f"must be {shape}"))


def _check_listed(section: Section, entry: Node, path: str, found: Checked) -> None:
    body, problems = _validated(section.body, {section.key: plain(entry)})
    found.mistakes.extend(Mistake(entry.line, entry.column, path, sentence) for _, sentence in problems)
    if body is None:
        return
    key = getattr(body, section.key)
    if key in found.content[section.name]:
        found.mistakes.append(Mistake(entry.line, entry.column, path, "stands here a second time"))
    found.content[section.name][key] = {}
    found.bodies[section.name][key] = body


def _check_entry(section: Section, code: str, entry: Node, current: Content, found: Checked) -> None:
    path = f"{section.name}.{code[:100]}"
    unreadable = {mistake.path for mistake in found.mistakes}

    def note(inner: str, sentence: str) -> None:
        node = locate(entry, inner)
        shown = path if not inner else f"{path}{inner if inner.startswith('[') else '.' + inner}"
        if shown not in unreadable:
            found.mistakes.append(Mistake(node.line, node.column, shown, sentence))

    values = plain(entry)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        note("", "must be a mapping")
        return
    if section.key in values:
        note(section.key, "is what the entry is called; leave it out")
        del values[section.key]
    body, problems = _validated(section.body, {**values, section.key: code})
    problems += _excluded(section, values)
    for inner, sentence in problems:
        note("" if inner == section.key else inner, sentence)
    told = {inner for inner, _ in problems}
    thing = dumped(section, body) if body is not None and not problems else None
    if thing is not None and canonical(thing) == canonical(current.get(section.name, {}).get(code)):
        found.content[section.name][code], found.bodies[section.name][code] = thing, body
        return  # it stands there like this: it was checked when it was accepted
    for inner, sentence in list(_domain_problems(section, code, values, body, problems, found)):
        problems.append((inner, sentence))
        if not any(inner == each or inner.startswith((f"{each}.", f"{each}[")) for each in told):
            note(inner, sentence)
    if thing is not None and not problems:
        if section is PLANS:  # amounts as they will be stored: in their currency's decimals
            thing |= {name: getattr(found.terms[code], name) for name in ("price", "minimum")}
        found.content[section.name][code], found.bodies[section.name][code] = thing, body
        for inner, sentence in _frozen(section, code, found.content, current):
            note(inner, sentence)


def _validated(model: type[BaseModel], values: dict[str, Any]) -> tuple[Any, list[tuple[str, str]]]:
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, [(_path(item["loc"]), _sentence(item)) for item in error.errors(include_url=False)]


def _path(loc: Iterable[Any]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _sentence(item: Any) -> str:
    if item["type"] in _SENTENCES:
        return _SENTENCES[item["type"]]
    if item["type"] == "literal_error":
        return f"must be {item['ctx']['expected']}".replace("'", "")
    if item["type"] == "string_pattern_mismatch":
        return "must be letters, digits and _.:-, beginning with a letter or digit, at most 100 of them"
    message = str(item["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if len(message) <= 200 else "is not valid"


def _excluded(section: Section, values: dict[str, Any]) -> list[tuple[str, str]]:
    """Fields that the API takes and a file does not: ids, which GET shows, and what belongs to test clocks."""
    found = [
        (name, "has no place in a file; leave it out")
        for name, info in section.body.model_fields.items()
        if info.exclude and name in values
    ]
    charges = values.get("charges") if section is PLANS else None
    return found + [
        (f"charges[{index}].id", "differs from installation to installation; leave it out")
        for index, charge in enumerate(charges if isinstance(charges, list) else [])
        if isinstance(charge, dict) and "id" in charge
    ]


def _domain_problems(
    section: Section,
    code: str,
    values: dict[str, Any],
    body: Any,
    problems: list[tuple[str, str]],
    found: Checked,
) -> Iterator[tuple[str, str]]:
    """What the commands behind the API would refuse."""
    if section is TAXES and body is not None:
        yield from _rate_problems(body)
    try:
        if section is METERS and body is not None:
            check_meter_body(body)
        elif section is TAXES and body is not None:
            check_kind(body.kind, body.rate)
        elif section is COUPONS and body is not None:
            check_coupon_terms(body.asked.terms)
        elif section is PLANS:
            mended = body or _validated(PlanIn, _mended(values, code, {inner for inner, _ in problems}))[0]
            if mended is not None:
                found.terms[code] = check_terms(mended.terms())
    except Invalid as refused:
        for inner, sentence in (refused.details or {"rate": refused.sentence}).items():
            yield ("" if inner == section.key else inner), str(sentence)


def _rate_problems(body: TaxEntry) -> Iterator[tuple[str, str]]:
    for index, (before, after) in enumerate(pairwise(body.later_rates)):
        if before.valid_from >= after.valid_from:
            yield f"later_rates[{index + 1}].valid_from", "must be later than that of the rate before it"


def check_meter_body(body: MeterIn) -> None:
    """As the command that makes the meter checks it. Raises `Invalid`."""
    given = body.model_dump(exclude={"name", "unit"})
    check_meter(**given)


def _mended(values: dict[str, Any], code: str, bad: set[str]) -> dict[str, Any]:
    """A plan without what is wrong in it: wrong fields fall back to defaults or stand-ins, charges are mended one by one."""
    tops = {path for path in bad if not path.startswith("charges[")}
    kept = {
        name: value
        for name, value in values.items()
        if name in PlanIn.model_fields and not any(top.split(".")[0].split("[")[0] == name for top in tops)
    }
    charges = kept.get("charges")
    if isinstance(charges, list):
        kept["charges"] = [_mended_charge(each, index, bad) for index, each in enumerate(charges)]
    defaults = {name: _STAND_IN[name] for name in ("name", "price", "currency")}
    return {**defaults, **kept, "code": "x"}


def _mended_charge(charge: Any, index: int, bad: set[str]) -> dict[str, Any]:
    prefix = f"charges[{index}]"
    stand_in = {
        **{name: _STAND_IN[name] for name in ("meter", "charge_model", "properties")},
        "code": f"x:{index}",
    }
    if not isinstance(charge, dict) or prefix in bad:
        return stand_in
    wrong = {
        path.removeprefix(prefix + ".").split(".")[0].split("[")[0]
        for path in bad
        if path.startswith(prefix + ".")
    }
    kept = {
        name: value for name, value in charge.items() if name in ChargeIn.model_fields and name not in wrong
    }
    if not {"charge_model", "properties"} <= kept.keys():
        kept |= {
            "charge_model": stand_in["charge_model"],
            "properties": stand_in["properties"],
            "adjustments": {},
        }
    return {**stand_in, **kept}


def _frozen(section: Section, code: str, content: Content, current: Content) -> Iterator[tuple[str, str]]:
    """Changes of what can never change once it is there."""
    old = current.get(section.name, {}).get(code)
    if old is None or not section.frozen_because:
        return
    rates = old.get("later_rates") or []
    if section is TAXES and canonical(rates) != canonical(
        content[TAXES.name][code]["later_rates"][: len(rates)]
    ):
        yield "later_rates", "may get more at its end; the rates that are there never change or go"
    for name, value in content[section.name][code].items():
        if name not in section.changes and canonical(value) != canonical(old.get(name)):
            yield name, section.frozen_because


def _check_prices_fit_meters(root: Node, current: Content, found: Checked) -> None:
    """What a model needs to see of the events, its meter must count."""
    fields = {**current.get(METERS.name, {}), **found.content[METERS.name]}
    meters = {code: _meter(code, each) for code, each in fields.items()}
    for name in (*current.get(SERVICES.name, {}), *found.content[SERVICES.name]):
        meters[SERVICE_METER + name] = _meter(
            SERVICE_METER + name, {"aggregation": "sum", "filters": {}, "field": None}
        )
    for code, terms in found.terms.items():
        if all(charge.meter in meters for charge in terms.charges):
            for inner, sentence in meter_problems(terms, meters).items():
                node = locate(root, f"{PLANS.name}.{code}.{inner}")
                found.mistakes.append(Mistake(node.line, node.column, f"plans.{code}.{inner}", sentence))


def _check_categories(root: Node, current: Content, found: Checked) -> None:
    """Where every tax names what it is due on, a plan of another category would pay none: that is a slip of the pen."""
    taxes = {**current.get(TAXES.name, {}), **found.content[TAXES.name]}.values()
    if not taxes or not all(tax.get("categories") for tax in taxes):
        return
    known = {category for tax in taxes for category in tax["categories"]}
    for code, terms in found.terms.items():
        if terms.tax_category not in known:
            node = locate(root, f"{PLANS.name}.{code}.tax_category")
            sentence = (
                "is a category that no tax names; a tax of kind exempt or zero says that nothing is due"
            )
            found.mistakes.append(Mistake(node.line, node.column, f"plans.{code}.tax_category", sentence))


def _meter(code: str, fields: dict[str, Any]) -> Meter:
    known = {"name": code, "unit": "unit", **fields, "aggregation": Aggregation(fields["aggregation"])}
    return Meter(id=0, code=code, created_at=datetime.min.replace(tzinfo=UTC), **known)


def _check_meters_are_known(root: Node, current: Content, found: Checked) -> bool:
    meters, services = root.value.get(METERS.name), root.value.get(SERVICES.name)
    known = set(current.get(METERS.name, {})) | set(
        meters.value if meters and isinstance(meters.value, dict) else ()
    )
    listed = services.value if services and isinstance(services.value, list) else ()
    names = {*current.get(SERVICES.name, {}), *(each.value for each in listed if isinstance(each.value, str))}
    known |= {f"{SERVICE_METER}{name}" for name in names}
    plans, unknown = root.value.get(PLANS.name), False
    for code, plan in plans.value.items() if plans and isinstance(plans.value, dict) else ():
        charges = plan.value.get("charges") if isinstance(plan.value, dict) else None
        for index, charge in enumerate(charges.value if charges and isinstance(charges.value, list) else ()):
            meter = charge.value.get("meter") if isinstance(charge.value, dict) else None
            if meter is not None and isinstance(meter.value, str) and meter.value not in known:
                path = f"plans.{code[:100]}.charges[{index}].meter"
                sentence = "is not a meter of this file or of the installation"
                found.mistakes.append(Mistake(meter.line, meter.column, path, sentence))
                unknown = True
    return unknown


def _check_coupons_reach_something(root: Node, current: Content, found: Checked) -> None:
    """The meters and plans that a coupon is limited to stand in the file, or are there."""
    services = {*current.get(SERVICES.name, {}), *found.content[SERVICES.name]}
    known = {
        "meters": {*current.get(METERS.name, {}), *found.content[METERS.name], *(SERVICE_METER + name for name in services)},
        "plans": {*current.get(PLANS.name, {}), *found.content[PLANS.name]},
    }  # fmt: skip
    for code, coupon in found.content[COUPONS.name].items():
        for kind, codes in known.items():
            for index, each in enumerate(coupon[kind]):
                if each not in codes:
                    path = f"{COUPONS.name}.{code}.{kind}[{index}]"
                    node = locate(root, path)
                    sentence = f"is not one of the {kind} of this file or of the installation"
                    found.mistakes.append(Mistake(node.line, node.column, path, sentence))
